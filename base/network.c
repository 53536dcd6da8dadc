// SPDX-License-Identifier: Apache-2.0
#include "base/network.h"

#include <arpa/inet.h>
#include <string.h>

// Decimal, without signs, blanks or leading zeros; -1: it is not.
static int read_bits(const char *text)
{
    int bits = 0;
    size_t n = strlen(text);
    if (n == 0 || n > 3 || (text[0] == '0' && n > 1))
        return -1;
    for (; *text != '\0'; text++) {
        if (*text < '0' || *text > '9')
            return -1;
        bits = bits * 10 + *text - '0';
    }
    return bits;
}

static bool tail_is_zero(const struct network *network, int all_bits)
{
    for (int bit = network->bits; bit < all_bits; bit++)
        if (network->address[bit / 8] & (0x80 >> bit % 8))
            return false;
    return true;
}

bool network_read(struct network *network, const char *text)
{
    char address[NETWORK_TEXT_MAX + 1];
    *network = (struct network){.family = NETWORK_UNIX};
    if (strcmp(text, "unix") == 0)
        return true;
    const char *slash = strchr(text, '/');
    size_t n = slash != NULL ? (size_t)(slash - text) : strlen(text);
    if (n > NETWORK_TEXT_MAX)
        return false;
    memcpy(address, text, n);
    address[n] = '\0';
    if (inet_pton(AF_INET, address, network->address) == 1)
        network->family = NETWORK_IPV4;
    else if (inet_pton(AF_INET6, address, network->address) == 1)
        network->family = NETWORK_IPV6;
    else
        return false;
    int all_bits = network->family == NETWORK_IPV4 ? 32 : 128;
    network->bits = slash != NULL ? read_bits(slash + 1) : all_bits;
    return network->bits >= 0 && network->bits <= all_bits && tail_is_zero(network, all_bits);
}

bool network_has(const struct network *network, enum network_family family,
                 const uint8_t *address)
{
    if (family != network->family)
        return false;
    for (int bit = 0; bit < network->bits; bit++) {
        int differs = network->address[bit / 8] ^ address[bit / 8];
        if (differs & (0x80 >> bit % 8))
            return false;
    }
    return true;
}

// Takes the next word off *list; false: there is none. What is too long is cut, and no network.
static bool next_word(const char **list, char word[NETWORK_TEXT_MAX + 1])
{
    const char *p = *list + strspn(*list, ", \t");
    size_t n = strcspn(p, ", \t");
    *list = p + n;
    size_t kept = n > NETWORK_TEXT_MAX ? NETWORK_TEXT_MAX : n;
    memcpy(word, p, kept);
    word[kept] = '\0';
    return n > 0;
}

bool network_list_has(const char *list, enum network_family family, const uint8_t *address)
{
    char word[NETWORK_TEXT_MAX + 1];
    struct network network;
    while (next_word(&list, word))
        if (network_read(&network, word) && network_has(&network, family, address))
            return true;
    return false;
}

bool network_list_bad(const char *list, char word[NETWORK_TEXT_MAX + 1])
{
    struct network network;
    while (next_word(&list, word))
        if (!network_read(&network, word))
            return true;
    return false;
}
