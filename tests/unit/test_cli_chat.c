/* `warbler chat`: addresses, what the screen shows, who we are, lines of input. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "plugin/base/json.h"
#include "plugin/base/mem.h"
#include "plugin/cli_chat.h"
#include "plugin/cli_chat_screen.h"
#include "plugin/cli_chat_visitor.h"
#include "plugin/cli_input.h"

/* --- addresses and words --- */
static void addresses(void **state)
{
    static const struct {
        const char *given, *want; /* NULL: refused */
    } cases[] = {
        { "ws://127.0.0.1:8080/chat/ws", "ws://127.0.0.1:8080/chat/ws" },
        { "wss://x.example/bot/chat/ws", "wss://x.example/bot/chat/ws" },
        { "http://127.0.0.1:8080/", "ws://127.0.0.1:8080/chat/ws" },
        { "http://127.0.0.1:8080", "ws://127.0.0.1:8080/chat/ws" },
        { "https://x.example/", "wss://x.example/chat/ws" },
        { "ws://[::1]:1", "ws://[::1]:1/chat/ws" },
        { "127.0.0.1:8080", NULL },
        { "ftp://x/", NULL },
        { "ws://", NULL },
        { "http:///chat/ws", NULL },
        { "", NULL },
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct buf b;
        buf_init(&b, CHAT_URL_BYTES_MAX);
        bool ok = chat_url(&b, cases[i].given) == ERR_OK;
        if (ok != (cases[i].want != NULL) || (ok && strcmp(buf_str(&b), cases[i].want) != 0))
            fail_msg("case %zu \"%s\": %s", i, cases[i].given, buf_str(&b));
        buf_free(&b);
    }
}

static void a_long_address_is_refused(void **state)
{
    char url[CHAT_URL_BYTES_MAX + 2] = "ws://";
    struct buf b;
    (void)state;
    memset(url + 5, 'a', CHAT_URL_BYTES_MAX - 5 - strlen("/chat/ws"));
    buf_init(&b, CHAT_URL_BYTES_MAX);
    assert_int_equal(chat_url(&b, url), ERR_OK);
    assert_int_equal(b.len, CHAT_URL_BYTES_MAX);
    buf_reset(&b);
    url[strlen(url)] = 'a';
    assert_int_equal(chat_url(&b, url), ERR_TOO_LARGE);
    buf_free(&b);
}

static void languages(void **state)
{
    static const struct {
        const char *all, *messages, *lang;
        enum language want;
    } cases[] = {
        { NULL, NULL, NULL, LANG_EN },
        { NULL, NULL, "zh_CN.UTF-8", LANG_ZH },
        { "", "", "zh_TW", LANG_ZH },
        { NULL, "de_DE.UTF-8", "zh_CN.UTF-8", LANG_EN },
        { "zh_CN", "C", "C", LANG_ZH },
        { "C", "zh_CN", "zh_CN", LANG_EN },
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const char *names[] = { "LC_ALL", "LC_MESSAGES", "LANG" };
        const char *values[] = { cases[i].all, cases[i].messages, cases[i].lang };
        for (size_t k = 0; k < 3; k++)
            values[k] ? setenv(names[k], values[k], 1) : unsetenv(names[k]);
        assert_int_equal(chat_language(), cases[i].want);
    }
}

/* Each sentence is there in each language, with the same number of places. */
static void sentences(void **state)
{
    (void)state;
    for (int id = 0; id < CHAT_TEXT_COUNT; id++) {
        size_t places[LANG_COUNT];
        for (int lang = 0; lang < LANG_COUNT; lang++) {
            struct buf b;
            buf_init(&b, 4096);
            chat_text(&b, (enum chat_text)id, (enum language)lang, "\001", "\002");
            places[lang] = (strchr(buf_str(&b), 1) != NULL) + 2U * (strchr(buf_str(&b), 2) != NULL);
            assert_true(b.len > 0);
            assert_null(strchr(buf_str(&b), '%'));
            buf_free(&b);
        }
        assert_int_equal(places[LANG_EN], places[LANG_ZH]);
    }
}

static void refusals(void **state)
{
    (void)state;
    assert_int_equal(chat_refusal("rate"), CHAT_RATE);
    assert_int_equal(chat_refusal("too_long"), CHAT_TOO_LONG);
    assert_int_equal(chat_refusal("busy"), CHAT_BUSY);
    assert_int_equal(chat_refusal("full"), CHAT_FULL);
    assert_int_equal(chat_refusal("something new"), CHAT_NOT_SENT);
}

