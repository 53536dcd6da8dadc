// SPDX-License-Identifier: Apache-2.0
// docs/configuration.md must be what the option table says. PGWEIR_WRITE_DOCS=1 writes it. Runs in
// the repository's root, as `make unit` does.
#include "config/config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "config/file.h"

static const char path[] = "docs/configuration.md";

static void the_page_is_up_to_date(void **state)
{
    struct buf page = {0};
    config_markdown(&page);
    if (getenv("PGWEIR_WRITE_DOCS") != NULL) {
        FILE *file = fopen(path, "w");
        assert_non_null(file);
        assert_int_equal(fwrite(page.at, 1, page.len, file), page.len);
        assert_int_equal(fclose(file), 0);
    }
    size_t bytes = 0;
    char *text = file_read(path, 1 << 20, &bytes);
    assert_non_null(text);
    assert_true(slice_eq(slice_of(text, bytes), buf_slice(&page)));
    file_free(text, bytes);
    buf_fini(&page);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(the_page_is_up_to_date)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
