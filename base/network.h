// SPDX-License-Identifier: Apache-2.0
// Networks as people write them: "10.0.0.0/8", "192.0.2.7", "2001:db8::/32", and lists of those
// with commas between, in which "unix" stands for unix sockets. Pure.
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum network_family { NETWORK_UNIX, NETWORK_IPV4, NETWORK_IPV6 };

enum { NETWORK_TEXT_MAX = 63 }; // of one of a list

struct network {
    enum network_family family;
    int bits;            // how many leading bits count
    uint8_t address[16]; // network order; the first four bytes for IPv4
};

// False: it is none. Bits of the address behind the prefix must be zero.
bool network_read(struct network *network, const char *text);
bool network_has(const struct network *network, enum network_family family,
                 const uint8_t *address);

// An empty list has nobody. What is no network in it has nobody either: see network_list_bad().
bool network_list_has(const char *list, enum network_family family, const uint8_t *address);
// The first word that is no network, cut to NETWORK_TEXT_MAX; false: there is none.
bool network_list_bad(const char *list, char word[NETWORK_TEXT_MAX + 1]);
