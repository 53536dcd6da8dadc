// SPDX-License-Identifier: Apache-2.0
#include "proxy/session/proxy_header.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct proxy_header header;

// On memory of exactly that size, so that a sanitizer sees a byte too many.
static enum proxy_header_result read_exactly(const void *bytes, size_t n)
{
    uint8_t *copy = malloc(n + 1);
    uint8_t *at = copy + 1;
    memcpy(at, bytes, n);
    enum proxy_header_result result = proxy_header_read(slice_of(at, n), &header);
    free(copy);
    return result;
}

static enum proxy_header_result text(const char *line)
{
    return read_exactly(line, strlen(line));
}

static void comes_from(const char *expected)
{
    char got[ORIGIN_TEXT_BYTES];
    origin_for_log(&header.from, got, sizeof(got));
    assert_string_equal(got, expected);
    assert_false(header.keeps);
}

// Every beginning wants more; what follows is not looked at.
static void whole_only(const uint8_t *bytes, size_t n)
{
    for (size_t part = 1; part < n; part++)
        assert_int_equal(read_exactly(bytes, part), PROXY_MORE);
    uint8_t longer[PROXY_HEADER_MAX + 100];
    memcpy(longer, bytes, n);
    memset(longer + n, 0xff, 50);
    assert_int_equal(read_exactly(longer, n + 50), PROXY_OK);
    assert_int_equal(header.bytes, n);
    assert_int_equal(read_exactly(bytes, n), PROXY_OK);
    assert_int_equal(header.bytes, n);
}

static void test_v1(void **state)
{
    static const char v4[] = "PROXY TCP4 192.0.2.7 198.51.100.1 65535 0\r\n";
    static const char v6[] = "PROXY TCP6 2001:db8::7 ::1 1024 6432\r\n";
    whole_only((const uint8_t *)v4, sizeof(v4) - 1);
    comes_from("192.0.2.7:65535");
    whole_only((const uint8_t *)v6, sizeof(v6) - 1);
    comes_from("[2001:db8::7]:1024");
    assert_int_equal(text("PROXY TCP6 ffff:f...f:ffff ffff:f...f:ffff 65535 65535\r\n"), PROXY_BAD);
    assert_int_equal(text("PROXY TCP6 ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff "
                          "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n"),
                     PROXY_OK);
    assert_true(header.bytes <= PROXY_V1_MAX);
}

static void test_v1_unknown(void **state)
{
    assert_int_equal(text("PROXY UNKNOWN\r\n"), PROXY_OK);
    assert_true(header.keeps && !header.is_own);
    assert_int_equal(header.bytes, 15);
    assert_int_equal(text("PROXY UNKNOWN ffff::1 what  ever 1 x\r\nrest"), PROXY_OK);
    assert_true(header.keeps);
}

