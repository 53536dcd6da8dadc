// SPDX-License-Identifier: Apache-2.0
#include "proxy/sql/classify.h"

#include <strings.h>

#define NODE(name) PG_QUERY__NODE__NODE_##name

enum { CURSOR_HOLD = 0x0020 }; // CURSOR_OPT_HOLD in parsenodes.h of PostgreSQL 14 and later

static struct classified plain(enum statement_kind kind)
{
    return (struct classified){.kind = kind};
}

static bool has_option(PgQuery__Node **options, size_t n, const char *name)
{
    for (size_t i = 0; i < n; i++)
        if (options[i]->node_case == NODE(DEF_ELEM) &&
            strcasecmp(options[i]->def_elem->defname, name) == 0)
            return true;
    return false;
}

// ---- Transactions -------------------------------------------------------------------------------

// A transaction whose statements have a snapshot each, unless the session's default says otherwise.
static bool is_plain_mode(const PgQuery__Node *option)
{
    if (option->node_case != NODE(DEF_ELEM))
        return false;
    const PgQuery__DefElem *mode = option->def_elem;
    if (strcmp(mode->defname, "transaction_read_only") == 0)
        return true;
    if (strcmp(mode->defname, "transaction_isolation") != 0 || mode->arg == NULL ||
        mode->arg->node_case != NODE(A_CONST) ||
        mode->arg->a_const->val_case != PG_QUERY__A__CONST__VAL_SVAL)
        return false;
    const char *level = mode->arg->a_const->sval->sval;
    return strcmp(level, "read committed") == 0 || strcmp(level, "read uncommitted") == 0;
}

static bool is_plain_begin(const PgQuery__TransactionStmt *s)
{
    for (size_t i = 0; i < s->n_options; i++)
        if (!is_plain_mode(s->options[i]))
            return false;
    return true;
}

static struct classified classify_transaction(struct walk *w, const PgQuery__TransactionStmt *s)
{
    w->starts = s->kind == PG_QUERY__TRANSACTION_STMT_KIND__TRANS_STMT_START;
    switch (s->kind) {
    case PG_QUERY__TRANSACTION_STMT_KIND__TRANS_STMT_BEGIN:
    case PG_QUERY__TRANSACTION_STMT_KIND__TRANS_STMT_START:
        return (struct classified){.kind = STATEMENT_BEGIN,
                                   .begins_transaction = true,
                                   .plain_begin = is_plain_begin(s)};
    case PG_QUERY__TRANSACTION_STMT_KIND__TRANS_STMT_COMMIT:
        return (struct classified){.kind = STATEMENT_COMMIT,
                                   .may_end_transaction = true,
                                   .begins_transaction = s->chain,
                                   .plain_end = !s->chain};
    case PG_QUERY__TRANSACTION_STMT_KIND__TRANS_STMT_ROLLBACK:
        return (struct classified){.kind = STATEMENT_ROLLBACK,
                                   .may_end_transaction = true,
                                   .begins_transaction = s->chain,
                                   .plain_end = !s->chain};
    case PG_QUERY__TRANSACTION_STMT_KIND__TRANS_STMT_SAVEPOINT:
    case PG_QUERY__TRANSACTION_STMT_KIND__TRANS_STMT_RELEASE:
    case PG_QUERY__TRANSACTION_STMT_KIND__TRANS_STMT_ROLLBACK_TO:
        return plain(STATEMENT_SAVEPOINT);
    case PG_QUERY__TRANSACTION_STMT_KIND__TRANS_STMT_PREPARE:
        return (struct classified){.kind = STATEMENT_TWO_PHASE, .may_end_transaction = true};
    case PG_QUERY__TRANSACTION_STMT_KIND__TRANS_STMT_COMMIT_PREPARED:
        w->writes_unknown = w->reshapes = true; // those of the session that prepared it
        return plain(STATEMENT_TWO_PHASE);
    case PG_QUERY__TRANSACTION_STMT_KIND__TRANS_STMT_ROLLBACK_PREPARED:
        return plain(STATEMENT_TWO_PHASE);
    default: // protobuf enums are open
        break;
    }
    w->writes_unknown = true;
    w->effects |= EFFECT_UNKNOWN;
    return (struct classified){.kind = STATEMENT_UNKNOWN, .may_end_transaction = true};
}

