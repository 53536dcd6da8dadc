// SPDX-License-Identifier: Apache-2.0
#include "proxy/session/entrance.h"

#include "base/mem.h"

struct entrance_place {
    struct hash_node node; // its hash is the place
    size_t count;          // entrants
};

void entrance_init(struct entrance *entrance)
{
    list_init(&entrance->entrants);
    entrance->places = (struct hash_table){0};
}

void entrance_fini(struct entrance *entrance)
{
    hash_fini(&entrance->places);
}

static struct entrance_place *take_place(struct entrance *entrance, uint64_t place)
{
    struct hash_node *node = hash_first(&entrance->places, place);
    struct entrance_place *found;
    if (node != NULL) {
        found = container_of(node, struct entrance_place, node);
    } else {
        found = mem_new(struct entrance_place);
        hash_insert(&entrance->places, &found->node, place);
    }
    found->count++;
    return found;
}

static void give_place(struct entrance *entrance, struct entrant *entrant)
{
    struct entrance_place *place = entrant->place;
    entrant->place = NULL;
    if (--place->count > 0)
        return;
    hash_remove(&entrance->places, &place->node);
    mem_free(place);
}

void entrance_enter(struct entrance *entrance, struct entrant *entrant, uint64_t place)
{
    entrant->place = take_place(entrance, place);
    link_init(&entrant->link);
    list_push_back(&entrance->entrants, &entrant->link);
}

void entrance_move(struct entrance *entrance, struct entrant *entrant, uint64_t place)
{
    if (entrant->place == NULL)
        return;
    give_place(entrance, entrant);
    entrant->place = take_place(entrance, place);
}

void entrance_leave(struct entrance *entrance, struct entrant *entrant)
{
    if (entrant->place == NULL)
        return;
    give_place(entrance, entrant);
    list_remove(&entrance->entrants, &entrant->link);
}

// Some place has at least the average, so this ends; with one that has most of them, soon.
struct entrant *entrance_weakest(const struct entrance *entrance)
{
    size_t places = entrance->places.count;
    list_each(&entrance->entrants, l)
    {
        struct entrant *entrant = container_of(l, struct entrant, link);
        if (entrant->place->count * places >= entrance->entrants.count)
            return entrant;
    }
    return NULL;
}
