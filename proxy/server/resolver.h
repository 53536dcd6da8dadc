// SPDX-License-Identifier: Apache-2.0
// Host names to addresses, on a thread of its own: getaddrinfo blocks, and a worker must not. The
// answer comes as mail. Any thread may ask. Answers are kept for as long as the asker allows; the
// addresses of a name are given out in turn, and who has one of a name can see whether it is still
// one of its addresses.
#pragma once
#include <netinet/in.h>
#include <stdbool.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "base/mailbox.h"

struct resolver;

struct address {
    socklen_t length; // 0: none
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
        struct sockaddr_un local;
    } to;
};

struct resolution_mail {
    struct mail mail;       // kind is the asker's
    struct mailbox *answer; // borrows
    uint64_t asker;         // the asker's own
    char *host;             // owns
    int port;
    bool first_only;        // always the first address, not one after the other
    int64_t keep_us;        // how old an answer may be (dns_max_ttl)
    int64_t keep_failure_us; // ... one that says that there is none (dns_nxdomain_ttl)
    struct resolver_name *name; // borrows; lives as long as the resolver
    unsigned changes;       // resolver_changes(name) when it answered
    struct address address; // one of those there are; length 0 when there is none
    char problem[128];      // then why
};

// What is known of a name. How often its addresses have changed can be read at any time.
struct resolver_name;
unsigned resolver_changes(const struct resolver_name *name);
// Is it (without regard to the port) among the name's addresses now?
bool resolver_has(struct resolver *resolver, struct resolver_name *name,
                  const struct address *address);

// Every name that was asked for, for SHOW DNS_HOSTS; asked_us: when last. Any thread; visit must
// not ask anything.
typedef void (*resolver_visit)(const char *host, int64_t asked_us, bool failed,
                               const struct address *addresses, int count, void *arg);
void resolver_each(struct resolver *resolver, resolver_visit visit, void *arg);

// How names are looked up: fills at most `most` addresses and returns how many; 0: none, and
// problem says why. For tests; NULL: getaddrinfo.
typedef int resolver_lookup(const char *host, struct address *addresses, int most, char *problem,
                            size_t problem_bytes);
struct resolver *resolver_new(resolver_lookup *lookup);
void resolver_free(struct resolver *resolver); // waits for the question at work

// Answers into question->answer; the receiver frees it with resolution_mail_free.
void resolver_ask(struct resolver *resolver, struct resolution_mail *question);
void resolution_mail_free(struct resolution_mail *mail);

// What needs no question: an address in figures, or a directory of unix sockets ("/..." or, for an
// abstract one, "@..."). False: it is a name.
bool address_literal(struct address *address, const char *host, int port);
