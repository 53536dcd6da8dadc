// SPDX-License-Identifier: Apache-2.0
#include "proxy/control/stream.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <sys/time.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/reader.h"
#include "proxy/control/connection.h"

enum {
    STREAM_TAG = 0x57e4a301,
    SLOT_BYTES = 64,
    PROBE_AFTER_US = 3000000, // silent for so long: ask for a sign of life
    DEAD_AFTER_US = 15000000, // and after so long it is taken for dead
    AMID_MESSAGES = 1000,     // of one transaction: it is a large one
    FEW_MESSAGES = 32,
};

// How values are printed, whatever defaults the role or the database has: in the forms that
// cache/rowkey.c reads. Any other is told apart by it, and then stands for any row.
static const char print_settings[] =
    "-c datestyle=ISO -c timezone=GMT -c bytea_output=hex -c intervalstyle=postgres"
    " -c extra_float_digits=1";
static const double LOGIN_TIMEOUT_S = 15;
static const double STATUS_EVERY_S = 1;

enum stream_state {
    STREAM_LOGIN,
    STREAM_ENCODING, // pgoutput converts what it sends; it is told not to
    STREAM_IDENTIFY, // IDENTIFY_SYSTEM was sent
    STREAM_CREATE,   // CREATE_REPLICATION_SLOT was sent; waits for every transaction then running
    STREAM_READY,    // the slot is there; the owner starts
    STREAM_STARTING, // START_REPLICATION was sent
    STREAM_FLOWING,
};

struct stream {
    uint32_t tag;
    enum stream_state state;
    struct ev_loop *loop;          // borrows
    struct connection *connection; // owns
    PGresult *result; // owns; of the command under way, while the rest of the answer is missing
    ev_timer status;
    uint64_t system;
    uint64_t consistent_point;
    uint64_t read; // highest position that came
    uint64_t passed; // of the last commit
    uint32_t amid;   // messages that have come since
    int64_t heard_us;
    char slot[SLOT_BYTES];
    char *publication; // owns; empty: test_decoding
    struct stream_listener listener;
};

const char *stream_slot(const struct stream *s)
{
    return s->slot;
}

static const char *plugin(const struct stream *s)
{
    return *s->publication == '\0' ? "test_decoding" : "pgoutput";
}

struct stream_names stream_names(const struct stream *s)
{
    struct stream_names names;
    snprintf(names.slot, sizeof(names.slot), "%s", s->slot);
    snprintf(names.plugin, sizeof(names.plugin), "%s", plugin(s));
    snprintf(names.publication, sizeof(names.publication), "%s", s->publication);
    return names;
}

static void slot_name(char *out, size_t bytes)
{
    uint64_t random;
    CHECK(getrandom(&random, sizeof(random), 0) == sizeof(random));
    snprintf(out, bytes, "pgweir_%d_%016" PRIx64, (int)getpid(), random);
}

// ---- What we send ------------------------------------------------------------------------------

static void send_command(struct stream *s, enum stream_state next, const char *command)
{
    s->state = next;
    if (PQsendQuery(connection_pg(s->connection), command) == 0)
        connection_fail(s->connection, LEDGER_OFF_STREAM_LOST,
                        PQerrorMessage(connection_pg(s->connection)));
    else
        connection_flush(s->connection);
}

// Standby status update (55.4 Streaming Replication Protocol). All that came is acknowledged as
// flushed: nothing of it will be wanted again, since the slot dies with this connection.
static void send_status(struct stream *s, bool reply)
{
    const int64_t unix_to_postgres_epoch_s = 946684800; // 2000-01-01
    struct timeval now;
    struct buf out = {0};
    gettimeofday(&now, NULL);
    buf_u8(&out, 'r');
    for (int i = 0; i < 3; i++) // written, flushed, applied
        buf_u64(&out, s->read);
    buf_u64(&out, (uint64_t)((now.tv_sec - unix_to_postgres_epoch_s) * 1000000 + now.tv_usec));
    buf_u8(&out, reply);
    PGconn *pg = connection_pg(s->connection);
    if (PQputCopyData(pg, (const char *)out.at, (int)out.len) < 0)
        connection_fail(s->connection, LEDGER_OFF_STREAM_LOST, PQerrorMessage(pg));
    else
        connection_flush(s->connection);
    buf_fini(&out);
}

// The value of publication_names is a list of identifiers, itself in a literal: the name's double
// quotes are doubled for the one, its single quotes for the other.
static void put_options(struct buf *out, const char *publication)
{
    if (*publication == '\0') {
        buf_put(out, slice_str("(\"include-xids\" '1', \"skip-empty-xacts\" '0')"));
        return;
    }
    buf_put(out, slice_str("(\"proto_version\" '1', \"publication_names\" '\""));
    for (; *publication != '\0'; publication++) {
        if (*publication == '"' || *publication == '\'')
            buf_u8(out, (uint8_t)*publication);
        buf_u8(out, (uint8_t)*publication);
    }
    buf_put(out, slice_str("\"')"));
}

