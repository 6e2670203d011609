/* log.c: the three forms of a line, what is escaped, where it is cut, and that
 * lines of several threads do not mix. Standard error is a file meanwhile. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "plugin/base/clock.h"
#include "plugin/base/json.h"
#include "plugin/base/log.h"
#include "plugin/base/utf8.h"

#define CAPTURE_BYTES (4 << 20)
#define TEXT_HEAD "2009-02-13T23:31:30.123Z info  web: "
#define JSON_HEAD "{\"time\":\"2009-02-13T23:31:30.123Z\",\"level\":\"info\",\"area\":\"web\",\"text\":\""

static int real_stderr, capture_fd;
static char captured[CAPTURE_BYTES];

static int capture_begin(void **state)
{
    (void)state;
    char path[] = "/tmp/warbler-log-XXXXXX";
    capture_fd = mkostemp(path, O_APPEND);
    real_stderr = dup(STDERR_FILENO);
    if (capture_fd < 0 || real_stderr < 0)
        return -1;
    unlink(path);
    fflush(stderr);
    dup2(capture_fd, STDERR_FILENO);
    return 0;
}

static int capture_end(void **state)
{
    (void)state;
    dup2(real_stderr, STDERR_FILENO);
    close(real_stderr);
    close(capture_fd);
    unsetenv("JOURNAL_STREAM");
    return 0;
}

/* What was logged since the last call. */
static const char *logged(void)
{
    ssize_t n = pread(capture_fd, captured, sizeof captured - 1, 0);
    captured[n > 0 ? n : 0] = '\0';
    if (ftruncate(capture_fd, 0) != 0 || lseek(capture_fd, 0, SEEK_SET) != 0)
        return "the capture file cannot be emptied";
    return captured;
}

static void test_levels(void **state)
{
    (void)state;
    static const enum log_level all[] = {LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG};
    static const char *const names[] = {" error x: t\n", " warn  x: t\n", " info  x: t\n", " debug x: t\n"};
    for (size_t max = 0; max < 4; max++) {
        log_setup(all[max], false);
        for (size_t level = 0; level < 4; level++) {
            assert_int_equal(log_enabled(all[level]), level <= max);
            log_write(all[level], "x", "t");
            const char *line = logged();
            if (level <= max)
                assert_non_null(strstr(line, names[level]));
            else
                assert_string_equal(line, "");
        }
    }
}

static void test_macros(void **state)
{
    (void)state;
    log_setup(LOG_INFO, false);
    log_error("web", "%d", 1);
    log_warn("web", "%d", 2);
    log_info("web", "%d", 3);
    log_debug("web", "%d", 4);
    assert_string_equal(logged(), "2009-02-13T23:31:30.123Z error web: 1\n"
                                  "2009-02-13T23:31:30.123Z warn  web: 2\n"
                                  "2009-02-13T23:31:30.123Z info  web: 3\n");
    log_setup(LOG_DEBUG, false);
    log_debug("web", "%d", 4);
    assert_string_equal(logged(), "2009-02-13T23:31:30.123Z debug web: 4\n");
}

static void test_escaping(void **state)
{
    (void)state;
    static const struct {
        const char *text, *as_text, *as_json;
    } cases[] = {
        {"", "", ""},
        {"plain", "plain", "plain"},
        {"a\nb\tc", "a\\nb\\u0009c", "a\\nb\\u0009c"},
        {"say \"hi\" \\o/", "say \"hi\" \\o/", "say \\\"hi\\\" \\\\o/"},
        {"\x1b[2J\x7f", "\\u001b[2J\\u007f", "\\u001b[2J\\u007f"},
        {"\xC2\x9B", "\\u009b", "\\u009b"},                 /* CSI as one character */
        {"\xE2\x80\xAE\xE2\x80\xA8", "\\u202e\\u2028", "\\u202e\\u2028"}, /* override, line separator */
        {"\xE4\xBD\xA0\xE5\xA5\xBD", "\xE4\xBD\xA0\xE5\xA5\xBD", "\xE4\xBD\xA0\xE5\xA5\xBD"},
        {"a\xFF\xE4\xBD" "b", "a\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD" "b", "a\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD" "b"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char expected[256];
        log_setup(LOG_INFO, false);
        log_info("web", "%s", cases[i].text);
        snprintf(expected, sizeof expected, TEXT_HEAD "%s\n", cases[i].as_text);
        assert_string_equal(logged(), expected);
        log_setup(LOG_INFO, true);
        log_info("web", "%s", cases[i].text);
        snprintf(expected, sizeof expected, JSON_HEAD "%s\"}\n", cases[i].as_json);
        assert_string_equal(logged(), expected);
    }
}

static void test_area(void **state)
{
    (void)state;
    char area[200];
    memset(area, 'a', sizeof area - 1);
    area[sizeof area - 1] = '\0';
    log_setup(LOG_INFO, true);
    log_info(area, "text");
    const char *line = logged();
    cJSON *tree = json_parse(line, strlen(line));
    assert_string_equal(json_str(tree, "text"), "text");
    assert_int_equal(strlen(json_str(tree, "area")), 64);
    cJSON_Delete(tree);

    log_info("a\"\n", "text");
    line = logged();
    tree = json_parse(line, strlen(line));
    assert_string_equal(json_str(tree, "area"), "a\"\n");
    cJSON_Delete(tree);
}

/* Logs n bytes made of unit over and over; returns the line. */
static const char *log_long(const char *unit, size_t n)
{
    struct buf b;
    buf_init(&b, n + strlen(unit));
    while (b.len + strlen(unit) <= n)
        buf_adds(&b, unit);
    log_info("web", "%s", buf_str(&b));
    buf_free(&b);
    return logged();
}

static void test_limit(void **state)
{
    (void)state;
    static const struct {
        bool json;
        size_t room;
    } forms[] = {
        {false, LOG_LINE_BYTES - (sizeof TEXT_HEAD - 1) - 1},
        {true, LOG_LINE_BYTES - (sizeof JSON_HEAD - 1) - 3},
    };
    for (size_t i = 0; i < 2; i++) {
        log_setup(LOG_INFO, forms[i].json);
        const char *line = log_long("x", forms[i].room);
        assert_int_equal(strlen(line), LOG_LINE_BYTES);
        assert_null(strstr(line, "\xE2\x80\xA6"));
        line = log_long("x", forms[i].room + 1);
        assert_int_equal(strlen(line), LOG_LINE_BYTES);
        assert_non_null(strstr(line, forms[i].json ? "x\xE2\x80\xA6\"}\n" : "x\xE2\x80\xA6\n"));
    }
}

/* Whatever is cut, the line stays whole: valid, ended, and within its limit. */
static void test_cut_lines_stay_whole(void **state)
{
    (void)state;
    static const char *const units[] = {"好", "\n", "\"", "\\", "\x1b", "e\xCC\x81", "\xF0\x9F\x98\x80", "\xFF", "x\n\"好"};
    for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
        for (size_t n = LOG_LINE_BYTES - 120; n < LOG_LINE_BYTES + 10; n++) {
            log_setup(LOG_INFO, true);
            const char *line = log_long(units[i], n);
            assert_true(strlen(line) <= LOG_LINE_BYTES);
            assert_true(utf8_valid(line, strlen(line)));
            cJSON *tree = json_parse(line, strlen(line));
            assert_non_null(json_str(tree, "text"));
            cJSON_Delete(tree);
            log_setup(LOG_INFO, false);
            line = log_long(units[i], n);
            assert_true(strlen(line) <= LOG_LINE_BYTES);
            assert_true(utf8_valid(line, strlen(line)));
            assert_ptr_equal(strchr(line, '\n'), line + strlen(line) - 1);
        }
    }
}