// ---- Settings -----------------------------------------------------------------------------------

// These end with the transaction, however they are set.
static bool is_transaction_setting(const char *name)
{
    return strcasecmp(name, "transaction_isolation") == 0 ||
           strcasecmp(name, "transaction_read_only") == 0 ||
           strcasecmp(name, "transaction_deferrable") == 0;
}

static uint32_t effect_of_setting(const char *name)
{
    return analysis_setting_reported(name) >= 0 ? EFFECT_FOLLOWED_SET : EFFECT_SET;
}

static void note_reset(struct walk *w, const char *name)
{
    int number = analysis_setting_reported(name);
    if (number >= 0)
        w->resets |= (uint8_t)(1u << number);
    else if (strchr(name, '.') != NULL)
        w->resets |= ANALYSIS_RESETS_INVENTED;
    w->effects |= effect_of_setting(name) | EFFECT_RESET;
}

// Does the meaning of a text depend on it, for good once that was prepared? (PostgreSQL itself sees
// to the search path and the role.) name: empty for all.
static bool is_for_reading(const char *name)
{
    static const char *const names[] = {
        "array_nulls", "backslash_quote",       "lc_monetary",
        "timezone_abbreviations", "transform_null_equals", "xmloption",
    };
    bool found = name[0] == '\0' || (analysis_setting_reported(name) >= 0 &&
                                     strcasecmp(name, "application_name") != 0);
    for (size_t i = 0; i < sizeof(names) / sizeof(*names) && !found; i++)
        found = strcasecmp(name, names[i]) == 0;
    return found;
}

static struct classified classify_set(struct walk *w, const PgQuery__VariableSetStmt *s)
{
    w->rereads |= s->name == NULL || is_for_reading(s->name);
    switch (s->kind) {
    case PG_QUERY__VARIABLE_SET_KIND__VAR_SET_VALUE:
        if (!s->is_local && !is_transaction_setting(s->name))
            w->effects |= effect_of_setting(s->name);
        return plain(STATEMENT_SET);
    case PG_QUERY__VARIABLE_SET_KIND__VAR_SET_DEFAULT:
        if (!s->is_local && !is_transaction_setting(s->name))
            note_reset(w, s->name);
        return plain(STATEMENT_SET);
    case PG_QUERY__VARIABLE_SET_KIND__VAR_SET_MULTI:
        if (strcmp(s->name, "TRANSACTION") != 0 && strcmp(s->name, "TRANSACTION SNAPSHOT") != 0)
            w->effects |= EFFECT_SET; // SESSION CHARACTERISTICS
        return plain(STATEMENT_SET);
    case PG_QUERY__VARIABLE_SET_KIND__VAR_RESET:
        if (!is_transaction_setting(s->name))
            note_reset(w, s->name);
        return plain(STATEMENT_RESET);
    case PG_QUERY__VARIABLE_SET_KIND__VAR_RESET_ALL:
        w->effects |= EFFECT_SET | EFFECT_RESET;
        w->resets = UINT8_MAX;
        return plain(STATEMENT_RESET);
    case PG_QUERY__VARIABLE_SET_KIND__VAR_SET_CURRENT:
    default: // protobuf enums are open
        break;
    }
    w->effects |= EFFECT_SET;
    return plain(STATEMENT_SET);
}

// ---- What changes the schema --------------------------------------------------------------------

// What it does to the schema cannot make a plain statement run anything that it did not run before.
static bool adds_no_code(PgQuery__Node__NodeCase kind)
{
    switch ((int)kind) {
    case NODE(DROP_STMT):
    case NODE(DROP_ROLE_STMT):
    case NODE(DROPDB_STMT):
    case NODE(GRANT_STMT):
    case NODE(GRANT_ROLE_STMT):
    case NODE(COMMENT_STMT):
    case NODE(CREATE_ROLE_STMT):
    case NODE(CREATE_SEQ_STMT):
    case NODE(ALTER_SEQ_STMT):
        return true;
    }
    return false;
}

