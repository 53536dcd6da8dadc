// SPDX-License-Identifier: Apache-2.0
#include "proxy/login/pam_login.h"

#include <pthread.h>
#include <security/pam_appl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "proxy/login/secret.h"

enum { DELAY_US_MAX = 10 * 1000 * 1000 };

struct conversation {
    const char *password;
    int64_t delay_us;
};

static void forget(struct pam_response *replies, int count)
{
    for (int i = 0; i < count; i++) {
        if (replies[i].resp == NULL)
            continue;
        secret_wipe(replies[i].resp, strlen(replies[i].resp));
        free(replies[i].resp);
    }
    free(replies);
}

// Only the question for a password has an answer here. The replies are the library's to free.
static bool reply(const struct conversation *talk, const struct pam_message *message,
                  struct pam_response *response)
{
    const char *text = message->msg != NULL ? message->msg : "";
    switch (message->msg_style) {
    case PAM_PROMPT_ECHO_OFF:
        response->resp = strdup(talk->password);
        return response->resp != NULL;
    case PAM_ERROR_MSG:
        log_warning("PAM error: %s", text);
        return true;
    case PAM_TEXT_INFO:
        log_debug("PAM: %s", text);
        return true;
    }
    log_warning("PAM asks for something that is no password: \"%s\"", text);
    return false;
}

static int converse(int count, const struct pam_message **messages,
                    struct pam_response **responses, void *arg)
{
    if (count < 1 || count > PAM_MAX_NUM_MSG)
        return PAM_CONV_ERR;
    struct pam_response *replies = calloc((size_t)count, sizeof *replies);
    if (replies == NULL)
        return PAM_BUF_ERR;
    for (int i = 0; i < count; i++) {
        if (reply(arg, messages[i], &replies[i]))
            continue;
        forget(replies, count);
        return PAM_CONV_ERR;
    }
    *responses = replies;
    return PAM_SUCCESS;
}

// Called by the library instead of sleeping.
static void note_delay(int code, unsigned delay_us, void *arg)
{
    struct conversation *talk = arg;
    if (code != PAM_SUCCESS)
        talk->delay_us = delay_us < DELAY_US_MAX ? delay_us : DELAY_US_MAX;
}

static bool is_refusal(int code)
{
    switch (code) {
    case PAM_AUTH_ERR:
    case PAM_USER_UNKNOWN:
    case PAM_MAXTRIES:
    case PAM_ACCT_EXPIRED:
    case PAM_NEW_AUTHTOK_REQD:
    case PAM_PERM_DENIED:
    case PAM_CRED_EXPIRED:
    case PAM_AUTHTOK_EXPIRED:
    case PAM_CRED_INSUFFICIENT:
        return true;
    }
    return false;
}

static int step(const char *what, pam_handle_t *pam, int code)
{
    if (code != PAM_SUCCESS)
        log_warning("%s failed: %s", what, pam_strerror(pam, code));
    return code;
}

// The function is handed over where a data pointer is asked for.
static int take_delays(pam_handle_t *pam)
{
    union {
        void (*function)(int, unsigned, void *);
        const void *item;
    } both = {.function = note_delay};
    return pam_set_item(pam, PAM_FAIL_DELAY, both.item);
}

static int ask(pam_handle_t *pam, const char *from)
{
    int code = PAM_SUCCESS;
    if (from[0] != '\0')
        code = step("pam_set_item(PAM_RHOST)", pam, pam_set_item(pam, PAM_RHOST, from));
    if (code == PAM_SUCCESS)
        code = step("pam_set_item(PAM_FAIL_DELAY)", pam, take_delays(pam));
    int flags = PAM_SILENT | PAM_DISALLOW_NULL_AUTHTOK;
    if (code == PAM_SUCCESS)
        code = step("pam_authenticate()", pam, pam_authenticate(pam, flags));
    if (code == PAM_SUCCESS)
        code = step("pam_acct_mgmt()", pam, pam_acct_mgmt(pam, flags));
    return code;
}

// Our threads have signals blocked that main takes, and its handlers: what a module starts is to be
// ended as any other program. Runs in the child.
static void let_signals_in(void)
{
    sigset_t none;
    for (int number = 1; number < NSIG; number++)
        signal(number, SIG_DFL); // not of those that cannot be
    sigemptyset(&none);
    pthread_sigmask(SIG_SETMASK, &none, NULL);
}

static void see_to_children(void)
{
    pthread_atfork(NULL, NULL, let_signals_in);
}

enum check_verdict pam_login_check(const char *service, const char *directory, const char *user,
                                   const char *password, const char *from, int64_t *delay_us)
{
    struct conversation talk = {.password = password};
    struct pam_conv conv = {.conv = converse, .appdata_ptr = &talk};
    pam_handle_t *pam = NULL;
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, see_to_children);
    *delay_us = 0;
    if (password[0] == '\0' || user[0] == '\0')
        return CHECK_REFUSED;
    int code = directory[0] != '\0' ? pam_start_confdir(service, user, &conv, directory, &pam)
                                    : pam_start(service, user, &conv, &pam);
    if (step("pam_start()", NULL, code) != PAM_SUCCESS)
        return CHECK_FAILED;
    code = ask(pam, from);
    int ended = pam_end(pam, code);
    if (ended != PAM_SUCCESS)
        log_warning("pam_end() failed: %s", pam_strerror(NULL, ended));
    *delay_us = talk.delay_us;
    return code == PAM_SUCCESS ? CHECK_PASSED : is_refusal(code) ? CHECK_REFUSED : CHECK_FAILED;
}
