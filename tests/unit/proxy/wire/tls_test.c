// SPDX-License-Identifier: Apache-2.0
// Both sides of a connection, each a conn with TLS, over a socket pair; and OpenSSL itself where
// the other side must do what ours never does.
#include "proxy/wire/tls.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>
#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <poll.h>
#include <stdio.h>

#include "proxy/wire/sender.h"
#include "tests/unit/proxy/wire/pair.h"

static uint8_t area[CONN_AREA_BYTES];

// ---- certificates

static EVP_PKEY *key;

static void set_name(X509_NAME *name, const char *common, int bytes)
{
    if (common != NULL)
        assert_int_equal(X509_NAME_add_entry_by_NID(name, NID_commonName, MBSTRING_UTF8,
                                                    (const uint8_t *)common, bytes, -1, 0),
                         1);
}

// Signed by its own key. names: as in a subjectAltName of openssl's configuration, or NULL.
static X509 *certificate(const char *common, int bytes, const char *names)
{
    X509 *x = X509_new();
    if (key == NULL)
        key = EVP_EC_gen("P-256");
    X509_set_version(x, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(x), 1);
    X509_gmtime_adj(X509_getm_notBefore(x), -3600);
    X509_gmtime_adj(X509_getm_notAfter(x), 3600);
    X509_set_pubkey(x, key);
    set_name(X509_get_subject_name(x), "issuer", 6);
    X509_set_issuer_name(x, X509_get_subject_name(x));
    X509_NAME *subject = X509_NAME_new();
    set_name(subject, common, bytes);
    X509_set_subject_name(x, subject);
    X509_set_issuer_name(x, subject);
    X509_NAME_free(subject);
    if (names != NULL) {
        X509_EXTENSION *e = X509V3_EXT_conf_nid(NULL, NULL, NID_subject_alt_name, names);
        assert_non_null(e);
        X509_add_ext(x, e, -1);
        X509_EXTENSION_free(e);
    }
    assert_true(X509_sign(x, key, EVP_sha256()) > 0);
    return x;
}

