// SPDX-License-Identifier: Apache-2.0
#include "proxy/wire/tls.h"

#include <errno.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/socket.h>

#include "base/check.h"
#include "base/mem.h"
#include "proxy/wire/conn.h"
#include "proxy/wire/socket.h"

enum {
    REPLIES_MAX = 16 * 1024, // that the other side may make us queue without taking any
    NAME_BYTES = 256,
    ERROR_BYTES = 200,
};

struct tls {
    SSL *ssl;          // owns
    struct conn *conn; // borrows; it has this
    struct buf early;  // owns; ciphertext that was read before there was TLS
    size_t early_used;
    char *error;       // owns; NULL: none
    char *common_name; // own; NULL: none
    char *distinguished_name;
    uint32_t replies;  // bytes queued while reading, since the last time that nothing waited
    bool connects;     // we are the side that connected
    bool direct;
    bool established;
    bool verified;
    bool reading;      // inside of SSL_read
    bool more;         // reading stopped for want of room: OpenSSL may have more
    bool drains;       // reads what OpenSSL has, and leaves the socket alone
    bool drained;      // the socket gave less than it was asked for
    size_t turn;       // bytes that it gave to this reading
    bool at_eof;
    bool shut;         // the other side said goodbye
    int socket_error;
};

// ---- what OpenSSL reads from and writes to

static int from_socket(BIO *bio, char *at, int room)
{
    struct tls *tls = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    if (tls->early_used < tls->early.len) {
        size_t n = tls->early.len - tls->early_used;
        n = n < (size_t)room ? n : (size_t)room;
        memcpy(at, tls->early.at + tls->early_used, n);
        tls->early_used += n;
        if (tls->early_used == tls->early.len)
            buf_fini(&tls->early), tls->early_used = 0;
        return (int)n;
    }
    ssize_t got = -1;
    // What means nothing to us (key updates) is read on and on inside of OpenSSL: others wait.
    if (tls->drains || tls->drained || tls->turn >= tls->conn->room) {
        errno = EAGAIN;
    } else {
        do {
            got = recv(tls->conn->fd, at, (size_t)room, 0);
        } while (got < 0 && errno == EINTR);
    }
    if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
        BIO_set_retry_read(bio);
    else if (got < 0)
        tls->socket_error = errno;
    tls->at_eof = got == 0;
    tls->drained |= got < room;
    tls->turn += got > 0 ? (size_t)got : 0;
    return (int)got;
}

static int to_queue(BIO *bio, const char *at, int len)
{
    struct tls *tls = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    if (!conn_has_output(tls->conn))
        tls->replies = 0;
    if (tls->reading && tls->established) {
        // Answers to what only keeps us busy (key updates): who wants many must take them.
        tls->replies += (uint32_t)len;
        if (tls->replies > REPLIES_MAX) {
            tls->socket_error = ENOBUFS;
            return -1;
        }
    }
    conn_append(tls->conn, slice_of(at, (size_t)len));
    return len;
}

static long control(BIO *bio, int command, long number, void *pointer)
{
    const struct tls *tls = BIO_get_data(bio);
    switch (command) {
    case BIO_CTRL_EOF:
        return tls->at_eof;
    case BIO_CTRL_FLUSH:
        return 1;
    }
    return 0;
}

static BIO_METHOD *method; // constant after make_method()

static void make_method(void)
{
    method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "conn");
    CHECK(method != NULL && BIO_meth_set_read(method, from_socket) &&
          BIO_meth_set_write(method, to_queue) && BIO_meth_set_ctrl(method, control));
}

// ---- beginning and end

static struct tls *begin(struct conn *conn, SSL_CTX *context)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, make_method);
    CHECK(conn->tls == NULL);
    ERR_clear_error();
    SSL *ssl = SSL_new(context);
    BIO *bio = ssl != NULL ? BIO_new(method) : NULL;
    if (bio == NULL) {
        SSL_free(ssl);
        return NULL;
    }
    struct tls *tls = mem_new(struct tls);
    tls->ssl = ssl;
    tls->conn = conn;
    BIO_set_data(bio, tls);
    BIO_set_init(bio, 1);
    SSL_set_bio(ssl, bio, bio);
    conn->tls = tls;
    return tls;
}

