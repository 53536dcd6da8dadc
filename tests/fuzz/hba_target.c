// SPDX-License-Identifier: Apache-2.0
// HBA files: each line is a rule or a warning, and what is found for whoever asks is one of them.
#include "config/hba.h"
#include "config/problem.h"
#include "tests/fuzz/file_of.h"

const size_t target_rounds = 20000;

static void check_rules(const struct hba *hba, struct slice bytes)
{
    static const uint8_t ipv4[16] = {192, 0, 2, 7}, ipv6[16] = {0x20, 1, 0x0d, 0xb8, [15] = 7};
    for (int i = 0; i < 16; i++) {
        struct hba_asker asker = {.database = i & 1 ? "shop" : "anna",
                                  .user = "anna",
                                  .is_local = i & 2,
                                  .has_address = (i & 2) == 0,
                                  .family = i & 4 ? NETWORK_IPV4 : NETWORK_IPV6,
                                  .address = i & 4 ? ipv4 : ipv6,
                                  .encrypted = i & 8};
        const struct hba_rule *rule = hba_find(hba, &asker);
        if (rule == NULL)
            continue;
        CHECK(rule->line >= 1 && (size_t)rule->line <= bytes.len + 1 && rule->file != NULL);
        CHECK(hba_has(hba, rule->method));
    }
}

void target_run(struct slice bytes)
{
    // Other files are none of this one's business.
    if (memmem(bytes.at, bytes.len, "include", 7) != NULL || memchr(bytes.at, '@', bytes.len))
        return;
    struct problems problems = {0};
    struct hba *hba = hba_load(file_of(bytes), "", &problems);
    CHECK((hba == NULL) == (problems.errors > 0));
    check_rules(hba, bytes);
    hba_unref(hba);
    problems_fini(&problems);
}
