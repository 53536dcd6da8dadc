// SPDX-License-Identifier: Apache-2.0
#include "proxy/login/scram.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

// The exchange of RFC 7677 section 3: user "user", password "pencil".
static const char client_nonce[] = "rOprNGfwEbeRWgbNEkqO";
static const char server_nonce[] = "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0";
static const char client_first[] = "n,,n=user,r=rOprNGfwEbeRWgbNEkqO";
static const char server_first[] = "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,"
                                   "s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096";
static const char client_final[] = "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,"
                                   "p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=";
static const char server_final[] = "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=";
static const uint8_t salt[] = {0x5b, 0x6d, 0x99, 0x68, 0x9d, 0x12, 0x35, 0x8e,
                               0xec, 0xa0, 0x4b, 0x14, 0x12, 0x36, 0xfa, 0x81};

// Made by PostgreSQL 15: CREATE ROLE s PASSWORD 'p"w, é=1'.
static const char pg_secret[] = "SCRAM-SHA-256$4096:qLOOuiSM+BNCRfBRwzvZ1w==$"
                                "ry7aU8wKvwb6ihiNB9uLSFxpqXHUHtSDcVMgWBv924s=:"
                                "ijBDz9P2m6EKh1nEPWg+y21XJggioaRd9FOKrbWPZpY=";
static const char pg_password[] = "p\"w, \xc3\xa9=1";

// The same password and salt in stored form (computed by Python's hashlib and hmac).
static struct scram_verifier pencil(void)
{
    struct scram_verifier v;
    assert_true(secret_read_scram("SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$"
                                  "WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:"
                                  "wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=",
                                  &v));
    return v;
}

static void the_published_exchange_as_server(void **state)
{
    struct scram_verifier v = pencil();
    struct scram_server s;
    struct buf out = {0};
    scram_server_init(&s, &v, true);
    assert_int_equal(
        scram_server_first_with(&s, slice_str(client_first), slice_str(server_nonce), &out),
        SCRAM_OK);
    assert_true(slice_is(buf_slice(&out), server_first));
    buf_clear(&out);
    assert_int_equal(scram_server_final(&s, slice_str(client_final), &out), SCRAM_OK);
    assert_true(slice_is(buf_slice(&out), server_final));

    struct scram_keys ours, derived;
    scram_server_keys(&s, &ours);
    assert_true(scram_derive(&derived, slice_str("pencil"), slice_of(salt, sizeof salt), 4096));
    assert_memory_equal(ours.client_key, derived.client_key, SCRAM_KEY_BYTES);
    assert_memory_equal(ours.server_key, derived.server_key, SCRAM_KEY_BYTES);
    scram_server_fini(&s);
    scram_server_fini(&s);
    buf_fini(&out);
}

static void the_published_exchange_as_client(void **state)
{
    struct scram_client c;
    struct buf out = {0};
    scram_client_init(&c, slice_str("pencil"), NULL);
    scram_client_first_with(&c, slice_str("user"), slice_str(client_nonce), &out);
    assert_true(slice_is(buf_slice(&out), client_first));
    buf_clear(&out);
    assert_int_equal(scram_client_final(&c, slice_str(server_first), &out), SCRAM_OK);
    assert_true(slice_is(buf_slice(&out), client_final));
    assert_int_equal(scram_client_verify(&c, slice_str(server_final)), SCRAM_OK);
    scram_client_fini(&c);
    scram_client_fini(&c);
    buf_fini(&out);
}

