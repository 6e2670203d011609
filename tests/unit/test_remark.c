/* Adapters' remarks. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "plugin/base/remark.h"

static void assert_report(const struct remark *list, const char *want)
{
    struct buf json;
    buf_init(&json, 1024 * 1024);
    remark_report(list, &json);
    assert_string_equal(buf_str(&json), want);
    buf_free(&json);
}

static void the_same_again_replaces(void **state)
{
    (void)state;
    struct remark *list = NULL;
    assert_report(list, "");
    assert_false(remark_set(&list, "a", NULL));
    assert_true(remark_set(&list, "a", "one"));
    assert_true(remark_set(&list, "b", "\"two\"\n"));
    assert_false(remark_set(&list, "a", "one"));
    assert_true(remark_set(&list, "a", "eins"));
    assert_report(list, ",\"remarks\":[\"eins\",\"\\\"two\\\"\\n\"]");
    assert_non_null(remark_find(list, "eins"));
    assert_null(remark_find(list, "one"));
    assert_true(remark_set(&list, "a", NULL));
    assert_report(list, ",\"remarks\":[\"\\\"two\\\"\\n\"]");
    remark_free_all(&list);
    assert_null(list);
}

static void there_are_only_so_many(void **state)
{
    (void)state;
    struct remark *list = NULL;
    char what[16];
    static char text[3 * REMARK_BYTES_MAX];
    for (unsigned i = 0; i <= REMARKS_MAX; i++) {
        snprintf(what, sizeof what, "%u", i);
        assert_int_equal(remark_set(&list, what, "x"), i < REMARKS_MAX);
    }
    memset(text, 'y', sizeof text - 1);
    assert_true(remark_set(&list, "0", text));
    assert_int_equal(strlen(list->text), REMARK_BYTES_MAX);
    remark_free_all(&list);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_same_again_replaces),
        cmocka_unit_test(there_are_only_so_many),
    };
    return cmocka_run_group_tests_name("remark", tests, NULL, NULL);
}
