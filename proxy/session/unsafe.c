// SPDX-License-Identifier: Apache-2.0
#include "proxy/session/unsafe.h"

#include <stdio.h>

#include "base/log.h"
#include "config/config.h"
#include "proxy/session/session.h"
#include "proxy/session/told.h"
#include "proxy/sql/analysis.h"
#include "proxy/worker.h"

static const char nonsense[] = "refused"; // no statement begins so

static const struct {
    uint32_t effect;
    enum pin pin;
    const char *what;
} kinds[] = {
    {EFFECT_TEMP, PIN_TEMP, "a temporary object"},
    {EFFECT_CURSOR_HOLD, PIN_CURSOR, "a cursor WITH HOLD"},
    {EFFECT_LISTEN, PIN_LISTEN, "LISTEN"},
    {EFFECT_ADVISORY, PIN_ADVISORY, "a session level advisory lock"},
    {EFFECT_LOAD, PIN_LOAD, "a loaded library"},
    {0, PIN_SEQUENCE, "currval() or lastval() in a later transaction"}, // see sequences.h
};
enum { KINDS = sizeof(kinds) / sizeof(*kinds) };

static enum config_unsafe_state choice(const struct client *client)
{
    return config_settings(client->worker->config)->unsafe_state;
}

bool unsafe_is_refused(const struct client *client)
{
    return client->mode != POOL_SESSION && choice(client) == CONFIG_UNSAFE_ERROR;
}

static const char *what(uint32_t pin)
{
    for (size_t i = 0; i < KINDS; i++)
        if (kinds[i].pin == pin)
            return kinds[i].what;
    return NULL;
}

bool unsafe_refuses(const struct client *client, const struct analysis *analysis, uint32_t *why)
{
    if (analysis == NULL || analysis->effects == 0 || !unsafe_is_refused(client))
        return false;
    for (size_t i = 0; i < KINDS; i++) {
        *why = kinds[i].pin;
        if ((analysis->effects & kinds[i].effect) != 0)
            return true;
    }
    return false;
}

void unsafe_put_query(struct sender *to_server)
{
    struct buf out = {0};
    message_query(&out, nonsense);
    sender_copy(to_server, buf_slice(&out));
    buf_fini(&out);
}

void unsafe_put_parse(struct sender *to_server)
{
    struct buf out = {0};
    size_t mark = buf_message_begin(&out, 'P');
    buf_cstr(&out, "");
    buf_cstr(&out, nonsense);
    buf_u16(&out, 0);
    buf_message_end(&out, mark);
    sender_copy(to_server, buf_slice(&out));
    buf_fini(&out);
}

void unsafe_say_error(struct client *client, const struct op *op)
{
    if (client == NULL)
        return;
    struct buf out = {0};
    if (op->number == TOLD_WHY) {
        told_refusal(&out);
        sender_copy(session_to_client(client), buf_slice(&out));
        buf_fini(&out);
        return;
    }
    char text[160];
    snprintf(text, sizeof(text),
             "%s needs a server connection of its own, and the pool mode is not session "
             "(unsafe_state = error)",
             what((uint32_t)op->number));
    message_error(&out, "ERROR", "0A000", text);
    sender_copy(session_to_client(client), buf_slice(&out));
    buf_fini(&out);
}

void unsafe_warn(struct client *client, uint32_t why)
{
    if (client->mode == POOL_SESSION || (client->pins & 1u << why) != 0 ||
        choice(client) != CONFIG_UNSAFE_WARN || what(why) == NULL)
        return;
    char text[160];
    snprintf(text, sizeof(text),
             "%s keeps this client's server connection from others until it ends "
             "(unsafe_state = warn)",
             what(why));
    struct buf out = {0};
    message_error(&out, "WARNING", "01000", text);
    sender_copy(session_to_client(client), buf_slice(&out));
    buf_fini(&out);
    log_warning("C-%p: %s/%s: %s", (void *)client, client->database, client->user, text);
}
