// SPDX-License-Identifier: Apache-2.0
#include "proxy/control/target.h"

#include <libpq-fe.h>
#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "config/protocols.h"

// libpq can prove a password, but not what is only stored as its hash.
static const char *plain(const char *secret)
{
    if (secret == NULL || secret[0] == '\0' || strncmp(secret, "SCRAM-SHA-256$", 14) == 0 ||
        (strncmp(secret, "md5", 3) == 0 && strlen(secret) == 35))
        return NULL;
    return secret;
}

// libpq has no such thing as PgBouncer's allow, which is its prefer.
static const char *sslmode(enum config_sslmode mode)
{
    switch (mode) {
    case CONFIG_SSL_DISABLE:
        return "disable";
    case CONFIG_SSL_ALLOW:
    case CONFIG_SSL_PREFER:
        return "prefer";
    case CONFIG_SSL_REQUIRE:
        return "require";
    case CONFIG_SSL_VERIFY_CA:
        return "verify-ca";
    case CONFIG_SSL_VERIFY_FULL:
        return "verify-full";
    }
    return "verify-full";
}

// A version that stands out: the lowest or the highest of those that are allowed.
static const char *version(unsigned versions, bool highest)
{
    static const char *const names[] = {"TLSv1", "TLSv1.1", "TLSv1.2", "TLSv1.3"};
    const char *found = NULL;
    for (int i = 0; i < 4; i++)
        if ((versions >> i & 1) != 0 && (found == NULL || highest))
            found = names[i];
    return found;
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

    unsigned versions = PROTOCOLS_SECURE;
    protocols_read(settings->server_tls_protocols, &versions);
    bool direct = settings->server_tls_negotiation == CONFIG_NEGOTIATION_DIRECT;
    bool verifies = settings->server_tls_sslmode >= CONFIG_SSL_VERIFY_CA;

    const char *pairs[][2] = {
        {"host", target->host},
        {"port", out->port},
        {"dbname", target->dbname},
        {"user", user},
        {"password", password},
        {"application_name", application_name},
        {"gssencmode", "disable"},
        {"sslmode", sslmode(settings->server_tls_sslmode)},
        {"sslrootcert", verifies ? settings->server_tls_ca_file : NULL}, // else it would verify
        {"sslcert", settings->server_tls_cert_file},
        {"sslkey", settings->server_tls_key_file},
        {"ssl_min_protocol_version", version(versions, false)},
        {"ssl_max_protocol_version", version(versions, true)},
        {"sslnegotiation", direct && PQlibVersion() >= 170000 ? "direct" : NULL},
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

static bool tls_changed(const struct settings *a, const struct settings *b)
{
    return a->server_tls_sslmode != b->server_tls_sslmode ||
           a->server_tls_negotiation != b->server_tls_negotiation ||
           strcmp(a->server_tls_ca_file, b->server_tls_ca_file) != 0 ||
           strcmp(a->server_tls_cert_file, b->server_tls_cert_file) != 0 ||
           strcmp(a->server_tls_key_file, b->server_tls_key_file) != 0 ||
           strcmp(a->server_tls_protocols, b->server_tls_protocols) != 0;
}

bool target_login_changed(const struct domain_target *target, const struct config *old,
                          const struct config *new)
{
    const struct settings *a = config_settings(old), *b = config_settings(new);
    if (tls_changed(a, b) || a->cache != b->cache || a->invalidation != b->invalidation ||
        strcmp(a->publication, b->publication) != 0 ||
        strcmp(a->control_user, b->control_user) != 0)
        return true;
    const char *user = a->control_user[0] != '\0' ? a->control_user : target->user;
    return user != NULL && strcmp(secret_of(old, user), secret_of(new, user)) != 0;
}
