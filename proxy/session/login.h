// SPDX-License-Identifier: Apache-2.0
// The course of a login: which method applies (proxy/login/method.h), who the client says it is
// and what is known of that one, the method's way, and what follows. A user that does not exist
// goes through the same motions as one that does. On the client's worker.
//
// A method is added by a struct login_way in a file login_NAME.c and its row in way_of() (login.c).
// Its begin() asks the client something (login_ask), decides (login_accept, login_refuse...), or
// waits: login_wait() for something of this worker, which ends with login_go_on(); login_send() for
// an errand that another thread brings back. While a login waits nothing of the client is handled,
// client_login_timeout goes on, and a client that leaves is closed as any other.
#pragma once
#include "base/mailbox.h"
#include "proxy/login/method.h"
#include "base/slice.h"

struct client;
struct login;
struct lookup;
struct worker;

struct login_way {
    bool needs_user; // only for users that are known: login->known, login->secret
    void (*begin)(struct client *client);
    void (*message)(struct client *client, struct slice body); // NULL: it expects no answer
    void (*end)(struct login *login); // frees login->state; NULL: it has none
};

struct login {
    struct config *config;       // counts; of the moment when it began
    struct login_method method;
    const struct login_way *way; // NULL: not decided yet
    bool known;                  // the users file, or auth_query, has this user
    const char *secret;          // borrows from the one or the other; NULL: none
    struct lookup *lookup;       // owns; auth_query under way
    char *found;                 // owns; wiped; the secret that it found
    void *state;                 // owns; the way's
    bool waiting;
    struct login_errand *errand; // borrows; on its way, and awaited
    char *late_why;              // owns; NULL: no refusal is held back
    const char *late_sqlstate;
    int64_t late_us;             // when it is said
};

extern const struct login_way login_plain, login_md5; // login_password.c
extern const struct login_way login_scram;            // login_scram.c
extern const struct login_way login_certificate;      // login_certificate.c
extern const struct login_way login_pam, login_ldap;  // login_checked.c
extern const struct login_way login_peer;             // login_peer.c

// An authentication request.
void login_ask(struct client *client, uint32_t code, struct slice data);

// The ends of a way; the login may be gone afterwards.
void login_accept(struct client *client);
void login_refuse(struct client *client); // a wrong password, or no such user
// The same in other words. A place where passwords were wrong of late waits for it, longer each
// time, and at least delay_us: who has the right one is never held back.
void login_refuse_wrong(struct client *client, const char *sqlstate, const char *why,
                        int64_t delay_us);
void login_refuse_with(struct client *client, const char *sqlstate, const char *why);
// The same after a while, in which the client is not listened to. sqlstate: static.
void login_refuse_later(struct client *client, const char *sqlstate, const char *why,
                        int64_t delay_us);
void login_look(struct client *client, int64_t now_us); // the janitor: is it time?

// The text of an answer to AUTH_PLAIN or AUTH_MD5, without its NUL. False: the client was refused.
bool login_read_password(struct client *client, struct slice body, struct slice *text);

// Nothing of the client is handled until login_go_on(), which handles what has come meanwhile. Who
// is waited for must be able to find the client, or to hear that it is gone.
void login_wait(struct client *client);
void login_go_on(struct client *client);
bool login_waits(const struct client *client);

// What another thread does for a login; the first member of a struct of its owner's. The worker
// does not end before its errands are back.
struct login_errand {
    struct mail mail;      // MAIL_LOGIN
    struct worker *worker; // borrows
    uint64_t client;       // its number
    // On the worker. client: as it waits for this; NULL: it is gone. Frees the errand, and lets the
    // client go on.
    void (*back)(struct login_errand *errand, struct client *client);
};

void login_send(struct client *client, struct login_errand *errand); // back is set; waits for it
void login_unsend(struct client *client);                            // it was not sent after all
void login_return(struct login_errand *errand);                      // any thread
void login_returned(struct worker *worker, struct login_errand *errand); // the worker's mail

// login_reload.c: would the configuration that is in force now have judged it by the same facts?
bool login_holds(struct client *client);
struct login_asker login_asker_of(const struct client *client); // borrows from the client

// login_user.c: who it is; then login_carry_out(), unless the client was refused.
void login_identify(struct client *client);
void login_forget_user(struct login *login);
void login_carry_out(struct client *client);
bool login_find_method(struct client *client); // false: it was refused, as there is none

void client_logged_in(struct client *client); // greeting.c: it has proved who it is
