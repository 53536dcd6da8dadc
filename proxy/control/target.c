// SPDX-License-Identifier: Apache-2.0
#include "proxy/control/target.h"

#include <stdio.h>
#include <string.h>

#include "base/check.h"

// libpq can prove a password, but not what is only stored as its hash.
static const char *plain(const char *secret)
{
    if (secret == NULL || secret[0] == '\0' || strncmp(secret, "SCRAM-SHA-256$", 14) == 0 ||
        (strncmp(secret, "md5", 3) == 0 && strlen(secret) == 35))
        return NULL;
    return secret;
}

const char *target_login(struct target_login *out, const struct domain_target *target,
                         const struct config *config, const char *application_name)
{
    const struct settings *settings = config_settings(config);
    const char *user = settings->control_user, *password = NULL;
    if (user[0] == '\0') {
        user = target->user;
        password = plain(target->password);
    }
    if (user == NULL || user[0] == '\0')
        return "control_user is not set";
    if (strchr(target->host, ',') != NULL)
        return "a database with several hosts cannot be followed";
    const struct config_user *known = config_user(config, user);
    if (password == NULL && known != NULL)
        password = plain(known->secret);
    snprintf(out->port, sizeof(out->port), "%d", target->port);

    const char *pairs[][2] = {
        {"host", target->host},
        {"port", out->port},
        {"dbname", target->dbname},
        {"user", user},
        {"password", password},
        {"application_name", application_name},
        {"gssencmode", "disable"},
        // A peer that is gone without a word: found out within about 15 s. Hits have stopped long
        // before, for want of freshness.
        {"keepalives", "1"},
        {"keepalives_idle", "5"},
        {"keepalives_interval", "3"},
        {"keepalives_count", "3"},
        {"tcp_user_timeout", "15000"},
    };
    size_t n = 0;
    for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
        if (pairs[i][1] == NULL || pairs[i][1][0] == '\0')
            continue;
        CHECK(n < TARGET_KEYWORDS);
        out->keywords[n] = pairs[i][0];
        out->values[n++] = pairs[i][1];
    }
    out->keywords[n] = out->values[n] = NULL;
    return NULL;
}

static const char *secret_of(const struct config *config, const char *user)
{
    const struct config_user *known = config_user(config, user);
    return known == NULL || known->secret == NULL ? "" : known->secret;
}

bool target_login_changed(const struct domain_target *target, const struct config *old,
                          const struct config *new)
{
    const struct settings *a = config_settings(old), *b = config_settings(new);
    if (a->cache != b->cache || a->invalidation != b->invalidation ||
        strcmp(a->publication, b->publication) != 0 ||
        strcmp(a->control_user, b->control_user) != 0)
        return true;
    const char *user = a->control_user[0] != '\0' ? a->control_user : target->user;
    return user != NULL && strcmp(secret_of(old, user), secret_of(new, user)) != 0;
}
