// SPDX-License-Identifier: Apache-2.0
#include "base/check.h"

#include <stdio.h>
#include <stdlib.h>

void check_failed(const char *claim, const char *file, int line)
{
    fprintf(stderr, "FATAL impossible state: %s (%s:%d)\n", claim, file, line);
    abort();
}
