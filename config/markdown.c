// SPDX-License-Identifier: Apache-2.0
// docs/configuration.md, from the option table: config_markdown() of config.h.
#include "config/config.h"

#include <inttypes.h>

#include "config/option.h"

static const char head[] =
    "# Configuration\n"
    "\n"
    "<!-- Written from config/option_table.c by `tests/unit/config/docs_test.c`: change it\n"
    "there, then run that test with PGWEIR_WRITE_DOCS=1. -->\n"
    "\n"
    "The file is PgBouncer's: the same ini format, names and meanings, so an unmodified\n"
    "`pgbouncer.ini` runs. `[pgweir]` is another name for the section `[pgbouncer]`. Names\n"
    "that are ours carry a `+`. `config/pgweir.ini` is an example to start from.\n"
    "\n"
    "- Comments begin with `;` or `#` at the start of a line. `%include FILE` reads another\n"
    "  file in its place.\n"
    "- Times are seconds (`1`, `0.25`) or carry a unit: `us`, `ms`, `s`, `min`, `h`, `d`.\n"
    "  Sizes are bytes or carry `k`, `M`, `G`, `T`. Switches are `on` and `off`, or `1` and\n"
    "  `0`.\n"
    "- An unknown name or a bad value is an error with file and line, and nothing starts; a\n"
    "  reload keeps what was there before. Names marked *ignored* are of PgBouncer's inside:\n"
    "  they are accepted and, where their value is not the default, mentioned in the log.\n"
    "- A setting marked *restart* keeps its value on reload.\n"
    "\n"
    "## [pgbouncer] or [pgweir]\n"
    "\n"
    "| name | default | what it does |\n"
    "|---|---|---|\n";

