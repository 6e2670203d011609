/* buf.c: growth, the maximum at its edge, and what is left after it. */
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "plugin/base/buf.h"

static void assert_holds(const struct buf *b, const char *expected)
{
    assert_int_equal(buf_error(b), ERR_OK);
    assert_string_equal(buf_str(b), expected);
    assert_int_equal(b->len, strlen(expected));
}

static void assert_overflown(struct buf *b)
{
    assert_int_equal(buf_error(b), ERR_TOO_LARGE);
    assert_null(b->data);
    assert_int_equal(b->len, 0);
    assert_int_equal(b->cap, 0);
    assert_string_equal(buf_str(b), "");
}

static void test_empty(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b, 10);
    assert_holds(&b, "");
    assert_int_equal(buf_add(&b, NULL, 0), ERR_OK);
    assert_int_equal(buf_addf(&b, "%s", ""), ERR_OK);
    assert_null(b.data);
    buf_drop(&b, 1);
    buf_cut(&b, 0);
    buf_reset(&b);
    assert_holds(&b, "");
    buf_free(&b);
}

static void test_zeroed(void **state)
{
    (void)state;
    struct buf b = {0};
    buf_free(&b);
    assert_int_equal(buf_addc(&b, 'x'), ERR_TOO_LARGE);
    buf_free(&b);
}

static void test_adders(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b, 100);
    assert_int_equal(buf_add(&b, "ab", 2), ERR_OK);
    assert_int_equal(buf_adds(&b, "cd"), ERR_OK);
    assert_int_equal(buf_addc(&b, 'e'), ERR_OK);
    assert_int_equal(buf_addf(&b, "<%d %s>", 7, "x"), ERR_OK);
    assert_int_equal(buf_addi(&b, -12), ERR_OK);
    assert_holds(&b, "abcde<7 x>-12");
    buf_free(&b);
}

static void test_holds_nul_bytes(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b, 3);
    assert_int_equal(buf_add(&b, "a\0b", 3), ERR_OK);
    assert_int_equal(b.len, 3);
    assert_memory_equal(b.data, "a\0b", 4);
    buf_free(&b);
}

static void test_integers(void **state)
{
    (void)state;
    static const struct {
        int64_t n;
        const char *text;
    } cases[] = {
        {0, "0"},         {7, "7"},   {-1, "-1"},
        {10, "10"},       {-90, "-90"}, {INT64_MAX, "9223372036854775807"},
        {INT64_MIN, "-9223372036854775808"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct buf b;
        buf_init(&b, 20);
        assert_int_equal(buf_addi(&b, cases[i].n), ERR_OK);
        assert_holds(&b, cases[i].text);
        buf_free(&b);
    }
}

/* Every adder takes exactly max bytes, and not one more. */
static void test_maximum(void **state)
{
    (void)state;
    for (size_t max = 0; max <= 130; max++) {
        struct buf b;
        buf_init(&b, max);
        for (size_t i = 0; i < max; i++)
            assert_int_equal(buf_addc(&b, 'x'), ERR_OK);
        assert_int_equal(b.len, max);
        assert_true(b.cap <= max + 1);
        assert_int_equal(buf_addc(&b, 'y'), ERR_TOO_LARGE);
        assert_overflown(&b);
        buf_free(&b);
    }
}

static void test_maximum_of_formatted(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b, 5);
    assert_int_equal(buf_addf(&b, "%s", "12345"), ERR_OK);
    assert_holds(&b, "12345");
    buf_reset(&b);
    assert_int_equal(buf_addf(&b, "%s", "123456"), ERR_TOO_LARGE);
    assert_overflown(&b);
    buf_free(&b);
}

static void test_absurd_lengths(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b, SIZE_MAX);
    assert_int_equal(buf_adds(&b, "ab"), ERR_OK);
    assert_int_equal(buf_add(&b, "", SIZE_MAX - 2), ERR_TOO_LARGE);
    assert_overflown(&b);
    buf_free(&b);
}

