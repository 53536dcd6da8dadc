// SPDX-License-Identifier: Apache-2.0
// The digests of passwords, looked for in the library once for the process: it does that anew for
// each use of EVP_sha256() and its like, at several times the cost of a short digest. Any thread.
#pragma once
#include <openssl/types.h>

const EVP_MD *digest_md5(void); // NULL, this and the next: the library has none (FIPS)
const EVP_MD *digest_sha256(void);
EVP_MAC_CTX *digest_hmac_sha256(void); // the caller's to free; without a key yet; NULL likewise
