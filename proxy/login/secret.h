// SPDX-License-Identifier: Apache-2.0
// Stored secrets, in the forms of PostgreSQL's pg_authid and of the users file: which kind one is,
// and does a plain password fit it. Pure functions over bytes; any thread. The exchanges that
// prove a password without sending it are in md5.h and scram.h.
#pragma once
#include "base/slice.h"

enum {
    SCRAM_KEY_BYTES = 32,       // SHA-256
    SCRAM_SALT_BYTES_MAX = 256, // longer ones are refused
    SCRAM_SALT_BYTES_NEW = 16,  // what PostgreSQL makes
    SCRAM_ITERATIONS_DEFAULT = 4096,
    SCRAM_ITERATIONS_MAX = 1000000, // about half a second of one core: more is refused
};

enum secret_kind {
    SECRET_NONE,  // NULL or empty: no password fits
    SECRET_PLAIN,
    SECRET_MD5,   // "md5" and 32 hexadecimal digits, of password then user name
    SECRET_SCRAM, // SCRAM-SHA-256$iterations:salt$StoredKey:ServerKey; a broken one is of this
                  // kind too, and nothing fits it
};

// What a server needs to check a SCRAM proof.
struct scram_verifier {
    uint8_t salt[SCRAM_SALT_BYTES_MAX];
    size_t salt_len;
    uint32_t iterations;
    uint8_t stored_key[SCRAM_KEY_BYTES];
    uint8_t server_key[SCRAM_KEY_BYTES];
};

enum secret_kind secret_kind(const char *secret);

// Parses a SECRET_SCRAM; false: not one, *verifier is undefined.
bool secret_read_scram(const char *secret, struct scram_verifier *verifier);

// A SCRAM iteration count in decimal; false: not one, or outside 1 .. SCRAM_ITERATIONS_MAX.
bool secret_read_iterations(struct slice text, uint32_t *iterations);

// Does this password, sent in the clear, fit the secret of this user? Never for SECRET_NONE.
// Constant time for the compared bytes. A SCRAM secret costs one key derivation (about 2 ms).
bool secret_fits(const char *secret, const char *user, struct slice password);

void secret_wipe(void *at, size_t bytes); // memory that held a secret, never optimised away