// A whole exchange between the two sides; *server and *client say how each ended.
static void converse(struct scram_server *s, struct scram_client *c, enum scram_result *server,
                     enum scram_result *client)
{
    struct buf to_server = {0}, to_client = {0};
    *server = *client = SCRAM_MALFORMED;
    assert_int_equal(scram_client_first(c, &to_server), SCRAM_OK);
    assert_int_equal(scram_server_first(s, buf_slice(&to_server), &to_client), SCRAM_OK);
    buf_clear(&to_server);
    *client = scram_client_final(c, buf_slice(&to_client), &to_server);
    buf_clear(&to_client);
    if (*client == SCRAM_OK)
        *server = scram_server_final(s, buf_slice(&to_server), &to_client);
    if (*server == SCRAM_OK)
        *client = scram_client_verify(c, buf_slice(&to_client));
    else
        assert_int_equal(to_client.len, 0);
    buf_fini(&to_server);
    buf_fini(&to_client);
}

static void expect_end(const struct scram_verifier *v, bool is_known, const char *password,
                       const struct scram_keys *keys, enum scram_result server,
                       enum scram_result client)
{
    struct scram_server s;
    struct scram_client c;
    enum scram_result got_server, got_client;
    scram_server_init(&s, v, is_known);
    scram_client_init(&c, password == NULL ? slice_of(NULL, 0) : slice_str(password), keys);
    converse(&s, &c, &got_server, &got_client);
    assert_int_equal(got_server, server);
    assert_int_equal(got_client, client);
    scram_server_fini(&s);
    scram_client_fini(&c);
}

static void passwords_open_what_they_should(void **state)
{
    struct scram_verifier v, fresh;
    assert_true(secret_read_scram(pg_secret, &v));
    assert_true(scram_verifier_new(&fresh, slice_str(pg_password)));
    expect_end(&v, true, pg_password, NULL, SCRAM_OK, SCRAM_OK);
    expect_end(&fresh, true, pg_password, NULL, SCRAM_OK, SCRAM_OK);
    expect_end(&v, true, "wrong", NULL, SCRAM_REFUSED, SCRAM_OK);
    expect_end(&fresh, true, "wrong", NULL, SCRAM_REFUSED, SCRAM_OK);
    expect_end(&v, false, pg_password, NULL, SCRAM_REFUSED, SCRAM_OK);
}

static void an_unknown_user_looks_like_a_known_one(void **state)
{
    static const uint8_t mine[SCRAM_KEY_BYTES] = {1, 2, 3}, yours[SCRAM_KEY_BYTES] = {3, 2, 1};
    struct scram_verifier a, b, known;
    scram_verifier_mock(&a, "alice", mine, SCRAM_ITERATIONS_DEFAULT);
    scram_verifier_mock(&b, "alice", mine, SCRAM_ITERATIONS_DEFAULT);
    assert_memory_equal(a.salt, b.salt, SCRAM_SALT_BYTES_NEW);
    assert_int_equal(a.salt_len, SCRAM_SALT_BYTES_NEW);
    assert_int_equal(a.iterations, SCRAM_ITERATIONS_DEFAULT);
    assert_true(scram_verifier_for(&known, slice_str("pw"), "alice", mine, 4096));
    assert_memory_equal(a.salt, known.salt, SCRAM_SALT_BYTES_NEW);
    expect_end(&known, true, "pw", NULL, SCRAM_OK, SCRAM_OK);
    scram_verifier_mock(&b, "bob", mine, SCRAM_ITERATIONS_DEFAULT);
    assert_memory_not_equal(a.salt, b.salt, SCRAM_SALT_BYTES_NEW);
    scram_verifier_mock(&b, "alice", yours, SCRAM_ITERATIONS_DEFAULT);
    assert_memory_not_equal(a.salt, b.salt, SCRAM_SALT_BYTES_NEW);
    expect_end(&a, false, "anything", NULL, SCRAM_REFUSED, SCRAM_OK);
}