static SSL_CTX *server_context(X509 *own)
{
    SSL_CTX *ssl = SSL_CTX_new(TLS_server_method());
    SSL_CTX_set_mode(ssl, SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_read_ahead(ssl, 1);
    SSL_CTX_set_num_tickets(ssl, 0);
    assert_int_equal(SSL_CTX_use_certificate(ssl, own), 1);
    assert_int_equal(SSL_CTX_use_PrivateKey(ssl, key), 1);
    return ssl;
}

static SSL_CTX *client_context(X509 *trusted)
{
    SSL_CTX *ssl = SSL_CTX_new(TLS_client_method());
    SSL_CTX_set_read_ahead(ssl, 1);
    if (trusted != NULL) {
        assert_int_equal(X509_STORE_add_cert(SSL_CTX_get_cert_store(ssl), trusted), 1);
        X509_VERIFY_PARAM_set_flags(SSL_CTX_get0_param(ssl), X509_V_FLAG_PARTIAL_CHAIN);
        SSL_CTX_set_verify(ssl, SSL_VERIFY_PEER, NULL);
    }
    return ssl;
}

// ---- two conns

struct two {
    struct conn near, far; // far: the one that connects
    struct ev_loop *loop;
    SSL_CTX *server, *client;
};

static void two_open(struct two *two, X509 *own, X509 *trusted, const char *host, bool verify)
{
    int fds[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
    two->loop = ev_loop_new(0);
    conn_init(&two->near, fds[0], pair_nothing, pair_nothing, two);
    conn_init(&two->far, fds[1], pair_nothing, pair_nothing, two);
    conn_attach(&two->near, two->loop);
    two->server = server_context(own);
    two->client = client_context(trusted);
    assert_true(tls_accept(&two->near, two->server, slice_of(NULL, 0), false));
    assert_true(tls_connect(&two->far, two->client, host, verify, false));
}

static void two_close(struct two *two)
{
    conn_close(&two->near);
    conn_close(&two->far);
    SSL_CTX_free(two->server);
    SSL_CTX_free(two->client);
    ev_loop_destroy(two->loop);
}

// False: one side would not.
static bool two_shake(struct two *two)
{
    for (int i = 0; i < 20; i++) {
        bool far = tls_shake(two->far.tls);
        if (!far && errno != EAGAIN)
            return false;
        bool near = tls_shake(two->near.tls);
        if (!near && errno != EAGAIN)
            return false;
        if (near && far)
            return true;
    }
    return false;
}

// ---- tests

static void the_name_in_a_certificate(void **state)
{
    static const struct {
        const char *common, *names, *host;
        bool fits;
    } cases[] = {
        {"db.example", NULL, "db.example", true},
        {"db.example", NULL, "DB.Example", true},
        {"db.example", NULL, "db.example.org", false},
        {"db.example", NULL, "b.example", false},
        {"x", "DNS:db.example", "db.example", true},
        {"x", "DNS:a.example,DNS:db.example", "db.example", true},
        {"db.example", "DNS:other.example", "db.example", false}, // the names count, not the CN
        {"x", "DNS:*.example.org", "db.example.org", true},
        {"x", "DNS:*.example.org", "a.db.example.org", false},
        {"x", "DNS:*.example.org", "example.org", false},
        {"x", "DNS:d*.example.org", "db.example.org", false}, // as in libpq: the whole label
        {"x", "DNS:db.*.org", "db.example.org", false},
        {"x", "DNS:*", "db", false},
        {"*.example.org", NULL, "db.example.org", true},
        {"x", "IP:10.0.0.1", "10.0.0.1", true},
        {"x", "IP:10.0.0.1", "10.0.0.2", false},
        {"x", "DNS:10.0.0.1", "10.0.0.1", false},
        {"10.0.0.1", NULL, "10.0.0.1", false},
        {"x", "IP:fe80::1", "fe80::1", true},
        {"x", "IP:fe80::1", "fe80:0:0:0:0:0:0:1", true},
        {"x", "IP:fe80::1", "fe80::2", false},
        {"x", "IP:127.0.0.1", "localhost", false},
        {NULL, NULL, "db.example", false},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const char *common = cases[i].common;
        X509 *own = certificate(common, common != NULL ? (int)strlen(common) : 0, cases[i].names);
        for (int verify = 0; verify < 2; verify++) {
            struct two two = {0};
            two_open(&two, own, own, cases[i].host, verify);
            bool is_well = two_shake(&two);
            if (is_well != (cases[i].fits || !verify))
                fail_msg("%s %s %s: %d", common, cases[i].names, cases[i].host, is_well);
            if (!is_well)
                assert_non_null(strstr(tls_error(two.far.tls), "mismatch"));
            two_close(&two);
        }
        X509_free(own);
    }
}

static void who_is_not_known_is_not_spoken_to(void **state)
{
    X509 *own = certificate("db", 2, NULL), *other = certificate("db", 2, NULL);
    X509_set_serialNumber(other, X509_get_serialNumber(own));
    X509 *trusted = certificate("somebody", 8, NULL);
    struct two two = {0};
    two_open(&two, own, trusted, "db", true);
    assert_false(two_shake(&two));
    assert_non_null(strstr(tls_error(two.far.tls), "certificate verify failed"));
    conn_queue(&two.far, slice_str("secret"));
    assert_false(conn_has_output(&two.far));
    two_close(&two);
    X509_free(own);
    X509_free(other);
    X509_free(trusted);
}

static void a_name_with_a_nul_is_none(void **state)
{
    static const struct {
        const char *name;
        int bytes;
        const char *want;
    } cases[] = {
        {"app", 3, "app"}, {"app\0.evil", 9, NULL}, {"b\xc3\xa9", 3, "b\xc3\xa9"}, {NULL, 0, NULL}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        X509 *shown = certificate(cases[i].name, cases[i].bytes, NULL);
        struct two two = {0};
        X509 *own = certificate("db", 2, NULL);
        two_open(&two, own, NULL, NULL, false);
        SSL_CTX_set_verify(two.server, SSL_VERIFY_PEER, NULL);
        conn_close(&two.near);
        conn_close(&two.far);
        int fds[2];
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
        conn_init(&two.near, fds[0], pair_nothing, pair_nothing, &two);
        conn_init(&two.far, fds[1], pair_nothing, pair_nothing, &two);
        X509_STORE_add_cert(SSL_CTX_get_cert_store(two.server), shown);
        X509_VERIFY_PARAM_set_flags(SSL_CTX_get0_param(two.server), X509_V_FLAG_PARTIAL_CHAIN);
        SSL_CTX_use_certificate(two.client, shown);
        SSL_CTX_use_PrivateKey(two.client, key);
        assert_true(tls_accept(&two.near, two.server, slice_of(NULL, 0), false));
        assert_true(tls_connect(&two.far, two.client, NULL, false, false));
        assert_true(two_shake(&two));
        assert_true(tls_peer_is_verified(two.near.tls));
        const char *name = tls_peer_common_name(two.near.tls);
        if (cases[i].want == NULL)
            assert_null(name);
        else
            assert_string_equal(name, cases[i].want);
        assert_non_null(tls_peer_distinguished_name(two.near.tls));
        two_close(&two);
        X509_free(shown);
        X509_free(own);
    }
}

static void both_ends_see_one_end_point(void **state)
{
    uint8_t a[TLS_HASH_BYTES], b[TLS_HASH_BYTES];
    X509 *own = certificate("db", 2, NULL);
    struct two two = {0};
    two_open(&two, own, own, "db", true);
    assert_true(two_shake(&two));
    assert_int_equal(tls_endpoint_hash(two.near.tls, a), 32);
    assert_int_equal(tls_endpoint_hash(two.far.tls, b), 32);
    assert_memory_equal(a, b, 32);
    two_close(&two);
    X509_free(own);
}

static size_t take(struct conn *conn)
{
    struct slice run;
    if (conn_read(conn, area, &run) != CONN_OK)
        return 0;
    size_t n = run.len;
    conn_keep(conn, slice_of(NULL, 0));
    return n;
}

// What came, and would be slept on if it were only waited for at the socket.
static void what_openssl_holds_is_told_of(void **state)
{
    X509 *own = certificate("db", 2, NULL);
    struct two two = {0};
    static uint8_t bytes[CONN_AREA_BYTES + 5000];
    two_open(&two, own, NULL, NULL, false);
    assert_true(two_shake(&two));
    conn_queue(&two.far, slice_of(bytes, sizeof(bytes)));
    assert_int_equal(conn_flush(&two.far), CONN_OK);
    assert_int_equal(take(&two.near), CONN_AREA_BYTES); // all the room there is
    assert_true(tls_has_more(two.near.tls));
    struct pollfd socket = {.fd = two.near.fd, .events = POLLIN};
    bool silent = poll(&socket, 1, 0) == 0;
    assert_true(ev_is_pending(&two.near.readable));
    ev_clear_pending(two.loop, &two.near.readable);
    size_t rest = take(&two.near);
    if (silent)
        assert_int_equal(rest, 5000);
    while (rest < 5000)
        rest += take(&two.near);
    assert_int_equal(rest, 5000);
    assert_int_equal(take(&two.near), 0);
    assert_false(tls_has_more(two.near.tls));

    // Nor when reading was stopped meanwhile, or the conn has gone to another loop.
    conn_queue(&two.far, slice_of(bytes, sizeof(bytes)));
    conn_flush(&two.far);
    take(&two.near);
    conn_want_read(&two.near, false);
    assert_false(ev_is_pending(&two.near.readable));
    conn_want_read(&two.near, true);
    assert_true(ev_is_pending(&two.near.readable));
    conn_detach(&two.near);
    assert_false(ev_is_pending(&two.near.readable));
    conn_attach(&two.near, two.loop);
    assert_true(ev_is_pending(&two.near.readable));
    two_close(&two);
    X509_free(own);
}

// Reading what OpenSSL has leaves the socket alone: others have their turn.
static void one_turn_is_bounded(void **state)
{
    X509 *own = certificate("db", 2, NULL);
    struct two two = {0};
    static uint8_t bytes[16 * 1024];
    size_t in_one_turn = 0;
    two_open(&two, own, NULL, NULL, false);
    assert_true(two_shake(&two));
    for (int i = 0; i < 30 && !conn_has_output(&two.far); i++) {
        conn_queue(&two.far, slice_of(bytes, sizeof(bytes)));
        conn_flush(&two.far);
    }
    do {
        in_one_turn += take(&two.near);
        conn_flush(&two.far);
    } while (tls_has_more(two.near.tls));
    assert_in_range(in_one_turn, 1, CONN_AREA_BYTES + 3 * 17 * 1024);
    two_close(&two);
    X509_free(own);
}

// Everything arrives although the socket takes little at a time.
static void partial_writes(void **state)
{
    X509 *own = certificate("db", 2, NULL);
    struct two two = {0};
    static uint8_t bytes[300 * 1024];
    struct sender *sender = calloc(1, sizeof(*sender));
    int small = 1;
    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (uint8_t)(i * 7 + i / 251);
    two_open(&two, own, NULL, NULL, false);
    setsockopt(two.near.fd, SOL_SOCKET, SO_SNDBUF, &small, sizeof(small));
    assert_true(two_shake(&two));
    sender_begin(sender, &two.near);
    sender_copy(sender, slice_of(bytes, 10));
    sender_put(sender, slice_of(bytes + 10, 200 * 1024));
    assert_true(sender_end(sender));
    conn_queue(&two.near, slice_of(bytes + 10 + 200 * 1024, sizeof(bytes) - 10 - 200 * 1024));
    assert_true(conn_has_output(&two.near));
    assert_true(conn_awaits_writable(&two.near));
    size_t at = 0;
    for (int i = 0; i < 10000 && at < sizeof(bytes); i++) {
        struct slice run;
        assert_int_not_equal(conn_flush(&two.near), CONN_ERROR);
        if (conn_read(&two.far, area, &run) != CONN_OK)
            continue;
        assert_memory_equal(run.at, bytes + at, run.len);
        at += run.len;
        conn_keep(&two.far, slice_of(NULL, 0));
    }
    assert_int_equal(at, sizeof(bytes));
    assert_true(two.near.sent == sizeof(bytes) && two.far.received == sizeof(bytes));
    assert_false(conn_awaits_writable(&two.near));
    assert_null(two.near.out.at);
    two_close(&two);
    free(sender);
    X509_free(own);
}

// Reading sends what waited, for OpenSSL may have something to answer: the owner, who stopped
// another conn's reading until this is taken, must hear of it all the same.
static void who_waits_for_room_is_told(void **state)
{
    X509 *own = certificate("db", 2, NULL);
    struct two two = {0};
    static uint8_t bytes[300 * 1024];
    int small = 1;
    two_open(&two, own, NULL, NULL, false);
    setsockopt(two.near.fd, SOL_SOCKET, SO_SNDBUF, &small, sizeof(small));
    assert_true(two_shake(&two));
    conn_queue(&two.near, slice_of(bytes, sizeof(bytes)));
    assert_int_equal(conn_flush(&two.near), CONN_AGAIN);
    assert_true(conn_awaits_writable(&two.near));
    size_t taken = 0;
    for (int i = 0; i < 10000 && conn_has_output(&two.near); i++) {
        for (size_t n; (n = take(&two.far)) > 0;)
            taken += n;
        conn_queue(&two.far, slice_str("x"));
        conn_flush(&two.far);
        take(&two.near);
    }
    assert_false(conn_has_output(&two.near));
    assert_false(conn_awaits_writable(&two.near));
    assert_true(ev_is_pending(two.near.writable));
    assert_int_equal(conn_flush(&two.near), CONN_OK); // nothing is left, and nothing forgotten
    assert_true(ev_is_pending(two.near.writable));
    for (int i = 0; i < 1000 && taken < sizeof(bytes); i++)
        taken += take(&two.far);
    assert_int_equal(taken, sizeof(bytes));
    conn_detach(&two.near);
    assert_false(ev_is_pending(two.near.writable));
    two_close(&two);
    X509_free(own);
}

static void a_goodbye_is_an_end(void **state)
{
    X509 *own = certificate("db", 2, NULL);
    for (int polite = 0; polite < 2; polite++) {
        struct two two = {0};
        struct slice run;
        two_open(&two, own, NULL, NULL, false);
        assert_true(two_shake(&two));
        conn_queue(&two.far, slice_str("last words"));
        conn_flush(&two.far);
        if (polite)
            conn_close(&two.far);
        else
            shutdown(two.far.fd, SHUT_RDWR);
        assert_int_equal(conn_read(&two.near, area, &run), CONN_OK);
        assert_true(slice_is(run, "last words"));
        conn_keep(&two.near, slice_of(NULL, 0));
        assert_int_equal(conn_read(&two.near, area, &run), CONN_EOF);
        assert_int_equal(conn_read(&two.near, area, &run), CONN_EOF);
        assert_null(tls_error(two.near.tls));
        two_close(&two);
    }
    X509_free(own);
}

// ---- OpenSSL at the other end

struct raw {
    struct two two;
    SSL *ssl;
};

static void raw_open(struct raw *raw, X509 *own)
{
    two_open(&raw->two, own, NULL, NULL, false);
    tls_free(&raw->two.far.tls);
    SSL_CTX_set_read_ahead(raw->two.client, 0);
    raw->ssl = SSL_new(raw->two.client);
    SSL_set_fd(raw->ssl, raw->two.far.fd);
    for (int i = 0; i < 20; i++) {
        ERR_clear_error();
        int far = SSL_connect(raw->ssl);
        if (tls_shake(raw->two.near.tls) && far == 1)
            return;
    }
    fail_msg("no handshake");
}

static void raw_close(struct raw *raw)
{
    SSL_free(raw->ssl);
    two_close(&raw->two);
}

static void key_updates_are_answered(void **state)
{
    X509 *own = certificate("db", 2, NULL);
    struct raw raw = {0};
    struct slice run;
    char got[8];
    raw_open(&raw, own);
    struct conn *near = &raw.two.near;
    for (int i = 0; i < 2000; i++) { // as many as it likes, as long as it takes the answers
        assert_int_equal(SSL_key_update(raw.ssl, SSL_KEY_UPDATE_REQUESTED), 1);
        assert_int_equal(SSL_write(raw.ssl, "ping", 4), 4);
        assert_int_equal(conn_read(near, area, &run), CONN_OK);
        assert_true(slice_is(run, "ping"));
        conn_keep(near, slice_of(NULL, 0));
        conn_queue(near, slice_str("pong"));
        assert_int_equal(conn_flush(near), CONN_OK);
        assert_int_equal(SSL_read(raw.ssl, got, sizeof(got)), 4);
    }
    assert_null(near->out.at);
    raw_close(&raw);
    X509_free(own);
}

static void answers_that_are_not_taken_are_an_end(void **state)
{
    X509 *own = certificate("db", 2, NULL);
    struct raw raw = {0};
    struct slice run;
    enum conn_result result = CONN_AGAIN;
    int small = 1;
    raw_open(&raw, own);
    struct conn *near = &raw.two.near;
    setsockopt(near->fd, SOL_SOCKET, SO_SNDBUF, &small, sizeof(small));
    size_t most = 0;
    for (int i = 0; i < 100000 && result != CONN_ERROR; i++) {
        SSL_key_update(raw.ssl, SSL_KEY_UPDATE_REQUESTED);
        SSL_do_handshake(raw.ssl);
        result = conn_read(near, area, &run);
        most = near->out.len > most ? near->out.len : most;
    }
    assert_int_equal(result, CONN_ERROR);
    assert_in_range(most, 1, 64 * 1024);
    assert_non_null(tls_error(near->tls));
    raw_close(&raw);
    X509_free(own);
}

// They ask for no answer, and give nothing to read: however many there are, others have their turn.
static void key_updates_take_turns(void **state)
{
    X509 *own = certificate("db", 2, NULL);
    struct raw raw = {0};
    struct slice run;
    int large = 1 << 20, turns = 0;
    char *bytes = NULL;
    raw_open(&raw, own);
    struct conn *near = &raw.two.near;
    setsockopt(raw.two.far.fd, SOL_SOCKET, SO_SNDBUF, &large, sizeof(large));
    BIO *sent = BIO_new(BIO_s_mem());
    SSL_set0_wbio(raw.ssl, sent);
    for (int i = 0; i < 8000; i++) {
        assert_int_equal(SSL_key_update(raw.ssl, SSL_KEY_UPDATE_NOT_REQUESTED), 1);
        assert_int_equal(SSL_do_handshake(raw.ssl), 1);
    }
    assert_int_equal(SSL_write(raw.ssl, "ping", 4), 4);
    size_t left = (size_t)BIO_get_mem_data(sent, &bytes);
    assert_true(left > 3 * CONN_AREA_BYTES);
    enum conn_result result = CONN_AGAIN;
    for (; result == CONN_AGAIN && turns < 1000; turns++) {
        ssize_t put = left > 0 ? write(raw.two.far.fd, bytes, left) : 0;
        bytes += put > 0 ? put : 0;
        left -= put > 0 ? (size_t)put : 0;
        result = conn_read(near, area, &run);
    }
    assert_int_equal(result, CONN_OK);
    assert_true(slice_is(run, "ping"));
    assert_true(turns >= 3);
    raw_close(&raw);
    X509_free(own);
}

static void garbage_is_an_error(void **state)
{
    X509 *own = certificate("db", 2, NULL);
    for (int early = 0; early < 2; early++) {
        struct raw raw = {0};
        struct slice run;
        raw_open(&raw, own);
        static const char junk[] = "Q\0\0\0\x0dSELECT 1\0";
        assert_int_equal(write(raw.two.far.fd, junk, sizeof(junk)), sizeof(junk));
        assert_int_equal(conn_read(&raw.two.near, area, &run), CONN_ERROR);
        assert_non_null(tls_error(raw.two.near.tls));
        conn_queue(&raw.two.near, slice_str("not sent"));
        assert_int_equal(conn_read(&raw.two.near, area, &run), CONN_ERROR);
        raw_close(&raw);
    }
    X509_free(own);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_name_in_a_certificate),
        cmocka_unit_test(who_is_not_known_is_not_spoken_to),
        cmocka_unit_test(a_name_with_a_nul_is_none),
        cmocka_unit_test(both_ends_see_one_end_point),
        cmocka_unit_test(what_openssl_holds_is_told_of),
        cmocka_unit_test(one_turn_is_bounded),
        cmocka_unit_test(partial_writes),
        cmocka_unit_test(who_waits_for_room_is_told),
        cmocka_unit_test(a_goodbye_is_an_end),
        cmocka_unit_test(key_updates_are_answered),
        cmocka_unit_test(answers_that_are_not_taken_are_an_end),
        cmocka_unit_test(key_updates_take_turns),
        cmocka_unit_test(garbage_is_an_error),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    EVP_PKEY_free(key);
    return failed;
}