static void test_journal(void **state)
{
    (void)state;
    struct stat st;
    char stream[64];
    assert_int_equal(fstat(STDERR_FILENO, &st), 0);
    snprintf(stream, sizeof stream, "%ju:%ju", (uintmax_t)st.st_dev, (uintmax_t)st.st_ino);
    setenv("JOURNAL_STREAM", stream, 1);
    log_setup(LOG_DEBUG, false);
    log_error("web", "a");
    log_warn("web", "b");
    log_info("web", "c");
    log_debug("web", "d");
    assert_string_equal(logged(), "<3>web: a\n<4>web: b\n<6>web: c\n<7>web: d\n");

    log_setup(LOG_DEBUG, true);
    log_info("web", "c");
    assert_string_equal(logged(), JSON_HEAD "c\"}\n");

    setenv("JOURNAL_STREAM", "1:1", 1); /* inherited, but standard error went elsewhere */
    log_setup(LOG_DEBUG, false);
    log_info("web", "c");
    assert_string_equal(logged(), TEXT_HEAD "c\n");
}

static void test_errno_survives(void **state)
{
    (void)state;
    log_setup(LOG_INFO, false);
    errno = ENOENT;
    log_info("web", "%m");
    assert_int_equal(errno, ENOENT);
    assert_string_equal(logged(), TEXT_HEAD "No such file or directory\n");
}

#define THREADS 4
#define LINES 500

static void *chatter(void *arg)
{
    const char *name = arg;
    for (int i = 0; i < LINES; i++)
        log_info(name, "%s%s%s%s%s", name, name, name, name, name);
    return NULL;
}

static void test_threads(void **state)
{
    (void)state;
    static char names[THREADS][13] = {"aaaaaaaaaaaa", "bbbbbbbbbbbb", "cccccccccccc", "dddddddddddd"};
    pthread_t threads[THREADS];
    log_setup(LOG_INFO, true);
    for (size_t i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, chatter, names[i]), 0);
    for (size_t i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    int lines = 0;
    for (const char *line = logged(), *end; (end = strchr(line, '\n')); line = end + 1, lines++) {
        cJSON *tree = json_parse(line, (size_t)(end - line));
        const char *area = json_str(tree, "area"), *text = json_str(tree, "text");
        assert_non_null(text);
        assert_int_equal(strlen(text), 5 * strlen(area));
        assert_int_equal(strspn(text, (char[]){area[0], '\0'}), strlen(text));
        cJSON_Delete(tree);
    }
    assert_int_equal(lines, THREADS * LINES);
}

static int setup(void **state)
{
    (void)state;
    clock_test_freeze(INT64_C(1234567890123));
    return 0;
}

#define captured_test(fn) cmocka_unit_test_setup_teardown(fn, capture_begin, capture_end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        captured_test(test_levels),
        captured_test(test_macros),
        captured_test(test_escaping),
        captured_test(test_area),
        captured_test(test_limit),
        captured_test(test_cut_lines_stay_whole),
        captured_test(test_journal),
        captured_test(test_errno_survives),
        captured_test(test_threads),
    };
    return cmocka_run_group_tests_name("log", tests, setup, NULL);
}