static void a_clients_proof_logs_in_to_the_server(void **state)
{
    struct scram_verifier v, other;
    struct scram_server s;
    struct scram_client c;
    struct scram_keys keys;
    enum scram_result server, client;
    assert_true(secret_read_scram(pg_secret, &v));
    scram_server_init(&s, &v, true);
    scram_client_init(&c, slice_str(pg_password), NULL);
    converse(&s, &c, &server, &client);
    assert_int_equal(server, SCRAM_OK);
    scram_server_keys(&s, &keys);
    assert_memory_equal(keys.client_key, c.keys.client_key, SCRAM_KEY_BYTES);

    expect_end(&v, true, NULL, &keys, SCRAM_OK, SCRAM_OK);
    // Same password, other salt: the keys are of no use, the password is.
    assert_true(scram_verifier_new(&other, slice_str(pg_password)));
    expect_end(&other, true, NULL, &keys, SCRAM_MALFORMED, SCRAM_REFUSED);
    expect_end(&other, true, pg_password, &keys, SCRAM_OK, SCRAM_OK);
    // Kept keys spare the derivation: they count before the password.
    expect_end(&v, true, "not looked at", &c.keys, SCRAM_OK, SCRAM_OK);
    expect_end(&v, true, NULL, NULL, SCRAM_MALFORMED, SCRAM_REFUSED);
    scram_server_fini(&s);
    scram_client_fini(&c);
}

static void a_verifier_prints_as_postgresql_stores_it(void **state)
{
    struct scram_verifier v;
    struct buf out = {0};
    assert_true(secret_read_scram(pg_secret, &v));
    scram_verifier_print(&v, &out);
    assert_true(slice_is(buf_slice(&out), pg_secret));
    buf_fini(&out);
}

static enum scram_result first(struct slice message, char *binding)
{
    struct scram_verifier v = pencil();
    struct scram_server s;
    struct buf out = {0};
    scram_server_init(&s, &v, true);
    enum scram_result result = scram_server_first(&s, message, &out);
    *binding = s.binding.flag;
    assert_true(result == SCRAM_OK ? out.len > 0 : out.len == 0);
    scram_server_fini(&s);
    buf_fini(&out);
    return result;
}

static void first_messages_of_clients(void **state)
{
    static const char *const good[] = {"n,,n=,r=abc", "n,,n=user,r=abc", "n,,n=,r=abc,x=1,Y=",
                                       "y,,n=,r=abc"};
    static const char *const bad[] = {
        "",           "n",           "n,",           "n,,",           "n,,n",
        "n,,n=",      "n,,n=,",      "n,,n=,r",      "n,,n=,r=",      "n,,r=abc",
        "n,,r=abc,n=", "n,,m=x,n=,r=abc", "n,,n=,r=abc,", "n,,n=,r=abc,x", "n,,n=,r=a\x7f",
        "n,,n=,r=a b", "n,,n=,r=abc,1=x", "p=tls-server-end-point,,n=,r=abc", "x,,n=,r=abc",
        "n,a=other,n=,r=abc", "N,,n=,r=abc"};
    char binding;
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        assert_int_equal(first(slice_str(good[i]), &binding), SCRAM_OK);
        assert_int_equal(binding, good[i][0]);
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_int_equal(first(slice_str(bad[i]), &binding), SCRAM_MALFORMED);
    assert_int_equal(first(slice_of("n,,n=\0,r=abc", 12), &binding), SCRAM_MALFORMED);
    char longest[SCRAM_MESSAGE_BYTES_MAX + 100];
    memset(longest, 'a', sizeof longest);
    memcpy(longest, "n,,n=,r=", 8);
    assert_int_equal(first(slice_of(longest, sizeof longest), &binding), SCRAM_MALFORMED);
    assert_int_equal(first(slice_of(longest, 1000), &binding), SCRAM_OK);
}

static enum scram_result final(const char *first_message, struct slice message)
{
    struct scram_verifier v = pencil();
    struct scram_server s;
    struct buf out = {0};
    scram_server_init(&s, &v, true);
    assert_int_equal(
        scram_server_first_with(&s, slice_str(first_message), slice_str(server_nonce), &out),
        SCRAM_OK);
    buf_clear(&out);
    enum scram_result result = scram_server_final(&s, message, &out);
    assert_true(result == SCRAM_OK ? out.len > 0 : out.len == 0);
    scram_server_fini(&s);
    buf_fini(&out);
    return result;
}

