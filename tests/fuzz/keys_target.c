// SPDX-License-Identifier: Apache-2.0
// Which keys a statement's values name: a text of a few, types, a Bind message. Told or not,
// nothing is read beyond what there is.
#include "base/mem.h"
#include "cache/rowkey.h"
#include "proxy/sql/keys.h"
#include "tests/fuzz/target.h"

const size_t target_rounds = 200000;

static const char *const texts[] = {
    "SELECT * FROM t WHERE id = $1 AND name = $2",
    "SELECT * FROM t WHERE id = ANY($1) AND name IN ($2, 'it''s', 'x')",
    "SELECT * FROM t WHERE id = ANY($1::int[]) AND name = ANY('{a,\"b\",NULL}')",
    "SELECT * FROM t WHERE id IN (1, -2, 3000000000) AND name = $1::text",
    "SELECT * FROM t WHERE (id, name) IN (($1, $2), (2, 'x'), ($3, 'y'))",
    "SELECT * FROM t WHERE id = ANY($1) AND name = $2 OR name = 'x' AND id IN ($3, 4)",
    "SELECT * FROM t WHERE id = $1 AND name = $2 OR name = 'x' AND id = ANY($3)",
};
enum { TEXTS = sizeof(texts) / sizeof(*texts) };

struct statements {
    struct analysis *analysis[TEXTS];
    struct resolution *resolution[TEXTS];
};

static struct catalog *make_catalog(void)
{
    struct catalog_builder *b = catalog_builder_new(1);
    struct catalog_relation r = {.schema = slice_str("public"), .name = slice_str("t")};
    r.key.count = 2;
    r.key.columns[0].name = slice_str("id");
    r.key.columns[0].type = ROWKEY_INTEGER;
    r.key.columns[1].name = slice_str("name");
    r.key.columns[1].type = ROWKEY_TEXT;
    catalog_builder_relation(b, &r);
    return catalog_builder_finish(b);
}

// They live as long as the process.
static const struct statements *statements(void)
{
    static struct statements s;
    static const struct slice schemas[] = {{(const uint8_t *)"public", 6}};
    if (s.analysis[0] != NULL)
        return &s;
    struct search_path path = {schemas, 1, true};
    struct catalog *catalog = make_catalog();
    for (size_t i = 0; i < TEXTS; i++) {
        s.analysis[i] = analysis_new(slice_str(texts[i]));
        s.resolution[i] = resolve(s.analysis[i], catalog, &path);
        CHECK(s.resolution[i]->read_scan_count == 1);
    }
    catalog_unref(&catalog);
    return &s;
}

void target_run(struct slice bytes)
{
    const struct statements *s = statements();
    size_t which = target_byte(&bytes) % TEXTS;
    struct slice types = target_piece(&bytes), text = target_piece(&bytes);
    uint8_t *types_alone = target_alone(types), *text_alone = target_alone(text);
    struct key_values values = {
        .analysis = s->analysis[which],
        .text = text.len > 0 ? slice_of(text_alone, text.len) : slice_str(texts[which]),
        .types = slice_of(types_alone, types.len),
        .bind = bytes,
        .utf8 = true,
    };
    uint32_t keys[KEYS_MAX], again[KEYS_MAX];
    int n = keys_slots(&values, &s->resolution[which]->read_scans[0], keys);
    CHECK(n >= -1 && n <= KEYS_MAX);
    CHECK(keys_slots(&values, &s->resolution[which]->read_scans[0], again) == n);
    if (n > 0)
        CHECK(memcmp(keys, again, (size_t)n * sizeof(*keys)) == 0);
    mem_free(types_alone);
    mem_free(text_alone);
}