void stream_start(struct stream *s)
{
    TAG_CHECK(s, STREAM_TAG);
    CHECK(s->state == STREAM_READY);
    struct buf command = {0};
    buf_printf(&command, "START_REPLICATION SLOT \"%s\" LOGICAL %X/%X ", s->slot,
               (unsigned)(s->consistent_point >> 32), (unsigned)s->consistent_point);
    put_options(&command, s->publication);
    buf_u8(&command, '\0');
    send_command(s, STREAM_STARTING, (const char *)command.at);
    buf_fini(&command);
}

void stream_ask(struct stream *s)
{
    TAG_CHECK(s, STREAM_TAG);
    if (s->state == STREAM_FLOWING)
        send_status(s, true);
}

// ---- What we get -------------------------------------------------------------------------------

static void came(struct stream *s, uint64_t position)
{
    if (position > s->read)
        s->read = position;
}

// False: the stream may be gone.
static bool data(struct stream *s, uint64_t start, struct slice bytes)
{
    came(s, start);
    uint64_t passed = s->listener.data(s->listener.arg, start, bytes);
    if (passed == 0)
        return false;
    s->amid = passed == s->passed ? s->amid + 1 : 0;
    s->passed = passed;
    return true;
}

// One CopyData message. False when the stream may be gone.
static bool message(struct stream *s, struct slice bytes)
{
    struct reader r = reader_of(bytes);
    uint8_t kind = reader_u8(&r);
    if (kind == 'w') {
        uint64_t start = reader_u64(&r);
        reader_bytes(&r, 16); // walEnd, which logical decoding sets as start; the time of sending
        if (reader_ok(&r))
            return data(s, start, slice_of(r.at, reader_left(&r)));
    } else if (kind == 'k') {
        uint64_t end = reader_u64(&r);
        reader_bytes(&r, 8);
        uint8_t reply_wanted = reader_u8(&r);
        if (reader_ok(&r)) {
            came(s, end);
            if (reply_wanted)
                send_status(s, false);
            return s->listener.keepalive(s->listener.arg, end);
        }
    }
    connection_fail(s->connection, LEDGER_OFF_UNREADABLE, "an unknown message in the stream");
    return false;
}

// Frees libpq's buffer whatever the listener did to the stream. -1: no more; 0: wait; 1: got one;
// -2: the stream may be gone.
static int next_message(struct stream *s)
{
    char *bytes = NULL;
    int n = PQgetCopyData(connection_pg(s->connection), &bytes, 1);
    if (n <= 0)
        return n == 0 ? 0 : -1;
    s->heard_us = clock_us();
    bool goes_on = message(s, slice_of(bytes, (size_t)n));
    PQfreemem(bytes);
    return goes_on ? 1 : -2;
}

static void flowing(struct stream *s)
{
    int got;
    unsigned messages = 0;
    while ((got = next_message(s)) == 1)
        messages++;
    if (got == -2)
        return;
    if (got == -1) {
        PGconn *pg = connection_pg(s->connection);
        PGresult *result = PQisBusy(pg) ? NULL : PQgetResult(pg);
        char sentence[240] = "the server has ended the stream";
        enum ledger_off_reason why = LEDGER_OFF_STREAM_LOST;
        if (result != NULL && PQresultStatus(result) == PGRES_FATAL_ERROR)
            why = connection_error(result, sentence, sizeof(sentence));
        PQclear(result);
        connection_fail(s->connection, why, sentence);
        return;
    }
    // Of a large transaction nothing counts before its end; and the server sends each row by
    // itself, as it decodes it. Where many came at once there are more already.
    if (s->amid > AMID_MESSAGES && messages < FEW_MESSAGES)
        connection_rest(s->connection);
    s->listener.drained(s->listener.arg);
}

static bool parse_lsn(const char *text, uint64_t *out)
{
    unsigned high, low;
    int used = 0;
    if (sscanf(text, "%X/%X%n", &high, &low, &used) != 2 || text[used] != '\0')
        return false;
    *out = (uint64_t)high << 32 | low;
    return true;
}

static void identified(struct stream *s, const PGresult *result)
{
    s->system = strtoull(PQgetvalue(result, 0, 0), NULL, 10);
    slot_name(s->slot, sizeof(s->slot));
    char command[256];
    snprintf(command, sizeof(command),
             "CREATE_REPLICATION_SLOT \"%s\" TEMPORARY LOGICAL %s NOEXPORT_SNAPSHOT", s->slot,
             plugin(s));
    send_command(s, STREAM_CREATE, command);
}

static void identify(struct stream *s)
{
    send_command(s, STREAM_IDENTIFY, "IDENTIFY_SYSTEM");
}

