/* metric.c: what is counted, and the page as Prometheus reads it. */
#include <math.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "plugin/base/metric.h"

#define PAGE_BYTES_MAX 65536U

static struct buf page;

static const char *print_page(void)
{
    buf_free(&page);
    buf_init(&page, PAGE_BYTES_MAX);
    metric_print(&page);
    assert_int_equal(buf_error(&page), ERR_OK);
    return buf_str(&page);
}

static int free_page(void **state)
{
    (void)state;
    buf_free(&page);
    return 0;
}

/* The rest of the line that starts with the name and a blank. */
static const char *value_of(const char *text, const char *name)
{
    size_t len = strlen(name);
    for (const char *line = text; line && *line; line = strchr(line, '\n'), line += line != NULL)
        if (!strncmp(line, name, len) && line[len] == ' ')
            return line + len + 1;
    fail_msg("no line for %s", name);
    return "";
}

static void assert_value(const char *name, const char *expected)
{
    const char *value = value_of(print_page(), name);
    size_t len = strcspn(value, "\n");
    if (len != strlen(expected) || strncmp(value, expected, len) != 0)
        fail_msg("%s is %.*s, not %s", name, (int)len, value, expected);
}

static void test_counter_and_gauge(void **state)
{
    (void)state;
    metric_add(METRIC_MESSAGES_IN, 2);
    metric_add(METRIC_MESSAGES_IN, 3);
    assert_int_equal(metric_get(METRIC_MESSAGES_IN), 5);
    assert_value("warbler_messages_received_total", "5");
    assert_value("# TYPE warbler_messages_received_total", "counter");
    assert_value("# HELP warbler_messages_received_total", "Messages accepted from people");

    metric_set(METRIC_TURNS_RUNNING, 7);
    metric_add(METRIC_TURNS_RUNNING, -8);
    assert_int_equal(metric_get(METRIC_TURNS_RUNNING), -1);
    assert_value("warbler_turns_running", "-1");
    assert_value("# TYPE warbler_turns_running", "gauge");
}

static void test_histogram_steps(void **state)
{
    static const struct {
        double secs;
        const char *bucket; /* the lowest one that holds it */
        const char *below;  /* the one before: does not; NULL: none */
    } cases[] = {
        { 0, "0.001", NULL },
        { -1, "0.001", NULL },
        { NAN, "0.001", NULL },
        { 0.001, "0.001", NULL },
        { 0.001001, "0.0025", "0.001" },
        { 0.25, "0.25", "0.1" },
        { 120, "120", "60" },
        { 120.000001, "+Inf", "120" },
        { INFINITY, "+Inf", "120" },
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char bucket[64], below[64];
        snprintf(bucket, sizeof bucket, "warbler_turn_seconds_bucket{le=\"%s\"}", cases[i].bucket);
        snprintf(below, sizeof below, "warbler_turn_seconds_bucket{le=\"%s\"}", cases[i].below ? cases[i].below : "");
        const char *text = print_page();
        long in_bucket = atol(value_of(text, bucket));
        long in_below = cases[i].below ? atol(value_of(text, below)) : 0;
        metric_seconds(METRIC_TURN_TIME, cases[i].secs);
        text = print_page();
        assert_int_equal(atol(value_of(text, bucket)), in_bucket + 1);
        if (cases[i].below)
            assert_int_equal(atol(value_of(text, below)), in_below);
        assert_int_equal(metric_get(METRIC_TURN_TIME), i + 1);
        assert_int_equal(atol(value_of(text, "warbler_turn_seconds_count")), i + 1);
        assert_int_equal(atol(value_of(text, "warbler_turn_seconds_bucket{le=\"+Inf\"}")), i + 1);
    }
}

static void test_histogram_sum(void **state)
{
    (void)state;
    metric_seconds(METRIC_FIRST_TOKEN, 1.25);
    metric_seconds(METRIC_FIRST_TOKEN, 0.000003);
    assert_value("warbler_first_token_seconds_sum", "1.250003");
    assert_value("warbler_first_token_seconds_count", "2");
    assert_value("# TYPE warbler_first_token_seconds", "histogram");
}

static void test_process(void **state)
{
    (void)state;
    const char *text = print_page();
    assert_true(atol(value_of(text, "process_resident_memory_bytes")) > 100000);
    assert_true(atol(value_of(text, "process_open_fds")) >= 3);
    assert_true(strchr(value_of(text, "process_cpu_seconds_total"), '.') != NULL);
    assert_non_null(strstr(text, "\nwarbler_build_info{version=\""));
}

