// SPDX-License-Identifier: Apache-2.0
// Who comes from the same place.
#include "proxy/session/origin.h"

#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static uint64_t place(const char *text)
{
    struct sockaddr_in v4 = {.sin_family = AF_INET};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6};
    struct origin origin = {0};
    if (inet_pton(AF_INET, text, &v4.sin_addr) == 1)
        origin_of_address(&origin, (struct sockaddr *)&v4, sizeof(v4));
    else if (inet_pton(AF_INET6, text, &v6.sin6_addr) == 1)
        origin_of_address(&origin, (struct sockaddr *)&v6, sizeof(v6));
    else
        fail();
    return origin_place(&origin);
}

static void places(void **state)
{
    assert_int_equal(place("10.0.0.1"), place("10.0.0.1"));
    assert_int_not_equal(place("10.0.0.1"), place("10.0.0.2"));
    assert_int_equal(place("2001:db8::1"), place("2001:db8::ffff:1"));
    assert_int_not_equal(place("2001:db8::1"), place("2001:db8:0:1::1"));
    assert_int_equal(place("::ffff:10.0.0.1"), place("10.0.0.1"));
    assert_int_not_equal(place("::ffff:10.0.0.1"), place("::ffff:10.0.0.2"));
    struct origin ann = {.kind = ORIGIN_UNIX, .uid = 1000, .pid = 7};
    struct origin same = {.kind = ORIGIN_UNIX, .uid = 1000, .pid = 8};
    struct origin bob = {.kind = ORIGIN_UNIX, .uid = 1001, .pid = 7};
    struct origin unknown = {.kind = ORIGIN_UNKNOWN};
    assert_int_equal(origin_place(&ann), origin_place(&same));
    assert_int_not_equal(origin_place(&ann), origin_place(&bob));
    assert_int_not_equal(origin_place(&unknown), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(places),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
