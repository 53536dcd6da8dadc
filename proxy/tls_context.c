// SPDX-License-Identifier: Apache-2.0
#include "proxy/tls_context.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <openssl/ssl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/buf.h"
#include "base/check.h"
#include "base/mem.h"
#include "config/config.h"
#include "config/file.h"
#include "config/protocols.h"

enum { FILE_BYTES_MAX = 16 * 1024 * 1024, DEPTH_MAX = 6, TICKET_LIFETIME_S = 300 };

// The settings of one side, and how they are named.
struct side {
    const struct config *config;
    struct problems *problems;
    const char *prefix; // "client" or "server"
    enum config_sslmode mode;
    const char *key, *cert, *ca, *protocols, *ciphers, *suites;
    bool ok; // nothing was wrong so far
};

// why NULL: OpenSSL's own reason.
static void blame(struct side *side, const char *option, const char *value, const char *why)
{
    char name[64], sentence[600];
    unsigned long code = ERR_peek_error();
    if (why == NULL && ERR_SYSTEM_ERROR(code))
        why = strerror(ERR_GET_REASON(code));
    else if (why == NULL)
        why = ERR_reason_error_string(code);
    snprintf(name, sizeof(name), "%s_%s", side->prefix, option);
    snprintf(sentence, sizeof(sentence), "invalid %s: %s: %s", name, value,
             why != NULL ? why : "not usable");
    config_blame(side->config, side->problems, PROBLEM_ERROR, name, sentence);
    ERR_clear_error();
    side->ok = false;
}

static void set_versions(SSL_CTX *ssl, const char *text)
{
    static const struct {
        unsigned version;
        int number;
        uint64_t without;
    } known[] = {
        {PROTOCOLS_TLS_1_0, TLS1_VERSION, SSL_OP_NO_TLSv1},
        {PROTOCOLS_TLS_1_1, TLS1_1_VERSION, SSL_OP_NO_TLSv1_1},
        {PROTOCOLS_TLS_1_2, TLS1_2_VERSION, SSL_OP_NO_TLSv1_2},
        {PROTOCOLS_TLS_1_3, TLS1_3_VERSION, SSL_OP_NO_TLSv1_3},
    };
    unsigned versions;
    CHECK(protocols_read(text, &versions)); // config_check() saw to that
    int lowest = 0;
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
        if ((versions & known[i].version) == 0) {
            SSL_CTX_set_options(ssl, known[i].without);
            continue;
        }
        lowest = lowest == 0 ? known[i].number : lowest;
        SSL_CTX_set_max_proto_version(ssl, known[i].number);
    }
    SSL_CTX_set_min_proto_version(ssl, lowest);
}

// Words that once were lists of PgBouncer's own mean what OpenSSL has by default.
static bool is_default(const char *ciphers)
{
    static const char *const words[] = {"", "default", "secure", "normal", "fast"};
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
        if (strcasecmp(words[i], ciphers) == 0)
            return true;
    return false;
}

static int no_passphrase(char *text, int room, int writing, void *arg)
{
    return -1; // nobody is there to be asked
}

static void load_own(struct side *side, SSL_CTX *ssl)
{
    SSL_CTX_set_default_passwd_cb(ssl, no_passphrase);
    if (*side->cert != '\0' && SSL_CTX_use_certificate_chain_file(ssl, side->cert) != 1)
        blame(side, "tls_cert_file", side->cert, NULL);
    if (*side->key != '\0' && SSL_CTX_use_PrivateKey_file(ssl, side->key, SSL_FILETYPE_PEM) != 1)
        blame(side, "tls_key_file", side->key, NULL);
    if (side->ok && *side->key != '\0' && SSL_CTX_check_private_key(ssl) != 1)
        blame(side, "tls_key_file", side->key, NULL);
}

