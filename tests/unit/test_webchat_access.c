/* Who may use the web chat, how much, and under which names: access, limits,
 * identity. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "adapters/webchat/access.h"
#include "adapters/webchat/identity.h"
#include "adapters/webchat/limits.h"

static char shop[] = "https://shop.example", office[] = "http://10.0.0.1:8080", star[] = "*";
static char *shop_and_office[] = { shop, office }, *all[] = { star };
static const struct strings none, sites = { shop_and_office, 2 }, any = { all, 1 };

static void origins_in_the_configuration(void **state)
{
    (void)state;
    const struct {
        const char *entry;
        bool valid;
    } cases[] = {
        { "*", true },
        { "https://shop.example", true },
        { "http://[::1]:8080", true },
        { "https://", false },
        { "shop.example", false },
        { "ftp://shop.example", false },
        { "https://shop.example/", false },
        { "https://shop.example; script-src *", false },
        { "https://a b", false },
        { "https://a\r\nX: y", false },
        { "", false },
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        if (access_origin_valid(cases[i].entry) != cases[i].valid)
            fail_msg("\"%s\"", cases[i].entry);
}

static void hosts(void **state)
{
    (void)state;
    const struct {
        const char *host, *listen;
        const struct strings *origins;
        bool ok;
    } cases[] = {
        { "localhost:8080", "127.0.0.1", &none, true },
        { "LOCALHOST", "127.0.0.1", &none, true },
        { "127.0.0.1:8080", "127.0.0.1", &none, true },
        { "127.9.9.9", "127.0.0.1", &none, true },
        { "[::1]:8080", "127.0.0.1", &none, true },
        { "127.0.0.1:8080", "::1", &none, true },
        { NULL, "127.0.0.1", &none, false },
        { "", "127.0.0.1", &none, false },
        { "evil.example", "127.0.0.1", &none, false },
        { "evil.example:8080", "localhost", &none, false },
        { "127.0.0.1.evil.example", "127.0.0.1", &none, false },
        { "127.evil.example", "127.0.0.1", &none, false },
        { "localhost.evil.example", "127.0.0.1", &none, false },
        { "shop.example", "127.0.0.1", &sites, true },
        { "SHOP.example", "127.0.0.1", &sites, true },
        { "shop.example:81", "127.0.0.1", &sites, false },
        { "10.0.0.1:8080", "127.0.0.1", &sites, true },
        { "evil.example", "127.0.0.1", &any, true },
        { "evil.example", "0.0.0.0", &none, true }, /* known to the network under any name */
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        if (access_host_ok(cases[i].host, cases[i].listen, cases[i].origins) != cases[i].ok)
            fail_msg("%zu: %s at %s", i, cases[i].host ? cases[i].host : "none", cases[i].listen);
}

