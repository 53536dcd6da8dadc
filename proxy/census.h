// SPDX-License-Identifier: Apache-2.0
// How many clients each database and each user has, logged in or on their way
// (max_db_client_connections, max_user_client_connections). Any thread; a lock of its own, a leaf.
// A name is known here only while it has clients, so that names made up by strangers leave nothing
// behind. What the limits are is the caller's business.
#pragma once

struct census;
struct census_entry;

enum census_kind { CENSUS_DATABASE, CENSUS_USER, CENSUS_PLACE };

struct census *census_new(void);
void census_free(struct census *census); // nobody is in it

// Counts one more; *count is how many there are with it.
struct census_entry *census_enter(struct census *census, enum census_kind kind, const char *name,
                                  int *count);
void census_leave(struct census *census, struct census_entry **entry); // NULL inside is fine
int census_count(struct census *census, enum census_kind kind, const char *name);