static void test_v1_malformed(void **state)
{
    static const char *const bad[] = {
        "PROXY\r\n",
        "PROXY \r\n",
        "PROXYTCP4 1.2.3.4 5.6.7.8 1 2\r\n",
        "PROXY  TCP4 1.2.3.4 5.6.7.8 1 2\r\n",
        "Pgrep",
        "PROXY TCP4\r\n",
        "PROXY TCP4 \r\n",
        "PROXY TCP4 1.2.3.4\r\n",
        "PROXY TCP4 1.2.3.4 5.6.7.8\r\n",
        "PROXY TCP4 1.2.3.4 5.6.7.8 1\r\n",
        "PROXY TCP4 1.2.3.4 5.6.7.8 1 2 \r\n",
        "PROXY TCP4 1.2.3.4 5.6.7.8 1 2 3\r\n",
        "PROXY TCP4 1.2.3.4  5.6.7.8 1 2\r\n",
        "PROXY TCP4 1.2.3.4 5.6.7.8 1  2\r\n",
        "PROXY TCP4\t1.2.3.4\t5.6.7.8\t1\t2\r\n",
        "PROXY TCP4 1.2.3.4 5.6.7.8 1 2\n",
        "PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\r\n",
        "PROXY TCP4 1.2.3.4 5.6.7.8 1 65536\r\n",
        "PROXY TCP4 1.2.3.4 5.6.7.8 65536 1\r\n",
        "PROXY TCP4 1.2.3.4 5.6.7.8 999999 1\r\n",
        "PROXY TCP4 1.2.3.4 5.6.7.8 01 1\r\n",
        "PROXY TCP4 1.2.3.4 5.6.7.8 +1 1\r\n",
        "PROXY TCP4 1.2.3.4 5.6.7.8 -1 1\r\n",
        "PROXY TCP4 1.2.3.4 5.6.7.8 1x 1\r\n",
        "PROXY TCP4 1.2.3 5.6.7.8 1 2\r\n",
        "PROXY TCP4 1.2.3.256 5.6.7.8 1 2\r\n",
        "PROXY TCP4 1.2.3.04 5.6.7.8 1 2\r\n",
        "PROXY TCP4 ::1 ::1 1 2\r\n",
        "PROXY TCP6 1.2.3.4 5.6.7.8 1 2\r\n",
        "PROXY TCP6 ::1 ::g 1 2\r\n",
        "PROXY TCP6 [::1] [::1] 1 2\r\n",
        "PROXY TCP5 1.2.3.4 5.6.7.8 1 2\r\n",
        "PROXY UDP4 1.2.3.4 5.6.7.8 1 2\r\n",
        "PROXY tcp4 1.2.3.4 5.6.7.8 1 2\r\n",
        "PROXY UNKNOWN\n",
        "PROXY UNKNOWNx\r\n",
        "proxy",
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]) - 1; i++)
        assert_int_equal(text(bad[i]), PROXY_BAD);
    assert_int_equal(text("proxy"), PROXY_NONE);
    assert_int_equal(read_exactly("PROXY TCP4 1.2.3.4\0 5.6.7.8 1 2\r\n", 33), PROXY_BAD);
}

static void test_v1_bounded(void **state)
{
    char line[200];
    memset(line, 'x', sizeof(line));
    memcpy(line, "PROXY UNKNOWN ", 14);
    assert_int_equal(read_exactly(line, 106), PROXY_MORE);
    assert_int_equal(read_exactly(line, 107), PROXY_BAD);
    memcpy(line + 105, "\r\n", 2);
    assert_int_equal(read_exactly(line, 107), PROXY_OK);
    memset(line + 105, 'x', 2);
    memcpy(line + 106, "\r\n", 2);
    assert_int_equal(read_exactly(line, 150), PROXY_BAD);
}

// ---- version 2 ----

static uint8_t v2[PROXY_HEADER_MAX + 100];

static size_t make(uint8_t version, uint8_t family, const void *body, size_t n)
{
    memcpy(v2, "\r\n\r\n\0\r\nQUIT\n", 12);
    v2[12] = version;
    v2[13] = family;
    v2[14] = (uint8_t)(n >> 8);
    v2[15] = (uint8_t)n;
    memcpy(v2 + 16, body, n);
    return 16 + n;
}

static enum proxy_header_result binary(uint8_t version, uint8_t family, const void *body, size_t n)
{
    return read_exactly(v2, make(version, family, body, n));
}

static const uint8_t body4[] = {192, 0, 2, 7, 198, 51, 100, 1, 0xff, 0xff, 0x19, 0x20};
static const uint8_t body6[] = {0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7,
                                0,    0, 0,   0,    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1,
                                4,    0, 0x19, 0x20};

static void test_v2(void **state)
{
    whole_only(v2, make(0x21, 0x11, body4, sizeof(body4)));
    comes_from("192.0.2.7:65535");
    whole_only(v2, make(0x21, 0x21, body6, sizeof(body6)));
    comes_from("[2001:db8::7]:1024");
    uint8_t paths[216] = "/tmp/socket";
    whole_only(v2, make(0x21, 0x31, paths, sizeof(paths)));
    comes_from("unix:0");
}

static void test_v2_keeps(void **state)
{
    assert_int_equal(binary(0x20, 0x00, "", 0), PROXY_OK); // LOCAL
    assert_true(header.keeps && header.is_own);
    assert_int_equal(binary(0x20, 0x11, body4, sizeof(body4)), PROXY_OK);
    assert_true(header.keeps);
    assert_int_equal(binary(0x21, 0x00, "", 0), PROXY_OK); // PROXY, unspecified
    assert_true(header.keeps && !header.is_own);
}

