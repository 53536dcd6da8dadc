// SPDX-License-Identifier: Apache-2.0
// Keys that are not a table's own: any column of one with REPLICA IDENTITY FULL, those of
// partitioned tables, those through views. What is expected: "f=5" the row of f with this key,
// "f.a=7" those with this value, "f" all of f when it is read and all its keys when it is written,
// "f.a" any value of this column, "f.*" of any column.
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "cache/ledger.h"
#include "cache/lineage.h"
#include "proxy/sql/keys.h"

static struct catalog *catalog;

static struct catalog_column integer(const char *name)
{
    return (struct catalog_column){.name = slice_str(name), .type = ROWKEY_INTEGER};
}

static void add(struct catalog_builder *b, uint32_t oid, const char *name, struct catalog_key key,
                bool partitioned, bool view)
{
    struct catalog_relation r = {.schema = slice_str("public"), .name = slice_str(name),
                                 .oid = oid, .writes_known = !view, .key = key,
                                 .is_partitioned = partitioned, .is_view = view};
    catalog_builder_relation(b, &r);
}

// f: id is the key, then a, flag, n are columns of a whole row. r is partitioned into l, which
// tells of its key alone; w into wl, which tells of all. v shows f, vv shows v; vr shows r; part
// shows f without its key; join shows f and w, over shows join and r, more shows f, which v that it
// reads shows as well.
static int set_up(void **state)
{
    struct catalog_builder *b = catalog_builder_new(1);
    struct lineage *l = catalog_builder_lineage(b);
    struct catalog_key whole = {.count = 1, .told = 4, .full = true,
                                .columns = {integer("id"), integer("flag"), integer("a"),
                                            integer("n")}};
    struct catalog_key own = {.count = 1, .columns = {integer("id")}};
    whole.columns[1].type = ROWKEY_BOOLEAN;
    add(b, 1, "f", whole, false, false);
    add(b, 2, "r", whole, true, false);
    add(b, 3, "l", own, false, false);
    add(b, 4, "w", whole, true, false);
    add(b, 5, "wl", whole, false, false);
    const char *const views[] = {"v", "vv", "vr", "part", "other", "join", "over", "more"};
    for (uint32_t i = 0; i < sizeof(views) / sizeof(*views); i++)
        add(b, 10 + i, views[i], (struct catalog_key){.count = 0}, false, true);
    lineage_child(l, 2, 3);
    lineage_child(l, 4, 5);
    const uint32_t uses[][2] = {{10, 1}, {11, 10}, {12, 2}, {13, 1}, {14, 1},
                                {15, 1},  {15, 4},  {16, 15}, {16, 2}, {17, 1}, {17, 10}};
    for (size_t i = 0; i < sizeof(uses) / sizeof(*uses); i++)
        lineage_uses(l, uses[i][0], uses[i][1]);
    lineage_shows(l, 10, slice_str("a"), 1, slice_str("id")); // names may be others'
    lineage_shows(l, 10, slice_str("x"), 1, slice_str("a"));
    lineage_shows(l, 10, slice_str("y"), 1, slice_str("a"));
    lineage_shows(l, 11, slice_str("key"), 10, slice_str("a"));
    lineage_shows(l, 12, slice_str("id"), 2, slice_str("id"));
    lineage_shows(l, 13, slice_str("n"), 1, slice_str("n"));
    lineage_shows(l, 15, slice_str("id"), 1, slice_str("id"));
    lineage_shows(l, 15, slice_str("a"), 1, slice_str("a"));
    lineage_shows(l, 15, slice_str("wid"), 4, slice_str("id"));
    lineage_shows(l, 16, slice_str("f"), 15, slice_str("id"));
    lineage_shows(l, 16, slice_str("w"), 15, slice_str("wid"));
    lineage_shows(l, 16, slice_str("r"), 2, slice_str("id"));
    lineage_shows(l, 17, slice_str("id"), 1, slice_str("id"));
    lineage_shows(l, 17, slice_str("x"), 10, slice_str("a"));
    catalog = catalog_builder_finish(b);
    return 0;
}

static int tear_down(void **state)
{
    catalog_unref(&catalog);
    return 0;
}

// ---- Expectations -------------------------------------------------------------------------------

static uint64_t table(const char *name)
{
    return ledger_table(slice_str("public"), slice_str(name));
}

