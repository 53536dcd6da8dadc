// SPDX-License-Identifier: Apache-2.0
// What no option can tell alone: do the settings, databases and users fit together?
#include "config/snapshot.h"

#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#include "base/log.h"
#include "base/network.h"
#include "config/protocols.h"

void config_blame(const struct config *config, struct problems *problems,
                  enum problem_grade grade, const char *option, const char *sentence)
{
    const struct given *given = &config->given[option_index(option_find(option))];
    bool is_given = given->text != NULL;
    problems_add(problems, grade, is_given ? given->file : config->path,
                 is_given ? given->line : 0, "%s", sentence);
}

static void check_listening(const struct config *config, struct problems *problems)
{
    const struct settings *s = &config->settings;
    if (*s->listen_addr == '\0' && *s->unix_socket_dir == '\0')
        config_blame(config, problems, PROBLEM_ERROR, "listen_addr",
              "nowhere to listen on: listen_addr and unix_socket_dir are both empty");
}

static void check_http(const struct config *config, struct problems *problems)
{
    const char *listen = config->settings.http_listen;
    if (*listen == '\0')
        return;
    const char *colon = strrchr(listen, ':');
    int64_t port;
    if (colon == NULL || colon == listen || !option_read_count(colon + 1, &port) || port < 1 ||
        port > 65535)
        config_blame(config, problems, PROBLEM_ERROR, "http_listen",
              "invalid value for http_listen: must be address:port, such as 127.0.0.1:9127");
}

static void check_proxy_protocol(const struct config *config, struct problems *problems)
{
    const struct settings *s = &config->settings;
    char word[NETWORK_TEXT_MAX + 1], sentence[160];
    if (network_list_bad(s->proxy_protocol_from, word)) {
        snprintf(sentence, sizeof(sentence), "proxy_protocol_from: \"%s\" is no network", word);
        config_blame(config, problems, PROBLEM_ERROR, "proxy_protocol_from", sentence);
    } else if (s->proxy_protocol != CONFIG_PROXY_OFF && *s->proxy_protocol_from == '\0') {
        config_blame(config, problems, PROBLEM_ERROR, "proxy_protocol",
              "proxy_protocol needs proxy_protocol_from: whose headers are to be believed");
    }
}

static void check_users(const struct config *config, struct problems *problems)
{
    bool needs_users = false;
    for (size_t i = 0; i < config_database_count(config); i++) {
        const struct config_database *db = config_database_at(config, i);
        enum config_auth_type type = config_auth_type(config, db);
        if (type == CONFIG_AUTH_ANY && db->user == NULL)
            problems_add(problems, PROBLEM_WARNING, config->path, 0,
                         "auth_type=any requires a forced user: database \"%s\" has no user=",
                         db->name);
        needs_users |= type != CONFIG_AUTH_ANY && type != CONFIG_AUTH_PAM &&
                       config_auth_user(config, db) == NULL;
    }
    if (needs_users && *config->settings.auth_file == '\0')
        config_blame(config, problems, PROBLEM_WARNING, "auth_file",
              "auth_file is not set: no user is known, so nobody can log in");
}

static void check_auth(const struct config *config, struct problems *problems)
{
    const struct settings *s = &config->settings;
    if (strcmp(s->auth_dbname, "pgbouncer") == 0 || strcmp(s->auth_dbname, "pgweir") == 0)
        config_blame(config, problems, PROBLEM_ERROR, "auth_dbname",
              "cannot use the reserved database of the console as an auth_dbname");
    if (*s->auth_query == '\0')
        config_blame(config, problems, PROBLEM_ERROR, "auth_query", "auth_query is empty");
    if (s->auth_type == CONFIG_AUTH_LDAP && *s->auth_ldap_options == '\0')
        config_blame(config, problems, PROBLEM_ERROR, "auth_type",
              "auth_type = ldap needs auth_ldap_options: which server is to be asked");
    if (*s->auth_pam_service == '\0' || strchr(s->auth_pam_service, '/') != NULL)
        config_blame(config, problems, PROBLEM_ERROR, "auth_pam_service",
              "auth_pam_service is the name of a file, without its directory");
}

