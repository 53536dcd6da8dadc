// SPDX-License-Identifier: Apache-2.0
// What a process that goes hands over (-R): rows of SHOW FDS_STATE, and in them the records of
// routes, clients and servers. Each becomes a connection or is closed, which has something said to
// it from its other end; what became of a client can be handed over again, and nobody is left when
// all have gone.
#include "proxy/route.h"
#include "proxy/server/server.h"
#include "proxy/takeover/adoption.h"
#include "proxy/takeover/carried.h"
#include "proxy/takeover/takeover.h"
#include "tests/fuzz/world.h"

const size_t target_rounds = 3000;

enum { ROWS_MAX = 6, NUMBERS = 4, HEAD_BYTES = 4 };
enum { ROW_POOLER, ROW_ROUTE, ROW_CLIENT, ROW_SERVER, TASKS };
enum { RAW_STATE = 0x40, RAW_ROW = 0x80 }; // bits of a row's first byte

static const char *const tasks[] = {"pooler", "route", "client", "server"};

struct scene {
    char database[32];
    struct takeover *takeover;
    int ends[ROWS_MAX];    // the other ends of what came ...
    bool serves[ROWS_MAX]; // ... and whether that is a server's
};

static void nobody_is_woken(void *arg)
{
}

// The input has no name of our server, which is another one in each run.
static void add_target(struct scene *s, struct buf *state, uint8_t kind)
{
    struct route *route = pooler_route_as(world.pooler, s->database, "u");
    if (kind == CARRIED_ROUTE || kind == CARRIED_SERVER || kind == CARRIED_HUB) {
        char *target = route_copy_target(route);
        buf_u32(state, (uint32_t)strlen(target));
        buf_bytes(state, target, strlen(target));
        mem_free(target);
    }
    route_unref(&route);
}

static struct takeover_row *make_row(struct scene *s, uint8_t first, struct slice *bytes)
{
    struct takeover_row *row = mem_new(struct takeover_row);
    row->task = mem_strdup(tasks[first % TASKS]);
    row->user = mem_strdup("u");
    row->database = mem_strdup(s->database);
    row->old_fd = 1 + target_byte(bytes) % NUMBERS;
    row->link = target_byte(bytes) % (1 + NUMBERS);
    struct slice state = target_piece(bytes);
    if ((first & RAW_STATE) == 0 && state.len >= HEAD_BYTES) {
        struct slice head = slice_cut(&state, HEAD_BYTES);
        buf_put(&row->state, head);
        add_target(s, &row->state, head.at[1]);
    }
    buf_put(&row->state, state);
    return row;
}

static struct takeover_row *read_row(struct slice *bytes)
{
    struct slice piece = target_piece(bytes);
    uint8_t *alone = target_alone(piece);
    struct takeover_row *row = takeover_row_read(slice_of(alone, piece.len));
    mem_free(alone);
    CHECK(row == NULL || (row->task != NULL && row->fd == -1));
    return row;
}

static void add_row(struct scene *s, struct slice *bytes)
{
    uint8_t first = target_byte(bytes);
    struct takeover_row *row = (first & RAW_ROW) != 0 ? read_row(bytes)
                                                      : make_row(s, first, bytes);
    if (row == NULL)
        return;
    int pair[2];
    CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair) == 0);
    row->fd = pair[1];
    s->ends[s->takeover->count] = pair[0];
    s->serves[s->takeover->count] = strcmp(row->task, tasks[ROW_SERVER]) == 0;
    s->takeover->rows[s->takeover->count++] = row;
}

static void hand_over_again(const struct client *client)
{
    struct buf out = {0};
    struct carried_head head;
    int pair[2];
    carried_put_client(&out, client);
    struct reader r = reader_of(buf_slice(&out));
    CHECK(carried_take_head(&r, &head));
    CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair) == 0);
    struct client *again = client_take_over(world.worker, pair[1]);
    again->route = client->route != NULL ? route_ref(client->route) : NULL;
    if (again->route != NULL)
        pool_client_joined(again->route->pool);
    CHECK(carried_take_client(&r, again, head.kind) && reader_done(&r));
    again->transaction.state = 0; // else a domain is asked for
    client_close(again, "over");
    close(pair[0]);
    buf_fini(&out);
}

static void hand_all_over_again(void)
{
    list_each(&world.worker->clients, l)
    {
        const struct client *client = container_of(l, struct client, link);
        if (client->state != CLIENT_LOGIN && client->state != CLIENT_CONSOLE)
            hand_over_again(client);
    }
}

void target_run(struct slice bytes)
{
    static const uint8_t query[] = "Q\0\0\0\x0dSELECT 1", ready[] = "Z\0\0\0\5I";
    struct scene s = {.takeover = mem_new(struct takeover)};
    world_make("max_prepared_statements = 3\nhidden_code_check = 0\nserver_check_query =");
    world.pooler->halted = nobody_is_woken;
    world.client = world.server = -1;
    snprintf(s.database, sizeof(s.database), "d%lu", world.executions++);
    s.takeover->socket = s.takeover->process = -1;
    s.takeover->rows = mem_alloc(ROWS_MAX * sizeof(struct takeover_row *));
    while (bytes.len > 0 && s.takeover->count < ROWS_MAX)
        add_row(&s, &bytes);
    size_t count = s.takeover->count;
    adoption_prepare(s.takeover, world.pooler);
    adoption_post(s.takeover, world.pooler);
    takeover_free(s.takeover);
    world_turn();
    CHECK(world.pooler->adopting == 0);
    hand_all_over_again();
    for (size_t i = 0; i < count; i++)
        world_say(s.ends[i], s.serves[i] ? slice_of(ready, sizeof(ready) - 1)
                                         : slice_of(query, sizeof(query)));
    world_turn();
    for (size_t i = 0; i < count; i++)
        close(s.ends[i]);
    world_end();
}