static void test_failure_sticks(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b, 2);
    assert_int_equal(buf_adds(&b, "abc"), ERR_TOO_LARGE);
    assert_int_equal(buf_add(&b, "", 0), ERR_TOO_LARGE);
    assert_int_equal(buf_addf(&b, "%s", ""), ERR_TOO_LARGE);
    assert_int_equal(buf_addi(&b, 1), ERR_TOO_LARGE);
    buf_cut(&b, 0);
    buf_drop(&b, 1);
    assert_null(buf_take(&b));
    assert_overflown(&b);

    buf_reset(&b);
    assert_int_equal(buf_adds(&b, "ab"), ERR_OK);
    assert_int_equal(buf_adds(&b, "c"), ERR_TOO_LARGE);
    buf_free(&b);
    assert_int_equal(buf_adds(&b, "ab"), ERR_OK);
    assert_holds(&b, "ab");
    buf_free(&b);
}

static void test_reset_keeps_memory(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b, 1000);
    buf_adds(&b, "some text");
    const char *data = b.data;
    buf_reset(&b);
    assert_holds(&b, "");
    buf_adds(&b, "other");
    assert_ptr_equal(b.data, data);
    buf_free(&b);
}

static void test_take(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b, 10);
    char *empty = buf_take(&b);
    assert_string_equal(empty, "");
    free(empty);
    buf_adds(&b, "abc");
    char *text = buf_take(&b);
    assert_string_equal(text, "abc");
    free(text);
    assert_holds(&b, "");
    assert_int_equal(buf_adds(&b, "0123456789"), ERR_OK);
    buf_free(&b);
}

static void test_drop_and_cut(void **state)
{
    (void)state;
    static const struct {
        size_t drop, cut;
        const char *left;
    } cases[] = {
        {0, 6, "abcdef"}, {1, 6, "bcdef"}, {5, 6, "f"}, {6, 6, ""}, {7, 6, ""}, {SIZE_MAX, 6, ""},
        {0, 7, "abcdef"}, {0, 5, "abcde"}, {0, 0, ""},  {2, 3, "cde"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct buf b;
        buf_init(&b, 6);
        buf_adds(&b, "abcdef");
        buf_drop(&b, cases[i].drop);
        buf_cut(&b, cases[i].cut);
        assert_holds(&b, cases[i].left);
        buf_free(&b);
    }
}

static void test_grows_by_doubling(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b, 1 << 20);
    size_t moves = 0, cap = 0;
    for (size_t i = 0; i < 1 << 20; i++) {
        buf_addc(&b, 'x');
        moves += b.cap != cap;
        cap = b.cap;
    }
    assert_true(moves <= 20);
    assert_int_equal(b.cap, (1 << 20) + 1);
    buf_free(&b);
}

/* Room only, and never more than may be. */
static void test_expect(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b, 10);
    buf_expect(&b, 4);
    assert_int_equal(b.cap, 5);
    assert_int_equal(b.len, 0);
    assert_string_equal(buf_str(&b), "");
    const char *data = b.data;
    assert_int_equal(buf_adds(&b, "abcd"), ERR_OK);
    buf_expect(&b, 0);
    assert_ptr_equal(b.data, data);
    buf_expect(&b, SIZE_MAX / 2);
    assert_int_equal(b.cap, 11);
    assert_string_equal(buf_str(&b), "abcd");
    assert_int_equal(buf_adds(&b, "efghijk"), ERR_TOO_LARGE);
    buf_expect(&b, 4);
    assert_null(b.data);
    assert_int_equal(buf_error(&b), ERR_TOO_LARGE);
    buf_free(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_empty),
        cmocka_unit_test(test_zeroed),
        cmocka_unit_test(test_adders),
        cmocka_unit_test(test_holds_nul_bytes),
        cmocka_unit_test(test_integers),
        cmocka_unit_test(test_maximum),
        cmocka_unit_test(test_maximum_of_formatted),
        cmocka_unit_test(test_absurd_lengths),
        cmocka_unit_test(test_failure_sticks),
        cmocka_unit_test(test_reset_keeps_memory),
        cmocka_unit_test(test_take),
        cmocka_unit_test(test_drop_and_cut),
        cmocka_unit_test(test_grows_by_doubling),
        cmocka_unit_test(test_expect),
    };
    return cmocka_run_group_tests_name("buf", tests, NULL, NULL);
}
