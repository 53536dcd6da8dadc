// SPDX-License-Identifier: Apache-2.0
// The PROXY protocol, versions 1 and 2: what a load balancer puts in front of a connection to say
// whose it is. Pure: bytes in, an origin out. Who may announce what is introduction.c's to decide.
// Strict: whatever the specification does not allow is bad, and no header is longer than
// PROXY_HEADER_MAX. Nothing that can be a startup packet looks like the beginning of one.
// Specification: "The PROXY protocol, versions 1 & 2" (proxy-protocol.txt of HAProxy).
#pragma once
#include "base/slice.h"
#include "proxy/session/origin.h"

enum {
    PROXY_V1_MAX = 107,         // with its CRLF
    PROXY_HEADER_MAX = 16 + 4096, // of version 2: room for addresses and additions
};

enum proxy_header_result {
    PROXY_NONE, // it begins in another way
    PROXY_MORE, // so far so good
    PROXY_OK,
    PROXY_BAD,
};

struct proxy_header {
    size_t bytes;       // of the header
    bool keeps;         // it says nothing (health check, unknown): the socket's own address counts
    bool is_own;        // ... for it is the balancer's own connection: a health check
    struct origin from; // else this
};

// header is filled in when the result is PROXY_OK.
enum proxy_header_result proxy_header_read(struct slice data, struct proxy_header *header);
