// SPDX-License-Identifier: Apache-2.0
#include "proxy/login/ldap_login.h"

#include <ldap.h>
#include <pthread.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "config/ldap_options.h"
#include "proxy/login/ldap_text.h"

struct asking {
    const struct ldap_options *options;
    const char *servers; // for the log
    int64_t until_us;
    LDAP *ldap;          // owns
};

// What is left; never zero, which would mean "for ever" or "do not wait at all".
static struct timeval time_left(const struct asking *a)
{
    int64_t left = a->until_us - clock_us();
    if (left < 1000)
        left = 1000;
    return (struct timeval){.tv_sec = left / 1000000, .tv_usec = left % 1000000};
}

// A wrong password, or a name that is none: the user's fault. All else is the directory's.
static enum check_verdict verdict_of(int code)
{
    switch (code) {
    case LDAP_SUCCESS:
        return CHECK_PASSED;
    case LDAP_INVALID_CREDENTIALS:
    case LDAP_NO_SUCH_OBJECT:
    case LDAP_INVALID_DN_SYNTAX:
    case LDAP_INAPPROPRIATE_AUTH:
    case LDAP_INSUFFICIENT_ACCESS:
    case LDAP_CONSTRAINT_VIOLATION:
    case LDAP_UNWILLING_TO_PERFORM:
        return CHECK_REFUSED;
    }
    return CHECK_FAILED;
}

static void hang_up(struct asking *a)
{
    if (a->ldap != NULL)
        ldap_unbind_ext_s(a->ldap, NULL, NULL);
    a->ldap = NULL;
}

// ---- the connection

static void add_uri(struct buf *uris, const struct ldap_options *options, const char *host,
                    size_t n, bool with_port)
{
    if (uris->len > 0)
        buf_u8(uris, ' ');
    buf_put(uris, slice_str(options->ldaps ? "ldaps://" : "ldap://"));
    buf_bytes(uris, host, n);
    if (with_port)
        buf_printf(uris, ":%d",
                   options->port != 0 ? options->port
                   : options->ldaps   ? LDAPS_PORT
                                      : LDAP_PORT);
}

// The servers of the options; without any, those that DNS has for the domain (dc=a,dc=b) in the
// base DN, which come with their ports.
static bool list_uris(const struct asking *a, struct buf *uris)
{
    const struct ldap_options *options = a->options;
    char *domain = NULL, *found = NULL;
    const char *hosts = options->servers;
    if (hosts == NULL) {
        if (ldap_dn2domain(options->base_dn, &domain) != 0 || domain == NULL) {
            log_warning("could not extract domain name from ldapbasedn");
            return false;
        }
        if (ldap_domain2hostlist(domain, &found) != 0) {
            log_warning("LDAP authentication could not find DNS SRV records for \"%s\"", domain);
            ldap_memfree(domain);
            return false;
        }
        ldap_memfree(domain);
        hosts = found;
    }
    for (const char *at = hosts + strspn(hosts, " "); *at != '\0'; at += strspn(at, " ")) {
        size_t n = strcspn(at, " ");
        add_uri(uris, options, at, n, found == NULL);
        at += n;
    }
    buf_u8(uris, '\0');
    ldap_memfree(found);
    return true;
}

// The library makes its global options ready at its first use: two threads may not do so at once.
static void begin_library(void)
{
    int version;
    ldap_get_option(NULL, LDAP_OPT_PROTOCOL_VERSION, &version);
}

static bool call(struct asking *a)
{
    static pthread_once_t begun = PTHREAD_ONCE_INIT;
    pthread_once(&begun, begin_library);
    struct buf uris = {0};
    if (!list_uris(a, &uris)) {
        buf_fini(&uris);
        return false;
    }
    int version = LDAP_VERSION3;
    struct timeval left = time_left(a);
    int code = ldap_initialize(&a->ldap, (const char *)uris.at);
    buf_fini(&uris);
    if (code != LDAP_SUCCESS) {
        log_warning("could not initialize LDAP: %s", ldap_err2string(code));
        a->ldap = NULL;
        return false;
    }
    ldap_set_option(a->ldap, LDAP_OPT_PROTOCOL_VERSION, &version);
    ldap_set_option(a->ldap, LDAP_OPT_NETWORK_TIMEOUT, &left);
    ldap_set_option(a->ldap, LDAP_OPT_TIMEOUT, &left);
    ldap_set_option(a->ldap, LDAP_OPT_RESTART, LDAP_OPT_ON); // signals are not ours
    if (!a->options->start_tls)
        return true;
    code = ldap_start_tls_s(a->ldap, NULL, NULL);
    if (code == LDAP_SUCCESS)
        return true;
    log_warning("could not start LDAP TLS session: %s, server: %s", ldap_err2string(code),
                a->servers);
    hang_up(a);
    return false;
}

// ---- requests and their answers

// The answer to request `id`; LDAP_SUCCESS or why not. *result is the caller's when it is not NULL.
static int await(struct asking *a, int id, LDAPMessage **result)
{
    struct timeval left = time_left(a);
    LDAPMessage *got = NULL;
    int code = LDAP_SUCCESS;
    int type = ldap_result(a->ldap, id, LDAP_MSG_ALL, &left, &got);
    if (type == 0) {
        ldap_abandon_ext(a->ldap, id, NULL, NULL);
        return LDAP_TIMEOUT;
    }
    if (type < 0) {
        ldap_get_option(a->ldap, LDAP_OPT_RESULT_CODE, &code);
        ldap_msgfree(got);
        return code != LDAP_SUCCESS ? code : LDAP_OTHER;
    }
    int parsed = ldap_parse_result(a->ldap, got, &code, NULL, NULL, NULL, NULL, 0);
    if (result != NULL)
        *result = got;
    else
        ldap_msgfree(got);
    return parsed != LDAP_SUCCESS ? parsed : code;
}