bool tls_accept(struct conn *conn, SSL_CTX *context, struct slice early, bool direct)
{
    struct tls *tls = begin(conn, context);
    if (tls == NULL)
        return false;
    tls->direct = direct;
    buf_put(&tls->early, early);
    tls->more = early.len > 0;
    SSL_set_accept_state(tls->ssl);
    return true;
}

// The host that is asked for, and must be in the certificate.
static bool name_host(struct tls *tls, const char *host, bool verify)
{
    X509_VERIFY_PARAM *param = SSL_get0_param(tls->ssl);
    ASN1_OCTET_STRING *address = a2i_IPADDRESS(host);
    bool is_address = address != NULL;
    ASN1_OCTET_STRING_free(address);
    ERR_clear_error();
    if (!is_address && SSL_set_tlsext_host_name(tls->ssl, host) != 1)
        return false;
    if (!verify)
        return true;
    if (is_address)
        return X509_VERIFY_PARAM_set1_ip_asc(param, host) == 1;
    SSL_set_hostflags(tls->ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    return SSL_set1_host(tls->ssl, host) == 1;
}

bool tls_connect(struct conn *conn, SSL_CTX *context, const char *host, bool verify, bool direct)
{
    struct tls *tls = begin(conn, context);
    if (tls == NULL)
        return false;
    tls->direct = direct;
    tls->connects = true;
    SSL_set_connect_state(tls->ssl);
    if (host != NULL && !name_host(tls, host, verify))
        return false;
    return host != NULL || !verify;
}

void tls_free(struct tls **pointer)
{
    struct tls *tls = *pointer;
    if (tls == NULL)
        return;
    if (tls->established && tls->error == NULL) {
        ERR_clear_error();
        SSL_shutdown(tls->ssl);
    }
    *pointer = NULL;
    SSL_free(tls->ssl);
    buf_fini(&tls->early);
    mem_free(tls->error);
    mem_free(tls->common_name);
    mem_free(tls->distinguished_name);
    mem_free(tls);
}

// ---- errors

static void note_error(struct tls *tls, const char *what, const char *why)
{
    char text[ERROR_BYTES];
    if (tls->error != NULL)
        return;
    snprintf(text, sizeof(text), "%s: %s", what, why);
    tls->error = mem_strdup(text);
}

// After a call that failed: sets errno; EAGAIN: nothing is wrong.
static int judge(struct tls *tls, int result, const char *what)
{
    int kind = SSL_get_error(tls->ssl, result);
    unsigned long code = ERR_peek_error();
    long verdict = SSL_get_verify_result(tls->ssl);
    switch (kind) {
    case SSL_ERROR_WANT_READ:
    case SSL_ERROR_WANT_WRITE:
        return errno = EAGAIN;
    case SSL_ERROR_ZERO_RETURN:
        tls->shut = true;
        return errno = 0;
    }
    if (tls->at_eof && tls->established) {
        tls->shut = true; // without a goodbye, as many do; messages have lengths of their own
        return errno = 0;
    }
    char why[ERROR_BYTES];
    if (tls->socket_error != 0)
        snprintf(why, sizeof(why), "%s", strerror(tls->socket_error));
    else if (code == 0 || tls->at_eof)
        snprintf(why, sizeof(why), "unexpected EOF");
    else if (!tls->established && verdict != X509_V_OK)
        snprintf(why, sizeof(why), "%s: %s", ERR_reason_error_string(code),
                 X509_verify_cert_error_string(verdict));
    else
        snprintf(why, sizeof(why), "%s",
                 ERR_reason_error_string(code) ? ERR_reason_error_string(code) : "unknown error");
    note_error(tls, what, why);
    return errno = EPROTO;
}

// ---- handshake

// Who is at the other end.
static void note_peer(struct tls *tls)
{
    X509 *peer = SSL_get0_peer_certificate(tls->ssl);
    if (peer == NULL)
        return;
    tls->verified = SSL_get_verify_mode(tls->ssl) != SSL_VERIFY_NONE &&
                    SSL_get_verify_result(tls->ssl) == X509_V_OK;
    if (tls->connects)
        return; // nobody asks for a server's name
    X509_NAME *subject = X509_get_subject_name(peer);
    BIO *text = BIO_new(BIO_s_mem());
    char *at = NULL;
    if (text != NULL && X509_NAME_print_ex(text, subject, 0, XN_FLAG_RFC2253) >= 0) {
        long n = BIO_get_mem_data(text, &at);
        tls->distinguished_name = mem_strndup(at != NULL ? at : "", (size_t)n);
    }
    BIO_free(text);
    int first = X509_NAME_get_index_by_NID(subject, NID_commonName, -1); // of several, as libpq
    if (first < 0)
        return;
    unsigned char *name = NULL;
    int n = ASN1_STRING_to_UTF8(
        &name, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, first)));
    if (n > 0 && memchr(name, '\0', (size_t)n) == NULL)
        tls->common_name = mem_strndup((const char *)name, (size_t)n);
    OPENSSL_free(name);
}

