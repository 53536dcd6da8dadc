// SPDX-License-Identifier: Apache-2.0
// What is wrong with a configuration: a list of (file, line, sentence), so that one run tells all
// of it. Filled by whoever reads a file; the owner of the list logs or prints it. One thread.
#pragma once
#include <stdbool.h>
#include <stddef.h>

enum problem_grade {
    PROBLEM_ERROR,   // the configuration cannot be used
    PROBLEM_WARNING, // it can, but not all of it means what its author may think
};

struct problem {
    enum problem_grade grade;
    char *file; // owns
    int line;   // 1 is the first; 0: the file as a whole
    char *text; // owns; no file name, no full stop
};

struct problems {
    struct problem *at; // owns; in the order found
    size_t count;
    size_t capacity;
    size_t errors; // how many of count are errors
};

// A zeroed struct problems is an empty list.
void problems_fini(struct problems *list); // the list is empty afterwards
void problems_add(struct problems *list, enum problem_grade grade, const char *file, int line,
                  const char *format, ...) __attribute__((format(printf, 5, 6)));

// One log line each: "FILE:LINE: sentence", as ERROR or WARNING.
void problems_log(const struct problems *list);
