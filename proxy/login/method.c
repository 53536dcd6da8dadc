// SPDX-License-Identifier: Apache-2.0
#include "proxy/login/method.h"

#include "config/config.h"
#include "config/hba.h"
#include "proxy/login/secret.h"
#include "proxy/session/origin.h"

static bool find_rule(const struct config *config, const struct login_asker *asker,
                      struct login_method *method)
{
    const struct origin *origin = asker->origin;
    struct hba_asker who = {
        .database = asker->database,
        .user = asker->user,
        .is_local = origin->kind == ORIGIN_UNIX,
        .has_address = origin->kind == ORIGIN_IPV4 || origin->kind == ORIGIN_IPV6,
        .family = origin->kind == ORIGIN_IPV4 ? NETWORK_IPV4 : NETWORK_IPV6,
        .address = origin->address,
        .encrypted = asker->encrypted,
        .physical = asker->physical,
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
