// SPDX-License-Identifier: Apache-2.0
// When a catalog is loaded anew: for names nobody asked for before, at most a third of the time.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "proxy/control/domain_inside.h"
#include "proxy/control/loads.h"

static struct domains *domains;
static struct domain *domain;
static struct loads loads;

static void nobody_waits(void *arg)
{
}

static int set_up(void **state)
{
    domains = domains_new(nobody_waits, NULL);
    domain = domains_get(domains, &(struct domain_target){.host = "h", .dbname = "d"});
    loads_init(&loads, domain, domain_own_ledger(domain));
    return 0;
}

static int tear_down(void **state)
{
    domains_free(domains);
    return 0;
}

static void want(const char *name)
{
    struct slice slice = slice_str(name);
    domain_want_names(domain, &slice, 1);
}

static void load(int64_t from_us, int64_t to_us)
{
    struct slice names[LOADS_NAMES_MAX];
    loads_begin(&loads, true, from_us, names);
    loads_end(&loads, false, to_us);
}

static void names_wait_twice_as_long_as_a_load_takes(void **state)
{
    load(0, 1000);
    assert_int_equal(loads_due_us(&loads), INT64_MAX);
    want("a");
    load(1000, 1100);
    want("b");
    assert_int_equal(loads_due_us(&loads), 1300);
}

static void the_first_of_a_connection_is_no_measure(void **state)
{
    load(0, 1000);
    want("a");
    assert_in_range(loads_due_us(&loads), 0, 1000);
    load(1000, 1100);
    loads_lost(&loads);
    load(5000, 7000);
    want("b");
    assert_in_range(loads_due_us(&loads), 0, 7000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(names_wait_twice_as_long_as_a_load_takes, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(the_first_of_a_connection_is_no_measure, set_up,
                                        tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
