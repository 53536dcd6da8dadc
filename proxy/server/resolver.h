// SPDX-License-Identifier: Apache-2.0
// Host names to addresses, on a thread of its own: getaddrinfo blocks, and a worker must not. The
// answer comes as mail. Any thread may ask.
#pragma once
#include <netinet/in.h>
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
    struct address address; // of the first answer; length 0 when there is none
    char problem[128];      // then why
};

struct resolver *resolver_new(void);
void resolver_free(struct resolver *resolver); // waits for the question at work

// Answers into question->answer; the receiver frees it with resolution_mail_free.
void resolver_ask(struct resolver *resolver, struct resolution_mail *question);
void resolution_mail_free(struct resolution_mail *mail);

// What needs no question: an address in figures, or a directory of unix sockets ("/..." or, for an
// abstract one, "@..."). False: it is a name.
bool address_literal(struct address *address, const char *host, int port);
