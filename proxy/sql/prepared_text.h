// SPDX-License-Identifier: Apache-2.0
// The text of an SQL PREPARE, taken apart as far as is needed to know what it prepares.
// Pure; any thread. Not here: whether it is a PREPARE (analysis.h).
#pragma once
#include "base/slice.h"

// What stands behind AS in a text that the parser took for one PREPARE; empty: it was not found.
struct slice prepared_text_query(struct slice sql);
