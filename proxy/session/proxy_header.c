// SPDX-License-Identifier: Apache-2.0
#include "proxy/session/proxy_header.h"

#include <arpa/inet.h>
#include <sys/socket.h>

#include "base/reader.h"

enum {
    V2_HEAD = 16, // signature, version and command, family and transport, length
    V2_IPV4 = 12, // source, destination, two ports
    V2_IPV6 = 36,
    V2_UNIX = 216, // two paths
    TLV_CRC32C = 3,
    TLV_HEAD = 3,
    CRC_BYTES = 4,
};

// How much of what is expected is there, if anything is wrong with it, and if it is all there.
static enum proxy_header_result begins(struct slice data, struct slice expected)
{
    size_t n = data.len < expected.len ? data.len : expected.len;
    if (!slice_eq(slice_of(data.at, n), slice_of(expected.at, n)))
        return PROXY_BAD;
    return n < expected.len ? PROXY_MORE : PROXY_OK;
}

// ---- version 1: one line of text ----

// The next word, ended by a blank or the end of the line; empty: there is none.
static struct slice next_word(struct slice *line)
{
    const uint8_t *blank = memchr(line->at, ' ', line->len);
    size_t n = blank != NULL ? (size_t)(blank - line->at) : line->len;
    struct slice word = slice_cut(line, n);
    if (blank != NULL && line->len > 1)
        *line = slice_skip(*line, 1); // a blank at the end stays, and is wrong
    return word;
}

static bool read_port(struct slice word, uint16_t *port)
{
    uint32_t value = 0;
    if (word.len == 0 || word.len > 5 || (word.at[0] == '0' && word.len > 1))
        return false;
    for (size_t i = 0; i < word.len; i++) {
        if (word.at[i] < '0' || word.at[i] > '9')
            return false;
        value = value * 10 + (uint32_t)(word.at[i] - '0');
    }
    *port = (uint16_t)value;
    return value <= 65535;
}

static bool read_address(struct slice word, int family, uint8_t *address)
{
    char text[INET6_ADDRSTRLEN];
    if (word.len == 0 || word.len >= sizeof(text) || memchr(word.at, 0, word.len) != NULL)
        return false;
    memcpy(text, word.at, word.len);
    text[word.len] = '\0';
    return inet_pton(family, text, address) == 1;
}

static bool read_line(struct slice line, struct proxy_header *header)
{
    struct slice kind = next_word(&line);
    header->keeps = slice_is(kind, "UNKNOWN"); // what follows means nothing
    if (header->keeps)
        return true;
    bool is_v4 = slice_is(kind, "TCP4");
    if (!is_v4 && !slice_is(kind, "TCP6"))
        return false;
    uint8_t to[16];
    uint16_t to_port;
    header->from.kind = is_v4 ? ORIGIN_IPV4 : ORIGIN_IPV6;
    int family = is_v4 ? AF_INET : AF_INET6;
    struct slice from_word = next_word(&line), to_word = next_word(&line);
    struct slice from_port_word = next_word(&line), to_port_word = next_word(&line);
    return line.len == 0 && read_address(from_word, family, header->from.address) &&
           read_address(to_word, family, to) &&
           read_port(from_port_word, &header->from.port) && read_port(to_port_word, &to_port);
}

static enum proxy_header_result read_v1(struct slice data, struct proxy_header *header)
{
    static const char name[] = "PROXY ";
    enum proxy_header_result result = begins(data, slice_str(name));
    if (result != PROXY_OK)
        return result;
    size_t most = data.len < PROXY_V1_MAX ? data.len : PROXY_V1_MAX;
    const uint8_t *end = memchr(data.at, '\n', most);
    if (end == NULL)
        return data.len < PROXY_V1_MAX ? PROXY_MORE : PROXY_BAD;
    header->bytes = (size_t)(end - data.at) + 1;
    size_t skip = sizeof(name) - 1;
    if (header->bytes < skip + 2 || end[-1] != '\r')
        return PROXY_BAD;
    struct slice line = slice_of(data.at + skip, header->bytes - skip - 2);
    return read_line(line, header) ? PROXY_OK : PROXY_BAD;
}

// ---- version 2: binary ----