/* --- the link's pure parts --- */
static void whose_answer(void **state)
{
    cJSON *ids = json_parse("[\"a\",5,\"b\"]", 11);
    struct link_message one = { .reply_to = "a" }, many = { .reply_to = "b", .replied = ids }, edit = { 0 };
    (void)state;
    assert_true(link_answers(&one, "a"));
    assert_false(link_answers(&one, "b"));
    assert_true(link_answers(&many, "a"));
    assert_true(link_answers(&many, "b"));
    assert_false(link_answers(&many, "c"));
    assert_false(link_answers(&edit, "a"));
    cJSON_Delete(ids);
}

static void pauses(void **state)
{
    (void)state;
    assert_int_equal(link_pause_ms(0, 0), LINK_AGAIN_MIN_MS);
    assert_int_equal(link_pause_ms(0, 1), LINK_AGAIN_MIN_MS / 2);
    assert_int_equal(link_pause_ms(1, 0), 2 * LINK_AGAIN_MIN_MS);
    assert_int_equal(link_pause_ms(4, 0), 16 * LINK_AGAIN_MIN_MS);
    assert_int_equal(link_pause_ms(5, 0), LINK_AGAIN_MAX_MS);
    assert_int_equal(link_pause_ms(UINT32_MAX, 0), LINK_AGAIN_MAX_MS);
    assert_int_equal(link_pause_ms(UINT32_MAX, 1), LINK_AGAIN_MAX_MS / 2);
}

/* --- the screen --- */
#define ERASE "\r\033[K"

struct shown {
    struct screen screen;
    char *out, *notes;
    size_t out_len, notes_len;
};

static void show_begin(struct shown *s, bool terminal, bool colours)
{
    *s = (struct shown) { 0 };
    s->screen = (struct screen) {
        .out = open_memstream(&s->out, &s->out_len),
        .notes = open_memstream(&s->notes, &s->notes_len),
        .terminal = terminal,
        .colours = colours,
        .starts_over = "(again)",
    };
    assert_non_null(s->screen.out);
    assert_non_null(s->screen.notes);
}

static void show_end(struct shown *s, const char *want, const char *want_notes)
{
    screen_fini(&s->screen);
    assert_int_equal(fclose(s->screen.out), 0);
    assert_int_equal(fclose(s->screen.notes), 0);
    assert_string_equal(s->out, want);
    assert_string_equal(s->notes, want_notes);
    free(s->out);
    free(s->notes);
}

static void an_answer_grows_in_place(void **state)
{
    struct shown s;
    (void)state;
    show_begin(&s, true, false);
    screen_prompt(&s.screen);
    screen_writing(&s.screen, "bo is writing…");
    screen_answer(&s.screen, "m1a", "bo", "Hel", false, false);
    assert_true(screen_busy(&s.screen));
    screen_answer(&s.screen, "m1a", "bo", "Hello ", false, false);
    screen_answer(&s.screen, "m1a", "bo", "Hello 世界\n", false, true);
    assert_false(screen_busy(&s.screen));
    screen_prompt(&s.screen);
    show_end(&s, ERASE "> " ERASE "bo is writing…" ERASE "bo: Hello 世界\n" ERASE "> " ERASE, "");
}

static void a_replaced_answer_is_written_anew(void **state)
{
    struct shown s;
    (void)state;
    show_begin(&s, true, false);
    screen_answer(&s.screen, "m1a", "bo", "Once", false, false);
    screen_answer(&s.screen, "m1a", "bo", "Twi", false, false);
    screen_answer(&s.screen, "m1a", "bo", "Twice", false, true);
    show_end(&s, ERASE "bo: Once\n" ERASE "(again)\n" ERASE "bo: Twice\n", "");
}

static void a_repeated_answer_goes_on_where_it_was(void **state)
{
    struct shown s;
    (void)state;
    show_begin(&s, true, false);
    screen_answer(&s.screen, "m1a", "bo", "one two", false, false);
    screen_answer(&s.screen, "m1a", "bo", "one", false, false);
    screen_answer(&s.screen, "m1a", "bo", "one two three", false, false);
    screen_answer(&s.screen, "m1a", "bo", "one two", false, true);
    show_end(&s, ERASE "bo: one two three\n" ERASE "(again)\n" ERASE "bo: one two\n", "");
}