// The answer of a command that returns one row, or, of SET, none.
static void answer(struct stream *s, const PGresult *result)
{
    char sentence[240];
    if (s->state == STREAM_ENCODING && PQresultStatus(result) == PGRES_COMMAND_OK) {
        identify(s);
    } else if (PQresultStatus(result) != PGRES_TUPLES_OK || PQntuples(result) != 1 ||
               PQnfields(result) < 2) {
        enum ledger_off_reason why = connection_error(result, sentence, sizeof(sentence));
        connection_fail(s->connection, why, sentence);
    } else if (s->state == STREAM_IDENTIFY) {
        identified(s, result);
    } else if (!parse_lsn(PQgetvalue(result, 0, 1), &s->consistent_point)) {
        connection_fail(s->connection, LEDGER_OFF_UNREADABLE, "the slot has no consistent point");
    } else {
        s->state = STREAM_READY;
        s->read = s->consistent_point;
        s->listener.ready(s->listener.arg, s->consistent_point, s->system); // s may be gone
    }
}

static void start_answer(struct stream *s, const PGresult *result)
{
    char sentence[240];
    if (PQresultStatus(result) == PGRES_COPY_BOTH) {
        s->state = STREAM_FLOWING;
        s->heard_us = clock_us();
        ev_timer_again(s->loop, &s->status);
        return;
    }
    enum ledger_off_reason why = connection_error(result, sentence, sizeof(sentence));
    connection_fail(s->connection, why, sentence);
}

static void starting(struct stream *s)
{
    PGconn *pg = connection_pg(s->connection);
    PGresult *result = PQisBusy(pg) ? NULL : PQgetResult(pg);
    if (result == NULL)
        return;
    start_answer(s, result);
    PQclear(result);
    if (s->state == STREAM_FLOWING)
        flowing(s); // messages may have come along with the answer
}

// The first result of a command, once all of the answer is there (only then may the next command
// be sent); NULL before. The caller owns it.
static PGresult *whole_answer(struct stream *s)
{
    PGconn *pg = connection_pg(s->connection);
    while (!PQisBusy(pg)) {
        PGresult *result = PQgetResult(pg);
        if (result == NULL) {
            result = s->result;
            s->result = NULL;
            return result;
        }
        if (s->result == NULL)
            s->result = result;
        else
            PQclear(result);
    }
    return NULL;
}

static void on_readable(void *arg)
{
    struct stream *s = arg;
    TAG_CHECK(s, STREAM_TAG);
    if (s->state == STREAM_FLOWING) {
        flowing(s);
        return;
    }
    if (s->state == STREAM_STARTING) {
        starting(s);
        return;
    }
    PGresult *result = whole_answer(s);
    if (result == NULL)
        return;
    answer(s, result); // s may be gone
    PQclear(result);
}

// ---- Life --------------------------------------------------------------------------------------

static void on_up(void *arg)
{
    struct stream *s = arg;
    PGconn *pg = connection_pg(s->connection);
    const char *server = PQparameterStatus(pg, "server_encoding");
    const char *client = PQparameterStatus(pg, "client_encoding");
    if (*s->publication == '\0' || server == NULL || client == NULL || !strcmp(server, client)) {
        identify(s);
        return;
    }
    char command[128];
    snprintf(command, sizeof(command), "SET client_encoding TO '%s'", server);
    send_command(s, STREAM_ENCODING, command);
}

static void on_down(void *arg, enum ledger_off_reason why, const char *sentence)
{
    struct stream *s = arg;
    s->listener.lost(s->listener.arg, why, sentence); // s is gone
}

static void on_status(struct ev_loop *loop, ev_timer *timer, int events)
{
    struct stream *s = timer->data;
    int64_t silent_us = clock_us() - s->heard_us;
    if (silent_us > DEAD_AFTER_US)
        connection_fail(s->connection, LEDGER_OFF_STREAM_LOST, "the stream has fallen silent");
    else
        send_status(s, silent_us > PROBE_AFTER_US);
}

struct stream *stream_open(struct ev_loop *loop, const char *const *keywords,
                           const char *const *values, const char *publication,
                           const struct stream_listener *listener)
{
    enum { MAX = 31 };
    const char *k[MAX + 3], *v[MAX + 3];
    size_t n = 0;
    for (; keywords[n] != NULL; n++) {
        CHECK(n < MAX);
        k[n] = keywords[n];
        v[n] = values[n];
    }
    k[n] = "replication";
    v[n++] = "database";
    k[n] = "options";
    v[n++] = print_settings;
    k[n] = v[n] = NULL;

    struct stream *s = mem_new(struct stream);
    TAG_SET(s, STREAM_TAG);
    s->loop = loop;
    s->publication = mem_strdup(publication);
    s->listener = *listener;
    ev_init(&s->status, on_status);
    s->status.repeat = STATUS_EVERY_S;
    s->status.data = s;
    struct connection_listener below = {
        .up = on_up, .readable = on_readable, .down = on_down, .arg = s};
    s->connection = connection_open(loop, k, v, LOGIN_TIMEOUT_S, &below);
    return s;
}

void stream_close(struct stream *s)
{
    if (s == NULL)
        return;
    TAG_CHECK(s, STREAM_TAG);
    ev_timer_stop(s->loop, &s->status);
    PQclear(s->result);
    connection_close(s->connection);
    mem_free(s->publication);
    TAG_CLEAR(s);
    mem_free(s);
}
