// SPDX-License-Identifier: Apache-2.0
// PostgreSQL's md5 login (55.2.1.3 and AuthenticationMD5Password): the answer to a salt is
// "md5" + md5hex(md5hex(password + user) + salt). Pure functions; any thread.
#pragma once
#include "base/slice.h"

enum {
    MD5_TEXT_BYTES = 36, // "md5", 32 digits, NUL
    MD5_SALT_BYTES = 4,
};

// The stored form: "md5" + md5hex(password + user). False when the library refuses MD5 (FIPS).
bool md5_secret(char secret[MD5_TEXT_BYTES], struct slice password, const char *user);

// Client side: the answer to a server's salt. stored: plain text or the stored md5 form; false for
// any other kind of secret (a SCRAM secret cannot answer).
bool md5_answer(char answer[MD5_TEXT_BYTES], const char *stored, const char *user,
                const uint8_t salt[MD5_SALT_BYTES]);

// Server side: is this the right answer? stored NULL or of another kind: never, in the same time.
bool md5_check(struct slice answer, const char *stored, const char *user,
               const uint8_t salt[MD5_SALT_BYTES]);
