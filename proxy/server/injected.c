// SPDX-License-Identifier: Apache-2.0
#include "proxy/server/injected.h"

#include "base/log.h"
#include "proxy/control/domain.h"
#include "proxy/route.h"
#include "proxy/server/audit.h"
#include "proxy/server/owed.h"
#include "proxy/session/align.h"
#include "proxy/session/client.h"
#include "proxy/session/deferred.h"
#include "proxy/session/given.h"
#include "proxy/session/hidden.h"
#include "proxy/worker.h"

// False: what is read there must not be kept, as no event will tell when it ends. One on its way
// out, of a target that was, stops no hits on the new one but for a moment.
static bool leads_where_it_should(struct server *server, struct database_identity where)
{
    struct domain *domain = server->route->domain;
    if (server_is_of_before(server))
        return domain_session_is_right(domain, where);
    if (server->counted_in != NULL && !database_identity_equal(server->leads_to, where))
        server_leaves_domain(server); // another pooler is between
    if (server->counted_in == NULL) {
        domain_session_came(domain, where);
        server->counted_in = domain;
        server->leads_to = where;
    }
    return domain_session_is_right(server->counted_in, where);
}

static void note_profile(struct server *server, struct slice body)
{
    struct buf row = {0};
    struct database_identity where;
    server->profile_asked = false;
    // What a session on the old target looks like says nothing of those on the new one.
    bool counts = server_is_known(server) && !server_is_obsolete(server);
    // Another session of the same settings may be another one: 0 is no epoch.
    uint64_t epoch = server->bare || server->needs_reset ? 0 : server->profile_epoch;
    if (profile_identity(body, &where, &row) && leads_where_it_should(server, where))
        server->profile = route_profile_note(server->route, server->applied, counts,
                                             buf_slice(&row), epoch);
    buf_fini(&row);
}

void injected_row(struct server *server, enum op_purpose purpose, struct slice body)
{
    if (purpose == PURPOSE_PROFILE)
        note_profile(server, body);
    else if (purpose == PURPOSE_VERIFY || purpose == PURPOSE_BASE)
        align_row(server, body);
    else if (purpose == PURPOSE_LEARN)
        hidden_row(server, body);
}

void injected_ended(struct server *server, struct client *client, enum op_purpose purpose)
{
    if (purpose == PURPOSE_ALIGN || purpose == PURPOSE_SETTINGS)
        align_done(client, server, purpose);
    else if (purpose == PURPOSE_VERIFY)
        align_looked(client, server);
    else if (purpose == PURPOSE_BASE)
        align_base_known(server);
    else if (purpose == PURPOSE_AUDIT)
        audit_answered(server);
    else if (purpose == PURPOSE_LEARN)
        hidden_answered(server);
}

// The client's own request behind it fails as well, or is skipped: one error is enough.
static void mute(struct server *server)
{
    const struct ops *ops = &server->ops;
    for (uint32_t i = 0; i < ops->count; i++) {
        ops_nth(ops, i)->mute = true;
        if (ops_nth(ops, i)->origin == OP_CLIENTS)
            return;
    }
}

// A statement could not be prepared on the client's behalf: as if the client had done it here.
static void refused(struct server *server, struct client *client, struct slice message)
{
    const struct op *op = ops_head(&server->ops);
    const bool quiet = op->quiet || op->mute;
    if (!quiet && client != NULL)
        sender_put(&server->worker->to_client, message);
    if (op->kind == OP_QUERY)
        given_undo(server, op);
    else
        owed_undo_skipped(server, client);
    op = ops_head(&server->ops);
    if (!quiet && op != NULL && op->origin == OP_INJECTED)
        mute(server); // a query follows
}

bool injected_failed(struct server *server, struct client *client, enum op_purpose purpose,
                     struct slice message, const char **why)
{
    struct error_fields fields;
    error_fields_read(slice_of(message.at + 5, message.len - 5), &fields);
    switch (purpose) {
    case PURPOSE_LAYOUT:
        if (strcmp(fields.sqlstate, "0A000") == 0 || strcmp(fields.sqlstate, "26000") == 0)
            prepared_spoil(&server->prepared, ops_head(&server->ops)->number);
        refused(server, client, message);
        return true;
    case PURPOSE_PREPARE:
    case PURPOSE_EVICT:
    case PURPOSE_NONE:
        refused(server, client, message);
        return true;
    case PURPOSE_BEGIN:
        if (deferred_failed(server, &server->worker->to_client, message))
            return true;
        *why = "the transaction could not begin";
        return false;
    case PURPOSE_REFUSE:
        return true; // never injected
    case PURPOSE_PROFILE:
        server->profile_asked = false;
        log_warning("S-%p: the session's settings cannot be read: %s", (void *)server,
                    fields.message);
        return true;
    case PURPOSE_ALIGN:
    case PURPOSE_SETTINGS:
        if (client != NULL)
            sender_end(&server->worker->to_client);
        align_failed(client, server, purpose, &fields);
        return false;
    case PURPOSE_BASE:
        log_warning("S-%p: the session cannot be looked at: %s", (void *)server, fields.message);
        *why = "connect_query failed";
        return false;
    case PURPOSE_CONNECT: // again, after a reset; as at the login it is no reason to close
        log_error("S: error while executing exec_on_query: %s: %s", fields.severity,
                  fields.message);
        return true;
    case PURPOSE_VERIFY:
        log_warning("S-%p: the session cannot be looked at: %s", (void *)server, fields.message);
        align_look_failed(server, &fields); // it stays pinned, or is looked at again
        return true;
    case PURPOSE_LEARN:
        hidden_failed(server, fields.message);
        return true;
    case PURPOSE_RESET:
        log_warning("S-%p: reset query failed: %s", (void *)server, fields.message);
        *why = "reset query failed";
        return false;
    case PURPOSE_CHECK:
        *why = "test query failed";
        return false;
    case PURPOSE_AUDIT:
        audit_failed(server);
        if (ops_head(&server->ops)->kind != OP_QUERY)
            owed_undo_skipped(server, NULL);
        return true;
    }
    return true;
}