static const char tail[] =
    "\n"
    "## [databases]\n"
    "\n"
    "`name = host=... port=... dbname=...`: what clients may ask for, and where it is. A name\n"
    "with other characters than letters, digits and `_.-*` stands in double quotes, a value\n"
    "with blanks in single quotes; a doubled quote stands for one. `*` is for every name\n"
    "without a line. The names `pgbouncer` and `pgweir` are the console's.\n"
    "\n"
    "| key | without it |\n"
    "|---|---|\n"
    "| `host` | the unix socket in `unix_socket_dir`; a value with `/` is such a directory |\n"
    "| `port` | 5432 |\n"
    "| `dbname` | the name that the client asked for |\n"
    "| `user` | the client's own name; with it all clients share one pool |\n"
    "| `password` | the one in `auth_file` |\n"
    "| `pool_size`, `min_pool_size`, `reserve_pool_size` | the settings above |\n"
    "| `pool_mode`, `max_db_connections`, `max_db_client_connections` | the settings above |\n"
    "| `server_lifetime`, `query_wait_timeout` | the settings above |\n"
    "| `connect_query` | nothing is run on a new server connection |\n"
    "| `client_encoding`, `datestyle`, `timezone`, `application_name` | the server's own |\n"
    "| `auth_user`, `auth_query`, `auth_dbname`, `auth_type` | the settings above |\n"
    "| `load_balance_hosts` | `round-robin`: each new connection goes to the next host of a list; "
    "`disable`: to the same, until one fails |\n"
    "| `target_session_attrs` | `any`. What a server must be, as in libpq: `read-write`, "
    "`read-only`, `primary` or `standby` (PostgreSQL 14 and later tell). The next host of the list "
    "is tried at once; a connection whose server changes sides is closed when it is free |\n"
    "\n"
    "## [users]\n"
    "\n"
    "`name = pool_mode=... pool_size=...`: settings of one user, which count before those of\n"
    "the database: `pool_mode`, `pool_size`, `reserve_pool_size`, `max_user_connections`,\n"
    "`max_user_client_connections`, `query_timeout`, `query_wait_timeout`,\n"
    "`idle_transaction_timeout`, `transaction_timeout`, `client_idle_timeout`.\n"
    "\n"
    "## [peers]\n"
    "\n"
    "`peer_id = host=... port=... pool_size=...`: the processes behind the same port, or the\n"
    "same load balancer. A cancel request may come to any of them; its key says by `peer_id`\n"
    "whose it is, and it is passed on, at most three times. `host` is a name, an address or\n"
    "the directory of a unix socket, `port` is 6432 without it, `pool_size` says how many\n"
    "requests may be on their way to it at a time (`default_pool_size` without it). All may\n"
    "have the same section: a process's own line is no harm.\n"
    "\n"
    "## [cache_rules]\n"
    "\n"
    "`name = database=... user=... table=... text=... action=... ttl=...`: what may be cached.\n"
    "The first rule that fits a query counts, in the order of the file; where none fits, what\n"
    "can be cached is. A reload is in force with the next query.\n"
    "\n"
    "Conditions are patterns: `*` is any number of characters, `?` one, letters fit in any\n"
    "case, a run of blanks is one; a value with blanks stands in single quotes. `database` is\n"
    "the name that clients ask for, `user` who they are on the server, `table` is\n"
    "`schema.table`, or a name in any schema, of what the text names (a view by its own name),\n"
    "`text` is the query as SHOW CACHE QUERIES has it: constants are `?`, comments are left\n"
    "out. A rule without conditions fits everything.\n"
    "\n"
    "| `action` | |\n"
    "|---|---|\n"
    "| `cache` | what can be cached is, as without a rule (the default) |\n"
    "| `exclude` | is not cached |\n"
    "| `hint` | is cached only where the text asks for it: `/* pgweir: cache */` |\n"
    "| `force` | is cached although it uses functions, operators or casts of your own, or "
    "volatile ones (not those that tell of the connection or of privileges, or do something). "
    "You say that its answer depends on nothing but the tables that it names; if it names none, "
    "there must be a `ttl`. Never forced: what writes, locks, reads what is not cached for what it "
    "is (a foreign table, a catalog), leaves something in the session, is an error, or is fetched "
    "in portions |\n"
    "\n"
    "`exclude` and `hint` fit a query when one of its tables fits, `cache` and `force` when\n"
    "all do.\n"
    "\n"
    "`ttl=5s` accepts answers that are this old, whatever has been written since; it is the\n"
    "only way to get a stale row. Even so no session gets an answer from before its own last\n"
    "write, and schema changes and REVOKE count at once. `ttl_without_events=1` goes further:\n"
    "answers are also given while the database is not followed, and across schema changes\n"
    "and REVOKE, until the `ttl` is over.\n"
    "\n"
    "## The users file\n"
    "\n"
    "`auth_file` has a line `\"name\" \"secret\"` for each user; the secret is a password, or\n"
    "what PostgreSQL stores: `md5...` or `SCRAM-SHA-256$...`. A quote inside is doubled;\n"
    "lines that begin with `;` or `#` are comments. With a password any server login works.\n"
    "With an MD5 secret only MD5 servers do. With a SCRAM secret the client must log in by\n"
    "SCRAM, and the server must hold the very same secret.\n";

static void print_row(const struct option *o, struct buf *out)
{
    buf_printf(out, "| `%s`%s | ", o->name, o->ours ? " +" : "");
    if (*o->fallback != '\0')
        buf_printf(out, "`%s`", o->fallback);
    buf_printf(out, " | %s", o->sentence);
    if (o->type == OPTION_WORD) {
        buf_printf(out, " One of");
        for (const struct option_word *w = o->words; w->word != NULL; w++) {
            if (w->refusal == NULL)
                buf_printf(out, "%s `%s`", w == o->words ? "" : ",", w->word);
        }
        buf_printf(out, ".");
    }
    if (o->alias != NULL)
        buf_printf(out, " Also `%s`.", o->alias);
    if (o->moot)
        buf_printf(out, " *Ignored.*");
    if (!o->reloadable)
        buf_printf(out, " *Restart.*");
    buf_printf(out, " |\n");
}

void config_markdown(struct buf *out)
{
    buf_put(out, slice_str(head));
    for (size_t i = 0; i < option_count; i++)
        print_row(&option_table[i], out);
    buf_put(out, slice_str(tail));
}
