// SPDX-License-Identifier: Apache-2.0
// Configuration files and connection strings: read, or refused with a line and a sentence.
#include "config/ini.h"
#include "tests/fuzz/file_of.h"

const size_t target_rounds = 30000;

struct seen {
    size_t bytes;
    int last_line;
};

static void handle(void *arg, const struct ini_line *line)
{
    struct seen *seen = arg;
    CHECK(line->section != NULL && line->file != NULL);
    CHECK(line->line >= seen->last_line && line->line >= 1);
    CHECK((line->key == NULL) == (line->value == NULL));
    if (line->key != NULL)
        seen->bytes += strlen(line->key) + strlen(line->value) + 1;
    seen->last_line = line->line;
}

static void check_pairs(struct slice bytes)
{
    char *text = mem_strndup((const char *)bytes.at, bytes.len);
    char *end = text + strlen(text), *at = text, *key, *value;
    for (size_t steps = 0; at != NULL; steps++) {
        CHECK(steps <= bytes.len);
        at = ini_pair(at, &key, &value);
        if (at == NULL || *key == '\0')
            break;
        CHECK(at >= text && at <= end);
        CHECK(key >= text && key + strlen(key) <= end);
        CHECK(value > key && value + strlen(value) <= end);
    }
    mem_free(text);
}

void target_run(struct slice bytes)
{
    check_pairs(bytes);
    // Other files are none of this one's business.
    if (memmem(bytes.at, bytes.len, "%include", 8) != NULL)
        return;
    struct problems problems = {0};
    struct seen seen = {0};
    bool ok = ini_read(file_of(bytes), handle, &seen, &problems);
    CHECK(ok || problems.errors > 0);
    CHECK(seen.bytes <= bytes.len + 1);
    for (size_t i = 0; i < problems.count; i++)
        CHECK(problems.at[i].text[0] != '\0');
    problems_fini(&problems);
}