static void origins_of_requests(void **state)
{
    (void)state;
    const struct {
        const char *origin, *host;
        const struct strings *origins;
        bool ok;
    } cases[] = {
        { NULL, "a.example", &none, true },
        { "https://a.example", "a.example", &none, true },
        { "http://a.example:8080", "A.example:8080", &none, true },
        { "http://a.example", "a.example:8080", &none, false },
        { "http://b.example", "a.example", &none, false },
        { "null", "a.example", &none, false },
        { "", "a.example", &none, false },
        { "http://", "", &none, true }, /* no browser sends it, and a script may say anything */
        { "http://a.example", NULL, &none, false },
        { "https://shop.example", "a.example", &sites, true },
        { "http://shop.example", "a.example", &sites, false },
        { "null", "a.example", &sites, false },
        { "null", "a.example", &any, true },
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        if (access_origin_ok(cases[i].origin, cases[i].host, cases[i].origins) != cases[i].ok)
            fail_msg("%zu: %s", i, cases[i].origin ? cases[i].origin : "none");
}

static void tokens(void **state)
{
    (void)state;
    struct secret list[2] = { { NULL }, { NULL } };
    const struct secrets both = { list, 2 };
    const struct {
        const char *header;
        bool ok;
    } cases[] = {
        { NULL, false },
        { "", false },
        { "Bearer", false },
        { "Bearer ", false },
        { "Bearer one", true },
        { "bearer  two", true },
        { "Bearer on", false },
        { "Bearer onee", false },
        { "Basic one", false },
        { "one", false },
    };

    secret_set(&list[0], "one", 3);
    secret_set(&list[1], "two", 3);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        if ((access_token(cases[i].header, &both) != NULL) != cases[i].ok)
            fail_msg("%s", cases[i].header ? cases[i].header : "none");
    secret_clear(&list[0]);
    secret_clear(&list[1]);
    assert_null(access_token("Bearer ", &both)); /* a secret that is empty lets nobody in */
}

static void connections(void **state)
{
    (void)state;
    struct limits l = { 0 };
    struct address *a = limits_open(&l, "10.0.0.1"), *b = limits_open(&l, "10.0.0.1"), *c = limits_open(&l, NULL);

    assert_int_equal(l.connections, 3);
    assert_int_equal(limits_check(&l, 0, 0, "10.0.0.1"), 0);
    assert_int_equal(limits_check(&l, 4, 3, "10.0.0.1"), 0);
    assert_int_equal(limits_check(&l, 3, 3, "10.0.0.1"), 503);
    assert_int_equal(limits_check(&l, 4, 2, "10.0.0.1"), 429);
    assert_int_equal(limits_check(&l, 4, 2, "10.0.0.2"), 0);
    limits_close(&l, &a);
    assert_null(a);
    assert_int_equal(limits_check(&l, 4, 2, "10.0.0.1"), 0);
    limits_close(&l, &b);
    limits_close(&l, &c);
    assert_int_equal(l.connections, 0);
    assert_null(l.addresses);
    limits_fini(&l);
}

static void messages_per_minute(void **state)
{
    (void)state;
    struct limits l = { 0 };
    const int64_t start = 5000000;

    for (int i = 0; i < 3; i++)
        assert_int_equal(limits_speak(&l, 3, "ann", start), 0);
    assert_int_equal(limits_speak(&l, 3, "ann", start), 20000);
    assert_int_equal(limits_speak(&l, 3, "bob", start), 0);
    assert_int_equal(limits_speak(&l, 3, "ann", start + 19999999), 1);
    assert_int_equal(limits_speak(&l, 3, "ann", start + 20000000), 0);
    assert_int_equal(limits_speak(&l, 3, "ann", start + 20000000), 20000);
    for (int i = 0; i < 3; i++) /* long silence: the whole allowance, and no more */
        assert_int_equal(limits_speak(&l, 3, "ann", start + 600000000), 0);
    assert_int_not_equal(limits_speak(&l, 3, "ann", start + 600000000), 0);
    for (int i = 0; i < 1000; i++)
        assert_int_equal(limits_speak(&l, 0, "ann", start), 0);
    limits_fini(&l);
    assert_null(l.speakers);
}

/* There is an end to them, and those who were silent for long enough go first. */
static void remembered_visitors(void **state)
{
    (void)state;
    struct limits l = { 0 };
    char name[16];

    for (unsigned i = 0; i <= LIMITS_VISITORS_MAX; i++) {
        snprintf(name, sizeof name, "%u", i);
        assert_int_equal(limits_speak(&l, 1, name, 0), 0);
    }
    assert_int_equal(limits_speak(&l, 1, "1", 0), 60000); /* remembered */
    assert_int_equal(limits_speak(&l, 1, "0", 0), 0);     /* the oldest was not; it displaces "1" */
    assert_int_equal(limits_speak(&l, 1, "1", 0), 0);
    limits_fini(&l);
}

static void identities(void **state)
{
    (void)state;
    char secret[IDENTITY_SECRET_SIZE], other[IDENTITY_SECRET_SIZE], guest[IDENTITY_GUEST_SIZE];
    struct identity a, again, b, elsewhere;

    identity_secret(secret, IDENTITY_VISITOR);
    identity_secret(other, IDENTITY_VISITOR);
    assert_int_equal(strlen(secret), 33);
    assert_string_not_equal(secret, other);
    identity_of(&a, IDENTITY_VISITOR, "web", secret);
    identity_of(&again, IDENTITY_VISITOR, "web", secret);
    identity_of(&b, IDENTITY_VISITOR, "web", other);
    identity_of(&elsewhere, IDENTITY_VISITOR, "web2", secret);
    assert_string_equal(a.sender, again.sender);
    assert_string_equal(a.chat, again.chat);
    assert_string_equal(a.fact, again.fact);
    assert_string_not_equal(a.sender, b.sender);
    assert_string_not_equal(a.chat, b.chat);
    assert_string_not_equal(a.sender, elsewhere.sender);
    assert_string_not_equal(a.chat, elsewhere.chat);
    assert_string_not_equal(a.sender, a.chat + 1); /* the others in a room see neither from the other */
    assert_int_equal(strlen(a.sender), 32);
    assert_int_equal(strlen(a.chat), 33);
    assert_int_equal(a.chat[0], '~');
    assert_int_equal(strncmp(a.fact, "visitor/", 8), 0);
    assert_int_equal(strlen(a.fact), 8 + 64);
    assert_null(strstr(a.fact, secret + 1));
    identity_of(&b, IDENTITY_CONVERSATION, "web", secret);
    assert_int_equal(strncmp(b.fact, "conversation/", 13), 0);
    identity_guest(guest, "abcdef");
    assert_string_equal(guest, "guest-abcd");
}

static void plausible_secrets(void **state)
{
    (void)state;
    const struct {
        const char *secret;
        bool plausible;
    } cases[] = {
        { "v0123456789abcdef0123456789abcdef", true },
        { "c0123456789abcdef0123456789abcdef", false },
        { "v0123456789abcdef0123456789abcde", false },
        { "v0123456789abcdef0123456789abcdef0", false },
        { "v0123456789abcdef0123456789abcdeF", false },
        { "v0123456789abcdef0123456789abcdefx", false },
        { "v", false },
        { "", false },
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        if (identity_plausible(cases[i].secret, IDENTITY_VISITOR) != cases[i].plausible)
            fail_msg("\"%s\"", cases[i].secret);
}

static void derived_conversations(void **state)
{
    (void)state;
    char one[IDENTITY_SECRET_SIZE], two[IDENTITY_SECRET_SIZE], fact[IDENTITY_FACT_SIZE], other[IDENTITY_FACT_SIZE];

    identity_derive(one, "n1", "token", "key");
    identity_derive(two, "n1", "token", "key");
    assert_string_equal(one, two);
    assert_true(identity_plausible(one, IDENTITY_CONVERSATION));
    identity_derive(two, "n2", "token", "key");
    assert_string_not_equal(one, two);
    identity_derive(two, "n1", "tokenk", "ey");
    assert_string_not_equal(one, two);
    identity_nonce_fact(fact, "a", "bc");
    identity_nonce_fact(other, "ab", "c");
    assert_string_not_equal(fact, other);
    assert_int_equal(strlen(fact), strlen("idempotency/") + 64);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(origins_in_the_configuration),
        cmocka_unit_test(hosts),
        cmocka_unit_test(origins_of_requests),
        cmocka_unit_test(tokens),
        cmocka_unit_test(connections),
        cmocka_unit_test(messages_per_minute),
        cmocka_unit_test(remembered_visitors),
        cmocka_unit_test(identities),
        cmocka_unit_test(plausible_secrets),
        cmocka_unit_test(derived_conversations),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