static SSL_CTX *begin(struct side *side, const SSL_METHOD *method)
{
    ERR_clear_error();
    SSL_CTX *ssl = SSL_CTX_new(method);
    CHECK(ssl != NULL);
    // An idle connection has no buffers; a write is never cut short, for it is to memory.
    SSL_CTX_set_mode(ssl, SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_read_ahead(ssl, 1);
    // No session is kept here, and none taken up again with a server; clients: offer_tickets().
    SSL_CTX_set_session_cache_mode(ssl, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_options(ssl, SSL_OP_NO_TICKET | SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION |
                                 SSL_OP_NO_SSLv3);
    SSL_CTX_set_verify_depth(ssl, DEPTH_MAX);
    set_versions(ssl, side->protocols);
    if (!is_default(side->ciphers) && SSL_CTX_set_cipher_list(ssl, side->ciphers) != 1)
        blame(side, "tls_ciphers", side->ciphers, NULL);
    if (*side->suites != '\0' && SSL_CTX_set_ciphersuites(ssl, side->suites) != 1)
        blame(side, "tls13_ciphers", side->suites, NULL);
    load_own(side, ssl);
    return ssl;
}

// NULL when something is wrong.
static SSL_CTX *end(const struct side *side, SSL_CTX *ssl)
{
    if (!side->ok)
        SSL_CTX_free(ssl), ssl = NULL;
    return ssl;
}

// ---- clients

static int choose_protocol(SSL *ssl, const unsigned char **chosen, unsigned char *length,
                           const unsigned char *offered, unsigned offered_length, void *arg)
{
    static const unsigned char ours[] = "\x0apostgresql";
    unsigned char *out;
    if (SSL_select_next_proto(&out, length, ours, sizeof(ours) - 1, offered, offered_length) !=
        OPENSSL_NPN_NEGOTIATED)
        return SSL_TLSEXT_ERR_ALERT_FATAL; // it expects to speak something else
    *chosen = out;
    return SSL_TLSEXT_ERR_OK;
}

static void ask_for_certificates(struct side *side, SSL_CTX *ssl)
{
    if (*side->ca == '\0')
        return;
    STACK_OF(X509_NAME) *names = SSL_load_client_CA_file(side->ca);
    if (names == NULL || SSL_CTX_load_verify_locations(ssl, side->ca, NULL) != 1) {
        sk_X509_NAME_pop_free(names, X509_NAME_free);
        blame(side, "tls_ca_file", side->ca, NULL);
        return;
    }
    SSL_CTX_set_client_CA_list(ssl, names);
    int must = side->mode >= CONFIG_SSL_VERIFY_CA ? SSL_VERIFY_FAIL_IF_NO_PEER_CERT : 0;
    SSL_CTX_set_verify(ssl, SSL_VERIFY_PEER | must, NULL);
}

// Before TLS 1.3 a ticket's key opens all that was said in its session, for as long as it lives.
static int withhold_ticket(SSL *ssl, void *arg)
{
    if (SSL_version(ssl) < TLS1_3_VERSION)
        SSL_set_options(ssl, SSL_OP_NO_TICKET);
    return 1;
}

// A client may take up its session again by a ticket, which only this context can read: the next
// RELOAD ends them all. Not where certificates are asked for: it would not show its own.
static void offer_tickets(const struct side *side, SSL_CTX *ssl)
{
    bool offered = *side->ca == '\0';
    SSL_CTX_set_num_tickets(ssl, offered ? 1 : 0);
    SSL_CTX_set_timeout(ssl, TICKET_LIFETIME_S);
    if (!offered)
        return;
    SSL_CTX_clear_options(ssl, SSL_OP_NO_TICKET);
    SSL_CTX_set_cert_cb(ssl, withhold_ticket, NULL);
}

static SSL_CTX *for_clients(const struct config *config, struct problems *problems)
{
    const struct settings *s = config_settings(config);
    struct side side = {config, problems, "client", s->client_tls_sslmode, s->client_tls_key_file,
                        s->client_tls_cert_file, s->client_tls_ca_file, s->client_tls_protocols,
                        s->client_tls_ciphers, s->client_tls13_ciphers, true};
    SSL_CTX *ssl = begin(&side, TLS_server_method());
    uint8_t name[16];
    CHECK(RAND_bytes(name, sizeof(name)) == 1 &&
          SSL_CTX_set_session_id_context(ssl, name, sizeof(name)) == 1);
    offer_tickets(&side, ssl);
    SSL_CTX_set_options(ssl, SSL_OP_CIPHER_SERVER_PREFERENCE);
    SSL_CTX_set_alpn_select_cb(ssl, choose_protocol, NULL);
    ask_for_certificates(&side, ssl);
    SSL_CTX_set_dh_auto(ssl, strcasecmp(s->client_tls_dheparams, "auto") == 0);
    const char *curve = s->client_tls_ecdhcurve;
    if (*curve != '\0' && strcasecmp(curve, "auto") != 0 && strcasecmp(curve, "none") != 0 &&
        SSL_CTX_set1_groups_list(ssl, curve) != 1)
        blame(&side, "tls_ecdhcurve", curve, "no such curve");
    return end(&side, ssl);
}

// ---- servers

static SSL_CTX *for_servers(const struct config *config, struct problems *problems)
{
    static const unsigned char protocol[] = "\x0apostgresql";
    const struct settings *s = config_settings(config);
    struct side side = {config, problems, "server", s->server_tls_sslmode, s->server_tls_key_file,
                        s->server_tls_cert_file, s->server_tls_ca_file, s->server_tls_protocols,
                        s->server_tls_ciphers, s->server_tls13_ciphers, true};
    SSL_CTX *ssl = begin(&side, TLS_client_method());
    CHECK(SSL_CTX_set_alpn_protos(ssl, protocol, sizeof(protocol) - 1) == 0);
    bool verifies = side.mode >= CONFIG_SSL_VERIFY_CA;
    if (*side.ca != '\0' && SSL_CTX_load_verify_locations(ssl, side.ca, NULL) != 1)
        blame(&side, "tls_ca_file", side.ca, NULL);
    else if (*side.ca == '\0' && verifies && SSL_CTX_set_default_verify_paths(ssl) != 1)
        blame(&side, "tls_ca_file", "the system's root certificates", NULL);
    SSL_CTX_set_verify(ssl, verifies ? SSL_VERIFY_PEER : SSL_VERIFY_NONE, NULL);
    return end(&side, ssl);
}

static void add_file(EVP_MD_CTX *digest, const char *path)
{
    size_t bytes = 0;
    char *text = *path != '\0' ? file_read(path, FILE_BYTES_MAX, &bytes) : NULL;
    EVP_DigestUpdate(digest, path, strlen(path) + 1);
    EVP_DigestUpdate(digest, &bytes, sizeof(bytes));
    if (text != NULL)
        EVP_DigestUpdate(digest, text, bytes);
    file_free(text, bytes);
}

static void add_text(EVP_MD_CTX *digest, const char *text)
{
    EVP_DigestUpdate(digest, text, strlen(text) + 1);
}

static void take_digest(const struct settings *s, uint8_t out[32])
{
    EVP_MD_CTX *digest = EVP_MD_CTX_new();
    CHECK(digest != NULL && EVP_DigestInit_ex(digest, EVP_sha256(), NULL) == 1);
    EVP_DigestUpdate(digest, &s->server_tls_sslmode, sizeof(s->server_tls_sslmode));
    if (s->server_tls_sslmode != CONFIG_SSL_DISABLE) { // else the rest makes no difference
        EVP_DigestUpdate(digest, &s->server_tls_negotiation, sizeof(s->server_tls_negotiation));
        add_text(digest, s->server_tls_protocols);
        add_text(digest, s->server_tls_ciphers);
        add_text(digest, s->server_tls13_ciphers);
        add_file(digest, s->server_tls_key_file);
        add_file(digest, s->server_tls_cert_file);
        add_file(digest, s->server_tls_ca_file);
    }
    EVP_DigestFinal_ex(digest, out, NULL);
    EVP_MD_CTX_free(digest);
}

// ---- both

static unsigned era_behind(const struct tls_context *before, const struct tls_context *context)
{
    if (before == NULL)
        return 1;
    bool is_same = memcmp(before->server_digest, context->server_digest,
                          sizeof(context->server_digest)) == 0;
    return is_same ? before->server_era : before->server_era + 1;
}

struct tls_context *tls_context_new(const struct config *config, const struct tls_context *before,
                                    struct problems *problems)
{
    const struct settings *s = config_settings(config);
    struct tls_context *context = mem_new(struct tls_context);
    context->holders = 1;
    context->client_mode = s->client_tls_sslmode;
    context->server_mode = s->server_tls_sslmode;
    context->server_direct = s->server_tls_negotiation == CONFIG_NEGOTIATION_DIRECT;
    take_digest(s, context->server_digest); // first: what changes now is seen the next time
    context->server_era = era_behind(before, context);
    if (context->client_mode != CONFIG_SSL_DISABLE)
        context->clients = for_clients(config, problems);
    if (context->server_mode != CONFIG_SSL_DISABLE)
        context->servers = for_servers(config, problems);
    if ((context->client_mode != CONFIG_SSL_DISABLE && context->clients == NULL) ||
        (context->server_mode != CONFIG_SSL_DISABLE && context->servers == NULL))
        tls_context_unref(&context);
    return context;
}

struct tls_context *tls_context_ref(struct tls_context *context)
{
    atomic_fetch_add_explicit(&context->holders, 1, memory_order_relaxed);
    return context;
}

void tls_context_unref(struct tls_context **pointer)
{
    struct tls_context *context = *pointer;
    *pointer = NULL;
    if (context == NULL ||
        atomic_fetch_sub_explicit(&context->holders, 1, memory_order_acq_rel) > 1)
        return;
    SSL_CTX_free(context->clients); // as long as connections use them, they live on
    SSL_CTX_free(context->servers);
    mem_free(context);
}