// Its parts are only stored (a view, a default, a function's body), not run.
static struct classified classify_definition(struct walk *w, const ProtobufCMessage *s)
{
    w->ddl = DDL_MORE;
    w->writes_unknown = true;
    w->defines = true;
    walk_children(w, s);
    w->defines = false;
    return plain(STATEMENT_DDL);
}

// As such a one, but of a relation by itself.
static struct classified classify_relation(struct walk *w, const ProtobufCMessage *s)
{
    uint8_t ddl = w->ddl | DDL_RELATIONS;
    struct classified c = classify_definition(w, s);
    w->ddl = ddl;
    return c;
}

static struct classified classify_reshaping(struct walk *w, const ProtobufCMessage *s)
{
    w->reshapes = true;
    return classify_definition(w, s);
}

// Expressions in it may run now: ALTER TABLE ... ADD ... DEFAULT f(), CREATE INDEX ON t (f(a)).
static struct classified classify_change(struct walk *w, const ProtobufCMessage *s)
{
    w->ddl = DDL_MORE;
    w->reshapes = true;
    w->writes_unknown = true;
    walk_children(w, s);
    return plain(STATEMENT_DDL);
}

// A temporary table is the session's alone, unless it becomes a child of one that others read.
static struct classified classify_create_table(struct walk *w, const PgQuery__CreateStmt *s)
{
    if (s->relation != NULL && !walk_is_temporary(s->relation) && s->n_inh_relations == 0) {
        w->reshapes = true;
        return classify_relation(w, &s->base);
    }
    if (s->relation == NULL || s->n_inh_relations > 0)
        return classify_reshaping(w, &s->base);
    w->effects |= EFFECT_TEMP;
    w->writes_unknown = true; // event triggers run
    return plain(STATEMENT_DDL);
}

// Without what depends on them.
static bool drops_relations(const PgQuery__DropStmt *s)
{
    return s->behavior != PG_QUERY__DROP_BEHAVIOR__DROP_CASCADE &&
           (s->remove_type == PG_QUERY__OBJECT_TYPE__OBJECT_TABLE ||
            s->remove_type == PG_QUERY__OBJECT_TYPE__OBJECT_VIEW ||
            s->remove_type == PG_QUERY__OBJECT_TYPE__OBJECT_SEQUENCE);
}

static struct classified classify_create_as(struct walk *w, const PgQuery__CreateTableAsStmt *s)
{
    walk_children(w, &s->base); // the IntoClause says what is made
    return plain(STATEMENT_DDL);
}

// ---- Rows ---------------------------------------------------------------------------------------

static struct classified classify_truncate(struct walk *w, const PgQuery__TruncateStmt *s)
{
    for (size_t i = 0; i < s->n_relations; i++)
        if (s->relations[i]->node_case == NODE(RANGE_VAR))
            walk_write(w, s->relations[i]->range_var);
    if (s->behavior == PG_QUERY__DROP_BEHAVIOR__DROP_CASCADE)
        w->writes_unknown = true;
    return plain(STATEMENT_WRITE);
}

static struct classified classify_copy(struct walk *w, const PgQuery__CopyStmt *s)
{
    if (s->is_from)
        w->effects |= EFFECT_SEQUENCE_USE;
    if (s->relation != NULL && s->is_from)
        walk_write(w, s->relation);
    else if (s->relation != NULL)
        walk_read(w, s->relation);
    walk_node(w, s->query);
    walk_node(w, s->where_clause);
    return plain(STATEMENT_COPY);
}

// What a plan is shown of is not run. But the planner calls functions that are said to be immutable
// or stable, whatever they do; and an EXECUTE may be of any text.
static void note_explained(struct walk *w, const PgQuery__Node *query)
{
    if (query->node_case == NODE(CREATE_TABLE_AS_STMT))
        query = query->create_table_as_stmt->query;
    else if (query->node_case == NODE(DECLARE_CURSOR_STMT))
        query = query->declare_cursor_stmt->query;
    if (query == NULL || query->node_case == NODE(EXECUTE_STMT)) {
        walk_node(w, query);
        return;
    }
    uint32_t effects = w->effects;
    uint8_t ddl = w->ddl; // INTO
    w->plans = true;
    walk_node(w, query);
    w->plans = false;
    w->ddl = ddl;
    w->effects = effects | (w->effects & EFFECT_FUNCTION);
}

