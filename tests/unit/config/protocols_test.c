// SPDX-License-Identifier: Apache-2.0
#include "config/protocols.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void versions_by_name(void **state)
{
    static const struct {
        const char *text;
        unsigned versions; // 0: refused
    } cases[] = {
        {"", PROTOCOLS_SECURE},
        {"secure", PROTOCOLS_SECURE},
        {"Default", PROTOCOLS_SECURE},
        {"all", PROTOCOLS_ALL},
        {"tlsv1", PROTOCOLS_ALL},
        {"tlsv1.0", PROTOCOLS_TLS_1_0},
        {"TLSv1.3", PROTOCOLS_TLS_1_3},
        {"tlsv1.1,tlsv1.2", PROTOCOLS_TLS_1_1 | PROTOCOLS_TLS_1_2},
        {" tlsv1.1 :\ttlsv1.3 ", PROTOCOLS_TLS_1_1 | PROTOCOLS_TLS_1_3},
        {"!tlsv1.0", PROTOCOLS_ALL & ~PROTOCOLS_TLS_1_0},
        {"secure,!tlsv1.2", PROTOCOLS_TLS_1_3},
        {"tlsv1.2,!tlsv1.2", 0},
        {"!all", 0},
        {"tlsv1.4", 0},
        {"sslv3", 0},
        {"tlsv1.2,", 0},
        {",", 0},
        {"!", 0},
        {" ", 0},
        {"tlsv1.2 tlsv1.3", 0},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        unsigned versions = 0;
        bool well = protocols_read(cases[i].text, &versions);
        if (well != (cases[i].versions != 0) || (well && versions != cases[i].versions))
            fail_msg("\"%s\": %d, %u", cases[i].text, well, versions);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(versions_by_name)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
