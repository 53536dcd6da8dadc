// SPDX-License-Identifier: Apache-2.0
// Which TLS versions a text names, as client_tls_protocols and server_tls_protocols write it: words
// with commas or colons between; "!" takes a word's versions out, of all if it is the first.
// A pure function; any thread.
#pragma once
#include <stdbool.h>

enum {
    PROTOCOLS_TLS_1_0 = 1,
    PROTOCOLS_TLS_1_1 = 2,
    PROTOCOLS_TLS_1_2 = 4,
    PROTOCOLS_TLS_1_3 = 8,
    PROTOCOLS_SECURE = PROTOCOLS_TLS_1_2 | PROTOCOLS_TLS_1_3,
    PROTOCOLS_ALL = 15,
};

// False: a word is none of them, or nothing is left. An empty text means PROTOCOLS_SECURE.
bool protocols_read(const char *text, unsigned *versions);
