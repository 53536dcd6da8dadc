// SPDX-License-Identifier: Apache-2.0
// One line of [databases], [users] or [peers]: key=value pairs into the fields of a struct, by a
// table of keys. Control thread.
#pragma once
#include "config/config.h"
#include "config/ini.h"

// Reads the pairs of line->value into *object. Unknown keys and bad values go to *problems; the
// other pairs are read all the same. The object owns the texts it gets.
void line_read_database(struct config_database *db, const struct ini_line *line,
                        struct problems *problems);
void line_read_user(struct config_user *user, const struct ini_line *line,
                    struct problems *problems);

void line_read_peer(struct config_peer *peer, const struct ini_line *line,
                    struct problems *problems);

// What a line that says nothing means; all texts NULL.
void line_empty_database(struct config_database *db);
void line_empty_user(struct config_user *user);
void line_empty_peer(struct config_peer *peer);

void line_free_database(struct config_database *db); // its texts, the name's too; wipes them
void line_free_user(struct config_user *user);
void line_free_text(const char *text); // wipes; NULL is fine