static void check_publication(const struct config *config, struct problems *problems)
{
    enum { NAME_MAX_BYTES = 63 }; // NAMEDATALEN - 1
    const struct settings *s = &config->settings;
    if (strlen(s->publication) > NAME_MAX_BYTES)
        config_blame(config, problems, PROBLEM_ERROR, "publication",
              "publication is one name, of at most 63 bytes");
    else if (*s->publication != '\0' && (s->invalidation == CONFIG_INVALIDATION_NOTIFY ||
                                         s->invalidation == CONFIG_INVALIDATION_PROXY))
        config_blame(config, problems, PROBLEM_WARNING, "publication",
              "publication has no effect: this invalidation does not read the WAL");
}

static void check_cache(const struct config *config, struct problems *problems)
{
    const struct settings *s = &config->settings;
    if (!s->cache)
        return;
    if (s->cache_max_entry_size_bytes > s->cache_size_bytes)
        config_blame(config, problems, PROBLEM_ERROR, "cache_max_entry_size",
              "cache_max_entry_size is larger than cache_size");
    check_publication(config, problems);
    for (size_t i = 0; i < config_database_count(config); i++) {
        const struct config_database *db = config_database_at(config, i);
        if (config_control_user(config, db) == NULL) {
            config_blame(config, problems, PROBLEM_ERROR, "cache",
                  "cache = on needs control_user, or user= in every line of [databases]");
            return;
        }
    }
}

static void check_syslog(const struct config *config, struct problems *problems)
{
    const struct settings *s = &config->settings;
    if (s->syslog && !log_is_facility(s->syslog_facility))
        config_blame(config, problems, PROBLEM_WARNING, "syslog_facility",
              "unknown syslog_facility: using daemon");
}

static void check_protocols(const struct config *config, struct problems *problems,
                            const char *option, const char *value)
{
    unsigned versions;
    char sentence[200];
    if (protocols_read(value, &versions))
        return;
    snprintf(sentence, sizeof(sentence), "invalid %s: %.100s", option, value);
    config_blame(config, problems, PROBLEM_ERROR, option, sentence);
}

static void check_tls(const struct config *config, struct problems *problems)
{
    const struct settings *s = &config->settings;
    check_protocols(config, problems, "client_tls_protocols", s->client_tls_protocols);
    check_protocols(config, problems, "server_tls_protocols", s->server_tls_protocols);
    if (strcasecmp(s->client_tls_dheparams, "auto") != 0 &&
        strcasecmp(s->client_tls_dheparams, "none") != 0)
        config_blame(config, problems, PROBLEM_ERROR, "client_tls_dheparams",
                     "invalid client_tls_dheparams: must be auto or none");
    if (s->client_tls_sslmode != CONFIG_SSL_DISABLE &&
        (*s->client_tls_key_file == '\0' || *s->client_tls_cert_file == '\0'))
        config_blame(config, problems, PROBLEM_ERROR, "client_tls_sslmode",
                     "To allow TLS connections from clients, client_tls_key_file and "
                     "client_tls_cert_file must be set.");
    if (s->auth_type == CONFIG_AUTH_CERT && s->client_tls_sslmode != CONFIG_SSL_VERIFY_FULL)
        config_blame(config, problems, PROBLEM_ERROR, "auth_type",
                     "auth_type=cert requires client_tls_sslmode=verify-full");
    if (s->client_tls_sslmode >= CONFIG_SSL_VERIFY_CA && *s->client_tls_ca_file == '\0')
        config_blame(config, problems, PROBLEM_ERROR, "client_tls_sslmode",
                     "client_tls_sslmode requires client_tls_ca_file");
    if ((*s->server_tls_cert_file == '\0') != (*s->server_tls_key_file == '\0'))
        config_blame(config, problems, PROBLEM_ERROR,
                     *s->server_tls_key_file ? "server_tls_key_file" : "server_tls_cert_file",
                     "server_tls_key_file and server_tls_cert_file go together");
    if (s->server_tls_negotiation == CONFIG_NEGOTIATION_DIRECT &&
        s->server_tls_sslmode < CONFIG_SSL_REQUIRE)
        config_blame(config, problems, PROBLEM_ERROR, "server_tls_negotiation",
                     "server_tls_negotiation=direct requires server_tls_sslmode=require or "
                     "stricter");
}

void config_check(const struct config *config, struct problems *problems)
{
    check_tls(config, problems);
    check_listening(config, problems);
    check_proxy_protocol(config, problems);
    check_http(config, problems);
    check_syslog(config, problems);
    check_users(config, problems);
    check_auth(config, problems);
    check_cache(config, problems);
}
