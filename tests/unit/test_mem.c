/* mem.c: zeroed memory, copies, and the end of the program on absurd sizes. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "plugin/base/log.h"
#include "plugin/base/mem.h"

static void test_zeroed(void **state)
{
    (void)state;
    unsigned char *p = mem_alloc(100), *q = mem_array(10, 10);
    for (size_t i = 0; i < 100; i++)
        assert_int_equal(p[i] | q[i], 0);
    free(p);
    free(q);
    void *none = mem_array(0, 8); /* NULL would read as a failure */
    assert_non_null(none);
    free(none);
}

static void test_resize(void **state)
{
    (void)state;
    char *p = mem_resize(NULL, 4, 1);
    memcpy(p, "abc", 4);
    p = mem_resize(p, 1000, 4);
    assert_string_equal(p, "abc");
    p = mem_resize(p, 0, 4);
    assert_non_null(p);
    free(p);
}

static void assert_copied(char *copy, const char *expected)
{
    assert_string_equal(copy, expected);
    free(copy);
}

static void test_dup(void **state)
{
    (void)state;
    assert_null(mem_dup(NULL));
    assert_copied(mem_dup(""), "");
    assert_copied(mem_dup("text"), "text");
    assert_copied(mem_dupn("text", 2), "te");
    assert_copied(mem_dupn(NULL, 0), "");
}

static void array_overflow(void)
{
    free(mem_array(SIZE_MAX / 2, 3));
}

static void resize_overflow(void)
{
    free(mem_resize(NULL, SIZE_MAX, 2));
}

/* In a child whose only words are the log line, which is what counts here. */
static void assert_aborts(void (*fn)(void))
{
    int line[2], status;
    char text[LOG_LINE_BYTES + 1] = "";
    assert_int_equal(pipe(line), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        signal(SIGABRT, SIG_DFL);
        dup2(line[1], STDERR_FILENO);
        fn();
        _exit(0);
    }
    close(line[1]);
    assert_true(read(line[0], text, sizeof text - 1) > 0);
    close(line[0]);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
    assert_non_null(strstr(text, "out of memory"));
}

static void test_absurd_sizes_abort(void **state)
{
    (void)state;
    assert_aborts(array_overflow);
    assert_aborts(resize_overflow);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_zeroed),
        cmocka_unit_test(test_resize),
        cmocka_unit_test(test_dup),
        cmocka_unit_test(test_absurd_sizes_abort),
    };
    return cmocka_run_group_tests_name("mem", tests, NULL, NULL);
}
