// SPDX-License-Identifier: Apache-2.0
// Runs a target as a unit program (NAME_test): each input of its corpus (corpus/NAME/), every cut
// of each, and mutations of them. The same in every run; FUZZ_ROUNDS=n and FUZZ_SEED=n ask for
// others, and files as arguments are run alone (what libFuzzer left of a crash).
#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "config/file.h"
#include "tests/fuzz/mutate.h"
#include "tests/fuzz/target.h"

enum { INPUTS_MAX = 512, INPUT_BYTES_MAX = 1 << 20, CUTS_MAX = 600 };

struct corpus {
    struct buf inputs[INPUTS_MAX];
    size_t count;
};

static void add(struct corpus *corpus, const char *path)
{
    size_t n;
    char *text = file_read(path, INPUT_BYTES_MAX, &n);
    CHECK(text != NULL && corpus->count < INPUTS_MAX);
    buf_bytes(&corpus->inputs[corpus->count++], text, n);
    file_free(text, n);
}

static int visible(const struct dirent *entry)
{
    return entry->d_name[0] != '.';
}

static void load(struct corpus *corpus, const char *folder)
{
    struct dirent **names;
    int n = scandir(folder, &names, visible, alphasort); // in an order of no accident
    CHECK(n > 0);
    for (int i = 0; i < n; i++) {
        char path[1024];
        snprintf(path, sizeof(path), "%s/%s", folder, names[i]->d_name);
        add(corpus, path);
        free(names[i]);
    }
    free(names);
}

static struct slice running; // to be shown if it does not end well

// As a C string: what is to become a seed can be taken from the log.
static void show(int signal)
{
    fprintf(stderr, "input of %zu bytes: \"", running.len);
    for (size_t i = 0; i < running.len && i < 3000; i++)
        fprintf(stderr, running.at[i] >= ' ' && running.at[i] < 127 && running.at[i] != '"' &&
                                running.at[i] != '\\' ? "%c" : "\\%03o", running.at[i]);
    fprintf(stderr, "\"\n");
}

static void run(struct slice bytes)
{
    uint8_t *alone = target_alone(bytes);
    running = slice_of(alone, bytes.len);
    target_run(running);
    mem_free(alone);
}

static size_t run_cuts(const struct buf *input)
{
    size_t n = input->len < CUTS_MAX ? input->len : CUTS_MAX;
    for (size_t i = 0; i < n; i++)
        run(slice_of(input->at, i));
    return n;
}

// Two inputs in one, now and then: then each of their messages comes in a state of the other's.
static void mutation(const struct corpus *corpus, struct dice *dice)
{
    struct buf valid = {0};
    buf_put(&valid, buf_slice(&corpus->inputs[dice_below(dice, corpus->count)]));
    if (dice_below(dice, 8) == 0)
        buf_put(&valid, buf_slice(&corpus->inputs[dice_below(dice, corpus->count)]));
    size_t n;
    uint8_t *bytes = mutated(&valid, dice, &n);
    running = slice_of(bytes, n);
    target_run(running);
    free(bytes);
    buf_fini(&valid);
}

int main(int argc, char **argv)
{
    static struct corpus corpus;
    size_t runs = 0;
    char folder[256];
    const char *program = strrchr(argv[0], '/') != NULL ? strrchr(argv[0], '/') + 1 : argv[0];
    snprintf(folder, sizeof(folder), "tests/fuzz/corpus/%.*s",
             (int)(strlen(program) - strlen("_test")), program);
    signal(SIGABRT, show);
    for (int i = 1; i < argc; i++)
        add(&corpus, argv[i]);
    if (argc == 1)
        load(&corpus, folder);
    for (size_t i = 0; i < corpus.count; i++, runs++)
        run(buf_slice(&corpus.inputs[i]));
    if (argc == 1) {
        printf("ok 1 - %s: %zu inputs\n", folder, runs);
        fflush(stdout);
        for (size_t i = 0; i < corpus.count; i++)
            runs += run_cuts(&corpus.inputs[i]);
        printf("ok 2 - their cuts\n");
        fflush(stdout);
        struct dice dice = dice_of(fuzz_seed());
        for (size_t round = fuzz_rounds(target_rounds); round-- > 0; runs++)
            mutation(&corpus, &dice);
        printf("ok 3 - mutations: %zu executions in all\n", runs);
    }
    for (size_t i = 0; i < corpus.count; i++)
        buf_fini(&corpus.inputs[i]);
    return 0;
}
