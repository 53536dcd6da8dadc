// SPDX-License-Identifier: Apache-2.0
// Questions, threads, turns. The services are ours: "slow" ones answer when they are let.
#include "proxy/login/checker.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/mailbox.h"
#include "base/mem.h"
#include "config/ldap_options.h"

static struct {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    int begun;      // questions that reached a service
    int let;        // slow answers that may be given
    char order[400]; // users, in the order in which they were asked for
} the_services = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};

static void our_run(struct check *check)
{
    pthread_mutex_lock(&the_services.lock);
    the_services.begun++;
    strcat(strcat(the_services.order, check->user), " ");
    pthread_cond_broadcast(&the_services.changed);
    while (check->method == CHECK_PAM && the_services.let == 0)
        pthread_cond_wait(&the_services.changed, &the_services.lock);
    the_services.let -= check->method == CHECK_PAM;
    pthread_mutex_unlock(&the_services.lock);
    check->verdict = strcmp(check->password, "right") == 0 ? CHECK_PASSED : CHECK_REFUSED;
}

static void let(int slow_answers)
{
    pthread_mutex_lock(&the_services.lock);
    the_services.let += slow_answers;
    pthread_cond_broadcast(&the_services.changed);
    pthread_mutex_unlock(&the_services.lock);
}

static void wait_begun(int questions)
{
    pthread_mutex_lock(&the_services.lock);
    while (the_services.begun < questions)
        pthread_cond_wait(&the_services.changed, &the_services.lock);
    assert_int_equal(the_services.begun, questions);
    pthread_mutex_unlock(&the_services.lock);
}

struct desk {
    struct checker *checker;
    struct mailbox mailbox;
    int ends[2]; // a pipe: an answer came
    uint64_t last_client;
    struct ldap_options directory;
    int threads, queue;
};

struct question {
    struct check check;
    struct mail mail;
    struct mailbox *answer;
};

static void drop(struct question *question)
{
    check_fini(&question->check);
    mem_free(question);
}

static void give_back(struct check *check, bool wanted)
{
    struct question *question = container_of(check, struct question, check);
    if (wanted)
        mailbox_post(question->answer, &question->mail);
    else
        drop(question);
}

static void wake(void *arg)
{
    struct desk *desk = arg;
    assert_int_equal(write(desk->ends[1], "", 1), 1);
}

static void desk_open(struct desk *desk, int threads, int queue)
{
    *desk = (struct desk){
        .checker = checker_new(our_run), .threads = threads, .queue = queue};
    desk->directory.servers = (char *)(uintptr_t)"directory";
    mailbox_init(&desk->mailbox, wake, desk);
    assert_int_equal(pipe(desk->ends), 0);
    the_services.begun = the_services.let = 0;
    the_services.order[0] = '\0';
}

static void desk_close(struct desk *desk)
{
    assert_int_equal(checker_stop(&desk->checker), 0);
    assert_null(mailbox_take_all(&desk->mailbox));
    mailbox_fini(&desk->mailbox);
    close(desk->ends[0]);
    close(desk->ends[1]);
}

static enum checker_answer ask(struct desk *desk, enum check_method method, const char *user,
                               const char *password, uint64_t place)
{
    struct question *question = mem_new(struct question);
    struct check *check = &question->check;
    question->answer = &desk->mailbox;
    check->back = give_back;
    check->client = ++desk->last_client;
    check->method = method;
    check->user = mem_strdup(user);
    check->password = mem_strdup(password);
    check->place = place;
    check->ldap = &desk->directory;
    enum checker_answer answer = checker_ask(desk->checker, check, desk->threads, desk->queue);
    if (answer != CHECKER_ASKED)
        drop(question);
    return answer;
}

// The next answers, at least one; the number of them. *client, *verdict: of the last one.
static int answers(struct desk *desk, uint64_t *client, enum check_verdict *verdict)
{
    char byte;
    int count = 0;
    assert_int_equal(read(desk->ends[0], &byte, 1), 1);
    for (struct mail *m = mailbox_take_all(&desk->mailbox), *next; m != NULL; m = next) {
        struct question *question = container_of(m, struct question, mail);
        next = m->next;
        *client = question->check.client;
        *verdict = question->check.verdict;
        drop(question);
        count++;
    }
    return count;
}

static void await(struct desk *desk, int count)
{
    uint64_t client;
    enum check_verdict verdict;
    while (count > 0)
        count -= answers(desk, &client, &verdict);
    assert_int_equal(count, 0);
}

static void answers_come_back(void **state)
{
    struct desk desk;
    uint64_t client;
    enum check_verdict verdict;
    desk_open(&desk, 2, 10);
    assert_int_equal(ask(&desk, CHECK_LDAP, "ann", "right", 1), CHECKER_ASKED);
    assert_int_equal(answers(&desk, &client, &verdict), 1);
    assert_int_equal(client, 1);
    assert_int_equal(verdict, CHECK_PASSED);
    assert_int_equal(ask(&desk, CHECK_LDAP, "ann", "wrong", 1), CHECKER_ASKED);
    assert_int_equal(answers(&desk, &client, &verdict), 1);
    assert_int_equal(client, 2);
    assert_int_equal(verdict, CHECK_REFUSED);
    assert_int_equal(checker_pending(desk.checker), 0);
    desk_close(&desk);
}

