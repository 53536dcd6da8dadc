// SPDX-License-Identifier: Apache-2.0
// What a client sends in its session, through all of it: noted, translated, sent to a server that
// answers honestly. What reaches the server are whole messages; the client gets whole messages, and
// no more ReadyForQuery than it asked for.
#include "tests/fuzz/honest.h"
#include "tests/fuzz/target.h"

const size_t target_rounds = 1000;

void target_run(struct slice bytes)
{
    world_make("max_prepared_statements = 3\nhidden_code_check = 0\nserver_check_query =");
    honest_forget();
    world_begin();
    honest_turn();
    size_t asked = 1;
    while (bytes.len > 0) {
        struct slice piece = target_piece(&bytes);
        for (struct slice rest = piece; rest.len > 0; slice_cut(&rest, 1))
            asked += rest.at[0] == 'Q' || rest.at[0] == 'S' || rest.at[0] == 'F';
        world_say(world.client, piece);
        honest_turn();
    }
    CHECK(world_check_messages(buf_slice(&world.to_client), from_servers, 'Z') <= asked);
    world_end();
}