// What was agreed on by ALPN, which only direct TLS must have.
static bool is_protocol_right(struct tls *tls)
{
    const unsigned char *name;
    unsigned length;
    SSL_get0_alpn_selected(tls->ssl, &name, &length);
    if (length == 0 && tls->direct) {
        note_error(tls, "handshake failed",
                   tls->connects
                       ? "direct SSL connection was established without ALPN protocol "
                         "negotiation extension"
                       : "received direct SSL connection request without ALPN protocol "
                         "negotiation extension");
        return false;
    }
    if (length == 0 || slice_is(slice_of(name, length), "postgresql"))
        return true;
    note_error(tls, "handshake failed", "SSL connection was established with unexpected ALPN "
                                        "protocol");
    return false;
}

static bool shake(struct tls *tls)
{
    ERR_clear_error();
    int result = SSL_do_handshake(tls->ssl);
    if (result != 1) {
        if (judge(tls, result, "handshake failed") == 0)
            errno = EPROTO; // goodbye before hello
        return false;
    }
    if (!is_protocol_right(tls)) {
        errno = EPROTO;
        return false;
    }
    note_peer(tls);
    tls->established = true;
    if (!tls->connects && SSL_get_num_tickets(tls->ssl) == 0)
        socket_acknowledge(tls->conn->fd); // no ticket goes out, which would tell it
    return true;
}

// What the step made us say goes out at once. False: it cannot.
static bool flush(struct tls *tls)
{
    int problem = errno;
    if (conn_has_output(tls->conn) && conn_flush(tls->conn) == CONN_ERROR) {
        note_error(tls, "write failed", strerror(errno));
        return false;
    }
    errno = problem;
    return true;
}

static void begin_reading(struct tls *tls)
{
    tls->drains = tls->more;
    tls->more = tls->drained = false;
    tls->turn = 0;
}

bool tls_shake(struct tls *tls)
{
    if (tls->established)
        return true;
    begin_reading(tls);
    bool done = tls->error == NULL && shake(tls);
    int problem = done ? 0 : tls->error != NULL ? EPROTO : errno;
    // The other side may have spoken right behind it.
    tls->more = done && SSL_has_pending(tls->ssl);
    flush(tls);
    errno = problem;
    return done;
}

// ---- bytes

ssize_t tls_read(struct tls *tls, uint8_t *at, size_t room)
{
    begin_reading(tls);
    if (tls->error != NULL) {
        errno = EPROTO;
        return -1;
    }
    size_t got = 0;
    int problem = 0;
    if (!tls->shut && (tls->established || shake(tls))) {
        tls->reading = true;
        while (got < room) {
            size_t n = 0;
            ERR_clear_error();
            int result = SSL_read_ex(tls->ssl, at + got, room - got, &n);
            if (result != 1) {
                problem = judge(tls, result, "read failed");
                break;
            }
            got += n;
        }
        tls->reading = false;
    } else if (!tls->shut) {
        problem = errno;
    }
    // An end behind the bytes is told the next time.
    tls->more = got > 0 && problem != EAGAIN;
    if (!tls->shut && !flush(tls) && got == 0)
        problem = EPROTO;
    errno = problem;
    return got > 0 ? (ssize_t)got : problem == 0 ? 0 : -1;
}

