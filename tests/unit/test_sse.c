/* sse.c: the standard's rules and our tolerance in a table, and real streams
 * cut at every place. */
#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "plugin/base/json.h"
#include "plugin/net/sse.h"

#define TRANSCRIPTS "tests/data/transcripts"
#define FILE_BYTES_MAX (1024U * 1024)

/* Every event as "type|data;" in one text. */
struct record {
    struct buf text;
    unsigned events;
    unsigned stop_after; /* 0: never */
};

static bool note(void *arg, const struct sse_event *ev)
{
    struct record *r = arg;

    assert_int_equal(strlen(ev->data), ev->len); /* none of these streams holds a NUL */
    buf_addf(&r->text, "%s|", ev->type);
    buf_add(&r->text, ev->data, ev->len);
    buf_addc(&r->text, ';');
    r->events++;
    return r->events != r->stop_after;
}

static void record_init(struct record *r)
{
    *r = (struct record){0};
    buf_init(&r->text, FILE_BYTES_MAX * 2);
}

/* Feeds text in pieces of at most `piece` bytes, the first one of `first`. */
static enum err_code play(struct record *r, const char *text, size_t len, size_t first, size_t piece)
{
    struct sse s;
    enum err_code code = ERR_OK;

    record_init(r);
    sse_init(&s, note, r);
    for (size_t at = 0, n = first; at < len && code == ERR_OK; at += n, n = piece) {
        n = n < len - at ? n : len - at;
        code = sse_feed(&s, text + at, n);
    }
    if (code == ERR_OK)
        code = sse_end(&s);
    sse_fini(&s);
    return code;
}

static void assert_same_in_any_pieces(const char *text, size_t len, const char *expected)
{
    struct record r;

    for (size_t cut = 0; cut <= len; cut++) {
        assert_int_equal(play(&r, text, len, cut, len), ERR_OK);
        assert_string_equal(buf_str(&r.text), expected);
        buf_free(&r.text);
    }
    for (size_t piece = 1; piece <= 3; piece++) {
        assert_int_equal(play(&r, text, len, piece, piece), ERR_OK);
        assert_string_equal(buf_str(&r.text), expected);
        buf_free(&r.text);
    }
}

