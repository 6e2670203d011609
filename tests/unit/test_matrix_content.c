/* matrix/content.c: messages as Matrix takes them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "adapters/matrix/content.h"
#include "adapters/matrix/event.h"
#include "plugin/base/buf.h"
#include "plugin/base/json.h"

#define COUNT(table) (sizeof(table) / sizeof *(table))

static void write_to(struct buf *out, const struct content *c)
{
    buf_init(out, CONTENT_BYTES_MAX);
    assert_int_equal(content_write(out, c), ERR_OK);
}

static void test_objects(void **state)
{
    (void)state;
#define TEXT(s) .text = (s), .len = sizeof(s) - 1
    static const struct {
        struct content c;
        const char *json;
    } cases[] = {
        { { TEXT("hi"), .notice = true }, "{\"msgtype\":\"m.notice\",\"body\":\"hi\",\"m.mentions\":{}}" },
        { { TEXT("") }, "{\"msgtype\":\"m.text\",\"body\":\"\",\"m.mentions\":{}}" },
        { { TEXT("*hi*\n\"b\"") }, "{\"msgtype\":\"m.text\",\"body\":\"*hi*\\n\\\"b\\\"\",\"format\":\"org.matrix.custom.html\","
          "\"formatted_body\":\"<p><em>hi</em><br>&quot;b&quot;</p>\",\"m.mentions\":{}}" },
        { { TEXT("a\x07\xFF" "b") }, "{\"msgtype\":\"m.text\",\"body\":\"a\xEF\xBF\xBD" "b\",\"m.mentions\":{}}" },
        { { TEXT("hi"), .reply_to = "$q", .mention = "@ann:b" }, "{\"msgtype\":\"m.text\",\"body\":\"hi\","
          "\"m.mentions\":{\"user_ids\":[\"@ann:b\"]},\"m.relates_to\":{\"m.in_reply_to\":{\"event_id\":\"$q\"}}}" },
        { { TEXT("hi"), .thread = "$t" }, "{\"msgtype\":\"m.text\",\"body\":\"hi\",\"m.mentions\":{},\"m.relates_to\":{"
          "\"rel_type\":\"m.thread\",\"event_id\":\"$t\",\"is_falling_back\":true,\"m.in_reply_to\":{\"event_id\":\"$t\"}}}" },
        { { TEXT("hi"), .thread = "$t", .reply_to = "$q" }, "{\"msgtype\":\"m.text\",\"body\":\"hi\",\"m.mentions\":{},\"m.relates_to\":{"
          "\"rel_type\":\"m.thread\",\"event_id\":\"$t\",\"is_falling_back\":false,\"m.in_reply_to\":{\"event_id\":\"$q\"}}}" },
        { { TEXT("hi"), .thread = "$t", .reply_to = "$q", .falling_back = true }, "{\"msgtype\":\"m.text\",\"body\":\"hi\","
          "\"m.mentions\":{},\"m.relates_to\":{\"rel_type\":\"m.thread\",\"event_id\":\"$t\",\"is_falling_back\":true,"
          "\"m.in_reply_to\":{\"event_id\":\"$q\"}}}" },
        { { TEXT("`hi`"), .notice = true, .edits = "$a", .reply_to = "$q", .thread = "$t", .mention = "@ann:b" },
          "{\"msgtype\":\"m.notice\",\"body\":\"* `hi`\",\"m.mentions\":{},\"m.new_content\":{\"msgtype\":\"m.notice\",\"body\":\"`hi`\","
          "\"format\":\"org.matrix.custom.html\",\"formatted_body\":\"<p><code>hi</code></p>\","
          "\"m.mentions\":{\"user_ids\":[\"@ann:b\"]}},\"m.relates_to\":{\"rel_type\":\"m.replace\",\"event_id\":\"$a\"}}" },
        { { TEXT("hi"), .reply_to = "$\"\\" }, "{\"msgtype\":\"m.text\",\"body\":\"hi\",\"m.mentions\":{},"
          "\"m.relates_to\":{\"m.in_reply_to\":{\"event_id\":\"$\\\"\\\\\"}}}" },
    };
#undef TEXT
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct buf out;
        write_to(&out, &cases[i].c);
        if (strcmp(buf_str(&out), cases[i].json) != 0)
            fail_msg("case %zu is      %s\nand not %s", i, buf_str(&out), cases[i].json);
        buf_free(&out);
    }
}

/* Each of these is longer in JSON, in HTML or in both. */
static void test_largest_texts_fit(void **state)
{
    (void)state;
    static const char *const pieces[] = { "x", "\"", "\n", "&", "<br>", "\\\"", "**a**", "- a\n", "`\"`", "中", "**中：**文", "[a](https://b)" };
    char id[EVENT_ID_BYTES_MAX + 1];
    memset(id, '"', sizeof id);
    id[sizeof id - 1] = '\0';
    for (size_t i = 0; i < COUNT(pieces); i++) {
        struct buf text;
        buf_init(&text, CONTENT_TEXT_BYTES_MAX);
        while (text.len + strlen(pieces[i]) <= CONTENT_TEXT_BYTES_MAX)
            buf_adds(&text, pieces[i]);
        struct content message = { .text = buf_str(&text), .len = text.len, .reply_to = id, .thread = id, .mention = id };
        struct content edit = { .text = buf_str(&text), .len = text.len, .edits = id, .mention = id };
        struct buf out;
        write_to(&out, &message);
        cJSON *tree = json_parse(buf_str(&out), out.len);
        assert_string_equal(json_str(tree, "body"), buf_str(&text));
        cJSON_Delete(tree);
        buf_free(&out);
        write_to(&out, &edit);
        tree = json_parse(buf_str(&out), out.len);
        assert_string_equal(json_str(json_get(tree, "m.new_content"), "body"), buf_str(&text));
        cJSON_Delete(tree);
        buf_free(&out);
        buf_free(&text);
    }
}