static void what_comes_between_does_not_mix(void **state)
{
    struct shown s;
    (void)state;
    show_begin(&s, true, false);
    screen_answer(&s.screen, "m1a", "bo", "one ", false, false);
    screen_said(&s.screen, "Ann", "hi");
    screen_answer(&s.screen, "m1a", "bo", "one two", false, false);
    screen_typed(&s.screen); /* the terminal's own echo ended the line */
    screen_answer(&s.screen, "m1a", "bo", "one two three", false, true);
    screen_answer(&s.screen, "m2a", "bo", "next", true, true);
    show_end(&s, ERASE "bo: one\n" ERASE "Ann: hi\n" ERASE "bo: … two" ERASE "bo: … three\n" ERASE "bo: next\n", "");
}

static void nobody_steers_the_terminal(void **state)
{
    struct shown s;
    (void)state;
    show_begin(&s, true, true);
    screen_said(&s.screen, "Eve\033]0;x\a", "\033[2Jboo\xc2\x9b\x31m");
    screen_note(&s.screen, "no\033te");
    show_end(&s, ERASE "\033[1;32mEve]0;x\033[0m: [2Jboo1m\n" ERASE "\033[2mnote\033[0m\n", "");
}

static void without_a_terminal_only_what_is_finished(void **state)
{
    struct shown s;
    (void)state;
    show_begin(&s, false, false);
    screen_prompt(&s.screen);
    screen_writing(&s.screen, "bo is writing…");
    screen_answer(&s.screen, "m1a", "bo", "Hel", false, false);
    screen_note(&s.screen, "a note");
    screen_answer(&s.screen, "m1a", "bo", "Hello", false, true);
    screen_said(&s.screen, "Ann", "hi");
    show_end(&s, "bo: Hello\nAnn: hi\n", "a note\n");
}

/* --- who we are --- */
static void remembers_who_we_are(void **state)
{
    char dir[] = "/tmp/warbler-test-XXXXXX", path[64];
    struct err e = ERR_INIT;
    struct stat st;
    (void)state;
    assert_non_null(mkdtemp(dir));
    setenv("XDG_STATE_HOME", dir, 1);
    assert_null(visitor_load("ws://a/"));
    assert_int_equal(visitor_save("ws://a/", "v1", &e), ERR_OK);
    assert_int_equal(visitor_save("ws://a/b", "v2", &e), ERR_OK);
    assert_int_equal(visitor_save("ws://a/", "v3", &e), ERR_OK);
    char *one = visitor_load("ws://a/"), *two = visitor_load("ws://a/b");
    assert_string_equal(one, "v3");
    assert_string_equal(two, "v2");
    assert_null(visitor_load("ws://"));
    free(one);
    free(two);
    snprintf(path, sizeof(path), "%s/warbler/visitor", dir);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    assert_int_equal(st.st_size, strlen("ws://a/b v2\nws://a/ v3\n"));
    unlink(path);
    snprintf(path, sizeof(path), "%s/warbler", dir);
    assert_int_equal(rmdir(path), 0); /* and nothing else was left there */
    rmdir(dir);
}

static void forgets_the_oldest(void **state)
{
    char dir[] = "/tmp/warbler-test-XXXXXX", path[64], url[1024];
    struct err e = ERR_INIT;
    struct stat st;
    (void)state;
    assert_non_null(mkdtemp(dir));
    setenv("XDG_STATE_HOME", dir, 1);
    for (int i = 0; i < 80; i++) {
        snprintf(url, sizeof(url), "ws://%01000d/", i);
        assert_int_equal(visitor_save(url, "v", &e), ERR_OK);
    }
    char *newest = visitor_load(url);
    assert_string_equal(newest, "v");
    free(newest);
    snprintf(url, sizeof(url), "ws://%01000d/", 0);
    assert_null(visitor_load(url));
    snprintf(path, sizeof(path), "%s/warbler/visitor", dir);
    assert_int_equal(stat(path, &st), 0);
    assert_in_range(st.st_size, VISITORS_BYTES_MAX - 1100, VISITORS_BYTES_MAX);
    unlink(path);
    snprintf(path, sizeof(path), "%s/warbler", dir);
    rmdir(path);
    rmdir(dir);
}

