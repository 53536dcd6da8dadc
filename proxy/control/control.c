// SPDX-License-Identifier: Apache-2.0
#include "proxy/control/control.h"

#include "base/check.h"
#include "base/mem.h"
#include "config/config.h"
#include "proxy/control/domain_inside.h"
#include "proxy/control/following.h"

enum { CONTROL_TAG = 0xc0470101 };

struct control {
    uint32_t tag;
    struct ev_loop *loop;    // borrows
    struct config *config;   // counts
    struct domains *domains; // owns
    ev_async wake;           // from any thread
    struct following **followings; // owns; the domain at i is followed by the one at i
    size_t count;
};

static struct domain *same(void *arg, const struct following *self,
                           struct database_identity database)
{
    struct control *c = arg;
    for (size_t i = 0; i < c->count; i++)
        if (c->followings[i] != self && following_is(c->followings[i], database))
            return following_domain(c->followings[i]);
    return NULL;
}

static void lost(void *arg, struct domain *domain)
{
    struct control *c = arg;
    for (size_t i = 0; i < c->count; i++)
        following_forsake(c->followings[i], domain);
}

static void follow_new_ones(struct control *c)
{
    size_t count = domains_count(c->domains);
    struct following_peers peers = {.same = same, .lost = lost, .arg = c};
    if (count == c->count)
        return;
    c->followings = mem_realloc(c->followings, count * sizeof(*c->followings));
    while (c->count < count) {
        struct domain *domain = domains_at(c->domains, c->count);
        c->followings[c->count] = following_new(c->loop, domain, c->config, &peers);
        c->count++;
    }
}

static void on_wake(struct ev_loop *loop, ev_async *async, int events)
{
    struct control *c = async->data;
    TAG_CHECK(c, CONTROL_TAG);
    follow_new_ones(c);
    for (size_t i = 0; i < c->count; i++)
        if (domain_take_call(following_domain(c->followings[i])))
            following_called(c->followings[i]);
}

static void wake(void *arg)
{
    struct control *c = arg;
    ev_async_send(c->loop, &c->wake);
}

struct control *control_new(struct ev_loop *loop, struct config *config)
{
    struct control *c = mem_new(struct control);
    TAG_SET(c, CONTROL_TAG);
    c->loop = loop;
    c->config = config_ref(config);
    c->domains = domains_new(wake, c);
    ev_async_init(&c->wake, on_wake);
    c->wake.data = c;
    ev_async_start(loop, &c->wake);
    ev_unref(loop); // it alone keeps no loop running
    return c;
}

void control_reload(struct control *c, struct config *config)
{
    TAG_CHECK(c, CONTROL_TAG);
    config_unref(&c->config);
    c->config = config_ref(config);
    for (size_t i = 0; i < c->count; i++)
        following_reload(c->followings[i], config);
}

void control_free(struct control *c)
{
    TAG_CHECK(c, CONTROL_TAG);
    while (c->count > 0) { // one fewer each time: what is freed must not be asked by the others
        struct following *last = c->followings[--c->count];
        following_free(last);
    }
    mem_free(c->followings);
    ev_ref(c->loop);
    ev_async_stop(c->loop, &c->wake);
    domains_free(c->domains);
    config_unref(&c->config);
    TAG_CLEAR(c);
    mem_free(c);
}

struct domains *control_domains(struct control *c)
{
    TAG_CHECK(c, CONTROL_TAG);
    return c->domains;
}
