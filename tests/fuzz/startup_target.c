// SPDX-License-Identifier: Apache-2.0
// What comes before a session: packets of the startup, their pairs, the switches in options, and
// the keys of cancel requests.
#include "base/reader.h"
#include "proxy/session/cancel_key.h"
#include "proxy/session/options.h"
#include "proxy/wire/message.h"
#include "tests/fuzz/target.h"

const size_t target_rounds = 200000;

struct taken {
    size_t count, bytes;
};

static bool take(void *arg, const char *name, const char *value)
{
    struct taken *taken = arg;
    CHECK(strchr(name, '-') == NULL);
    taken->count++;
    taken->bytes += strlen(name) + strlen(value);
    return taken->count < 100;
}

static void check_options(const char *options)
{
    struct taken taken = {0};
    char why[64] = "";
    enum options_result result = options_each(options, take, &taken, why, sizeof(why));
    CHECK(taken.bytes <= strlen(options));
    CHECK((result == OPTIONS_STOPPED) == (taken.count == 100));
    if (result == OPTIONS_NO_VALUE || result == OPTIONS_UNKNOWN)
        CHECK(why[0] != '\0' && memchr(why, 0, sizeof(why)) != NULL);
}

static void check_cancel(struct slice key)
{
    if (!key_is_possible(key))
        return;
    struct buf copy = {0};
    buf_put(&copy, key);
    key_process(key);
    CHECK(key_peer(key) >= 0 && key_peer(key) <= CANCEL_PEER_MAX);
    int hops = 0;
    while (key_spend_hop(copy.at, copy.len))
        CHECK(++hops <= CANCEL_HOPS);
    CHECK(key_peer(buf_slice(&copy)) == key_peer(key));
    CHECK(key_process(buf_slice(&copy)) == key_process(key));
    struct key_bytes own;
    key_make(&own, key.len % 2 == 0, (int)(key.len % 7));
    if (key.len != own.length)
        CHECK(!key_matches(&own, key));
    CHECK(key_matches(&own, slice_of(own.at, own.length)));
    buf_fini(&copy);
}

static void check_pairs(struct slice pairs)
{
    struct reader r = reader_of(pairs);
    struct startup_pair pair;
    size_t bytes = 0;
    enum startup_pair_result result;
    while ((result = startup_pair_read(&r, &pair)) == STARTUP_PAIR) {
        CHECK(target_inside(pair.name, pairs) && target_inside(pair.value, pairs));
        CHECK(pair.name.len > 0 && pair.name.at[pair.name.len] == '\0');
        CHECK(pair.value.at[pair.value.len] == '\0');
        bytes += pair.name.len + pair.value.len + 2;
        check_options((const char *)pair.value.at);
    }
    CHECK(result == STARTUP_PAIRS_BAD || bytes + 1 == pairs.len);
}

void target_run(struct slice bytes)
{
    for (int i = 0; i < 8; i++) {
        struct startup_packet packet;
        enum frame_result result = startup_packet_read(bytes, &packet);
        if (result == FRAME_SHORT)
            CHECK(bytes.len < STARTUP_MAX_BYTES);
        if (result != FRAME_OK)
            return;
        CHECK(packet.length >= STARTUP_HEADER_BYTES && packet.length <= bytes.len);
        CHECK(target_inside(packet.body, bytes));
        CHECK(packet.body.len == packet.length - STARTUP_HEADER_BYTES);
        uint8_t *alone = target_alone(packet.body);
        if (packet.code == CANCEL_REQUEST_CODE)
            check_cancel(slice_of(alone, packet.body.len));
        else
            check_pairs(slice_of(alone, packet.body.len));
        mem_free(alone);
        bytes = slice_skip(bytes, packet.length);
    }
}