// Only ANALYZE runs the statement. EXPLAIN (ANALYZE false) counts as ANALYZE: the value is a
// constant, and the analysis holds for others too.
static struct classified classify_explain(struct walk *w, const PgQuery__ExplainStmt *s)
{
    if (s->query == NULL)
        return plain(STATEMENT_EXPLAIN);
    if (has_option(s->options, s->n_options, "analyze"))
        classify(w, s->query);
    else
        note_explained(w, s->query);
    return plain(STATEMENT_EXPLAIN);
}

// ---- Code that we cannot see --------------------------------------------------------------------

static struct classified classify_code(struct walk *w, enum statement_kind kind)
{
    w->writes_unknown = true;
    w->calls_unknown_function = true;
    w->effects |= EFFECT_FUNCTION;
    return (struct classified){.kind = kind, .may_end_transaction = true};
}

// ---- The session --------------------------------------------------------------------------------

static struct classified classify_discard(struct walk *w, const PgQuery__DiscardStmt *s)
{
    w->effects |= s->target == PG_QUERY__DISCARD_MODE__DISCARD_ALL ? EFFECT_DISCARD_ALL
                                                                    : EFFECT_DISCARD_SOME;
    w->rereads |= s->target == PG_QUERY__DISCARD_MODE__DISCARD_ALL;
    if (s->target == PG_QUERY__DISCARD_MODE__DISCARD_SEQUENCES)
        w->effects |= EFFECT_DISCARD_SEQUENCES;
    return plain(STATEMENT_DISCARD);
}

static struct classified with_effect(struct walk *w, enum statement_kind kind, uint32_t effect)
{
    w->effects |= effect;
    return plain(kind);
}

static struct classified classify_cursor(struct walk *w, const PgQuery__DeclareCursorStmt *s)
{
    if ((s->options & CURSOR_HOLD) != 0)
        w->effects |= EFFECT_CURSOR_HOLD;
    walk_node(w, s->query);
    return plain(STATEMENT_CURSOR);
}

static struct classified classify_vacuum(struct walk *w, const PgQuery__VacuumStmt *s)
{
    w->touches_unnamed = true;
    if (!s->is_vacuumcmd || has_option(s->options, s->n_options, "analyze"))
        w->writes_unknown = true; // expressions of indexes and of statistics
    if (has_option(s->options, s->n_options, "full")) // whatever the option's value is
        w->ddl = DDL_MORE;
    return plain(STATEMENT_UTILITY);
}

static struct classified classify_maintenance(struct walk *w)
{
    w->ddl = DDL_MORE;
    w->writes_unknown = true; // a materialized view's query, an index expression
    return plain(STATEMENT_UTILITY);
}

// Roles and the databases' owners are there once for all databases.
static bool changes_roles(const PgQuery__Node *s)
{
    switch ((int)s->node_case) {
    case NODE(CREATE_ROLE_STMT):
    case NODE(ALTER_ROLE_STMT):
    case NODE(DROP_ROLE_STMT):
    case NODE(GRANT_ROLE_STMT):
    case NODE(DROP_OWNED_STMT):
    case NODE(REASSIGN_OWNED_STMT):
        return true;
    case NODE(RENAME_STMT):
        return s->rename_stmt->rename_type == PG_QUERY__OBJECT_TYPE__OBJECT_ROLE;
    case NODE(ALTER_OWNER_STMT):
        return s->alter_owner_stmt->object_type == PG_QUERY__OBJECT_TYPE__OBJECT_DATABASE;
    }
    return false;
}

