// SPDX-License-Identifier: Apache-2.0
#include "config/ldap_options.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/mem.h"
#include "config/option.h"

#define FAIL(...) (snprintf(why, why_bytes, __VA_ARGS__), false)

static void replace(char **text, char *with)
{
    if (*text != NULL) {
        explicit_bzero(*text, strlen(*text));
        mem_free(*text);
    }
    *text = with;
}

void ldap_options_fini(struct ldap_options *options)
{
    replace(&options->servers, NULL);
    replace(&options->prefix, NULL);
    replace(&options->suffix, NULL);
    replace(&options->base_dn, NULL);
    replace(&options->bind_dn, NULL);
    replace(&options->bind_password, NULL);
    replace(&options->search_attribute, NULL);
    replace(&options->search_filter, NULL);
    *options = (struct ldap_options){0};
}

// ---- ldapurl: ldap[s]://host[:port]/dn[?[attribute][?[scope][?[filter]]]] (RFC 4516)

static int hex(char c)
{
    return isdigit((unsigned char)c) ? c - '0' : tolower((unsigned char)c) - 'a' + 10;
}

// A part of a URL with its %XX taken apart; NULL: broken. Caller owns.
static char *decoded(const char *at, size_t n)
{
    char *text = mem_alloc(n + 1), *to = text;
    for (size_t i = 0; i < n; i++) {
        char c = at[i];
        if (c == '%') {
            bool ok = i + 2 < n && isxdigit((unsigned char)at[i + 1]) &&
                      isxdigit((unsigned char)at[i + 2]);
            c = ok ? (char)(hex(at[i + 1]) << 4 | hex(at[i + 2])) : '\0';
            i += 2;
        }
        if (c == '\0') {
            mem_free(text);
            return NULL;
        }
        *to++ = c;
    }
    *to = '\0';
    return text;
}

// False: broken. Nothing between the separators is nothing given.
static bool take_part(char **field, const char *at, size_t n)
{
    if (n == 0)
        return true;
    char *text = decoded(at, n);
    if (text == NULL)
        return false;
    replace(field, text);
    return true;
}

static bool take_scope(struct ldap_options *options, const char *at, size_t n)
{
    static const struct {
        const char *word;
        enum ldap_scope scope;
    } scopes[] = {
        {"", LDAP_OPTIONS_BASE},    {"base", LDAP_OPTIONS_BASE},
        {"one", LDAP_OPTIONS_ONE},  {"onelevel", LDAP_OPTIONS_ONE},
        {"sub", LDAP_OPTIONS_SUB},  {"subtree", LDAP_OPTIONS_SUB},
    };
    for (size_t i = 0; i < sizeof scopes / sizeof scopes[0]; i++) {
        if (strlen(scopes[i].word) != n || strncasecmp(scopes[i].word, at, n) != 0)
            continue;
        options->scope = scopes[i].scope;
        return true;
    }
    return false;
}

static bool read_port(const char *text, int *port)
{
    int64_t number;
    if (!isdigit((unsigned char)*text) || !option_read_count(text, &number) || number < 1 ||
        number > 65535)
        return false;
    *port = (int)number;
    return true;
}

// host, host:port, [::1] or [::1]:port
static bool take_host(struct ldap_options *options, const char *at, size_t n)
{
    const char *from = n > 0 && *at == '[' ? memchr(at, ']', n) : at;
    if (from == NULL)
        return false;
    const char *colon = memchr(from, ':', (size_t)(at + n - from));
    size_t host = colon != NULL ? (size_t)(colon - at) : n;
    if (colon != NULL && colon + 1 < at + n) {
        char port[8];
        if (at + n - colon - 1 >= (int)sizeof port)
            return false;
        snprintf(port, sizeof port, "%.*s", (int)(at + n - colon - 1), colon + 1);
        if (!read_port(port, &options->port))
            return false;
    }
    return take_part(&options->servers, at, host);
}

static bool read_url(struct ldap_options *options, const char *url)
{
    const char *host = strstr(url, "://") + 3;
    size_t n = strcspn(host, "/?");
    if (!take_host(options, host, n))
        return false;
    options->scope = LDAP_OPTIONS_BASE; // what a URL means when it does not say
    const char *at = host + n;
    if (*at != '/')
        return *at == '\0';
    for (int part = 0; *at != '\0'; part++) {
        const char *from = at + 1;
        // A filter goes on to the end of the fourth part.
        n = strcspn(from, "?");
        at = from + n;
        if (part == 0 && !take_part(&options->base_dn, from, n))
            return false;
        if (part == 1 && !take_part(&options->search_attribute, from, strcspn(from, ",?")))
            return false; // of several the first one counts
        if (part == 2 && !take_scope(options, from, n))
            return false;
        if (part == 3 && !take_part(&options->search_filter, from, n))
            return false;
        if (part > 3)
            return false; // extensions, which may be critical
    }
    return true;
}

static bool set_url(struct ldap_options *options, const char *value, char *why, size_t why_bytes)
{
    const char *end = strstr(value, "://");
    size_t n = end != NULL ? (size_t)(end - value) : 0;
    if (n == 4 && strncasecmp(value, "ldap", n) == 0)
        options->ldaps = false;
    else if (n == 5 && strncasecmp(value, "ldaps", n) == 0)
        options->ldaps = true;
    else if (n > 0)
        return FAIL("unsupported LDAP URL scheme: %.*s", (int)n, value);
    if (n == 0 || !read_url(options, value))
        return FAIL("could not parse LDAP URL \"%s\"", value);
    return true;
}

// ---- options by name

