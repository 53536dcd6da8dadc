// SPDX-License-Identifier: Apache-2.0
// Tables whose slots in the ledger are the same by chance: that costs hits, and nothing else.
#include "tests/unit/proxy/sql/keys_fixture.h"

#include "cache/lineage.h"

static bool reads_slot(const struct resolution *r, uint32_t slot)
{
    for (uint16_t i = 0; i < r->read_count; i++)
        if (r->reads[i] == slot)
            return true;
    return false;
}

// A table whose policy reads another, which shares its place in the ledger.
static void tables_that_share_a_slot(void **state)
{
    char other[32];
    uint32_t n = 0;
    do
        sprintf(other, "m%u", n++);
    while (ledger_slot_of(slice_str("public"), slice_str(other)) !=
           ledger_slot_of(slice_str("public"), slice_str("docs")));
    for (int same = 0; same < 2; same++) {
        const char *member = same ? other : "members";
        struct catalog_builder *b = catalog_builder_new(1);
        catalog_builder_utf8(b);
        const char *names[] = {"docs", member};
        for (uint32_t i = 0; i < 2; i++) {
            struct catalog_relation r = {.schema = slice_str("public"), .oid = 100 + i,
                                         .name = slice_str(names[i]), .writes_known = true};
            r.key.count = 1;
            r.key.columns[0].name = slice_str("id");
            r.key.columns[0].type = ROWKEY_INTEGER;
            catalog_builder_relation(b, &r);
        }
        lineage_uses(catalog_builder_lineage(b), 100, 101); // docs: a policy reads the other
        struct catalog *c = catalog_builder_finish(b);
        struct analysis *a = analysis_new(slice_str("SELECT * FROM docs WHERE id = 5"));
        struct search_path p = path();
        struct resolution *r = resolve(a, c, &p);
        uint32_t slot = ledger_slot_of(slice_str("public"), slice_str(member));
        assert_int_equal(r->bypass, BYPASS_NONE);
        assert_true(reads_slot(r, slot));
        resolution_unref(&r);
        analysis_unref(&a);
        catalog_unref(&c);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(tables_that_share_a_slot)};
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