static void test_table(void **state)
{
    static const struct {
        const char *stream, *events;
    } cases[] = {
        {"", ""},
        {"\n\n\n", ""},
        {"data: a\n\n", "|a;"},
        {"data:a\n\n", "|a;"},
        {"data:  a \n\n", "| a ;"}, /* one space goes, no more */
        {"data\n\n", "|;"},
        {"data:\n\n", "|;"},
        {"data: a\r\n\r\ndata: b\r\n\r\n", "|a;|b;"},
        {"data: a\r\rdata: b\r\r", "|a;|b;"},
        {"data: a\n\r\ndata: b\r\n\n", "|a;|b;"}, /* mixed */
        {"data: a\ndata: b\n\n", "|a\nb;"},
        {"data: a\ndata:\ndata: b\n\n", "|a\n\nb;"},
        {"event: ping\ndata: a\n\ndata: b\n\n", "ping|a;|b;"},
        {"event: ping\n\ndata: a\n\n", "|a;"}, /* no data, no event, and the type is forgotten */
        {"event: a\nevent: b\ndata: x\n\n", "b|x;"},
        {": comment\n\n:\n: data: no\ndata: a\n\n", "|a;"},
        {"id: 7\nretry: 10\nfoo: bar\nfoo\ndata: a\n\n", "|a;"},
        {"Data: a\n\n data: b\n\n", ""}, /* names are exact */
        {"data: a:b: c\n\n", "|a:b: c;"},
        {"\xEF\xBB\xBF" "data: a\n\n", "|a;"},
        {"\xEF\xBB\xBF\xEF\xBB\xBF" "data: a\n\n", ""}, /* only one is a mark */
        {"data: a\n\n\xEF\xBB\xBF" "data: b\n\n", "|a;"},
        {"data: \xE4\xBD\xA0\xE5\xA5\xBD\n\n", "|\xE4\xBD\xA0\xE5\xA5\xBD;"},
        /* unterminated at the end */
        {"data: a", "|a;"},
        {"data: a\n", "|a;"},
        {"data: a\r\n", "|a;"},
        {"data: a\n\ndata: [DONE]", "|a;|[DONE];"},
        {"event: x", ""},
        /* no empty line between */
        {"data: {\"a\":1}\ndata: {\"b\":2}\ndata: [DONE]\n", "|{\"a\":1};|{\"b\":2};|[DONE];"},
        {"data: {\"a\":\ndata: 1}\n\n", "|{\"a\":\n1};"}, /* one object over two lines */
        {"data: {\ndata: \"a\":1}\ndata: {\"b\":2}\n\n", "|{\n\"a\":1}\n{\"b\":2};"},
        {"data: 1\ndata: 2\n\n", "|1\n2;"},
        {"data: text\ndata: [DONE]\n\n", "|text\n[DONE];"},
        /* no field at all */
        {"{\"error\":\"x\"}\n", "|{\"error\":\"x\"};"},
        {"{\"a\":1}\n{\"b\":2}", "|{\"a\":1};|{\"b\":2};"},
        {"data: a\n{\"b\":2}\n\n", "|a;|{\"b\":2};"},
        {"event: x\n{\"b\":2}\n", "|{\"b\":2};"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        assert_same_in_any_pieces(cases[i].stream, strlen(cases[i].stream), cases[i].events);
}

static void test_stops_when_told(void **state)
{
    const char stream[] = "data: a\n\ndata: b\n\ndata: c\n\n";
    struct record r;
    struct sse s;

    (void)state;
    record_init(&r);
    r.stop_after = 2;
    sse_init(&s, note, &r);
    assert_int_equal(sse_feed(&s, stream, sizeof stream - 1), ERR_CANCELLED);
    assert_string_equal(buf_str(&r.text), "|a;|b;");
    sse_fini(&s);
    buf_free(&r.text);
}

/* Feeds "data: " and n bytes, in two pieces, then the line's end. */
static enum err_code long_line(size_t n, size_t *len_r)
{
    char *line = malloc(n);
    struct record r;
    struct sse s;
    enum err_code code;

    assert_non_null(line);
    memset(line, 'x', n);
    record_init(&r);
    buf_init(&r.text, SSE_LINE_BYTES_MAX * 2);
    sse_init(&s, note, &r);
    code = sse_feed(&s, "data:", 5);
    if (code == ERR_OK)
        code = sse_feed(&s, line, n / 2);
    if (code == ERR_OK)
        code = sse_feed(&s, line + n / 2, n - n / 2);
    if (code == ERR_OK)
        code = sse_feed(&s, "\n\n", 2);
    *len_r = r.text.len;
    sse_fini(&s);
    buf_free(&r.text);
    free(line);
    return code;
}

static void test_line_limit(void **state)
{
    size_t len;

    (void)state;
    assert_int_equal(long_line(SSE_LINE_BYTES_MAX - 5, &len), ERR_OK);
    assert_int_equal(len, SSE_LINE_BYTES_MAX - 5 + 2);
    assert_int_equal(long_line(SSE_LINE_BYTES_MAX - 4, &len), ERR_TOO_LARGE);
    assert_int_equal(len, 0);
}

static void test_data_of_many_lines_is_limited_too(void **state)
{
    static char line[64 * 1024];
    struct record r;
    struct sse s;
    enum err_code code = ERR_OK;
    size_t fed = 0;

    (void)state;
    memcpy(line, "data:", 5);
    memset(line + 5, 'x', sizeof line - 6);
    line[sizeof line - 1] = '\n';
    record_init(&r);
    sse_init(&s, note, &r);
    for (; code == ERR_OK && fed < 4 * SSE_LINE_BYTES_MAX; fed += sizeof line)
        code = sse_feed(&s, line, sizeof line);
    assert_int_equal(code, ERR_TOO_LARGE);
    assert_true(fed <= SSE_LINE_BYTES_MAX + 2 * sizeof line);
    sse_fini(&s);
    buf_free(&r.text);
}

/* The second line is only parsed once: a stream of lines that look like JSON
 * must not cost their square. */
static void test_many_lines_of_one_event(void **state)
{
    struct buf stream;
    struct record r;

    (void)state;
    buf_init(&stream, SSE_LINE_BYTES_MAX);
    buf_adds(&stream, "data: {\"open\":\"");
    for (int i = 0; i < 100000; i++)
        buf_adds(&stream, "\ndata: {}");
    buf_adds(&stream, "\n\n");
    assert_int_equal(play(&r, stream.data, stream.len, stream.len, stream.len), ERR_OK);
    assert_int_equal(r.events, 1);
    buf_free(&r.text);
    buf_free(&stream);
}

/* --- real streams --- */
/* The length of the reply's body; 0 if it is no event stream. */
static size_t read_body(const char *name, char *out)
{
    char path[512], *body;
    FILE *f;
    size_t len;

    assert_true(snprintf(path, sizeof path, TRANSCRIPTS "/%s", name) < (int)sizeof path);
    f = fopen(path, "rb");
    assert_non_null(f);
    len = fread(out, 1, FILE_BYTES_MAX - 1, f);
    fclose(f);
    out[len] = '\0';
    body = strstr(out, "### RESPONSE\n");
    if (!body || !strstr(body, "Content-Type: text/event-stream"))
        return 0;
    body = strstr(body, "\r\n\r\n");
    assert_non_null(body);
    body += 4;
    len -= (size_t)(body - out);
    memmove(out, body, len + 1);
    return len;
}

static bool each_is_json_until_done(void *arg, const struct sse_event *ev)
{
    bool *done = arg;
    cJSON *tree = json_parse(ev->data, ev->len);

    assert_false(*done);
    *done = strcmp(ev->data, "[DONE]") == 0;
    assert_true(*done || tree != NULL);
    cJSON_Delete(tree);
    return true;
}

static void check_stream(const char *text, size_t len)
{
    bool done = false;
    struct record whole;
    struct sse s;

    sse_init(&s, each_is_json_until_done, &done);
    assert_int_equal(sse_feed(&s, text, len), ERR_OK);
    assert_int_equal(sse_end(&s), ERR_OK);
    sse_fini(&s);
    assert_true(done);
    assert_int_equal(play(&whole, text, len, len, len), ERR_OK);
    assert_true(whole.events > 2);
    assert_same_in_any_pieces(text, len, whole.text.data);
    buf_free(&whole.text);
}

static void test_transcripts(void **state)
{
    static char text[FILE_BYTES_MAX];
    DIR *dir = opendir(TRANSCRIPTS);
    const struct dirent *entry;
    int checked = 0;

    (void)state;
    assert_non_null(dir);
    while ((entry = readdir(dir))) {
        size_t len = strstr(entry->d_name, ".txt") ? read_body(entry->d_name, text) : 0;

        if (len > 0) {
            check_stream(text, len);
            checked++;
        }
    }
    closedir(dir);
    assert_true(checked >= 9);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_table),
        cmocka_unit_test(test_stops_when_told),
        cmocka_unit_test(test_line_limit),
        cmocka_unit_test(test_data_of_many_lines_is_limited_too),
        cmocka_unit_test(test_many_lines_of_one_event),
        cmocka_unit_test(test_transcripts),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
