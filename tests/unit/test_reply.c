/* Long answers in parts. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "plugin/base/buf.h"
#include "plugin/base/mem.h"
#include "plugin/base/utf8.h"
#include "plugin/chat/reply.h"

struct parts {
    char *v[REPLY_PARTS_MAX];
    size_t n, limit;
    enum text_unit unit;
};

static void collect(void *arg, const char *part, size_t len)
{
    struct parts *p = arg;
    assert_true(p->n < REPLY_PARTS_MAX);
    assert_true(utf8_valid(part, len));
    if (p->limit)
        assert_true((p->unit == UNIT_BYTES ? len : utf8_points(part, len)) <= p->limit);
    p->v[p->n++] = mem_dupn(part, len);
}

static struct parts split(const char *text, size_t limit, enum text_unit unit)
{
    struct parts p = { .limit = limit, .unit = unit };
    size_t n = reply_split(text, strlen(text), limit, unit, collect, &p);
    assert_int_equal(n, p.n);
    return p;
}

static void drop(struct parts *p)
{
    for (size_t i = 0; i < p->n; i++)
        free(p->v[i]);
}

static char *repeat(const char *s, size_t times)
{
    struct buf b;
    buf_init(&b, 1024 * 1024);
    while (times--)
        buf_adds(&b, s);
    return buf_take(&b);
}

static void short_text_is_one_part(void **state)
{
    (void)state;
    struct parts p = split("hello", 0, UNIT_BYTES);
    assert_int_equal(p.n, 1);
    assert_string_equal(p.v[0], "hello");
    drop(&p);
}

static void the_edge(void **state)
{
    (void)state;
    const size_t spare = 7; /* the closing fence and the mark of a cut */
    char *exact = repeat("x", 100 - spare), *over = repeat("x", 100 - spare + 1);
    struct parts p = split(exact, 100, UNIT_BYTES), q = split(over, 100, UNIT_BYTES);
    assert_int_equal(p.n, 1);
    assert_int_equal(q.n, 2);
    drop(&p);
    drop(&q);
    free(exact);
    free(over);
}

static void chinese_is_cut_between_characters(void **state)
{
    (void)state;
    char *text = repeat("汉字", 500);
    struct parts p = split(text, 100, UNIT_BYTES), q = split(text, 100, UNIT_POINTS);
    assert_true(p.n > 10);
    assert_true(q.n > 10 && q.n < p.n);
    drop(&p);
    drop(&q);
    free(text);
}

static void prefers_paragraphs_and_sentences(void **state)
{
    (void)state;
    struct parts p = split("First paragraph is here, and it goes on for some sixty bytes.\n\nSecond paragraph comes here, "
                           "and it is also long enough to be cut.", 100, UNIT_BYTES);
    assert_string_equal(p.v[0], "First paragraph is here, and it goes on for some sixty bytes.");
    drop(&p);
    p = split("这是第一句话，讲的是一些事情，长度差不多。这是第二句话，也讲了一些别的事情，更长一点，直到超出。", 100, UNIT_BYTES);
    assert_string_equal(p.v[0], "这是第一句话，讲的是一些事情，长度差不多。");
    drop(&p);
}

static void fences_are_closed_and_opened_again(void **state)
{
    (void)state;
    char *lines = repeat("line of code;\n", 20);
    struct buf text;
    buf_init(&text, 4096);
    buf_addf(&text, "```c\n%s```\nend", lines);
    struct parts p = split(buf_str(&text), 120, UNIT_BYTES);
    assert_true(p.n > 2);
    for (size_t i = 0; i + 1 < p.n; i++) {
        assert_memory_equal(p.v[i], "```c\n", 5);
        assert_string_equal(p.v[i] + strlen(p.v[i]) - 4, "\n```");
    }
    drop(&p);
    buf_free(&text);
    free(lines);
}

static void too_many_parts_end_with_a_mark(void **state)
{
    (void)state;
    char *text = repeat("word ", 64 * 100);
    struct parts p = split(text, 64, UNIT_BYTES);
    assert_int_equal(p.n, REPLY_PARTS_MAX);
    const char *last = p.v[p.n - 1];
    assert_string_equal(last + strlen(last) - 3, "…");
    drop(&p);
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(short_text_is_one_part),
        cmocka_unit_test(the_edge),
        cmocka_unit_test(chinese_is_cut_between_characters),
        cmocka_unit_test(prefers_paragraphs_and_sentences),
        cmocka_unit_test(fences_are_closed_and_opened_again),
        cmocka_unit_test(too_many_parts_end_with_a_mark),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
