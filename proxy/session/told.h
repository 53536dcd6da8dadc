// SPDX-License-Identifier: Apache-2.0
// What clients were told of their statements, and whether it is still true where they run. Who was
// told the columns once and does not ask again reads the rows by them; who was told the parameters'
// types sends values of those. PostgreSQL keeps that promise by refusing to run what has other
// columns now (0A000). Here another server, or the cache, may know the statement as it is since
// its tables changed: so what was told is kept with the client's name, what a server would say with
// the server's statement, and the two are held against each other before a Bind goes out.
// See docs/decisions/0069-what-was-told.md. One worker.
#pragma once
#include "proxy/server/server.h"
#include "proxy/session/client.h"
#include "proxy/wire/message.h"

enum told { TOLD_TRUE, TOLD_ASKED, TOLD_FALSE };
enum { TOLD_WHY = 64 }; // why such a one is refused, beside enum pin (PURPOSE_REFUSE)

struct told_bind {
    struct slice message;    // the input that begins with it; perhaps not all of it is there
    struct frame frame;
    struct slice portal, name, parameters; // in it
    struct statement *meaning;             // of the protocol; the client's server has it
};

// Is a Bind of it right by what its client was told? ASKED: the server is asked what it would say,
// and the input waits. FALSE: PostgreSQL would refuse it.
enum told told_bind(struct client *client, const struct layout *told, const struct told_bind *bind);
// Is a server asked? Then its client's input waits for that, and for nothing else.
bool told_waits(const struct server *server);
// The op of a Describe just pushed: of a statement (name; NULL: it means nothing that is shared),
// of a portal. Its answer is told.
void told_asks(struct op *op, struct slice name, const struct statement *meaning);
void told_asks_portal(struct client *client, struct op *op, struct slice portal);
// An answer to one of those, or to a question of ours. client: NULL if gone.
void told_heard(struct server *server, struct client *client, const struct op *op,
                struct slice message);

// Does a value come in binary? parameters: of a Bind, from its formats on; true as well when they
// are not all there.
bool told_sends_binary(struct slice parameters);
// Does the client ask for the columns, right behind the Bind that bind begins with?
bool told_asks_again(struct slice bind, struct frame frame);

// The error in its place, as PostgreSQL's RevalidateCachedQuery says it.
void told_refusal(struct buf *out);
