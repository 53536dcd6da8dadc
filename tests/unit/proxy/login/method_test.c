// SPDX-License-Identifier: Apache-2.0
#include "proxy/login/method.h"

#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "config/config.h"
#include "proxy/session/origin.h"

static void a_scram_secret_makes_md5_scram(void **state)
{
    assert_int_equal(login_method_with(CONFIG_AUTH_MD5, "SCRAM-SHA-256$x"), CONFIG_AUTH_SCRAM);
    assert_int_equal(login_method_with(CONFIG_AUTH_MD5, "a password"), CONFIG_AUTH_MD5);
    assert_int_equal(login_method_with(CONFIG_AUTH_MD5, NULL), CONFIG_AUTH_MD5);
    assert_int_equal(login_method_with(CONFIG_AUTH_PLAIN, "SCRAM-SHA-256$x"), CONFIG_AUTH_PLAIN);
}

static void which_line_is_for_whom(void **state)
{
    char path[] = "/tmp/pgweir-method-XXXXXX", ini[] = "/tmp/pgweir-method-XXXXXX";
    static const char lines[] = "host replication all all password\n"
                                "host all all 10.0.0.0/8 reject\nhost pgweir all all md5\n"
                                "host all all all trust\nlocal all all peer\n";
    int fd = mkstemp(path), ini_fd = mkstemp(ini);
    assert_int_equal(write(fd, lines, sizeof lines - 1), sizeof lines - 1);
    dprintf(ini_fd, "[pgbouncer]\nauth_type = hba\nauth_hba_file = %s\n", path);
    struct problems problems = {0};
    struct config *config = config_load(ini, &problems);
    assert_non_null(config);
    struct origin origin = {.kind = ORIGIN_IPV6};
    struct login_asker asker = {.database = "d", .user = "u", .origin = &origin};
    struct login_method method;
    assert_int_equal(inet_pton(AF_INET6, "::ffff:10.1.2.3", origin.address), 1);
    assert_true(login_method_find(config, &asker, &method));
    assert_int_equal(method.type, CONFIG_AUTH_REJECT);
    assert_int_equal(inet_pton(AF_INET6, "::10.1.2.3", origin.address), 1);
    assert_true(login_method_find(config, &asker, &method));
    assert_int_equal(method.type, CONFIG_AUTH_TRUST);
    asker.is_console = true; // by any of its names
    assert_true(login_method_find(config, &asker, &method));
    assert_int_equal(method.type, CONFIG_AUTH_MD5);
    asker.physical = true; // which is no way around the console's lines
    assert_true(login_method_find(config, &asker, &method));
    assert_int_equal(method.type, CONFIG_AUTH_MD5);
    asker.is_console = false;
    assert_true(login_method_find(config, &asker, &method));
    assert_int_equal(method.type, CONFIG_AUTH_PLAIN);
    asker.physical = false;
    origin.kind = ORIGIN_UNKNOWN; // all that is known is that it is not local
    assert_true(login_method_find(config, &asker, &method));
    assert_int_equal(method.type, CONFIG_AUTH_TRUST);
    origin = (struct origin){.kind = ORIGIN_UNIX}; // of a load balancer's machine
    assert_true(login_method_find(config, &asker, &method));
    assert_int_equal(method.type, CONFIG_AUTH_TRUST);
    asker.local = true; // of this one
    assert_true(login_method_find(config, &asker, &method));
    assert_int_equal(method.type, CONFIG_AUTH_PEER);
    config_unref(&config);
    problems_fini(&problems);
    unlink(path);
    unlink(ini);
    close(fd);
    close(ini_fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_scram_secret_makes_md5_scram),
        cmocka_unit_test(which_line_is_for_whom),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
