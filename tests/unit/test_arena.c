/* arena.c: alignment, zeroing, and few calls to malloc. */
#include <setjmp.h>
#include <stdalign.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "plugin/base/arena.h"

static void test_free_twice(void **state)
{
    (void)state;
    struct arena *a = arena_new();
    arena_free(&a);
    assert_null(a);
    arena_free(&a);
}

/* Objects are aligned, zeroed, and do not overlap: each is filled with its own
 * byte, and all are looked at again at the end. */
static void test_objects(void **state)
{
    (void)state;
    enum { N = 400 };
    struct arena *a = arena_new();
    unsigned char *objects[N];
    for (size_t i = 0; i < N; i++) {
        size_t size = i * i % 3000;
        objects[i] = arena_alloc(a, size);
        assert_non_null(objects[i]);
        assert_int_equal((uintptr_t)objects[i] % alignof(max_align_t), 0);
        for (size_t k = 0; k < size; k++)
            assert_int_equal(objects[i][k], 0);
        memset(objects[i], (int)(i & 0xFF), size);
    }
    for (size_t i = 0; i < N; i++)
        for (size_t k = 0; k < i * i % 3000; k++)
            assert_int_equal(objects[i][k], i & 0xFF);
    arena_free(&a);
}

static void test_empty_objects_differ(void **state)
{
    (void)state;
    struct arena *a = arena_new();
    void *first = arena_alloc(a, 0), *second = arena_alloc(a, 0);
    assert_non_null(first);
    assert_ptr_not_equal(first, second);
    arena_free(&a);
}

static void test_dup(void **state)
{
    (void)state;
    struct arena *a = arena_new();
    assert_null(arena_dup(a, NULL));
    assert_string_equal(arena_dup(a, ""), "");
    assert_string_equal(arena_dup(a, "text"), "text");
    assert_string_equal(arena_dupn(a, "text", 2), "te");
    assert_string_equal(arena_dupn(a, NULL, 0), "");
    assert_memory_equal(arena_dupn(a, "a\0b", 3), "a\0b", 4);
    arena_free(&a);
}

static void test_bytes(void **state)
{
    (void)state;
    struct arena *a = arena_new();
    size_t before = arena_bytes(a);
    arena_alloc(a, 1);
    size_t small = arena_bytes(a);
    assert_true(small > before && small < 4096);
    for (size_t used = 16; used < small - before - 64; used += 16)
        arena_alloc(a, 16);
    assert_int_equal(arena_bytes(a), small);
    arena_alloc(a, 1000000);
    assert_in_range(arena_bytes(a) - small, 1000000, 1000100);

    /* The large object left the small one's chunk in use. */
    size_t large = arena_bytes(a);
    arena_alloc(a, 16);
    assert_true(arena_bytes(a) - large < 4096);
    arena_free(&a);
}

static void test_many_small(void **state)
{
    (void)state;
    enum { N = 100000 };
    struct arena *a = arena_new();
    for (int i = 0; i < N; i++)
        arena_alloc(a, 16);
    assert_in_range(arena_bytes(a), N * 16, N * 16 + 2 * 32768);
    arena_free(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_free_twice),
        cmocka_unit_test(test_objects),
        cmocka_unit_test(test_empty_objects_differ),
        cmocka_unit_test(test_dup),
        cmocka_unit_test(test_bytes),
        cmocka_unit_test(test_many_small),
    };
    return cmocka_run_group_tests_name("arena", tests, NULL, NULL);
}
