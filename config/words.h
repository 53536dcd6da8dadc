// SPDX-License-Identifier: Apache-2.0
// A line of the HBA file, the ident file, or a file of names, word by word: blanks part words, a
// comma is one, "..." may have any character in it ("" is one quote), # begins a comment. Over
// borrowed text; one thread. What words mean belongs to their files.
#pragma once
#include "base/buf.h"

enum word_kind {
    WORD_PLAIN,
    WORD_QUOTED, // never a keyword
    WORD_COMMA,
    WORD_END,    // of the line
    WORD_BAD,    // a quote that does not end
};

struct words {
    enum word_kind kind; // of the word at hand
    const char *word;    // WORD_PLAIN, WORD_QUOTED: its text, until the next call
    const char *begin;   // in the line: where the word at hand begins
    const char *rest;    // ... and what follows it
    struct buf text;     // owns; for `word`
};

// Takes the first word. `words` was zeroed, or used before.
void words_begin(struct words *words, const char *line);
void words_next(struct words *words);
void words_fini(struct words *words);

// Is this word at hand, not quoted? Then it is taken.
bool words_take(struct words *words, const char *keyword);
// Is there a word, quoted or not?
bool words_has_text(const struct words *words);
