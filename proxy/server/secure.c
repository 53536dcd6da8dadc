// SPDX-License-Identifier: Apache-2.0
#include "proxy/server/secure.h"

#include <errno.h>

#include "base/mem.h"
#include "proxy/server/resolver.h"
#include "proxy/tls_context.h"
#include "proxy/wire/conn.h"
#include "proxy/wire/message.h"
#include "proxy/wire/tls.h"

struct secure {
    struct conn *conn;           // borrows
    struct tls_context *context; // counts
    char *host;                  // owns
    enum { ASKS, SHAKES, FAILED } stage;
    const char *problem;
};

bool secure_is_wanted(const struct tls_context *context, const struct address *address)
{
    return context->server_mode != CONFIG_SSL_DISABLE && address->to.any.sa_family != AF_UNIX;
}

static enum secure_result fail(struct secure *secure, const char *why)
{
    secure->stage = FAILED;
    secure->problem = why;
    return SECURE_FAILED;
}

static void begin_tls(struct secure *secure)
{
    const struct tls_context *context = secure->context;
    secure->stage = SHAKES;
    if (!tls_connect(secure->conn, context->servers, secure->host,
                     context->server_mode == CONFIG_SSL_VERIFY_FULL, context->server_direct))
        fail(secure, "sslreq processing failed");
}

struct secure *secure_begin(struct conn *conn, struct tls_context *context, const char *host)
{
    struct secure *secure = mem_new(struct secure);
    secure->conn = conn;
    secure->context = tls_context_ref(context);
    secure->host = mem_strdup(host);
    if (context->server_direct) {
        begin_tls(secure);
        return secure;
    }
    uint8_t request[STARTUP_HEADER_BYTES];
    store_u32(request, sizeof(request));
    store_u32(request + 4, SSL_REQUEST_CODE);
    conn_queue(conn, slice_of(request, sizeof(request)));
    if (conn_flush(conn) == CONN_ERROR)
        fail(secure, "server conn crashed?");
    return secure;
}

void secure_free(struct secure **pointer)
{
    struct secure *secure = *pointer;
    *pointer = NULL;
    if (secure == NULL)
        return;
    tls_context_unref(&secure->context);
    mem_free(secure->host);
    mem_free(secure);
}

// One byte. What came with it was said before there was TLS, and nobody may say anything then: it
// must not be taken for what the server says by TLS.
static enum secure_result take_answer(struct secure *secure, uint8_t *area)
{
    struct slice answer;
    switch (conn_read(secure->conn, area, &answer)) {
    case CONN_AGAIN:
        return SECURE_WAITS;
    case CONN_EOF:
    case CONN_ERROR:
        return fail(secure, "server conn crashed?");
    case CONN_OK:
        break;
    }
    uint8_t yes = answer.at[0];
    bool alone = answer.len == 1;
    conn_keep(secure->conn, slice_of(NULL, 0));
    if (yes != 'S' && yes != 'N')
        return fail(secure, "bad sslreq answer");
    if (!alone)
        return fail(secure, "received unencrypted data after SSL response");
    if (yes == 'N' && secure->context->server_mode >= CONFIG_SSL_REQUIRE)
        return fail(secure, "server refused SSL");
    if (yes == 'N')
        return SECURE_DONE;
    begin_tls(secure);
    return secure_step(secure, area);
}

enum secure_result secure_step(struct secure *secure, uint8_t *area)
{
    switch (secure->stage) {
    case ASKS:
        return take_answer(secure, area);
    case SHAKES:
        if (tls_shake(secure->conn->tls))
            return SECURE_DONE;
        return errno == EAGAIN ? SECURE_WAITS : fail(secure, "server conn crashed?");
    case FAILED:
        break;
    }
    return SECURE_FAILED;
}

const char *secure_problem(const struct secure *secure)
{
    return secure->problem;
}
