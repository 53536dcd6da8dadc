// SPDX-License-Identifier: Apache-2.0
#include "proxy/wire/layout.h"

#include "base/hash.h"
#include "base/reader.h"
#include "proxy/wire/message.h"

// Of a column, behind its name: where it comes from, the type; its size, modifier, the format.
enum { ORIGIN_BYTES = 6, TYPE_BYTES = 4, REST_BYTES = 2 + 4 + 2 };

static uint64_t known(uint64_t hash)
{
    return hash != 0 ? hash : 1;
}

uint64_t layout_rows(struct slice message)
{
    struct reader r = reader_of(slice_skip(message, MESSAGE_HEADER_BYTES));
    bool none = message.at[0] != 'T';
    uint16_t n = none ? 0 : reader_u16(&r);
    uint64_t hash = none ? 0 : 2 + (uint64_t)n;
    for (; n > 0 && reader_ok(&r); n--) {
        struct slice name = reader_cstr(&r);
        reader_bytes(&r, ORIGIN_BYTES);
        struct slice type = reader_bytes(&r, TYPE_BYTES);
        reader_bytes(&r, REST_BYTES);
        hash = hash_on(hash_on(hash, name.at, name.len), type.at, type.len);
    }
    return known(reader_ok(&r) ? hash : hash_on(hash, message.at, message.len));
}

uint64_t layout_types(struct slice message)
{
    return known(hash_on(0, message.at, message.len));
}
