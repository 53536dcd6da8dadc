// SPDX-License-Identifier: Apache-2.0
// A whole configuration: lines of all sections and the options. It is refused with an error, or it
// is one, and then each option prints as something that means the same when it is read again.
#include "config/config.h"
#include "config/option.h"
#include "tests/fuzz/file_of.h"

const size_t target_rounds = 3000;

static void check_config(const struct config *config)
{
    for (size_t i = 0; i < config_database_count(config); i++) {
        const struct config_database *db = config_database_at(config, i);
        CHECK(db->name != NULL && config_database_dbname(db, "asked") != NULL);
        CHECK(db->port >= 1 && db->port <= 65535);
        CHECK(config_pool_size(config, db, NULL) >= 0);
    }
    struct settings settings = {0};
    option_defaults(&settings);
    for (size_t i = 0; i < option_count; i++) {
        struct buf printed = {0};
        char why[200];
        config_print_option(config, i, &printed);
        buf_u8(&printed, 0);
        const char *text = (const char *)printed.at;
        if (option_table[i].offset != OPTION_NO_FIELD && text[0] != '\0') {
            CHECK(option_set(&option_table[i], &settings, text, why, sizeof(why)));
            CHECK(option_same(&option_table[i], text, text));
        }
        buf_fini(&printed);
    }
    option_free(&settings);
}

void target_run(struct slice bytes)
{
    // Other files are none of this one's business.
    if (memmem(bytes.at, bytes.len, "%include", 8) != NULL ||
        memmem(bytes.at, bytes.len, "_file", 5) != NULL)
        return;
    struct problems problems = {0};
    struct config *config = config_load(file_of(bytes), &problems);
    CHECK((config == NULL) == (problems.errors > 0));
    if (config != NULL)
        check_config(config);
    config_unref(&config);
    problems_fini(&problems);
}