static int bind_as(struct asking *a, const char *dn, const char *password)
{
    struct berval secret = {.bv_val = (char *)(uintptr_t)password, .bv_len = strlen(password)};
    int id;
    int code = ldap_sasl_bind(a->ldap, dn, LDAP_SASL_SIMPLE, &secret, NULL, NULL, &id);
    return code == LDAP_SUCCESS ? await(a, id, NULL) : code;
}

static const char *or_empty(const char *text)
{
    return text != NULL ? text : "";
}

// ---- search

// The one entry's name, appended with a NUL.
// cut: the directory did not give all that it found.
static enum check_verdict take_dn(struct asking *a, LDAPMessage *result, bool cut,
                                  const char *filter, const char *user, struct buf *dn)
{
    int count = ldap_count_entries(a->ldap, result);
    if (count == 0 && !cut) {
        log_warning("LDAP user \"%s\" does not exist", user);
        log_warning("LDAP search for filter \"%s\" on server \"%s\" returned no entries.", filter,
                    a->servers);
        return CHECK_REFUSED;
    }
    if (count != 1 || cut) {
        log_warning("LDAP user \"%s\" is not unique", user);
        log_warning("LDAP search for filter \"%s\" on server \"%s\" returned several entries.",
                    filter, a->servers);
        return CHECK_REFUSED;
    }
    char *name = ldap_get_dn(a->ldap, ldap_first_entry(a->ldap, result));
    // Without a name a bind would be anonymous, and every password right.
    bool ok = name != NULL && name[0] != '\0';
    if (ok)
        buf_cstr(dn, name);
    else
        log_warning("could not get dn for the first entry matching \"%s\" on server \"%s\"",
                    filter, a->servers);
    ldap_memfree(name);
    return ok ? CHECK_PASSED : CHECK_REFUSED;
}

static int scope_of(enum ldap_scope scope)
{
    switch (scope) {
    case LDAP_OPTIONS_SUB:
        return LDAP_SCOPE_SUBTREE;
    case LDAP_OPTIONS_ONE:
        return LDAP_SCOPE_ONELEVEL;
    case LDAP_OPTIONS_BASE:
        return LDAP_SCOPE_BASE;
    }
    return LDAP_SCOPE_SUBTREE;
}

static enum check_verdict search(struct asking *a, const char *user, struct buf *dn)
{
    const struct ldap_options *options = a->options;
    const char *binddn = or_empty(options->bind_dn);
    int code = bind_as(a, binddn, or_empty(options->bind_password));
    if (code != LDAP_SUCCESS) {
        log_warning("could not perform initial LDAP bind for ldapbinddn \"%s\" on server \"%s\": "
                    "%s", binddn, a->servers, ldap_err2string(code));
        return CHECK_FAILED;
    }
    struct buf filter = {0};
    ldap_text_filter(options, user, &filter);
    const char *text = (const char *)filter.at;
    char nothing[] = LDAP_NO_ATTRS;
    char *attributes[] = {nothing, NULL};
    struct timeval left = time_left(a);
    LDAPMessage *result = NULL;
    int id;
    enum { ENTRIES_MAX = 2 }; // enough to know that there is more than one
    code = ldap_search_ext(a->ldap, options->base_dn, scope_of(options->scope), text, attributes,
                           0, NULL, NULL, &left, ENTRIES_MAX, &id);
    if (code == LDAP_SUCCESS)
        code = await(a, id, &result);
    enum check_verdict verdict = CHECK_FAILED;
    if (result != NULL && (code == LDAP_SUCCESS || code == LDAP_SIZELIMIT_EXCEEDED))
        verdict = take_dn(a, result, code == LDAP_SIZELIMIT_EXCEEDED, text, user, dn);
    else
        log_warning("could not search LDAP for filter \"%s\" on server \"%s\": %s", text,
                    a->servers, ldap_err2string(code));
    ldap_msgfree(result);
    buf_fini(&filter);
    return verdict;
}

// ---- the whole

static enum check_verdict find_name(struct asking *a, const char *user, struct buf *dn)
{
    if (a->options->base_dn == NULL) {
        if (ldap_text_name(a->options, user, dn))
            return CHECK_PASSED;
        log_warning("invalid character in user name for LDAP authentication");
        return CHECK_REFUSED;
    }
    enum check_verdict verdict = call(a) ? search(a, user, dn) : CHECK_FAILED;
    hang_up(a); // nothing of the search's rights is left when the user's password comes
    return verdict;
}

enum check_verdict ldap_login_check(const struct ldap_options *options, const char *user,
                                    const char *password, int64_t until_us)
{
    // A name without a password is an "unauthenticated" bind, which succeeds (RFC 4513, 5.1.2).
    if (password[0] == '\0' || user[0] == '\0')
        return CHECK_REFUSED;
    struct asking a = {.options = options,
                       .servers = options->servers ? options->servers : options->base_dn,
                       .until_us = until_us};
    struct buf dn = {0};
    enum check_verdict verdict = find_name(&a, user, &dn);
    if (verdict == CHECK_PASSED && !call(&a))
        verdict = CHECK_FAILED;
    if (verdict == CHECK_PASSED) {
        int code = bind_as(&a, (const char *)dn.at, password);
        verdict = verdict_of(code);
        if (code != LDAP_SUCCESS)
            log_warning("LDAP login failed for user \"%s\" on server \"%s\": %s",
                        (const char *)dn.at, a.servers, ldap_err2string(code));
    }
    hang_up(&a);
    buf_fini(&dn);
    return verdict;
}