bool tls_has_more(const struct tls *tls)
{
    return tls->more;
}

void tls_write(struct tls *tls, struct slice bytes)
{
    if (!tls->established || tls->error != NULL)
        return; // nobody is there (any more), which is met where it is read
    while (bytes.len > 0) {
        size_t put = 0;
        ERR_clear_error();
        int result = SSL_write_ex(tls->ssl, bytes.at, bytes.len, &put);
        if (result != 1) {
            judge(tls, result, "write failed");
            note_error(tls, "write failed", "not taken");
            if (tls->conn->loop != NULL)
                ev_feed_event(tls->conn->loop, &tls->conn->readable, EV_READ);
            return;
        }
        bytes = slice_skip(bytes, put);
        tls->conn->sent += (uint32_t)put;
    }
}

// ---- what is known of it

bool tls_is_established(const struct tls *tls)
{
    return tls->established;
}

const char *tls_error(const struct tls *tls)
{
    return tls->error;
}

bool tls_peer_is_verified(const struct tls *tls)
{
    return tls->verified;
}

const char *tls_peer_common_name(const struct tls *tls)
{
    return tls->common_name;
}

const char *tls_peer_distinguished_name(const struct tls *tls)
{
    return tls->distinguished_name;
}

// The curve is only named where PgBouncer names it: of our own connections, and before TLS 1.3.
static const char *curve_of(const struct tls *tls)
{
    const SSL_CIPHER *cipher = SSL_get_current_cipher(tls->ssl);
    if (tls->connects) {
        EVP_PKEY *key = NULL;
        char name[NAME_BYTES] = "";
        int nid = NID_undef;
        if (SSL_get_peer_tmp_key(tls->ssl, &key) == 1 && EVP_PKEY_is_a(key, "EC") &&
            EVP_PKEY_get_group_name(key, name, sizeof(name), NULL) == 1)
            nid = OBJ_sn2nid(name);
        EVP_PKEY_free(key);
        return nid != NID_undef ? OBJ_nid2sn(nid) : NULL;
    }
    if (cipher == NULL || SSL_CIPHER_get_kx_nid(cipher) != NID_kx_ecdhe)
        return NULL;
    return OBJ_nid2sn((int)SSL_get_shared_group(tls->ssl, 0));
}

void tls_describe(const struct tls *tls, char text[TLS_INFO_BYTES])
{
    ERR_clear_error();
    const char *curve = curve_of(tls);
    snprintf(text, TLS_INFO_BYTES, "%s/%s%s%s", SSL_get_version(tls->ssl),
             SSL_get_cipher(tls->ssl), curve != NULL ? "/ECDH=" : "", curve != NULL ? curve : "");
}

size_t tls_endpoint_hash(const struct tls *tls, uint8_t hash[TLS_HASH_BYTES])
{
    int digest_nid = NID_undef;
    unsigned n = 0;
    _Static_assert(TLS_HASH_BYTES >= EVP_MAX_MD_SIZE, "room for every hash");
    X509 *certificate = tls->connects ? SSL_get0_peer_certificate(tls->ssl)
                                      : SSL_get_certificate(tls->ssl);
    if (certificate == NULL ||
        X509_get_signature_info(certificate, &digest_nid, NULL, NULL, NULL) != 1)
        return 0;
    if (digest_nid == NID_md5 || digest_nid == NID_sha1)
        digest_nid = NID_sha256;
    const EVP_MD *digest = EVP_get_digestbynid(digest_nid);
    if (digest == NULL || X509_digest(certificate, digest, hash, &n) != 1)
        return 0;
    return n;
}