static uint32_t expected_slot(char *what, bool written)
{
    char *value = strchr(what, '='), *column = strchr(what, '.');
    uint64_t form = 0;
    if (value != NULL) {
        *value = '\0';
        assert_true(rowkey_text(strstr(what, "flag") ? ROWKEY_BOOLEAN : ROWKEY_INTEGER,
                                slice_str(value + 1), &form));
    }
    if (column != NULL)
        *column++ = '\0';
    if (column != NULL && column[0] == '*')
        return ledger_columns_slot(table(what));
    uint64_t space = column != NULL ? ledger_column(table(what), slice_str(column)) : table(what);
    if (value != NULL)
        return ledger_key_slot(space, &form, 1);
    return written || column != NULL ? ledger_rows_slot(space) : ledger_table_slot(space);
}

static int compare(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

static void judge(const char *sql, const char *expected, bool written)
{
    static const struct slice schemas[] = {{(const uint8_t *)"public", 6}};
    struct search_path path = {schemas, 1, true};
    struct analysis *a = analysis_new(slice_str(sql));
    struct resolution *r = resolve(a, catalog, &path);
    struct key_values values = {.analysis = a, .text = slice_str(sql), .utf8 = true};
    const struct resolved_scan *scans = written ? r->write_scans : r->read_scans;
    uint16_t n_scans = written ? r->write_scan_count : r->read_scan_count;
    uint32_t got[128], want[128];
    size_t n = 0, m = 0;
    assert_true(written || r->bypass == BYPASS_NONE);
    for (uint16_t i = 0; i < (written ? r->held_count : r->read_count); i++)
        got[n++] = written ? r->held[i] : r->reads[i];
    for (uint16_t i = 0; i < n_scans; i++) {
        int found = keys_slots(&values, &scans[i], got + n);
        assert_true(found >= 0);
        n += (size_t)found;
    }
    char *copy = strdup(expected), *rest = copy, *word;
    while ((word = strsep(&rest, ";")) != NULL)
        want[m++] = expected_slot(word, written);
    free(copy);
    qsort(got, n, sizeof(*got), compare);
    qsort(want, m, sizeof(*want), compare);
    if (n != m || memcmp(got, want, n * sizeof(*got)) != 0)
        fail_msg("%s: not '%s' (%zu slots)", sql, expected, n);
    resolution_unref(&r);
    analysis_unref(&a);
}

// ---- Cases --------------------------------------------------------------------------------------

// What a leaf or a view depends on besides: its own slot, where nothing is ever entered, or what
// writes through the table above close.
static void reads_by_other_keys(void **state)
{
    judge("SELECT * FROM f WHERE id = 5", "f=5", false);
    judge("SELECT * FROM f WHERE id = 5 AND a = 7", "f=5", false);
    judge("SELECT * FROM f WHERE a = 7", "f.a=7", false);
    judge("SELECT * FROM f WHERE flag = 't' AND a = 7", "f.a=7", false);
    judge("SELECT * FROM f WHERE flag = 't'", "f.flag=t", false);
    judge("SELECT * FROM f WHERE a IN (7, 8)", "f.a=7;f.a=8", false);
    judge("SELECT * FROM f WHERE a = 7 OR n = 7", "f", false);
    judge("SELECT * FROM f WHERE a > 7", "f", false);
    judge("SELECT * FROM f x JOIN f y ON y.n = x.a WHERE x.a = 7", "f.a=7;f.n=7", false);
    judge("SELECT * FROM f x, f y WHERE x.a = 7 AND y.n = 7", "f.a=7;f.n=7", false);
    judge("SELECT * FROM r WHERE id = 5", "r=5", false);
    judge("SELECT * FROM r WHERE a = 7", "r", false);
    judge("SELECT * FROM w WHERE a = 7", "w.a=7", false);
}

static void reads_through_views(void **state)
{
    judge("SELECT * FROM v WHERE a = 5", "v;f=5", false);
    judge("SELECT * FROM v WHERE x = 7", "v;f.a=7", false);
    judge("SELECT * FROM v WHERE y = 7", "v;f.a=7", false);
    judge("SELECT * FROM v WHERE id = 5", "v;f", false);
    judge("SELECT * FROM vv WHERE key = 5", "vv;v;f=5", false);
    judge("SELECT * FROM vv WHERE a = 5", "vv;v;f", false);
    judge("SELECT * FROM vr WHERE id = 5", "vr;r=5", false);
    judge("SELECT * FROM part WHERE n = 5", "part;f.n=5", false);
    judge("SELECT * FROM part WHERE id = 5", "part;f", false);
    judge("SELECT * FROM other WHERE id = 5", "other;f", false);
}

static void reads_through_joins(void **state)
{
    judge("SELECT * FROM \"join\" WHERE id = 5", "join;f=5;w", false);
    judge("SELECT * FROM \"join\" WHERE a = 7", "join;f.a=7;w", false);
    judge("SELECT * FROM \"join\" WHERE wid = 5", "join;f;w=5", false);
    judge("SELECT * FROM \"join\" WHERE wid = 5 AND id = 6", "join;f=6;w=5", false);
    judge("SELECT * FROM \"join\" WHERE wid = 5 OR id = 6", "join;f;w", false);
    judge("SELECT * FROM \"join\" x, \"join\" y WHERE x.id = 5 AND y.wid = 5", "join;f;w", false);
    judge("SELECT * FROM \"join\" x JOIN r ON r.id = x.wid WHERE x.wid = 5", "join;f;w=5;r=5",
          false);
    judge("SELECT * FROM \"join\" x, f WHERE x.id = 5", "join;f=5;w;f", false);
    judge("SELECT * FROM over WHERE f = 5", "over;join;f=5;w;r", false);
    judge("SELECT * FROM over WHERE w = 5 AND r = 6", "over;join;f;w=5;r=6", false);
    judge("SELECT * FROM more WHERE id = 5 AND x = 5", "more;v;f", false);
}

static void writes_of_columns(void **state)
{
    judge("UPDATE f SET n = 1 WHERE id = 5", "f=5;f.id=5;f.a;f.flag;f.n", true);
    judge("UPDATE f SET n = 1 WHERE a = 7", "f;f.id;f.a=7;f.flag;f.n", true);
    judge("UPDATE f SET a = 8 WHERE a = 7", "f;f.id;f.a;f.flag;f.n", true);
    judge("DELETE FROM f WHERE a = 7 AND n = 8", "f;f.id;f.a=7;f.flag;f.n=8", true);
    judge("INSERT INTO f(a, n) VALUES (7, 8)", "f;f.id;f.a=7;f.flag;f.n=8", true);
    judge("INSERT INTO f(id, a) VALUES (5, 7) ON CONFLICT (id) DO UPDATE SET n = 1",
          "f=5;f.id=5;f.a;f.flag;f.n", true);
    judge("INSERT INTO f(id, a) VALUES (5, 7) ON CONFLICT DO NOTHING",
          "f=5;f.id=5;f.a=7;f.flag;f.n", true);
    judge("TRUNCATE f", "f;f.id;f.a;f.flag;f.n", true);
}

// The rows of a table below are those of the tables above, too.
static void writes_of_trees(void **state)
{
    judge("UPDATE r SET n = 1 WHERE id = 5", "r=5", true);
    judge("UPDATE l SET n = 1 WHERE id = 5", "l=5;r=5", true);
    judge("UPDATE l SET n = 1", "l;r", true);
    judge("UPDATE wl SET n = 1 WHERE id = 5",
          "wl=5;wl.id=5;wl.a;wl.flag;wl.n;w=5;w.id=5;w.a;w.flag;w.n", true);
    judge("UPDATE w SET n = 1 WHERE a = 7", "w;w.id;w.a=7;w.flag;w.n", true);
}

static void many_columns_are_held_by_one_slot(void **state)
{
    struct catalog *kept = catalog;
    struct catalog_builder *b = catalog_builder_new(1);
    struct catalog_key wide = {.told = CATALOG_COLUMNS_MAX, .full = true};
    char names[CATALOG_COLUMNS_MAX][8];
    for (int i = 0; i < CATALOG_COLUMNS_MAX; i++) {
        snprintf(names[i], sizeof(names[i]), "c%d", i);
        wide.columns[i] = integer(names[i]);
    }
    add(b, 1, "f", wide, false, false);
    catalog = catalog_builder_finish(b);
    judge("UPDATE f SET c1 = 1 WHERE c0 = 7", "f;f.c0=7;f.*", true);
    catalog_unref(&catalog);
    catalog = kept;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_by_other_keys),
        cmocka_unit_test(reads_through_views),
        cmocka_unit_test(reads_through_joins),
        cmocka_unit_test(writes_of_columns),
        cmocka_unit_test(writes_of_trees),
        cmocka_unit_test(many_columns_are_held_by_one_slot),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
