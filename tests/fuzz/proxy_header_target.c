// SPDX-License-Identifier: Apache-2.0
// PROXY protocol headers: a result that fits the bytes, and the header alone says the same.
#include "proxy/session/proxy_header.h"
#include "tests/fuzz/target.h"

const size_t target_rounds = 200000;

void target_run(struct slice bytes)
{
    struct proxy_header header, again;
    char text[ORIGIN_TEXT_BYTES];
    enum proxy_header_result result = proxy_header_read(bytes, &header);
    if (result == PROXY_MORE)
        CHECK(bytes.len < PROXY_HEADER_MAX);
    if (result != PROXY_OK)
        return;
    CHECK(header.bytes <= bytes.len && header.bytes <= PROXY_HEADER_MAX && header.bytes >= 15);
    origin_details(&header.from, text, sizeof(text));
    origin_for_log(&header.from, text, sizeof(text));
    CHECK(header.keeps || header.from.kind != ORIGIN_UNKNOWN);
    // One byte less is not enough.
    CHECK(proxy_header_read(slice_of(bytes.at, header.bytes), &again) == PROXY_OK);
    CHECK(memcmp(&header, &again, sizeof(header)) == 0);
    CHECK(proxy_header_read(slice_of(bytes.at, header.bytes - 1), &again) == PROXY_MORE);
}
