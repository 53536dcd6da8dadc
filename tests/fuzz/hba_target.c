// SPDX-License-Identifier: Apache-2.0
// HBA files, behind an ident file: lines are taken or told of, and who asks gets one that fits.
#include "config/hba.h"
#include "config/ident.h"
#include "config/problem.h"
#include "tests/fuzz/file_of.h"

const size_t target_rounds = 20000;

static void ask(const struct hba *hba, bool local, bool physical)
{
    static const uint8_t address[16] = {10, 0, 0, 1};
    const struct hba_asker asker = {.database = "shop", .user = "anna", .is_local = local,
                                    .has_address = !local, .family = NETWORK_IPV4,
                                    .address = address, .physical = physical};
    const struct hba_rule *rule = hba_find(hba, &asker);
    if (rule == NULL)
        return;
    CHECK(rule->line >= 1 && rule->file != NULL);
    CHECK(rule->method != CONFIG_AUTH_ANY && rule->method != CONFIG_AUTH_HBA);
    CHECK(rule->ldap == NULL || rule->method == CONFIG_AUTH_LDAP);
    CHECK(rule->pam_service == NULL || rule->method == CONFIG_AUTH_PAM);
    if (rule->map != NULL)
        ident_allows(rule->map, "anna@example.org", "anna");
}

static void read_ident(struct slice text)
{
    struct ident ident = {0};
    struct problems problems = {0};
    if (ident_load(&ident, file_of(text), &problems))
        CHECK(problems.errors == 0);
    for (size_t i = 0; i < ident.count; i++)
        ident_allows(ident.maps[i], "anna@example.org", "anna");
    ident_fini(&ident);
    problems_fini(&problems);
}

void target_run(struct slice bytes)
{
    // Other files are none of this one's business; nor is how long libc takes for an expression.
    struct slice ident = target_piece(&bytes);
    if (ident.len > 0 && ident.len < 200 && memchr(ident.at, '{', ident.len) == NULL)
        read_ident(ident);
    if (bytes.len == 0 || memchr(bytes.at, '@', bytes.len) != NULL ||
        memmem(bytes.at, bytes.len, "include", 7) != NULL)
        return;
    struct problems problems = {0};
    struct hba *hba = hba_load(file_of(bytes), "", &problems);
    CHECK((hba != NULL) == (problems.errors == 0));
    for (size_t i = 0; i < problems.count; i++)
        CHECK(problems.at[i].text[0] != '\0');
    for (int i = 0; hba != NULL && i < 4; i++)
        ask(hba, i & 1, i & 2);
    hba_unref(hba);
    problems_fini(&problems);
}
