// SPDX-License-Identifier: Apache-2.0
#include "config/peers.h"

#include <string.h>

#include "base/mem.h"
#include "config/line.h"
#include "config/option.h"

enum { PEER_ID_MAX = 0xffff }; // what fits into a cancel key

void peers_fini(struct peers *peers)
{
    for (size_t i = 0; i < peers->count; i++)
        line_free_text(peers->at[i].host);
    mem_free(peers->at);
    *peers = (struct peers){0};
}

// Where this number stands, or would.
static size_t place_of(const struct peers *peers, int id)
{
    size_t i = 0;
    while (i < peers->count && peers->at[i].id < id)
        i++;
    return i;
}

const struct config_peer *peers_find(const struct peers *peers, int id)
{
    size_t i = place_of(peers, id);
    return i < peers->count && peers->at[i].id == id ? &peers->at[i] : NULL;
}

static void put(struct peers *peers, const struct config_peer *peer)
{
    size_t i = place_of(peers, peer->id);
    if (i < peers->count && peers->at[i].id == peer->id) {
        line_free_text(peers->at[i].host);
    } else {
        peers->at = mem_realloc(peers->at, (peers->count + 1) * sizeof(*peers->at));
        memmove(&peers->at[i + 1], &peers->at[i], (peers->count - i) * sizeof(*peers->at));
        peers->count++;
    }
    peers->at[i] = *peer;
}

void peers_read(struct peers *peers, const struct ini_line *line, struct problems *problems)
{
    int64_t id;
    if (!option_read_count(line->key, &id) || id < 1 || id > PEER_ID_MAX) {
        problems_add(problems, PROBLEM_ERROR, line->file, line->line,
                     "ids of peers must be numbers from 1 to %d, not \"%s\"", PEER_ID_MAX,
                     line->key);
        return;
    }
    struct config_peer peer;
    line_empty_peer(&peer);
    line_read_peer(&peer, line, problems);
    peer.id = (int)id;
    if (peer.host == NULL)
        problems_add(problems, PROBLEM_ERROR, line->file, line->line,
                     "host was not provided for peer %d", peer.id);
    if (peers_find(peers, peer.id) != NULL)
        problems_add(problems, PROBLEM_WARNING, line->file, line->line,
                     "peer %d has a line already: this one counts", peer.id);
    put(peers, &peer);
}
