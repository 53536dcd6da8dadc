// SPDX-License-Identifier: Apache-2.0
// The lines of [peers]: the processes that a cancel request may be meant for, by number. Part of
// the roster: filled by one thread, then immutable. The struct is in config.h.
#pragma once
#include "config/config.h"
#include "config/ini.h"

struct peers {
    struct config_peer *at; // owns, texts too; in order of number
    size_t count;
};

// A line of [peers]. What is wrong with it goes to *problems. A second line for a number replaces
// the first.
void peers_read(struct peers *peers, const struct ini_line *line, struct problems *problems);
void peers_fini(struct peers *peers);
const struct config_peer *peers_find(const struct peers *peers, int id); // NULL: none