static bool read_addresses(struct reader *r, uint8_t family, struct proxy_header *header)
{
    struct slice source;
    switch (family) {
    case 0x11: // TCP over IPv4
        source = reader_bytes(r, 4);
        header->from.kind = ORIGIN_IPV4;
        reader_bytes(r, 4);
        break;
    case 0x21: // TCP over IPv6
        source = reader_bytes(r, 16);
        header->from.kind = ORIGIN_IPV6;
        reader_bytes(r, 16);
        break;
    case 0x31: // a unix stream socket: its path says nothing to us
        reader_bytes(r, V2_UNIX);
        header->from.kind = ORIGIN_UNIX;
        return reader_ok(r);
    case 0x00: // unspecified
        header->keeps = true;
        return true;
    default:
        return false;
    }
    header->from.port = reader_u16(r);
    reader_u16(r);
    if (!reader_ok(r))
        return false;
    memcpy(header->from.address, source.at, source.len);
    return true;
}

// CRC32c (RFC 3720, appendix B.4) of the header, its checksum taken as zero.
static uint32_t checksum(struct slice header, size_t hole)
{
    uint32_t crc = 0xffffffff;
    for (size_t i = 0; i < header.len; i++) {
        crc ^= i >= hole && i < hole + CRC_BYTES ? 0 : header.at[i];
        for (int bit = 0; bit < 8; bit++)
            crc = (crc >> 1) ^ (crc & 1 ? 0x82f63b78 : 0);
    }
    return ~crc;
}

// The additions: each must be whole, and a checksum among them right.
static bool read_additions(struct reader *r, struct slice header)
{
    while (reader_left(r) > 0) {
        uint8_t type = reader_u8(r);
        struct slice value = reader_bytes(r, reader_u16(r));
        if (!reader_ok(r))
            return false;
        if (type != TLV_CRC32C)
            continue;
        if (value.len != CRC_BYTES)
            return false;
        struct reader c = reader_of(value);
        if (reader_u32(&c) != checksum(header, (size_t)(value.at - header.at)))
            return false;
    }
    return reader_ok(r);
}

// How many bytes of addresses this family has; what is unknown has none, and is refused later.
static size_t address_bytes(uint8_t family)
{
    return family >> 4 == 1 ? V2_IPV4 : family >> 4 == 2 ? V2_IPV6 : family >> 4 == 3 ? V2_UNIX : 0;
}

static enum proxy_header_result read_v2(struct slice data, struct proxy_header *header)
{
    static const char signature[] = "\r\n\r\n\0\r\nQUIT\n";
    enum proxy_header_result result = begins(data, slice_of(signature, sizeof(signature) - 1));
    if (result != PROXY_OK)
        return result;
    struct reader r = reader_of(slice_skip(data, sizeof(signature) - 1));
    uint8_t version = reader_u8(&r), family = reader_u8(&r);
    size_t length = reader_u16(&r);
    bool local = (version & 15) == 0;
    if (data.len > 12 && (version >> 4 != 2 || (version & 15) > 1))
        return PROXY_BAD;
    if (data.len > 13 && (family >> 4 > 3 || (family & 15) > 2))
        return PROXY_BAD;
    if (!reader_ok(&r))
        return PROXY_MORE;
    header->bytes = V2_HEAD + length;
    if (header->bytes > PROXY_HEADER_MAX)
        return PROXY_BAD;
    if (data.len < header->bytes)
        return PROXY_MORE;
    r = reader_of(slice_of(data.at + V2_HEAD, length));
    if (local) {
        // Nobody's connection: a health check. Addresses count for nothing, but have their place.
        header->keeps = header->is_own = true;
        reader_bytes(&r, length >= address_bytes(family) ? address_bytes(family) : length);
    } else if (!read_addresses(&r, family, header)) {
        return PROXY_BAD;
    }
    return read_additions(&r, slice_of(data.at, header->bytes)) ? PROXY_OK : PROXY_BAD;
}

enum proxy_header_result proxy_header_read(struct slice data, struct proxy_header *header)
{
    *header = (struct proxy_header){0};
    if (data.len == 0)
        return PROXY_MORE;
    if (data.at[0] == 'P')
        return read_v1(data, header);
    if (data.at[0] == '\r')
        return read_v2(data, header);
    return PROXY_NONE;
}
