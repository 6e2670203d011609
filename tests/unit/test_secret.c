/* secret.c: values that do not leak, comparison, randomness, digests. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "plugin/base/secret.h"

#define COUNT(table) (sizeof(table) / sizeof *(table))

static void test_lifecycle(void **state)
{
    (void)state;
    struct secret s = {0};
    assert_true(secret_empty(&s));
    assert_string_equal(secret_reveal(&s), "");
    secret_clear(&s);
    secret_set(&s, "key-12", 5);
    assert_false(secret_empty(&s));
    assert_string_equal(secret_reveal(&s), "key-1");
    secret_set(&s, "other", 5);
    assert_string_equal(secret_reveal(&s), "other");
    secret_set(&s, secret_reveal(&s) + 1, 3);
    assert_string_equal(secret_reveal(&s), "the");
    secret_set(&s, "", 0);
    assert_true(secret_empty(&s));
    secret_set(&s, NULL, 0);
    assert_true(secret_empty(&s));
    secret_set(&s, "a\0b", 3); /* a string, so it ends at the NUL */
    assert_string_equal(secret_reveal(&s), "a");
    secret_set(&s, "\0b", 2);
    assert_true(secret_empty(&s));
    secret_clear(&s);
    secret_clear(&s);
}

static void test_equal(void **state)
{
    (void)state;
    static const struct {
        const char *value, *candidate;
        size_t len;
        bool equal;
    } cases[] = {
        {"abc", "abc", 3, true},    {"abc", "abd", 3, false},    {"abc", "xbc", 3, false},  {"abc", "ab", 2, false},
        {"abc", "", 0, false},      {"abc", "abcd", 4, false},   {"abc", "abc\0", 4, false}, {"abc", "abcabc", 6, false},
        {"abc", "abc\0abc", 7, false}, {"abc", "\0\0\0", 3, false}, {"\xFF\x80", "\xFF\x80", 2, true},
        {"\xFF\x80", "\xFF\x00", 2, false},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct secret s = {0};
        secret_set(&s, cases[i].value, strlen(cases[i].value));
        if (secret_equal(&s, cases[i].candidate, cases[i].len) != cases[i].equal)
            fail_msg("case %zu", i);
        secret_clear(&s);
    }
}

static void test_empty_equals_nothing(void **state)
{
    (void)state;
    struct secret s = {0};
    assert_false(secret_equal(&s, "", 0));
    assert_false(secret_equal(&s, "\0", 1));
    assert_false(secret_equal(&s, "a", 1));
}

static void test_random_hex(void **state)
{
    (void)state;
    char a[2 * 300 + 2], b[sizeof a];
    static const size_t sizes[] = {0, 1, 2, 16, 300};
    for (size_t i = 0; i < COUNT(sizes); i++) {
        size_t n = sizes[i];
        memset(a, '~', sizeof a);
        random_hex(a, n);
        assert_int_equal(strlen(a), 2 * n);
        assert_int_equal(strspn(a, "0123456789abcdef"), 2 * n);
        assert_int_equal(a[2 * n + 1], '~');
    }
    random_hex(a, 16);
    random_hex(b, 16);
    assert_string_not_equal(a, b);
}

/* All digits come up at all places: 64 numbers without a given digit at a given
 * place have a chance of 1.6 %, 4096 have one of 10^-115. */
static void test_random_hex_spread(void **state)
{
    (void)state;
    bool seen[8][16] = {{false}};
    for (int i = 0; i < 4096; i++) {
        char hex[9];
        random_hex(hex, 4);
        for (size_t k = 0; k < 8; k++)
            seen[k][hex[k] <= '9' ? hex[k] - '0' : hex[k] - 'a' + 10] = true;
    }
    for (size_t k = 0; k < 8; k++)
        for (size_t d = 0; d < 16; d++)
            assert_true(seen[k][d]);
}

static void test_random_unit(void **state)
{
    (void)state;
    double low = 1, high = 0;
    for (int i = 0; i < 10000; i++) {
        double d = random_unit();
        assert_true(d >= 0 && d < 1);
        low = d < low ? d : low;
        high = d > high ? d : high;
    }
    assert_true(low < 0.1 && high > 0.9);
}

static void test_sha256(void **state)
{
    (void)state;
    char hex[65];
    sha256_hex(hex, "", 0); /* FIPS 180-4 examples */
    assert_string_equal(hex, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    sha256_hex(hex, "abc", 3);
    assert_string_equal(hex, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lifecycle),
        cmocka_unit_test(test_equal),
        cmocka_unit_test(test_empty_equals_nothing),
        cmocka_unit_test(test_random_hex),
        cmocka_unit_test(test_random_hex_spread),
        cmocka_unit_test(test_random_unit),
        cmocka_unit_test(test_sha256),
    };
    return cmocka_run_group_tests_name("secret", tests, NULL, NULL);
}
