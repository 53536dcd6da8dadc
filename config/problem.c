// SPDX-License-Identifier: Apache-2.0
#include "config/problem.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/log.h"
#include "base/mem.h"

enum {
    TEXT_BYTES_MAX = 1024, // a longer sentence is cut: values in it come from the file
};

void problems_fini(struct problems *list)
{
    for (size_t i = 0; i < list->count; i++) {
        mem_free(list->at[i].file);
        mem_free(list->at[i].text);
    }
    mem_free(list->at);
    *list = (struct problems){0};
}

void problems_add(struct problems *list, enum problem_grade grade, const char *file, int line,
                  const char *format, ...)
{
    char text[TEXT_BYTES_MAX];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (list->count == list->capacity) {
        list->capacity = list->capacity == 0 ? 8 : list->capacity * 2;
        list->at = mem_realloc(list->at, list->capacity * sizeof *list->at);
    }
    list->at[list->count++] = (struct problem){
        .grade = grade, .file = mem_strdup(file), .line = line, .text = mem_strdup(text)};
    list->errors += grade == PROBLEM_ERROR;
}

void problems_log(const struct problems *list)
{
    for (size_t i = 0; i < list->count; i++) {
        const struct problem *p = &list->at[i];
        enum log_level level = p->grade == PROBLEM_ERROR ? LOG_LEVEL_ERROR : LOG_LEVEL_WARNING;
        if (p->line > 0)
            log_write(level, "%s:%d: %s", p->file, p->line, p->text);
        else
            log_write(level, "%s: %s", p->file, p->text);
    }
}