static void final_messages_of_clients(void **state)
{
#define NONCE "rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"
#define PROOF "dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
    static const char *const bad[] = {
        "",
        "c=biws",
        "c=biws,r=" NONCE,
        "c=biws,r=" NONCE ",",
        "c=biws,r=" NONCE ",p=",
        "c=biws,r=" NONCE ",p=AAAA",
        "c=biws,r=" NONCE ",p=" PROOF ",",
        "c=biws,r=" NONCE ",p=" PROOF ",x=1",
        "c=biws,r=" NONCE ",p=" PROOF "=",
        "c=biws,r=" NONCE ",x,p=" PROOF,
        "c=biws,r=rOprNGfwEbeRWgbNEkqO,p=" PROOF,
        "c=biws,r=" NONCE "x,p=" PROOF,
        "c=biws,r=,p=" PROOF,
        "c=eSws,r=" NONCE ",p=" PROOF, // the first message said n
        "c=,r=" NONCE ",p=" PROOF,
        "r=" NONCE ",c=biws,p=" PROOF,
        "p=" PROOF,
    };
    assert_int_equal(final(client_first, slice_str(client_final)), SCRAM_OK);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_int_equal(final(client_first, slice_str(bad[i])), SCRAM_MALFORMED);
    // In form, but signed for something else.
    assert_int_equal(final(client_first, slice_str("c=biws,r=" NONCE ",x=1,p=" PROOF)),
                     SCRAM_REFUSED);
    assert_int_equal(final("n,,n=,r=rOprNGfwEbeRWgbNEkqO", slice_str(client_final)),
                     SCRAM_REFUSED);
    assert_int_equal(final("y,,n=user,r=rOprNGfwEbeRWgbNEkqO", slice_str(client_final)),
                     SCRAM_MALFORMED);
    // Every cut of the right message.
    for (size_t n = 0; n < sizeof client_final - 1; n++)
        assert_int_not_equal(final(client_first, slice_of(client_final, n)), SCRAM_OK);
}

static void messages_out_of_turn_are_malformed(void **state)
{
    struct scram_verifier v = pencil();
    struct scram_server s;
    struct scram_client c;
    struct buf out = {0};
    scram_server_init(&s, &v, true);
    assert_int_equal(scram_server_final(&s, slice_str(client_final), &out), SCRAM_MALFORMED);
    assert_int_equal(scram_server_first(&s, slice_str(client_first), &out), SCRAM_OK);
    assert_int_equal(scram_server_first(&s, slice_str(client_first), &out), SCRAM_MALFORMED);
    assert_int_equal(scram_server_final(&s, slice_str("x"), &out), SCRAM_MALFORMED);
    assert_int_equal(scram_server_final(&s, slice_str("x"), &out), SCRAM_MALFORMED);
    scram_server_fini(&s);

    scram_client_init(&c, slice_str("pencil"), NULL);
    assert_int_equal(scram_client_final(&c, slice_str(server_first), &out), SCRAM_MALFORMED);
    assert_int_equal(scram_client_verify(&c, slice_str(server_final)), SCRAM_MALFORMED);
    assert_int_equal(scram_client_first(&c, &out), SCRAM_MALFORMED);
    scram_client_fini(&c);
    buf_fini(&out);
}

static enum scram_result answer(const char *message)
{
    struct scram_client c;
    struct buf out = {0};
    scram_client_init(&c, slice_str("pencil"), NULL);
    scram_client_first_with(&c, slice_str("user"), slice_str(client_nonce), &out);
    buf_clear(&out);
    enum scram_result result = scram_client_final(&c, slice_str(message), &out);
    assert_true(result == SCRAM_OK ? out.len > 0 : out.len == 0);
    scram_client_fini(&c);
    buf_fini(&out);
    return result;
}

