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

// One load with such a change behind it. True: every entry had to die.
static bool load_after(bool ddl, bool more, bool changed)
{
    struct slice names[LOADS_NAMES_MAX];
    if (ddl) {
        ledger_raise_barrier(domain_own_ledger(domain));
        loads_own_ddl(&loads, more);
    }
    assert_true(!ddl || loads_due_us(&loads) != INT64_MAX);
    loads_begin(&loads, true, 0, names);
    bool flushed = loads_end(&loads, changed, 1);
    assert_int_equal(loads_due_us(&loads), INT64_MAX);
    return flushed;
}

// What only makes or drops relations ends entries only where something in use has changed.
static void own_ddl(void **state)
{
    assert_false(load_after(false, false, false));
    assert_true(load_after(false, false, true));
    assert_true(load_after(true, true, false));
    assert_false(load_after(true, false, false));
    assert_true(load_after(true, false, true));
    assert_false(load_after(true, false, false)); // nothing is left of those before
    loads_lost(&loads);
    assert_true(load_after(true, false, false)); // nobody knows what has been meanwhile
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(names_wait_twice_as_long_as_a_load_takes, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(the_first_of_a_connection_is_no_measure, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(own_ddl, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