/* What is left out, and that nothing is before it has to be. */
static void test_forms(void **state)
{
    (void)state;
    static const struct {
        const char *piece;
        size_t bytes;
        bool edit, html, whole_fallback;
    } cases[] = {
        { "*a* ", 4096, false, true, false },
        { "*a* ", 4096, true, true, true },
        { "a long word, *once* ", 24 * 1024, false, true, false },
        { "a long word, *once* ", 24 * 1024, true, true, false },
        { "*\"*", 24 * 1024, false, false, false },
        { "*\"*", 24 * 1024, true, false, false },
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct buf text, out;
        buf_init(&text, CONTENT_TEXT_BYTES_MAX);
        while (text.len < cases[i].bytes)
            buf_adds(&text, cases[i].piece);
        struct content c = { .text = buf_str(&text), .len = text.len, .edits = cases[i].edit ? "$a" : NULL };
        write_to(&out, &c);
        cJSON *tree = json_parse(buf_str(&out), out.len);
        const cJSON *content = cases[i].edit ? json_get(tree, "m.new_content") : tree;
        if ((json_str(content, "formatted_body") != NULL) != cases[i].html)
            fail_msg("case %zu", i);
        if (cases[i].edit) {
            const char *fallback = json_str(tree, "body");
            assert_memory_equal(fallback, "* ", 2);
            assert_int_equal(strcmp(fallback + 2, buf_str(&text)) == 0, cases[i].whole_fallback);
            assert_true(cases[i].whole_fallback || strcmp(fallback + strlen(fallback) - 3, "…") == 0);
        }
        cJSON_Delete(tree);
        buf_free(&text);
        buf_free(&out);
    }
}

static void test_too_large(void **state)
{
    (void)state;
    struct buf text, out;
    buf_init(&text, CONTENT_TEXT_BYTES_MAX + 1);
    while (text.len <= CONTENT_TEXT_BYTES_MAX)
        buf_addc(&text, 'x');
    struct content c = { .text = buf_str(&text), .len = text.len };
    buf_init(&out, CONTENT_BYTES_MAX);
    assert_int_equal(content_write(&out, &c), ERR_TOO_LARGE);
    assert_int_equal(out.len, 0);
    c.len--;
    assert_int_equal(content_write(&out, &c), ERR_OK);
    buf_free(&out);
    buf_free(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_objects),
        cmocka_unit_test(test_largest_texts_fit),
        cmocka_unit_test(test_forms),
        cmocka_unit_test(test_too_large),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
