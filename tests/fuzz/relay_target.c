// SPDX-License-Identifier: Apache-2.0
// Answers of a server that says what it likes, in turn with what a client asks: each is matched
// with what is owed, or ends the connection. Whatever it says, what is sent to it are whole
// messages, and nobody is left when both have gone.
#include "tests/fuzz/honest.h"
#include "tests/fuzz/target.h"

const size_t target_rounds = 1000;

enum { CLIENT_SAYS, SERVER_SAYS, SERVER_ANSWERS, WHO };

void target_run(struct slice bytes)
{
    world_make("max_prepared_statements = 3\nserver_check_query =");
    honest_forget();
    world_begin();
    honest_turn();
    while (bytes.len > 0) {
        uint8_t who = target_byte(&bytes) % WHO;
        if (who == SERVER_ANSWERS) {
            honest_turn();
            continue;
        }
        struct slice piece = target_piece(&bytes);
        world_say(who == CLIENT_SAYS ? world.client : world.server, piece);
        world_turn();
    }
    world_end();
}
