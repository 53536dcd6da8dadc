// SPDX-License-Identifier: Apache-2.0
#include "base/mailbox.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>
#include <sys/eventfd.h>

enum { POSTERS = 4, EACH = 20000 };

struct letter {
    struct mail mail; // first; kind: the poster
    int number;
};

static void count_wake(void *arg)
{
    ++*(int *)arg;
}

static void test_order_and_wakes(void **state)
{
    int wakes = 0;
    struct mailbox box;
    mailbox_init(&box, count_wake, &wakes);
    assert_null(mailbox_take_all(&box));
    struct mail mails[3] = {{.kind = 0}, {.kind = 1}, {.kind = 2}};
    for (int i = 0; i < 3; i++)
        mailbox_post(&box, &mails[i]);
    assert_int_equal(wakes, 1); // only the first one found it empty
    struct mail *m = mailbox_take_all(&box);
    for (int i = 0; i < 3; i++, m = m->next)
        assert_ptr_equal(m, &mails[i]);
    assert_null(m);
    assert_null(mailbox_take_all(&box));
    mailbox_post(&box, &mails[1]); // a mail may be used again
    assert_int_equal(wakes, 2);
    m = mailbox_take_all(&box);
    assert_ptr_equal(m, &mails[1]);
    assert_null(m->next);
    mailbox_fini(&box);
}

struct office {
    struct mailbox box;
    int event;
    struct letter letters[POSTERS][EACH];
};

static void wake_event(void *arg)
{
    struct office *office = arg;
    eventfd_write(office->event, 1);
}

struct poster {
    struct office *office;
    int number;
};

static void *post_all(void *arg)
{
    struct poster *poster = arg;
    for (int i = 0; i < EACH; i++) {
        struct letter *letter = &poster->office->letters[poster->number][i];
        letter->mail.kind = poster->number;
        letter->number = i;
        mailbox_post(&poster->office->box, &letter->mail);
    }
    return NULL;
}

// Woken only by the wakes: every letter arrives, those of one poster in order.
static void test_posters_on_threads(void **state)
{
    struct office *office = calloc(1, sizeof(*office));
    office->event = eventfd(0, 0);
    mailbox_init(&office->box, wake_event, office);
    pthread_t threads[POSTERS];
    struct poster posters[POSTERS];
    for (int i = 0; i < POSTERS; i++) {
        posters[i] = (struct poster){.office = office, .number = i};
        assert_int_equal(pthread_create(&threads[i], NULL, post_all, &posters[i]), 0);
    }
    int next[POSTERS] = {0}, left = POSTERS * EACH;
    alarm(60); // a lost wake would wait for ever
    while (left > 0) {
        eventfd_t wakes;
        eventfd_read(office->event, &wakes);
        for (struct mail *m = mailbox_take_all(&office->box); m != NULL; m = m->next) {
            assert_int_equal(((struct letter *)m)->number, next[m->kind]++);
            left--;
        }
    }
    alarm(0);
    for (int i = 0; i < POSTERS; i++)
        pthread_join(threads[i], NULL);
    assert_null(mailbox_take_all(&office->box));
    mailbox_fini(&office->box);
    close(office->event);
    free(office);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_order_and_wakes),
        cmocka_unit_test(test_posters_on_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
