// SPDX-License-Identifier: Apache-2.0
#include "proxy/session/resolutions.h"

#include "base/mem.h"
#include "cache/rules.h"
#include "proxy/control/domain.h"
#include "proxy/route.h"

enum { DOMAINS_MAX = 64, NAMES_MAX = 64 };

struct known_catalog {
    struct domain *domain;
    uint64_t version;        // of domain_catalog_version(), when it was taken
    struct catalog *catalog; // counts
};

struct resolution_front {
    struct resolve_front *resolved; // owns
    struct known_catalog catalogs[DOMAINS_MAX];
};

struct resolution_front *resolution_front_new(void)
{
    struct resolution_front *front = mem_new(struct resolution_front);
    front->resolved = resolve_front_new();
    return front;
}

void resolution_front_free(struct resolution_front *front)
{
    if (front == NULL)
        return;
    resolve_front_free(front->resolved);
    for (int i = 0; i < DOMAINS_MAX; i++)
        catalog_unref(&front->catalogs[i].catalog);
    mem_free(front);
}

// The catalog in force, or NULL.
static struct catalog *catalog_of(struct resolution_front *front, struct domain *domain)
{
    struct known_catalog *known = &front->catalogs[domain_id(domain) % DOMAINS_MAX];
    uint64_t version = domain_catalog_version(domain);
    if (known->domain != domain || known->version != version || known->catalog == NULL) {
        catalog_unref(&known->catalog);
        known->domain = domain;
        known->version = version;
        known->catalog = domain_catalog_ref(domain);
    }
    return known->catalog;
}

struct wanted {
    struct slice names[NAMES_MAX];
    size_t count;
};

static void want(const struct sql_name *name, void *arg)
{
    struct wanted *wanted = arg;
    if (wanted->count < NAMES_MAX)
        wanted->names[wanted->count++] = name->name;
}

static void ask_for_names(struct domain *domain, const struct analysis *analysis)
{
    struct wanted wanted = {.count = 0};
    analysis_names(analysis, want, &wanted);
    if (wanted.count > 0)
        domain_want_names(domain, wanted.names, wanted.count);
}

const struct resolution *resolution_front_get(struct resolution_front *front,
                                              struct domain *domain, struct analysis *analysis,
                                              const struct profile *profile, bool utf8)
{
    struct catalog *catalog = catalog_of(front, domain);
    if (catalog == NULL) {
        ask_for_names(domain, analysis);
        return NULL;
    }
    struct search_path path = {profile->schemas, profile->schema_count, utf8};
    const struct resolution *r = resolve_front_find(front->resolved, analysis, catalog, &path);
    if (r->pending)
        ask_for_names(domain, analysis);
    return r;
}

size_t resolution_front_tables(struct resolution_front *front, struct domain *domain,
                               const struct analysis *analysis, const struct profile *profile,
                               struct rule_table *tables, size_t max)
{
    enum { SAME_NAME_MAX = 16 };
    const struct catalog *catalog = catalog_of(front, domain);
    size_t count = 0;
    for (uint32_t i = 0; i < analysis->reads.count && count < max; i++) {
        const struct sql_name *name = &analysis->reads.at[i];
        const struct catalog_relation *found[SAME_NAME_MAX];
        size_t n = 0;
        if (name->schema.len == 0 && catalog != NULL)
            catalog_search(catalog, profile->schemas, profile->schema_count, name->name, found,
                           SAME_NAME_MAX, &n);
        if (n == 0)
            tables[count++] = (struct rule_table){name->schema, name->name};
        for (size_t j = 0; j < n && count < max; j++)
            tables[count++] = (struct rule_table){found[j]->schema, found[j]->name};
    }
    return count;
}

typedef enum catalog_answer judge_calls(const struct analysis *analysis,
                                        const struct catalog *catalog);

// As the catalog says, which is asked for the names that it does not know.
static enum catalog_answer ask_catalog(struct resolution_front *front, struct domain *domain,
                                       const struct analysis *analysis, judge_calls *judge)
{
    const struct catalog *catalog = catalog_of(front, domain);
    enum catalog_answer answer = catalog != NULL ? judge(analysis, catalog) : CATALOG_PENDING;
    if (answer == CATALOG_PENDING)
        ask_for_names(domain, analysis);
    return answer;
}

enum catalog_answer resolution_front_runs_code(struct resolution_front *front,
                                               struct domain *domain,
                                               const struct analysis *analysis)
{
    return ask_catalog(front, domain, analysis, captured_runs_code);
}

enum catalog_answer resolution_front_calls_write(struct resolution_front *front,
                                                 struct domain *domain,
                                                 const struct analysis *analysis)
{
    return ask_catalog(front, domain, analysis, captured_calls_write);
}
