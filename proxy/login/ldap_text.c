// SPDX-License-Identifier: Apache-2.0
#include "proxy/login/ldap_text.h"

#include <string.h>

#include "config/ldap_options.h"

static const char placeholder[] = "$username"; // as in PostgreSQL

static void in_filter(struct buf *out, const char *user)
{
    for (; *user != '\0'; user++) {
        if (strchr("*()\\", *user) != NULL)
            buf_printf(out, "\\%02x", (unsigned char)*user);
        else
            buf_u8(out, (uint8_t)*user);
    }
}

void ldap_text_filter(const struct ldap_options *options, const char *user, struct buf *out)
{
    const char *rest = options->search_filter;
    if (rest == NULL) {
        const char *attribute = options->search_attribute;
        buf_u8(out, '(');
        buf_put(out, slice_str(attribute != NULL ? attribute : "uid"));
        buf_u8(out, '=');
        in_filter(out, user);
        buf_cstr(out, ")");
        return;
    }
    const char *at;
    while ((at = strstr(rest, placeholder)) != NULL) {
        buf_bytes(out, rest, (size_t)(at - rest));
        in_filter(out, user);
        rest = at + sizeof placeholder - 1;
    }
    buf_cstr(out, rest);
}

// Hexadecimal pairs are right for every byte, and nothing is left to whoever reads them.
static void in_dn(struct buf *out, const char *user)
{
    size_t n = strlen(user);
    for (size_t i = 0; i < n; i++) {
        bool at_the_edge = (user[i] == ' ' || user[i] == '#') && (i == 0 || i == n - 1);
        if (at_the_edge || (uint8_t)user[i] < ' ' || strchr("\"+,;<>=\\", user[i]) != NULL)
            buf_printf(out, "\\%02x", (unsigned char)user[i]);
        else
            buf_u8(out, (uint8_t)user[i]);
    }
}

static bool is_plain_name(const char *user)
{
    for (const char *c = user; *c != '\0'; c++)
        if ((uint8_t)*c < ' ' || strchr("\"+,;<>=\\/@*()", *c) != NULL)
            return false;
    return true;
}

bool ldap_text_name(const struct ldap_options *options, const char *user, struct buf *out)
{
    const char *prefix = options->prefix != NULL ? options->prefix : "";
    const char *suffix = options->suffix != NULL ? options->suffix : "";
    bool is_dn = strchr(prefix, '=') != NULL;
    if (!is_dn && !is_plain_name(user))
        return false;
    buf_put(out, slice_str(prefix));
    if (is_dn)
        in_dn(out, user);
    else
        buf_put(out, slice_str(user));
    buf_cstr(out, suffix);
    return true;
}