static void first_messages_of_servers(void **state)
{
#define SALT ",s=W22ZaJ0SNY7soEsUEjb6gQ=="
    static const char *const bad[] = {
        "",
        "r=" NONCE,
        "r=" NONCE SALT,
        "r=" NONCE ",i=4096",
        "r=" NONCE SALT ",i=",
        "r=" NONCE SALT ",i=0",
        "r=" NONCE SALT ",i=4096x",
        "r=" NONCE SALT ",i=-1",
        "r=" NONCE SALT ",i=1000001", // would keep us busy for longer than a login may
        "r=" NONCE SALT ",i=99999999999999999999",
        "r=" NONCE SALT ",i=4096,",
        "r=" NONCE ",s=,i=4096",
        "r=" NONCE ",s=W22Z=,i=4096",
        "r=rOprNGfwEbeRWgbNEkqO" SALT ",i=4096", // nothing of the server's
        "r=rOprNGfwEbeRWgbNEkq" SALT ",i=4096",
        "r=xOprNGfwEbeRWgbNEkqOabc" SALT ",i=4096", // not ours
        "m=x,r=" NONCE SALT ",i=4096",
        "e=other-error",
    };
    assert_int_equal(answer(server_first), SCRAM_OK);
    assert_int_equal(answer("r=" NONCE SALT ",i=1,x=y"), SCRAM_OK);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_int_equal(answer(bad[i]), SCRAM_MALFORMED);
}

static enum scram_result verify(const char *message)
{
    struct scram_client c;
    struct buf out = {0};
    scram_client_init(&c, slice_str("pencil"), NULL);
    scram_client_first_with(&c, slice_str("user"), slice_str(client_nonce), &out);
    assert_int_equal(scram_client_final(&c, slice_str(server_first), &out), SCRAM_OK);
    enum scram_result result = scram_client_verify(&c, slice_str(message));
    assert_int_equal(scram_client_verify(&c, slice_str(server_final)), SCRAM_MALFORMED); // one try
    scram_client_fini(&c);
    buf_fini(&out);
    return result;
}

static void a_server_must_prove_itself(void **state)
{
    assert_int_equal(verify(server_final), SCRAM_OK);
    assert_int_equal(verify("v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=,x=1"), SCRAM_OK);
    assert_int_equal(verify("v=7rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="), SCRAM_REFUSED);
    assert_int_equal(verify("e=invalid-proof"), SCRAM_REFUSED);
    assert_int_equal(verify(""), SCRAM_MALFORMED);
    assert_int_equal(verify("v="), SCRAM_MALFORMED);
    assert_int_equal(verify("v=AAAA"), SCRAM_MALFORMED);
    assert_int_equal(verify("v"), SCRAM_MALFORMED);
    assert_int_equal(verify("x=1"), SCRAM_MALFORMED);
}

static void nonces_differ(void **state)
{
    struct scram_client a, b;
    struct buf first_a = {0}, first_b = {0};
    scram_client_init(&a, slice_str("x"), NULL);
    scram_client_init(&b, slice_str("x"), NULL);
    assert_int_equal(scram_client_first(&a, &first_a), SCRAM_OK);
    assert_int_equal(scram_client_first(&b, &first_b), SCRAM_OK);
    assert_int_equal(first_a.len, sizeof "n,,n=,r=" - 1 + SCRAM_NONCE_TEXT_BYTES);
    assert_false(slice_eq(buf_slice(&first_a), buf_slice(&first_b)));
    scram_client_fini(&a);
    scram_client_fini(&b);
    buf_fini(&first_a);
    buf_fini(&first_b);
}

