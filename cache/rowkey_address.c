// SPDX-License-Identifier: Apache-2.0
#include "cache/rowkey_address.h"

#include "base/hash.h"
#include "cache/rowkey_parts.h"

enum { IPV4_BYTES = 4, IPV6_BYTES = 16, GROUPS = 8 };

struct address {
    size_t n; // bytes
    unsigned bits;
    uint8_t at[IPV6_BYTES];
};

static bool take(struct slice *s, uint8_t byte)
{
    if (s->len == 0 || s->at[0] != byte)
        return false;
    *s = slice_skip(*s, 1);
    return true;
}

// Up to three digits, without zeros in front.
static bool take_decimal(struct slice *s, unsigned most, unsigned *out)
{
    size_t n = 0;
    *out = 0;
    for (; n < 3 && n < s->len && rowkey_is_digit(s->at[n]); n++)
        *out = *out * 10 + (s->at[n] - '0');
    if (n == 0 || (n > 1 && s->at[0] == '0') || *out > most)
        return false;
    *s = slice_skip(*s, n);
    return true;
}

static bool take_ipv4(struct slice *s, uint8_t *out)
{
    for (int i = 0; i < IPV4_BYTES; i++) {
        unsigned octet;
        if ((i > 0 && !take(s, '.')) || !take_decimal(s, 255, &octet))
            return false;
        out[i] = (uint8_t)octet;
    }
    return true;
}

static bool take_group(struct slice *s, uint8_t *out)
{
    unsigned value = 0;
    size_t n = 0;
    for (; n < 4 && n < s->len && rowkey_nibble(s->at[n]) >= 0; n++)
        value = value << 4 | (unsigned)rowkey_nibble(s->at[n]);
    *s = slice_skip(*s, n);
    out[0] = (uint8_t)(value >> 8);
    out[1] = (uint8_t)value;
    return n > 0;
}

// Does an IPv4 address stand here, as the last two groups may be written?
static bool has_octets(struct slice s)
{
    size_t n = 0;
    while (n < s.len && rowkey_is_digit(s.at[n]))
        n++;
    return n < s.len && s.at[n] == '.';
}

static bool take_ipv6(struct slice *s, uint8_t *out)
{
    int n = 0, gap = -1; // groups; before which one the zeros are left out
    uint8_t groups[2 * GROUPS];
    bool more = true;
    if (s->len >= 2 && s->at[0] == ':' && s->at[1] == ':') {
        *s = slice_skip(*s, 2);
        gap = 0;
        more = s->len > 0 && s->at[0] != '/';
    }
    while (more) {
        if (n <= GROUPS - 2 && has_octets(*s)) {
            if (!take_ipv4(s, groups + 2 * (size_t)n))
                return false;
            n += 2;
            break;
        }
        if (n == GROUPS || !take_group(s, groups + 2 * (size_t)n))
            return false;
        n++;
        more = take(s, ':');
        if (more && gap < 0 && take(s, ':')) {
            gap = n;
            more = s->len > 0 && s->at[0] != '/';
        }
    }
    if (gap < 0 ? n != GROUPS : n >= GROUPS)
        return false;
    size_t before = 2 * (size_t)(gap < 0 ? n : gap), after = 2 * (size_t)n - before;
    memset(out, 0, IPV6_BYTES);
    memcpy(out, groups, before);
    memcpy(out + IPV6_BYTES - after, groups + before, after);
    return true;
}

// Behind the netmask nothing is left.
static void mask(struct address *a)
{
    for (size_t i = 0; i < a->n; i++) {
        unsigned of_byte = a->bits > 8 * i ? a->bits - (unsigned)(8 * i) : 0;
        if (of_byte < 8)
            a->at[i] &= (uint8_t)(0xff00 >> of_byte);
    }
}

static bool form_of(struct address *a, bool masked, uint64_t *out)
{
    uint8_t form[1 + IPV6_BYTES];
    if (masked)
        mask(a);
    form[0] = (uint8_t)a->bits;
    memcpy(form + 1, a->at, a->n);
    *out = hash_bytes(form, 1 + a->n);
    return true;
}

bool rowkey_inet_text(struct slice s, bool masked, uint64_t *out)
{
    struct address a = {.n = IPV4_BYTES};
    if (s.len > 0 && memchr(s.at, ':', s.len) != NULL)
        a.n = IPV6_BYTES;
    if (a.n == IPV4_BYTES ? !take_ipv4(&s, a.at) : !take_ipv6(&s, a.at))
        return false;
    a.bits = (unsigned)(8 * a.n);
    if (take(&s, '/') && !take_decimal(&s, a.bits, &a.bits))
        return false;
    return s.len == 0 && form_of(&a, masked, out);
}

bool rowkey_inet_binary(struct slice bytes, bool masked, uint64_t *out)
{
    enum { FAMILY, BITS, IS_CIDR, LENGTH, HEAD, OF_IPV4 = 2, OF_IPV6 = 3 }; // utils/inet.h
    struct address a = {.n = bytes.len - HEAD};
    if (bytes.len != HEAD + IPV4_BYTES && bytes.len != HEAD + IPV6_BYTES)
        return false;
    a.bits = bytes.at[BITS];
    memcpy(a.at, bytes.at + HEAD, a.n);
    return bytes.at[FAMILY] == (a.n == IPV4_BYTES ? OF_IPV4 : OF_IPV6) && a.bits <= 8 * a.n &&
           bytes.at[LENGTH] == a.n && form_of(&a, masked, out);
}

// ---- Interfaces ---------------------------------------------------------------------------------

static bool take_pairs(struct slice s, uint8_t *out, size_t count)
{
    if (s.len != 3 * count - 1)
        return false;
    for (size_t i = 0; i < count; i++) {
        const uint8_t *at = s.at + 3 * i;
        int high = rowkey_nibble(at[0]), low = rowkey_nibble(at[1]);
        if (high < 0 || low < 0 ||
            (i + 1 < count && (at[2] != s.at[2] || (at[2] != ':' && at[2] != '-'))))
            return false;
        out[i] = (uint8_t)(high << 4 | low);
    }
    return true;
}

bool rowkey_macaddr_text(struct slice s, uint64_t *out)
{
    uint8_t bytes[6];
    bool taken = take_pairs(s, bytes, sizeof(bytes));
    if (taken)
        *out = hash_bytes(bytes, sizeof(bytes));
    return taken;
}

bool rowkey_macaddr8_text(struct slice s, uint64_t *out)
{
    uint8_t bytes[8], short_one[6];
    if (take_pairs(s, short_one, sizeof(short_one))) {
        memcpy(bytes, short_one, 3);
        bytes[3] = 0xff;
        bytes[4] = 0xfe;
        memcpy(bytes + 5, short_one + 3, 3);
    } else if (!take_pairs(s, bytes, sizeof(bytes))) {
        return false;
    }
    *out = hash_bytes(bytes, sizeof(bytes));
    return true;
}
