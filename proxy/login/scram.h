// SPDX-License-Identifier: Apache-2.0
// SCRAM-SHA-256 (RFC 5802, RFC 7677), both sides, as state machines over bytes: no socket, no
// clock. The caller moves the messages (AuthenticationSASL and so on) and owns the structs; one
// thread at a time. Names in the messages are ignored and sent empty, as PostgreSQL does.
//
// Channel binding (RFC 5802 section 6): over TLS both sides put the hash of the server's
// certificate into what they sign, so that nobody between them can pass the exchange on. Who can
// and believes that the other side cannot says so (y), and is refused by one that had offered it.
//
// Passwords are used byte for byte. SASLprep changes only non-ASCII ones that are not in
// normal form; where PostgreSQL finds a password unfit for SASLprep it does the same as we do.
//
// Time: deriving keys from a password is about 2 ms at 4096 iterations. Keep what comes out
// (struct scram_verifier, struct scram_keys) and give it back at the next login.
#pragma once
#include "base/buf.h"
#include "proxy/login/secret.h"

#define SCRAM_MECHANISM "SCRAM-SHA-256"
#define SCRAM_MECHANISM_PLUS "SCRAM-SHA-256-PLUS" // with channel binding

enum scram_result {
    SCRAM_OK,
    SCRAM_MALFORMED, // the peer's message breaks the grammar or the protocol (08P01)
    SCRAM_REFUSED,   // the proof or signature is wrong, or there is no such user (28P01)
    SCRAM_UNBOUND,   // not for this TLS connection, or binding was talked away (28000)
    SCRAM_NO_RANDOM, // the system gave no random bytes, or the library failed
};

enum {
    SCRAM_MESSAGE_BYTES_MAX = 4096, // a longer message is malformed
    SCRAM_NONCE_TEXT_BYTES = 24,    // base64 of 18 random bytes, without a NUL
};

enum { SCRAM_ENDPOINT_BYTES_MAX = 64 };

// How an exchange is bound to its TLS connection.
struct scram_binding {
    char flag; // of the client's first message: n (it cannot), y (it could), p (it does)
    uint8_t endpoint[SCRAM_ENDPOINT_BYTES_MAX]; // tls-server-end-point
    size_t endpoint_len;                        // 0: no TLS, or a certificate that has none
};

// What a client needs to log in without the password.
struct scram_keys {
    uint8_t salt[SCRAM_SALT_BYTES_MAX];
    size_t salt_len; // 0: no keys here
    uint32_t iterations;
    uint8_t client_key[SCRAM_KEY_BYTES];
    uint8_t server_key[SCRAM_KEY_BYTES];
};

// Keys from a password. False when the library fails.
bool scram_derive(struct scram_keys *keys, struct slice password, struct slice salt,
                  uint32_t iterations);
// What checks a plain password: fresh salt, 4096 iterations. Keep it: one derivation each.
bool scram_verifier_new(struct scram_verifier *verifier, struct slice password);
// The same with the salt that scram_verifier_mock() gives this user: then a changing salt does not
// tell a stranger that the user is known, and the verifier can be made again instead of kept.
// iterations: scram_iterations of the configuration, for both.
bool scram_verifier_for(struct scram_verifier *verifier, struct slice password, const char *user,
                        const uint8_t mock_secret[SCRAM_KEY_BYTES], uint32_t iterations);
// Stands in for an unknown user, or one without a usable secret. The salt depends on the user and
// the process's own secret only, so it is the same each time, as a real one would be. mock_secret:
// random bytes made once at start. Pair it with is_known = false below.
void scram_verifier_mock(struct scram_verifier *verifier, const char *user,
                         const uint8_t mock_secret[SCRAM_KEY_BYTES], uint32_t iterations);
// The stored form SCRAM-SHA-256$..., appended to out.
void scram_verifier_print(const struct scram_verifier *verifier, struct buf *out);

// ---- a client logs in to us

struct scram_server {
    struct scram_verifier verifier;
    bool is_known;           // false: any proof is refused
    struct scram_binding binding;
    bool must_bind;          // the client chose the mechanism with binding
    bool expects_final;
    struct buf auth_message; // owns; client-first-bare, server-first, then the rest (RFC 5802 3)
    size_t nonce_at;         // the joint nonce, in auth_message
    size_t nonce_len;
    uint8_t client_key[SCRAM_KEY_BYTES]; // after scram_server_final() returned SCRAM_OK
};

void scram_server_init(struct scram_server *s, const struct scram_verifier *verifier,
                       bool is_known);
void scram_server_fini(struct scram_server *s); // wipes; may be called twice
// Over TLS, where SCRAM_MECHANISM_PLUS was offered. chosen: and taken.
void scram_server_bind(struct scram_server *s, struct slice endpoint, bool chosen);
// client-first-message in, server-first-message appended to reply.
enum scram_result scram_server_first(struct scram_server *s, struct slice message,
                                     struct buf *reply);
// client-final-message in; on SCRAM_OK server-final-message appended to reply.
enum scram_result scram_server_final(struct scram_server *s, struct slice message,
                                     struct buf *reply);
// The keys to log in to PostgreSQL with as this client, after SCRAM_OK (pass-through): they work
// where the server's stored secret is the very one (salt and iterations too) that we checked.
void scram_server_keys(const struct scram_server *s, struct scram_keys *keys);

// ---- we log in to a server

struct scram_client {
    struct scram_binding binding;
    struct buf password;   // owns; empty when there are only keys
    struct scram_keys keys; // given, or derived on the way; good to keep after SCRAM_OK
    size_t nonce_at;        // our nonce, in auth_message
    size_t nonce_len;
    enum { SCRAM_CLIENT_FIRST, SCRAM_CLIENT_FINAL, SCRAM_CLIENT_VERIFY, SCRAM_CLIENT_DONE } next;
    struct buf auth_message; // owns
};

// password.at NULL: keys only. keys NULL: password only. With both the keys are used when the
// server names the same salt and iterations, else new ones are derived from the password.
void scram_client_init(struct scram_client *c, struct slice password,
                       const struct scram_keys *keys);
void scram_client_fini(struct scram_client *c); // wipes; may be called twice
// Over TLS. offered: the server offers SCRAM_MECHANISM_PLUS, which is then to be taken.
void scram_client_bind(struct scram_client *c, struct slice endpoint, bool offered);
// Appends client-first-message.
enum scram_result scram_client_first(struct scram_client *c, struct buf *reply);
// server-first-message in, client-final-message appended. SCRAM_REFUSED: the keys are for another
// salt and there is no password.
enum scram_result scram_client_final(struct scram_client *c, struct slice message,
                                     struct buf *reply);
// server-final-message in. Only after SCRAM_OK is the server proven to know the secret.
enum scram_result scram_client_verify(struct scram_client *c, struct slice message);

// ---- with a given nonce instead of a random one: for published test vectors only

enum scram_result scram_server_first_with(struct scram_server *s, struct slice message,
                                          struct slice nonce, struct buf *reply);
void scram_client_first_with(struct scram_client *c, struct slice user, struct slice nonce,
                             struct buf *reply);
