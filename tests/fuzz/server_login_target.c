// SPDX-License-Identifier: Apache-2.0
// What a server says while the proxy logs in to it. Nothing but a login that is complete lets its
// client in, and all that is said to the server before are answers to what it asked.
#include "tests/fuzz/target.h"
#include "tests/fuzz/world.h"

const size_t target_rounds = 1000;

void target_run(struct slice bytes)
{
    struct startup_packet packet;
    world_make("server_login_retry = 1\nhidden_code_check = 0");
    world_begin();
    CHECK(startup_packet_read(buf_slice(&world.to_server), &packet) == FRAME_OK);
    struct buf said = {0};
    buf_u8(&said, 0); // so that there is something to search
    while (bytes.len > 0 && world.server >= 0 && world.connections == 1) {
        struct slice piece = target_piece(&bytes);
        buf_put(&said, piece);
        world_say(world.server, piece);
        world_turn();
    }
    static const uint8_t auth_ok[] = {'R', 0, 0, 0, 8, 0, 0, 0, 0};
    bool ok = memmem(said.at, said.len, auth_ok, sizeof(auth_ok)) != NULL;
    size_t ready = world_check_messages(buf_slice(&world.to_client), from_servers, 'Z');
    CHECK(ready == 0 || (ok && memmem(said.at, said.len, "Z\0\0\0\5", 5) != NULL));
    if (world.connections == 1)
        world_check_messages(slice_skip(buf_slice(&world.to_server), packet.length), from_clients,
                             'p');
    buf_fini(&said);
    world_end();
}
