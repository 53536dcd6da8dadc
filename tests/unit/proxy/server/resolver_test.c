// SPDX-License-Identifier: Apache-2.0
// Names: what is kept, for how long, whose turn it is, and what happens when a name's addresses
// change. The lookups are ours.
#include "proxy/server/resolver.h"

#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <unistd.h>

#include "base/list.h"
#include "base/mem.h"

static struct {
    const char *addresses; // with blanks between; NULL: the name is not known
    int lookups;
} the_dns;

static int our_lookup(const char *host, struct address *addresses, int most, char *problem,
                      size_t problem_bytes)
{
    the_dns.lookups++;
    if (the_dns.addresses == NULL) {
        snprintf(problem, problem_bytes, "%s is not known", host);
        return 0;
    }
    char *copy = mem_strdup(the_dns.addresses), *save = NULL;
    int count = 0;
    for (char *a = strtok_r(copy, " ", &save); a != NULL && count < most;
         a = strtok_r(NULL, " ", &save))
        assert_true(address_literal(&addresses[count++], a, 0));
    mem_free(copy);
    return count;
}

struct desk {
    struct resolver *resolver;
    struct mailbox mailbox;
    int ends[2]; // a pipe: the answer came
    bool first_only;
};

static void wake(void *arg)
{
    struct desk *desk = arg;
    assert_int_equal(write(desk->ends[1], "", 1), 1);
}

static void desk_open(struct desk *desk)
{
    *desk = (struct desk){.resolver = resolver_new(our_lookup)};
    mailbox_init(&desk->mailbox, wake, desk);
    assert_int_equal(pipe(desk->ends), 0);
    the_dns.lookups = 0;
}

static void desk_close(struct desk *desk)
{
    resolver_free(desk->resolver);
    mailbox_fini(&desk->mailbox);
    close(desk->ends[0]);
    close(desk->ends[1]);
}

// The caller frees the answer.
static struct resolution_mail *ask(struct desk *desk, int64_t keep_us, int64_t keep_failure_us)
{
    struct resolution_mail *q = mem_new(struct resolution_mail);
    char byte;
    q->answer = &desk->mailbox;
    q->host = mem_strdup("db.example");
    q->port = 5432;
    q->first_only = desk->first_only;
    q->keep_us = keep_us;
    q->keep_failure_us = keep_failure_us;
    resolver_ask(desk->resolver, q);
    assert_int_equal(read(desk->ends[0], &byte, 1), 1);
    return container_of(mailbox_take_all(&desk->mailbox), struct resolution_mail, mail);
}

static void expect(struct desk *desk, int64_t keep_us, const char *address)
{
    struct resolution_mail *q = ask(desk, keep_us, keep_us);
    char text[INET_ADDRSTRLEN] = "none";
    if (q->address.length > 0) {
        inet_ntop(AF_INET, &q->address.to.v4.sin_addr, text, sizeof(text));
        assert_int_equal(ntohs(q->address.to.v4.sin_port), 5432);
    }
    assert_string_equal(text, address);
    resolution_mail_free(q);
}

static const int64_t LONG_US = INT64_C(3600) * 1000000;

static void addresses_are_kept_and_take_turns(void **state)
{
    struct desk desk;
    desk_open(&desk);
    the_dns.addresses = "10.0.0.1 10.0.0.2";
    expect(&desk, LONG_US, "10.0.0.1");
    expect(&desk, LONG_US, "10.0.0.2");
    expect(&desk, LONG_US, "10.0.0.1");
    assert_int_equal(the_dns.lookups, 1);
    expect(&desk, 0, "10.0.0.2"); // too old for this asker
    assert_int_equal(the_dns.lookups, 2);
    desk.first_only = true;
    for (int i = 0; i < 3; i++)
        expect(&desk, LONG_US, "10.0.0.1");
    desk_close(&desk);
}

static void failures_are_kept_for_their_own_time(void **state)
{
    struct desk desk;
    desk_open(&desk);
    the_dns.addresses = NULL;
    expect(&desk, LONG_US, "none");
    the_dns.addresses = "10.0.0.1";
    struct resolution_mail *q = ask(&desk, 0, LONG_US);
    assert_int_equal(q->address.length, 0);
    assert_string_equal(q->problem, "db.example is not known");
    resolution_mail_free(q);
    assert_int_equal(the_dns.lookups, 1);
    q = ask(&desk, LONG_US, 0);
    assert_int_not_equal(q->address.length, 0);
    resolution_mail_free(q);
    desk_close(&desk);
}

static void a_change_is_seen_by_who_has_an_address(void **state)
{
    struct desk desk;
    desk_open(&desk);
    the_dns.addresses = "10.0.0.1 10.0.0.2";
    struct resolution_mail *first = ask(&desk, 0, 0), *second = ask(&desk, 0, 0);
    assert_int_equal(resolver_changes(first->name), 0); // the same ones again are no change
    the_dns.addresses = "10.0.0.2 10.0.0.3";
    expect(&desk, 0, "10.0.0.2");
    assert_int_equal(resolver_changes(first->name), first->changes + 1);
    assert_false(resolver_has(desk.resolver, first->name, &first->address));
    assert_true(resolver_has(desk.resolver, second->name, &second->address));
    the_dns.addresses = NULL; // that the name cannot be looked up says nothing about connections
    expect(&desk, 0, "none");
    assert_int_equal(resolver_changes(first->name), first->changes + 1);
    assert_true(resolver_has(desk.resolver, second->name, &second->address));
    resolution_mail_free(first);
    resolution_mail_free(second);
    desk_close(&desk);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(addresses_are_kept_and_take_turns),
        cmocka_unit_test(failures_are_kept_for_their_own_time),
        cmocka_unit_test(a_change_is_seen_by_who_has_an_address),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