static void a_slow_service_holds_up_no_other(void **state)
{
    struct desk desk;
    desk_open(&desk, 2, 10);
    ask(&desk, CHECK_PAM, "a", "right", 1);
    ask(&desk, CHECK_PAM, "b", "right", 2);
    ask(&desk, CHECK_PAM, "c", "right", 3);
    wait_begun(2);
    for (int i = 0; i < 5; i++) {
        ask(&desk, CHECK_LDAP, "d", "right", 4);
        await(&desk, 1);
    }
    assert_int_equal(checker_pending(desk.checker), 3);
    let(3);
    await(&desk, 3);
    desk_close(&desk);
}

static void the_queue_is_bounded(void **state)
{
    struct desk desk;
    desk_open(&desk, 1, 6);
    ask(&desk, CHECK_PAM, "busy", "right", 100);
    wait_begun(1);
    // Half of it at most for one place, and for one user.
    for (int i = 0; i < 3; i++) {
        char user[] = {(char)('a' + i), '\0'};
        assert_int_equal(ask(&desk, CHECK_PAM, user, "right", 1), CHECKER_ASKED);
    }
    assert_int_equal(ask(&desk, CHECK_PAM, "d", "right", 1), CHECKER_PLACE_FULL);
    assert_int_equal(ask(&desk, CHECK_PAM, "a", "right", 2), CHECKER_ASKED);
    assert_int_equal(ask(&desk, CHECK_PAM, "a", "right", 3), CHECKER_ASKED);
    assert_int_equal(ask(&desk, CHECK_PAM, "a", "right", 4), CHECKER_USER_FULL);
    assert_int_equal(ask(&desk, CHECK_PAM, "e", "right", 5), CHECKER_ASKED);
    assert_int_equal(ask(&desk, CHECK_PAM, "f", "right", 6), CHECKER_FULL);
    // Of this service only.
    assert_int_equal(ask(&desk, CHECK_LDAP, "f", "right", 6), CHECKER_ASKED);
    await(&desk, 1);
    let(7);
    await(&desk, 7);
    desk_close(&desk);
}

// Ten times: a thread too many would not always be quick enough to be seen.
static void the_last_thread_is_for_others(void **state)
{
    for (int round = 0; round < 10; round++) {
        struct desk desk;
        desk_open(&desk, 3, 20);
        for (int i = 0; i < 5; i++) {
            char user[] = {(char)('a' + i), '\0'};
            ask(&desk, CHECK_PAM, user, "right", 1);
        }
        wait_begun(2);
        ask(&desk, CHECK_PAM, "z", "right", 2);
        wait_begun(3);
        assert_string_equal(the_services.order + 4, "z ");
        let(6);
        await(&desk, 6);
        desk_close(&desk);
    }
}

static void who_has_least_is_next(void **state)
{
    struct desk desk;
    desk_open(&desk, 3, 20);
    ask(&desk, CHECK_PAM, "a", "right", 1);
    ask(&desk, CHECK_PAM, "b", "right", 1);
    wait_begun(2);
    ask(&desk, CHECK_PAM, "x", "right", 9);
    wait_begun(3); // all threads are at work, two of them for place 1
    ask(&desk, CHECK_PAM, "c", "right", 1);
    ask(&desk, CHECK_PAM, "d", "right", 2);
    let(1); // whichever it is: place 1 has another one under way
    wait_begun(4);
    assert_string_equal(the_services.order + 6, "d ");
    let(4);
    await(&desk, 5);
    desk_close(&desk);
}

static void who_is_forgotten_hears_nothing(void **state)
{
    struct desk desk;
    uint64_t client;
    enum check_verdict verdict;
    desk_open(&desk, 1, 10);
    ask(&desk, CHECK_PAM, "a", "right", 1);
    wait_begun(1);
    ask(&desk, CHECK_PAM, "b", "right", 1);
    ask(&desk, CHECK_PAM, "c", "right", 1);
    assert_true(checker_forget(desk.checker, 2)); // waits: is never asked
    assert_true(checker_forget(desk.checker, 1)); // is being asked: its answer goes nowhere
    let(2);
    assert_int_equal(answers(&desk, &client, &verdict), 1);
    assert_int_equal(client, 3);
    assert_string_equal(the_services.order, "a c ");
    assert_false(checker_forget(desk.checker, 3)); // has its answer
    desk_close(&desk);
}

static void the_end_waits_for_nobody(void **state)
{
    struct desk desk;
    desk_open(&desk, 2, 10);
    ask(&desk, CHECK_LDAP, "d", "right", 4);
    await(&desk, 1); // its thread rests now
    ask(&desk, CHECK_PAM, "a", "right", 1);
    wait_begun(2);
    ask(&desk, CHECK_PAM, "b", "right", 1);
    assert_int_equal(checker_stop(&desk.checker), 1);
    assert_null(desk.checker);
    let(1); // its thread is alone with its memory
    assert_null(mailbox_take_all(&desk.mailbox));
    mailbox_fini(&desk.mailbox);
    close(desk.ends[0]);
    close(desk.ends[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers_come_back),
        cmocka_unit_test(a_slow_service_holds_up_no_other),
        cmocka_unit_test(the_queue_is_bounded),
        cmocka_unit_test(the_last_thread_is_for_others),
        cmocka_unit_test(who_has_least_is_next),
        cmocka_unit_test(who_is_forgotten_hears_nothing),
        cmocka_unit_test(the_end_waits_for_nobody),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