static void test_every_line_is_well_formed(void **state)
{
    (void)state;
    const char *text = print_page();
    assert_int_equal(text[strlen(text) - 1], '\n');
    for (const char *line = text; *line; line = strchr(line, '\n') + 1) {
        if (!strncmp(line, "# HELP ", 7) || !strncmp(line, "# TYPE ", 7))
            continue;
        size_t name = strspn(line, "abcdefghijklmnopqrstuvwxyz_");
        assert_true(name > 0);
        if (line[name] == '{')
            name += strcspn(line + name, "}") + 1;
        assert_int_equal(line[name], ' ');
        size_t number = strspn(line + name + 1, "-0123456789.");
        assert_true(number > 0);
        assert_int_equal(line[name + 1 + number], '\n');
    }
}

#define THREAD_ADDS 100000

static void *add_many(void *arg)
{
    for (int i = 0; i < THREAD_ADDS; i++) {
        metric_add(METRIC_STORE_JOBS, 1);
        metric_seconds(METRIC_STORE_COMMIT_TIME, 0.001);
    }
    return arg;
}

static void test_threads(void **state)
{
    (void)state;
    pthread_t threads[3];
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, add_many, NULL), 0);
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    assert_int_equal(metric_get(METRIC_STORE_JOBS), 3 * THREAD_ADDS);
    assert_int_equal(metric_get(METRIC_STORE_COMMIT_TIME), 3 * THREAD_ADDS);
}

static void test_money(void **state)
{
    (void)state;
    struct buf out;
    char currency[16];
    metric_money("USD", 1250000000000);
    metric_money("EUR", 1);
    metric_money("USD", 1);
    for (int i = 0; i < METRIC_CURRENCIES_MAX; i++) { /* two of them are too many */
        snprintf(currency, sizeof currency, "C%d", i);
        metric_money(currency, 1000000000000);
    }
    metric_money("C2", INT64_MAX);
    buf_init(&out, 1 << 20);
    metric_print(&out);
    const char *text = buf_str(&out);
    assert_non_null(strstr(text, "\n# TYPE warbler_cost_total counter\n"));
    assert_non_null(strstr(text, "\nwarbler_cost_total{currency=\"USD\"} 1.250000000001\n"));
    assert_non_null(strstr(text, "\nwarbler_cost_total{currency=\"EUR\"} 0.000000000001\n"));
    assert_non_null(strstr(text, "\nwarbler_cost_total{currency=\"C13\"} 1\n"));
    assert_null(strstr(text, "\"C14\""));
    assert_non_null(strstr(text, "\nwarbler_cost_total{currency=\"C2\"} 9223372.036854775807\n"));
    buf_free(&out);
}

static void test_models(void **state)
{
    (void)state;
    char name[32];
    assert_int_equal(metric_model_get(METRIC_MODEL_ASKED, "a"), 0);
    metric_model_add(METRIC_MODEL_ASKED, "a", 2);
    metric_model_add(METRIC_MODEL_ASKED, "a", 1);
    metric_model_set(METRIC_MODEL_BREAKER, "q\"\\", 1);
    metric_model_error("a", ERR_RATE);
    assert_int_equal(metric_model_get(METRIC_MODEL_ASKED, "a"), 3);
    assert_int_equal(metric_model_get(METRIC_MODEL_ASKED, "b"), 0);
    assert_value("warbler_model_attempts_total{model=\"a\"}", "3");
    assert_value("warbler_model_breaker{model=\"q\\\"\\\\\"}", "1");
    assert_value("warbler_model_failures_total{model=\"a\",class=\"rate\"}", "1");
    assert_value("# TYPE warbler_model_breaker", "gauge");
    assert_null(strstr(print_page(), "\"other\""));
    for (int i = 2; i < METRIC_MODELS_MAX; i++) {
        snprintf(name, sizeof name, "m%d", i);
        metric_model_add(METRIC_MODEL_ASKED, name, 1);
    }
    assert_null(strstr(print_page(), "\"other\"} 2"));
    metric_model_add(METRIC_MODEL_ASKED, "one more", 1);
    metric_model_add(METRIC_MODEL_ASKED, "and another", 1);
    assert_value("warbler_model_attempts_total{model=\"other\"}", "2");
    assert_value("warbler_model_attempts_total{model=\"m2\"}", "1");
    assert_null(strstr(print_page(), "one more"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_counter_and_gauge, free_page),
        cmocka_unit_test_teardown(test_histogram_steps, free_page),
        cmocka_unit_test_teardown(test_histogram_sum, free_page),
        cmocka_unit_test_teardown(test_process, free_page),
        cmocka_unit_test_teardown(test_every_line_is_well_formed, free_page),
        cmocka_unit_test(test_money),
        cmocka_unit_test_teardown(test_threads, free_page),
        cmocka_unit_test(test_models),
    };
    return cmocka_run_group_tests_name("metric", tests, NULL, NULL);
}