static void nowhere_to_remember(void **state)
{
    struct err e = ERR_INIT;
    (void)state;
    setenv("XDG_STATE_HOME", "relative", 1);
    unsetenv("HOME");
    assert_null(visitor_load("ws://a/"));
    assert_int_equal(visitor_save("ws://a/", "v1", &e), ERR_NOT_FOUND);
    setenv("XDG_STATE_HOME", "/dev/null", 1);
    assert_int_equal(visitor_save("ws://a/", "v1", &e), ERR_IO);
    assert_non_null(strstr(e.text, "/dev/null"));
}

/* --- lines --- */
struct reading {
    struct loop *loop;
    struct input *input;
    struct buf got; /* lines in brackets, "!" for one that was too long, "." at the end */
};

static void on_line(void *arg, const char *text, size_t len)
{
    struct reading *r = arg;
    assert_int_equal(text[len], '\0');
    if (len > 100)
        buf_addf(&r->got, "[%zu]", len);
    else
        buf_addf(&r->got, "[%s]", text);
    input_next(r->input);
}

static void on_too_long(void *arg)
{
    struct reading *r = arg;
    buf_addc(&r->got, '!');
    input_next(r->input);
}

static void on_end(void *arg)
{
    struct reading *r = arg;
    buf_addc(&r->got, '.');
    loop_stop(r->loop);
}

static void read_all(int fd, const char *want)
{
    static const struct input_handler handler = { on_line, on_too_long, on_end };
    struct reading r = { 0 };
    struct err e = ERR_INIT;
    buf_init(&r.got, 4096);
    assert_int_equal(loop_new(0, &r.loop, &e), ERR_OK);
    r.input = input_new(r.loop, fd, &handler, &r);
    input_next(r.input);
    loop_run(r.loop);
    assert_string_equal(buf_str(&r.got), want);
    input_free(&r.input);
    loop_free(&r.loop);
    buf_free(&r.got);
    close(fd);
}

static int pipe_with(const char *text)
{
    int fds[2];
    assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
    assert_int_equal(write(fds[1], text, strlen(text)), strlen(text));
    close(fds[1]);
    return fds[0];
}

static int file_with(size_t line_bytes, const char *more)
{
    char path[] = "/tmp/warbler-test-XXXXXX";
    int fd = mkstemp(path);
    char *line = mem_alloc(line_bytes + 1);
    assert_true(fd >= 0);
    unlink(path);
    memset(line, 'x', line_bytes);
    assert_int_equal(write(fd, line, line_bytes), line_bytes);
    assert_int_equal(write(fd, more, strlen(more)), strlen(more));
    assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
    free(line);
    return fd;
}

static void lines(void **state)
{
    static const struct {
        const char *text, *want;
    } cases[] = {
        { "", "." },           { "a\n", "[a]." },      { "a", "[a]." }, { "a\nb", "[a][b]." },
        { "\n\n", "[][]." },   { "a\n\nb\n", "[a][][b]." },
    };
    char want[64];
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        read_all(pipe_with(cases[i].text), cases[i].want);
        read_all(file_with(0, cases[i].text), cases[i].want);
    }
    read_all(open("/dev/null", O_RDONLY | O_CLOEXEC), ".");
    snprintf(want, sizeof(want), "[%u][a].", INPUT_LINE_BYTES_MAX);
    read_all(file_with(INPUT_LINE_BYTES_MAX, "\na\n"), want);
    read_all(file_with(2 * INPUT_LINE_BYTES_MAX, "\na\n"), "![a].");
    read_all(file_with(2 * INPUT_LINE_BYTES_MAX, ""), "!.");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(addresses),
        cmocka_unit_test(a_long_address_is_refused),
        cmocka_unit_test(languages),
        cmocka_unit_test(sentences),
        cmocka_unit_test(refusals),
        cmocka_unit_test(whose_answer),
        cmocka_unit_test(pauses),
        cmocka_unit_test(an_answer_grows_in_place),
        cmocka_unit_test(a_replaced_answer_is_written_anew),
        cmocka_unit_test(a_repeated_answer_goes_on_where_it_was),
        cmocka_unit_test(what_comes_between_does_not_mix),
        cmocka_unit_test(nobody_steers_the_terminal),
        cmocka_unit_test(without_a_terminal_only_what_is_finished),
        cmocka_unit_test(remembers_who_we_are),
        cmocka_unit_test(forgets_the_oldest),
        cmocka_unit_test(nowhere_to_remember),
        cmocka_unit_test(lines),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
