// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>

#include "proxy/console/metrics.h"
#include "proxy/control/domain_inside.h"

static char *text_of(struct buf *out)
{
    buf_u8(out, 0);
    return (char *)out->at;
}

static void expect(const char *text, const char *part)
{
    if (strstr(text, part) == NULL)
        fail_msg("no \"%s\" in:\n%s", part, text);
}

// The rules of OpenMetrics 1.0 that a careless change would break: a family is described once, its
// samples follow at once and bear its name, counters end with _total, the text with # EOF.
static void check_format(const char *text)
{
    char family[128] = "", seen[16384] = "", line[512];
    bool counter = false;
    while (strcmp(text, "# EOF\n") != 0) {
        size_t n = strcspn(text, "\n");
        assert_true(text[n] == '\n' && n < sizeof(line));
        snprintf(line, sizeof(line), "%.*s", (int)n, text);
        text += n + 1;
        char name[128], kind[16];
        if (sscanf(line, "# TYPE %127s %15s", name, kind) == 2) {
            char mark[160];
            snprintf(mark, sizeof(mark), "|%s|", name);
            assert_null(strstr(seen, mark));
            strncat(seen, mark, sizeof(seen) - strlen(seen) - 1);
            snprintf(family, sizeof(family), "%s", name);
            counter = strcmp(kind, "counter") == 0;
        } else if (line[0] != '#') {
            char start[160];
            snprintf(start, sizeof(start), "%s%s", family, counter ? "_total" : "");
            size_t length = strlen(start);
            if (strncmp(line, start, length) != 0 || strchr("{ ", line[length]) == NULL)
                fail_msg("\"%s\" is not of family %s", line, family);
        } else if (sscanf(line, "# UNIT %127s %15s", name, kind) == 2) {
            assert_string_equal(name, family);
            assert_string_equal(name + strlen(name) - strlen(kind), kind);
        } else {
            assert_int_equal(sscanf(line, "# HELP %127s", name), 1);
            assert_string_equal(name, family);
        }
    }
}

static void wake(void *arg)
{
}

static void everything_is_told(void **state)
{
    struct domains *domains = domains_new(wake, NULL);
    struct domain *followed = domains_get(
        domains, &(struct domain_target){.host = "db", .port = 5432, .dbname = "app"});
    struct domain *failed = domains_get(
        domains, &(struct domain_target){.host = "db", .port = 5432, .dbname = "we\"ird\\\n"});
    struct domain *alias = domains_get(
        domains, &(struct domain_target){.host = "10.0.0.1", .port = 5432, .dbname = "app"});
    domain_set_canonical(followed, followed);
    domain_set_canonical(alias, followed);
    domain_set_status(followed,
                      &(struct domain_status){.state = DOMAIN_FOLLOWING, .flushed = 300,
                                              .passed = 100, .transactions = 12345678901});
    domain_set_status(failed, &(struct domain_status){.state = DOMAIN_WAITING,
                                                      .reason = "no \"luck\""});
    domain_set_status(alias, &(struct domain_status){.state = DOMAIN_ALIAS});
    struct buf out = {0};
    metrics_family(&out, METRICS_COUNTER, "sent_bytes", "bytes that were sent");
    metrics_sample(&out, METRICS_COUNTER, "sent_bytes", NULL, 12);
    metrics_domains(&out, domains);
    metrics_end(&out);
    const char *text = text_of(&out);
    check_format(text);
    expect(text, "pgweir_sent_bytes_total 12\n");
    expect(text, "pgweir_domain_on{database=\"app@db:5432\"} 1\n");
    expect(text, "pgweir_domain_transactions_total{database=\"app@db:5432\"} 12345678901\n");
    expect(text, "pgweir_domain_on{database=\"we\\\"ird\\\\\\n@db:5432\"} 0\n");
    expect(text, "pgweir_domain_lag_bytes{database=\"app@db:5432\"} 200\n");
    expect(text, "state=\"waiting\",reason=\"no \\\"luck\\\"\"} 1\n");
    expect(text, "pgweir_domain_state{database=\"app@10.0.0.1:5432\",state=\"alias\"");
    assert_null(strstr(text, "pgweir_domain_on{database=\"app@10.0.0.1:5432\"}"));
    buf_fini(&out);
    domains_free(domains);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(everything_is_told)};
    return cmocka_run_group_tests_name("metrics", tests, NULL, NULL);
}
