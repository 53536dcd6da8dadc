// SPDX-License-Identifier: Apache-2.0
// What each kind of statement is and does as a whole; what it names is gathered by the walk.
// Internal to proxy/sql.
#pragma once
#include <pg_query/pg_query.pb-c.h>

#include "proxy/sql/analysis.h"
#include "proxy/sql/walk.h"

struct classified {
    enum statement_kind kind;
    bool may_end_transaction;
    bool begins_transaction;
    bool plain_begin;
    bool plain_end;
};

// One statement of a text; what it does is added to the walk.
struct classified classify(struct walk *w, const PgQuery__Node *statement);
