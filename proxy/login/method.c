// SPDX-License-Identifier: Apache-2.0
#include "proxy/login/method.h"

#include <string.h>

#include "config/config.h"
#include "config/hba.h"
#include "proxy/login/secret.h"
#include "proxy/session/origin.h"

// What a load balancer may announce: ::ffff:10.0.0.1 is 10.0.0.1.
static bool is_mapped(const struct origin *origin)
{
    static const uint8_t prefix[12] = {[10] = 0xff, [11] = 0xff};
    return origin->kind == ORIGIN_IPV6 && memcmp(origin->address, prefix, sizeof(prefix)) == 0;
}

// The console has two names: a line for the one is for the other, too. There is nothing in it to
// replicate, so who asks for that needs one of its lines all the same.
static bool find_rule(const struct config *config, const struct login_asker *asker,
                      struct login_method *method)
{
    const struct origin *origin = asker->origin;
    bool is_ipv4 = origin->kind == ORIGIN_IPV4 || is_mapped(origin);
    struct hba_asker who = {
        .database = asker->is_console ? "pgbouncer" : asker->database,
        .alias = asker->is_console ? "pgweir" : NULL,
        .user = asker->user,
        .is_local = asker->local,
        .has_address = origin->kind == ORIGIN_IPV4 || origin->kind == ORIGIN_IPV6,
        .family = is_ipv4 ? NETWORK_IPV4 : NETWORK_IPV6,
        .address = is_mapped(origin) ? origin->address + 12 : origin->address,
        .encrypted = asker->encrypted,
        .physical = asker->physical && !asker->is_console,
    };
    method->rule = hba_find(config_hba(config), &who);
    if (method->rule != NULL)
        method->type = method->rule->method;
    return method->rule != NULL;
}

bool login_method_find(const struct config *config, const struct login_asker *asker,
                       struct login_method *method)
{
    const struct config_database *db =
        asker->is_console ? NULL : config_database(config, asker->database);
    *method = (struct login_method){.type = config_auth_type(config, db)};
    return method->type != CONFIG_AUTH_HBA || find_rule(config, asker, method);
}

enum config_auth_type login_method_with(enum config_auth_type type, const char *secret)
{
    if (type == CONFIG_AUTH_MD5 && secret_kind(secret) == SECRET_SCRAM)
        return CONFIG_AUTH_SCRAM;
    return type;
}