static bool set_scheme(struct ldap_options *options, const char *value, char *why,
                       size_t why_bytes)
{
    if (strcmp(value, "ldap") != 0 && strcmp(value, "ldaps") != 0)
        return FAIL("invalid ldapscheme value: \"%s\"", value);
    options->ldaps = strcmp(value, "ldaps") == 0;
    return true;
}

static bool set_port(struct ldap_options *options, const char *value, char *why, size_t why_bytes)
{
    return read_port(value, &options->port) || FAIL("invalid LDAP port number: \"%s\"", value);
}

static bool set_tls(struct ldap_options *options, const char *value, char *why, size_t why_bytes)
{
    if (strcmp(value, "0") != 0 && strcmp(value, "1") != 0)
        return FAIL("invalid ldaptls value: \"%s\"", value);
    options->start_tls = *value == '1';
    return true;
}

static const struct {
    const char *name;
    size_t text; // of which field, or
    bool (*set)(struct ldap_options *options, const char *value, char *why, size_t why_bytes);
} names[] = {
    {"ldapserver", offsetof(struct ldap_options, servers), NULL},
    {"ldapport", 0, set_port},
    {"ldapscheme", 0, set_scheme},
    {"ldaptls", 0, set_tls},
    {"ldapprefix", offsetof(struct ldap_options, prefix), NULL},
    {"ldapsuffix", offsetof(struct ldap_options, suffix), NULL},
    {"ldapbasedn", offsetof(struct ldap_options, base_dn), NULL},
    {"ldapbinddn", offsetof(struct ldap_options, bind_dn), NULL},
    {"ldapbindpasswd", offsetof(struct ldap_options, bind_password), NULL},
    {"ldapsearchattribute", offsetof(struct ldap_options, search_attribute), NULL},
    {"ldapsearchfilter", offsetof(struct ldap_options, search_filter), NULL},
    {"ldapurl", 0, set_url},
};

bool ldap_options_set(struct ldap_options *options, const char *name, const char *value,
                      char *why, size_t why_bytes)
{
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (strcmp(names[i].name, name) != 0)
            continue;
        if (names[i].set != NULL)
            return names[i].set(options, value, why, why_bytes);
        char **field = (char **)(void *)((char *)options + names[i].text);
        replace(field, *value != '\0' ? mem_strdup(value) : NULL);
        return true;
    }
    return FAIL("unrecognized authentication option name: \"%s\"", name);
}

bool ldap_options_complete(const struct ldap_options *options, char *why, size_t why_bytes)
{
    bool composed = options->prefix != NULL || options->suffix != NULL;
    bool searched = options->base_dn != NULL || options->bind_dn != NULL ||
                    options->bind_password != NULL || options->search_attribute != NULL ||
                    options->search_filter != NULL;
    if (composed && searched)
        return FAIL("cannot use ldapbasedn, ldapbinddn, ldapbindpasswd, ldapsearchattribute, "
                    "ldapsearchfilter, or ldapurl together with ldapprefix");
    if (!composed && options->base_dn == NULL)
        return FAIL("authentication method \"ldap\" requires argument \"ldapbasedn\", "
                    "\"ldapprefix\", or \"ldapsuffix\" to be set");
    if (options->search_attribute != NULL && options->search_filter != NULL)
        return FAIL("cannot use ldapsearchattribute together with ldapsearchfilter");
    if (options->servers == NULL && options->base_dn == NULL)
        return FAIL("LDAP server not specified, and no ldapbasedn");
    if (options->ldaps && options->start_tls)
        return FAIL("cannot use ldaptls together with the scheme ldaps");
    return true;
}

// ---- all in one text

// The next "name=value" without its quotes; *at: behind it. NULL: no more, or *broken. Caller owns.
static char *take_word(const char **at, bool *broken)
{
    const char *from = *at + strspn(*at, " \t,");
    if (*from == '\0')
        return NULL;
    char *word = mem_alloc(strlen(from) + 1), *to = word;
    bool quoted = false;
    for (; *from != '\0' && (quoted || strchr(" \t,", *from) == NULL); from++) {
        if (*from != '"')
            *to++ = *from;
        else if (quoted && from[1] == '"')
            *to++ = *from++;
        else
            quoted = !quoted;
    }
    *to = '\0';
    *at = from;
    if (!quoted)
        return word;
    *broken = true;
    replace(&word, NULL);
    return NULL;
}

bool ldap_options_read(struct ldap_options *options, const char *text, char *why,
                       size_t why_bytes)
{
    bool broken = false, ok = true;
    char *word;
    while (ok && (word = take_word(&text, &broken)) != NULL) {
        char *equals = strchr(word, '=');
        if (equals == NULL) {
            ok = FAIL("authentication option not in name=value format: %s", word);
        } else {
            *equals = '\0';
            ok = ldap_options_set(options, word, equals + 1, why, why_bytes);
        }
        explicit_bzero(word, strlen(word));
        replace(&word, NULL);
    }
    if (broken)
        return FAIL("a quotation mark is missing");
    return ok && ldap_options_complete(options, why, why_bytes);
}

void ldap_options_print(const char *text, struct buf *out)
{
    static const char secret[] = "ldapbindpasswd=";
    bool broken = false;
    char *word;
    const char *at = text, *from = text;
    while ((word = take_word(&at, &broken)) != NULL) {
        from += strspn(from, " \t,");
        if (strncmp(word, secret, sizeof secret - 1) == 0)
            buf_printf(out, "%s***", secret);
        else
            buf_bytes(out, from, (size_t)(at - from));
        if (*(from = at) != '\0')
            buf_u8(out, ' ');
        replace(&word, NULL);
    }
}
