// SPDX-License-Identifier: Apache-2.0
// The publication that the stream decodes for, where one is configured: which tables it tells of
// all changes, and whether it is still the same. The SQL, and how its rows go into a catalog. Pure
// but for the types of libpq; control thread.
//
// The trap in it (decision 0041). The server's decoding takes the publication as of each change's
// place in the WAL. A commit that takes a table out of it counts there before anybody can see it;
// one that puts a table in does not count for what transactions under way have written. So the
// watch looks at rows of the publication that somebody is about to take away, committed or not; and
// no table counts as published but by a stream that began after it was.
#pragma once
#include <libpq-fe.h>
#include <stdbool.h>

#include "cache/catalog.h"

// version: server_version_num.
// To be put behind schema_reading_sql or schema_fingerprint_sql, which then see what changes the
// publication, too. One more parameter, $4 name.
const char *publication_watch_sql(int version);
// $1 oid[], $2 name: a mark of all that the publication is, and which of these tables it does not
// tell all of. Must be run AFTER the fingerprint of the same load: then whatever comes behind the
// fingerprint is a change to the readings.
const char *publication_tables_sql(int version);

// The answer to that. False: it does not have the shape that was asked for. *mark: the caller's to
// free; NULL: there is no such publication.
bool publication_add(struct catalog_builder *builder, const PGresult *result, char **mark);
