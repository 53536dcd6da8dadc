// SPDX-License-Identifier: Apache-2.0
// What a statement gives and takes, as one reads by it who was told: of its columns the names and
// types, of its parameters the types. As numbers that are only compared: the same in every process;
// 0 stands for what is not known. Pure.
#pragma once
#include <stdbool.h>

#include "base/slice.h"

struct layout {
    uint64_t rows, types;
};

// A RowDescription or NoData, whole (protocol 55.7). Where a column comes from and the format that
// was asked for are no part of it, nor is the type's modifier: that of a portal is the plan's,
// which may know more, and no value is read by it. What cannot be read is like nothing else.
uint64_t layout_rows(struct slice message);
uint64_t layout_types(struct slice message); // a ParameterDescription