static void test_v2_additions(void **state)
{
    uint8_t body[400];
    memcpy(body, body4, 12);
    memcpy(body + 12, "\x01\0\x02h2\x04\0\0\xee\0\x03xyz", 14);
    assert_int_equal(binary(0x21, 0x11, body, 26), PROXY_OK);
    comes_from("192.0.2.7:65535");
    for (size_t n = 13; n < 26; n++) // cut: whole additions only
        assert_int_equal(binary(0x21, 0x11, body, n), n == 17 || n == 20 ? PROXY_OK : PROXY_BAD);
}

static void test_v2_checksum(void **state)
{
    uint8_t body[19];
    memcpy(body, body4, 12);
    memcpy(body + 12, "\x03\0\x04\x7d\x4f\x82\xc7", 7); // calculated by another program
    assert_int_equal(binary(0x21, 0x11, body, 19), PROXY_OK);
    for (int bit = 0; bit < 19 * 8; bit++) {
        if (bit / 8 >= 12 && bit / 8 < 15)
            continue; // then it is no checksum
        body[bit / 8] ^= (uint8_t)(1 << bit % 8);
        assert_int_equal(binary(0x21, 0x11, body, 19), PROXY_BAD);
        body[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    body[14] = 3;
    assert_int_equal(binary(0x21, 0x11, body, 18), PROXY_BAD);
}

static void test_v2_malformed(void **state)
{
    static const uint8_t versions[] = {0x01, 0x11, 0x31, 0xf1, 0x22, 0x2f};
    for (size_t i = 0; i < sizeof(versions); i++)
        assert_int_equal(binary(versions[i], 0x11, body4, 12), PROXY_BAD);
    static const uint8_t families[] = {0x01, 0x02, 0x10, 0x12, 0x13, 0x20, 0x22, 0x30,
                                       0x32, 0x41, 0x1f, 0xf1, 0xff};
    uint8_t room[300] = {0};
    for (size_t i = 0; i < sizeof(families); i++)
        assert_int_equal(binary(0x21, families[i], room, 216), PROXY_BAD);
    for (size_t n = 0; n < 12; n++)
        assert_int_equal(binary(0x21, 0x11, body4, n), PROXY_BAD);
    for (size_t n = 0; n < 36; n++)
        assert_int_equal(binary(0x21, 0x21, body6, n), PROXY_BAD);
    for (size_t n = 0; n < 216; n += 5)
        assert_int_equal(binary(0x21, 0x31, room, n), PROXY_BAD);
    // Wrong bytes are told as soon as they are there.
    make(0x21, 0x11, body4, 12);
    for (size_t i = 1; i < 14; i++) {
        uint8_t was = v2[i];
        v2[i] ^= 0x80;
        assert_int_equal(read_exactly(v2, i + 1), PROXY_BAD);
        v2[i] = was;
    }
}

static void test_v2_bounded(void **state)
{
    static uint8_t body[PROXY_HEADER_MAX];
    memcpy(body, body4, 12);
    size_t rest = 4096 - 12 - 3;
    body[12] = 4; // PP2_TYPE_NOOP
    body[13] = (uint8_t)(rest >> 8);
    body[14] = (uint8_t)rest;
    assert_int_equal(binary(0x21, 0x11, body, 4096), PROXY_OK);
    make(0x21, 0x11, body, 4096);
    v2[14] = 4097 >> 8;
    v2[15] = 4097 & 255;
    assert_int_equal(read_exactly(v2, 16), PROXY_BAD);
}

static void test_other_beginnings(void **state)
{
    assert_int_equal(read_exactly("", 0), PROXY_MORE);
    for (int first = 0; first < 256; first++) {
        uint8_t byte = (uint8_t)first;
        bool may = first == 'P' || first == '\r';
        assert_int_equal(read_exactly(&byte, 1), may ? PROXY_MORE : PROXY_NONE);
    }
    assert_int_equal(read_exactly("\0\0\0\x08\x04\xd2\x16\x2f", 8), PROXY_NONE); // SSLRequest
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_v1),           cmocka_unit_test(test_v1_unknown),
        cmocka_unit_test(test_v1_malformed), cmocka_unit_test(test_v1_bounded),
        cmocka_unit_test(test_v2),           cmocka_unit_test(test_v2_keeps),
        cmocka_unit_test(test_v2_additions), cmocka_unit_test(test_v2_checksum),
        cmocka_unit_test(test_v2_malformed), cmocka_unit_test(test_v2_bounded),
        cmocka_unit_test(test_other_beginnings),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