// What a client with this binding gets from a server with that one.
static void expect_bound(const char *client_end, bool offered, const char *server_end, bool chosen,
                         enum scram_result first_result, enum scram_result final_result)
{
    struct scram_verifier v = pencil();
    struct scram_server s;
    struct scram_client c;
    struct buf said = {0}, reply = {0};
    scram_server_init(&s, &v, true);
    scram_server_bind(&s, slice_str(server_end), chosen);
    scram_client_init(&c, slice_str("pencil"), NULL);
    scram_client_bind(&c, slice_str(client_end), offered);
    assert_int_equal(scram_client_first(&c, &said), SCRAM_OK);
    assert_int_equal(scram_server_first(&s, buf_slice(&said), &reply), first_result);
    if (first_result == SCRAM_OK) {
        buf_clear(&said);
        assert_int_equal(scram_client_final(&c, buf_slice(&reply), &said), SCRAM_OK);
        buf_clear(&reply);
        assert_int_equal(scram_server_final(&s, buf_slice(&said), &reply), final_result);
        if (final_result == SCRAM_OK)
            assert_int_equal(scram_client_verify(&c, buf_slice(&reply)), SCRAM_OK);
    }
    scram_server_fini(&s);
    scram_client_fini(&c);
    buf_fini(&said);
    buf_fini(&reply);
}

static void an_exchange_is_bound_to_its_connection(void **state)
{
    static const char one[] = "0123456789abcdef0123456789abcdef", other[] = "another certificate";
    expect_bound(one, true, one, true, SCRAM_OK, SCRAM_OK);
    // Somebody passes it on from one TLS connection to another.
    expect_bound(one, true, other, true, SCRAM_OK, SCRAM_UNBOUND);
    // ... or takes the offer out of it.
    expect_bound(one, false, one, false, SCRAM_UNBOUND, SCRAM_OK);
    // The server cannot: a client that could says so, and is believed.
    expect_bound(one, false, "", false, SCRAM_OK, SCRAM_OK);
    expect_bound("", false, one, false, SCRAM_OK, SCRAM_OK);
    expect_bound("", false, "", false, SCRAM_OK, SCRAM_OK);
    // The mechanism and the message must be of one mind.
    expect_bound(one, true, one, false, SCRAM_MALFORMED, SCRAM_OK);
    expect_bound("", false, one, true, SCRAM_MALFORMED, SCRAM_OK);
    expect_bound(one, false, one, true, SCRAM_MALFORMED, SCRAM_OK);
}

static void other_kinds_of_binding_are_unknown(void **state)
{
    static const char *const bad[] = {"p=tls-unique,,n=,r=abc", "p=,,n=,r=abc",
                                      "p=tls-server-end-point,a=x,n=,r=abc",
                                      "p=tls-server-end-point,n=,r=abc", "p=tls-server-end-point"};
    struct scram_verifier v = pencil();
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct scram_server s;
        struct buf out = {0};
        scram_server_init(&s, &v, true);
        scram_server_bind(&s, slice_str("endpoint"), true);
        assert_int_equal(scram_server_first(&s, slice_str(bad[i]), &out), SCRAM_MALFORMED);
        scram_server_fini(&s);
        buf_fini(&out);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_published_exchange_as_server),
        cmocka_unit_test(the_published_exchange_as_client),
        cmocka_unit_test(passwords_open_what_they_should),
        cmocka_unit_test(an_unknown_user_looks_like_a_known_one),
        cmocka_unit_test(a_clients_proof_logs_in_to_the_server),
        cmocka_unit_test(a_verifier_prints_as_postgresql_stores_it),
        cmocka_unit_test(first_messages_of_clients),
        cmocka_unit_test(final_messages_of_clients),
        cmocka_unit_test(messages_out_of_turn_are_malformed),
        cmocka_unit_test(first_messages_of_servers),
        cmocka_unit_test(a_server_must_prove_itself),
        cmocka_unit_test(nonces_differ),
        cmocka_unit_test(an_exchange_is_bound_to_its_connection),
        cmocka_unit_test(other_kinds_of_binding_are_unknown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
