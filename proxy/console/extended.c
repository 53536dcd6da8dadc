// SPDX-License-Identifier: Apache-2.0
#include "proxy/console/extended.h"

#include <string.h>

#include "base/mem.h"
#include "base/reader.h"
#include "proxy/console/command.h"
#include "proxy/console/table.h"
#include "proxy/wire/message.h"

enum { NAMES_MAX = 200 };

// A prepared command ('S') or a portal ('P').
struct named {
    struct link link;
    char kind;
    uint64_t binary; // of a portal
    char *name;      // owns
    char *text;      // owns
};

static void drop(struct extended *e, struct named *n)
{
    list_remove(&e->names, &n->link);
    e->count--;
    mem_free(n->name);
    mem_free(n->text);
    mem_free(n);
}

void extended_fini(struct extended *e)
{
    struct link *l;
    while (e->begun && (l = list_first(&e->names)) != NULL)
        drop(e, container_of(l, struct named, link));
}

static struct named *find(struct extended *e, char kind, struct slice name)
{
    list_each(&e->names, l)
    {
        struct named *n = container_of(l, struct named, link);
        if (n->kind == kind && slice_is(name, n->name))
            return n;
    }
    return NULL;
}

static bool error(struct extended *e, struct buf *out, const char *sqlstate, const char *text)
{
    message_error(out, "ERROR", sqlstate, text);
    e->skipping = true;
    return false;
}

static bool bad(struct extended *e, struct buf *out)
{
    return error(e, out, "08P01", "bad packet");
}

static bool missing(struct extended *e, struct buf *out, char kind)
{
    return kind == 'S' ? error(e, out, "26000", "prepared statement does not exist")
                       : error(e, out, "34000", "portal does not exist");
}

static void empty_message(struct buf *out, char type)
{
    buf_message_end(out, buf_message_begin(out, type));
}

static bool set(struct extended *e, struct buf *out, char kind, struct slice name,
                const char *text, uint64_t binary)
{
    struct named *n = find(e, kind, name);
    if (n != NULL && name.len > 0)
        return error(e, out, kind == 'S' ? "42P05" : "42P03",
                     kind == 'S' ? "prepared statement already exists" : "portal already exists");
    if (e->count >= NAMES_MAX)
        return error(e, out, "53400", "too many prepared statements on the admin console");
    char *copy = mem_strdup(text);
    if (n != NULL)
        drop(e, n);
    n = mem_new(struct named);
    n->kind = kind;
    n->binary = binary;
    n->name = mem_strndup((const char *)name.at, name.len);
    n->text = copy;
    list_push_back(&e->names, &n->link);
    e->count++;
    empty_message(out, kind == 'S' ? '1' : '2');
    return true;
}

static bool parse(struct extended *e, struct slice body, struct buf *out)
{
    struct reader r = reader_of(body);
    struct slice name = reader_cstr(&r);
    struct slice text = reader_cstr(&r);
    uint16_t types = reader_u16(&r);
    reader_bytes(&r, (size_t)types * 4);
    if (!reader_done(&r))
        return bad(e, out);
    return set(e, out, 'S', name, (const char *)text.at, 0);
}

// The codes of the result columns as bits.
static uint64_t formats(struct reader *r)
{
    uint64_t binary = 0;
    uint16_t count = reader_u16(r);
    for (int i = 0; i < count && reader_ok(r); i++)
        if (reader_u16(r) == 1 && i < 64)
            binary |= 1ull << i;
    return count == 1 && binary != 0 ? ~0ull : binary;
}

static bool bind(struct extended *e, struct slice body, struct buf *out)
{
    struct reader r = reader_of(body);
    struct slice portal = reader_cstr(&r);
    struct slice name = reader_cstr(&r);
    reader_bytes(&r, (size_t)reader_u16(&r) * 2);
    uint16_t parameters = reader_u16(&r);
    if (reader_ok(&r) && parameters > 0)
        return error(e, out, "0A000", "the admin console takes no parameters");
    uint64_t binary = formats(&r);
    if (!reader_done(&r))
        return bad(e, out);
    const struct named *statement = find(e, 'S', name);
    if (statement == NULL)
        return missing(e, out, 'S');
    return set(e, out, 'P', portal, statement->text, binary);
}

static bool describe(struct extended *e, struct slice body, struct buf *out)
{
    struct reader r = reader_of(body);
    char kind = (char)reader_u8(&r);
    struct slice name = reader_cstr(&r);
    if (!reader_done(&r) || (kind != 'S' && kind != 'P'))
        return bad(e, out);
    const struct named *n = find(e, kind, name);
    if (n == NULL)
        return missing(e, out, kind);
    if (kind == 'S') {
        size_t mark = buf_message_begin(out, 't');
        buf_u16(out, 0);
        buf_message_end(out, mark);
    }
    if (!command_describe(n->text, n->binary, out))
        empty_message(out, 'n');
    return true;
}

static bool close_name(struct extended *e, struct slice body, struct buf *out)
{
    struct reader r = reader_of(body);
    char kind = (char)reader_u8(&r);
    struct slice name = reader_cstr(&r);
    if (!reader_done(&r) || (kind != 'S' && kind != 'P'))
        return bad(e, out);
    struct named *n = find(e, kind, name);
    if (n != NULL)
        drop(e, n);
    empty_message(out, '3');
    return true;
}

static const struct named *execute(struct extended *e, struct slice body, struct buf *out)
{
    struct reader r = reader_of(body);
    struct slice name = reader_cstr(&r);
    reader_u32(&r); // all rows are sent at once, however many are asked for
    if (!reader_done(&r)) {
        bad(e, out);
        return NULL;
    }
    const struct named *n = find(e, 'P', name);
    if (n == NULL)
        missing(e, out, 'P');
    return n;
}

static void sync(struct extended *e, struct buf *out)
{
    e->skipping = false;
    list_each(&e->names, l) // portals end with their transaction
    {
        struct named *n = container_of(l, struct named, link);
        if (n->kind == 'P')
            drop(e, n);
    }
    message_ready(out, 'I');
}

bool extended_message(struct extended *e, struct client *client, char type, struct slice body,
                      struct buf *out, const char **text, uint64_t *binary)
{
    if (!e->begun)
        list_init(&e->names);
    e->begun = true;
    if (type == 'S')
        sync(e, out);
    if (e->skipping)
        return false;
    if (type == 'P')
        parse(e, body, out);
    else if (type == 'B')
        bind(e, body, out);
    else if (type == 'D')
        describe(e, body, out);
    else if (type == 'C')
        close_name(e, body, out);
    if (type != 'E')
        return false;
    const struct named *portal = execute(e, body, out);
    if (portal == NULL)
        return false;
    *text = portal->text;
    *binary = portal->binary;
    return true;
}
