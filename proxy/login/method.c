// SPDX-License-Identifier: Apache-2.0
#include "proxy/login/method.h"

#include "config/config.h"
#include "proxy/login/secret.h"

bool login_method_find(const struct config *config, const struct login_asker *asker,
                       struct login_method *method)
{
    *method = (struct login_method){.type = config_settings(config)->auth_type};
    return method->type != CONFIG_AUTH_HBA;
}

enum config_auth_type login_method_with(enum config_auth_type type, const char *secret)
{
    if (type == CONFIG_AUTH_MD5 && secret_kind(secret) == SECRET_SCRAM)
        return CONFIG_AUTH_SCRAM;
    return type;
}
