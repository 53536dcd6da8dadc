// SPDX-License-Identifier: Apache-2.0
// The arithmetic of RFC 5802 section 3, shared by both sides of scram.h. Functions are pure; each
// is false when the library fails.
#pragma once
#include "proxy/login/secret.h"

bool scram_key_hash(uint8_t out[SCRAM_KEY_BYTES], const uint8_t key[SCRAM_KEY_BYTES]); // H
bool scram_key_hmac(uint8_t out[SCRAM_KEY_BYTES], struct slice key, struct slice text);

// StoredKey, AuthMessage -> ClientSignature; with ServerKey -> ServerSignature.
bool scram_key_sign(uint8_t out[SCRAM_KEY_BYTES], const uint8_t key[SCRAM_KEY_BYTES],
                    struct slice auth_message);

// into ^= with: proof from key and signature, or key from proof and signature.
void scram_key_xor(uint8_t into[SCRAM_KEY_BYTES], const uint8_t with[SCRAM_KEY_BYTES]);

bool scram_key_random(void *at, size_t bytes);
