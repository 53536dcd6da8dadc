// SPDX-License-Identifier: Apache-2.0
// A password in the clear, and md5.
#include "proxy/session/login.h"

#include <sys/random.h>

#include "base/check.h"
#include "base/mem.h"
#include "base/reader.h"
#include "proxy/login/md5.h"
#include "proxy/login/secret.h"
#include "proxy/session/client.h"
#include "proxy/wire/message.h"

bool login_read_password(struct client *client, struct slice body, struct slice *text)
{
    struct reader r = reader_of(body);
    *text = reader_cstr(&r);
    if (!reader_done(&r))
        login_refuse_with(client, "08P01", "invalid password packet size");
    else if (text->len == 0)
        login_refuse_with(client, "28P01", "empty password returned by client");
    else
        return true;
    return false;
}

static void end(struct client *client, bool fits)
{
    if (fits)
        login_accept(client);
    else
        login_refuse(client);
}

static void plain_begin(struct client *client)
{
    login_ask(client, AUTH_PLAIN, slice_of(NULL, 0));
}

static void plain_message(struct client *client, struct slice body)
{
    struct slice text;
    if (!login_read_password(client, body, &text))
        return;
    bool fits = secret_fits(client->login->secret, client->user, text);
    secret_wipe((void *)(uintptr_t)text.at, text.len); // where it was received
    end(client, fits);
}

const struct login_way login_plain = {
    .needs_user = true, .begin = plain_begin, .message = plain_message};

static void md5_begin(struct client *client)
{
    uint8_t *salt = client->login->state = mem_alloc(MD5_SALT_BYTES);
    CHECK(getrandom(salt, MD5_SALT_BYTES, 0) == MD5_SALT_BYTES);
    login_ask(client, AUTH_MD5, slice_of(salt, MD5_SALT_BYTES));
}

static void md5_message(struct client *client, struct slice body)
{
    const struct login *login = client->login;
    struct slice text;
    if (login_read_password(client, body, &text))
        end(client, md5_check(text, login->secret, client->user, login->state));
}

static void md5_end(struct login *login)
{
    mem_free(login->state);
}

const struct login_way login_md5 = {
    .needs_user = true, .begin = md5_begin, .message = md5_message, .end = md5_end};
