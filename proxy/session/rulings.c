// SPDX-License-Identifier: Apache-2.0
// A direct-mapped table: analysis and route choose the place; catalog and profile must be the same.
// The analysis is held, so that its address cannot come to mean another one.
#include "proxy/session/rulings.h"

#include "base/mem.h"
#include "config/config.h"
#include "proxy/control/domain.h"
#include "proxy/route.h"
#include "proxy/session/resolutions.h"
#include "proxy/sql/template.h"

enum { PLACES = 1024, TABLES_MAX = 64 }; // PLACES: a power of two

_Static_assert((int)RULE_CACHE == (int)CONFIG_CACHE_CACHE &&
                   (int)RULE_EXCLUDE == (int)CONFIG_CACHE_EXCLUDE &&
                   (int)RULE_HINT == (int)CONFIG_CACHE_HINT &&
                   (int)RULE_FORCE == (int)CONFIG_CACHE_FORCE,
               "actions are numbered alike");

struct place {
    struct analysis *analysis; // counts; NULL: empty
    uint64_t route;
    uint64_t catalog;          // version
    uint32_t profile;          // number
    struct ruling ruling;
};

struct rulings {
    struct rules *rules; // owns
    int64_t max_hint_us;
    struct place places[PLACES];
    uint8_t template[TEMPLATE_MAX_BYTES];
    char text[TEMPLATE_MAX_BYTES];
};

struct rulings *rulings_new(const struct config *config)
{
    struct rulings *r = mem_new(struct rulings);
    r->rules = rules_new();
    r->max_hint_us = config_settings(config)->cache_hint_max_ttl_us;
    for (size_t i = 0; i < config_cache_rule_count(config); i++) {
        const struct config_cache_rule *from = config_cache_rule_at(config, i);
        rules_add(r->rules, &(struct rule){
            .name = (char *)from->name,
            .database = (char *)from->database,
            .user = (char *)from->user,
            .table = (char *)from->table,
            .text = (char *)from->text,
            .action = (enum rule_action)from->action,
            .ttl_us = from->ttl_us,
            .ttl_without_events = from->ttl_without_events,
        });
    }
    return r;
}

void rulings_free(struct rulings *r)
{
    if (r == NULL)
        return;
    for (int i = 0; i < PLACES; i++)
        if (r->places[i].analysis != NULL)
            analysis_unref(&r->places[i].analysis);
    rules_free(r->rules);
    mem_free(r);
}

bool rulings_has_rules(const struct rulings *r)
{
    return rules_count(r->rules) > 0;
}

bool rulings_any_without_events(const struct rulings *r)
{
    return rules_any_without_events(r->rules);
}

// ---- The text as rules see it -------------------------------------------------------------------

// Behind the comment or the quoted name that begins here; at itself: there is none.
static const uint8_t *skip_comment(const uint8_t *at, const uint8_t *end)
{
    if (end - at < 4 || at[0] != '/' || at[1] != '*')
        return at;
    for (const uint8_t *p = at + 2; p + 1 < end; p++)
        if (p[0] == '*' && p[1] == '/')
            return p + 2;
    return at;
}

// Constants as ?, without the comments that a template keeps. A text that has no template (dollar
// quotes, backslashes ...) stays as it is.
static struct slice normalise(struct rulings *r, struct slice sql)
{
    struct template t = template_of(sql, r->template);
    if (t.verbatim)
        return sql;
    size_t n = 0;
    bool in_name = false;
    const uint8_t *end = t.bytes.at + t.bytes.len;
    for (const uint8_t *at = t.bytes.at; at < end;) {
        const uint8_t *behind = in_name ? at : skip_comment(at, end);
        if (behind > at) {
            at = behind;
            r->text[n++] = ' ';
            continue;
        }
        in_name ^= *at == '"';
        bool constant = *at >= TEMPLATE_INTEGER && *at <= TEMPLATE_STRING;
        r->text[n++] = constant ? '?' : (char)*at;
        at++;
    }
    while (n > 0 && (r->text[n - 1] == ' ' || r->text[n - 1] == '\n' || r->text[n - 1] == ';'))
        n--;
    struct slice text = slice_of(r->text, n);
    while (text.len > 0 && (*text.at == ' ' || *text.at == '\n' || *text.at == '\t'))
        text = slice_skip(text, 1);
    return text;
}

// ---- Finding ------------------------------------------------------------------------------------

struct ruling rulings_find(struct rulings *r, const struct route *route,
                           struct resolution_front *resolutions, struct domain *domain,
                           const struct profile *profile, struct analysis *analysis,
                           struct slice text)
{
    uint64_t mixed = ((uint64_t)(uintptr_t)analysis >> 4) * 0x9e3779b97f4a7c15u +
                     route->number * 0xc2b2ae3d27d4eb4fu;
    struct place *place = &r->places[(mixed >> 32) % PLACES];
    uint64_t version = domain_catalog_version(domain);
    if (place->analysis == analysis && place->route == route->number &&
        place->catalog == version && place->profile == profile->number)
        return place->ruling;
    if (place->analysis != NULL)
        analysis_unref(&place->analysis);
    struct rule_table tables[TABLES_MAX];
    struct rule_subject subject = {
        .database = route->database,
        .user = route->user,
        .text = normalise(r, text),
        .tables = tables,
        .table_count = resolution_front_tables(resolutions, domain, analysis, profile, tables,
                                               TABLES_MAX),
    };
    *place = (struct place){
        .analysis = analysis_ref(analysis),
        .route = route->number,
        .catalog = version,
        .profile = profile->number,
        .ruling = rules_judge(r->rules, &subject, &analysis->hints, r->max_hint_us),
    };
    return place->ruling;
}