static struct classified classify_by_node(struct walk *w, const PgQuery__Node *s)
{
    w->changes_roles |= changes_roles(s);
    switch ((int)s->node_case) {
    case NODE(SELECT_STMT):
        walk_node(w, s);
        return plain(STATEMENT_SELECT);
    case NODE(INSERT_STMT):
    case NODE(UPDATE_STMT):
    case NODE(DELETE_STMT):
    case NODE(MERGE_STMT):
        walk_node(w, s);
        return plain(STATEMENT_WRITE);
    case NODE(TRUNCATE_STMT):
        return classify_truncate(w, s->truncate_stmt);
    case NODE(COPY_STMT):
        return classify_copy(w, s->copy_stmt);
    case NODE(TRANSACTION_STMT):
        return classify_transaction(w, s->transaction_stmt);
    case NODE(VARIABLE_SET_STMT):
        return classify_set(w, s->variable_set_stmt);
    case NODE(VARIABLE_SHOW_STMT):
        return plain(STATEMENT_SHOW);
    case NODE(DISCARD_STMT):
        return classify_discard(w, s->discard_stmt);
    case NODE(PREPARE_STMT):
        w->prepared = s->prepare_stmt->name;
        return with_effect(w, STATEMENT_PREPARE, EFFECT_PREPARE);
    case NODE(EXECUTE_STMT):
        walk_node(w, s);
        return plain(STATEMENT_EXECUTE);
    case NODE(DEALLOCATE_STMT):
        w->prepared = s->deallocate_stmt->name;
        return with_effect(w, STATEMENT_DEALLOCATE,
                           s->deallocate_stmt->name[0] == 0 ? EFFECT_DEALLOCATE_ALL
                                                            : EFFECT_PREPARE);
    case NODE(LISTEN_STMT):
        w->channel = s->listen_stmt->conditionname;
        return with_effect(w, STATEMENT_LISTEN, EFFECT_LISTEN);
    case NODE(UNLISTEN_STMT):
        w->channel = s->unlisten_stmt->conditionname;
        w->unlistens = true;
        return with_effect(w, STATEMENT_LISTEN, EFFECT_LISTEN);
    case NODE(NOTIFY_STMT):
        return plain(STATEMENT_NOTIFY);
    case NODE(DECLARE_CURSOR_STMT):
        return classify_cursor(w, s->declare_cursor_stmt);
    case NODE(FETCH_STMT): // what its query does was said by DECLARE, in this transaction
    case NODE(CLOSE_PORTAL_STMT):
        return plain(STATEMENT_CURSOR);
    case NODE(EXPLAIN_STMT):
        return classify_explain(w, s->explain_stmt);
    case NODE(CALL_STMT):
        return classify_code(w, STATEMENT_CALL);
    case NODE(DO_STMT):
        w->reshapes = true; // migrations
        return classify_code(w, STATEMENT_DO);
    case NODE(LOAD_STMT):
        return with_effect(w, STATEMENT_UTILITY, EFFECT_LOAD);
    case NODE(LOCK_STMT):
    case NODE(CHECK_POINT_STMT):
    case NODE(CONSTRAINTS_SET_STMT): // fires triggers of tables whose write told of them
        return plain(STATEMENT_UTILITY);
    case NODE(VACUUM_STMT):
        return classify_vacuum(w, s->vacuum_stmt);
    case NODE(CLUSTER_STMT):
    case NODE(REINDEX_STMT):
    case NODE(REFRESH_MAT_VIEW_STMT):
        return classify_maintenance(w);
    case NODE(CREATE_STMT):
        return classify_create_table(w, s->create_stmt);
    case NODE(CREATE_TABLE_AS_STMT):
        return classify_create_as(w, s->create_table_as_stmt);
    case NODE(ALTER_TABLE_STMT):
    case NODE(INDEX_STMT):
        return classify_change(w, (const ProtobufCMessage *)s->alias);
    case NODE(DROP_STMT):
        if (!drops_relations(s->drop_stmt))
            break;
        return classify_relation(w, (const ProtobufCMessage *)s->alias);
    case NODE(CREATE_SEQ_STMT):
    case NODE(COMMENT_STMT): // of which nobody can tell
        return classify_relation(w, (const ProtobufCMessage *)s->alias);
    }
    if (adds_no_code(s->node_case))
        return classify_definition(w, (const ProtobufCMessage *)s->alias);
    return classify_reshaping(w, (const ProtobufCMessage *)s->alias);
}

struct classified classify(struct walk *w, const PgQuery__Node *statement)
{
    if (statement == NULL || statement->node_case == NODE(_NOT_SET)) {
        w->writes_unknown = true;
        w->effects |= EFFECT_UNKNOWN;
        return (struct classified){.kind = STATEMENT_UNKNOWN, .may_end_transaction = true};
    }
    return classify_by_node(w, statement);
}
