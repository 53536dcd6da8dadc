// SPDX-License-Identifier: Apache-2.0
// Runs a target under libFuzzer, which makes inputs by what code they reach.
#include "tests/fuzz/target.h"

int LLVMFuzzerTestOneInput(const uint8_t *at, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *at, size_t n)
{
    target_run(slice_of(at, n));
    return 0;
}
