#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "config/nearest.h"
#include "config/price_text.h"
#include "plugin/base/clock.h"
#include "plugin/base/decimal.h"
#include "plugin/base/json.h"
#include "plugin/base/log.h"
#include "plugin/base/mem.h"
#include "plugin/cli.h"
#include "plugin/cli_cell.h"
#include "plugin/cli_store.h"
#include "plugin/cli_table.h"
#include "plugin/daemon.h"

#define OUTPUT_BYTES_MAX (64U * 1024 * 1024) /* of JSON or CSV */
#define SHOWN_PLACES 6                       /* of an amount in the table; JSON and CSV have them all */
#define WHOLE_PLACES 2                       /* of every amount */

static const char *const by_names[] = { "account", "channel", "person", "model", "day", NULL }; /* enum store_usage_by */
static const char *const format_names[] = { "text", "json", "csv", NULL };
enum format { FORMAT_TEXT, FORMAT_JSON, FORMAT_CSV };

struct report {
    const struct cli_command *self;
    int by, format;
    int64_t since_ms, until_ms; /* INT64_MIN, INT64_MAX: not given */
    struct loop *loop;
    struct store *store;
    int status;
};

/* --- sums over the rows --- */
struct totals {
    struct store_usage_sum *v; /* one for each currency */
    size_t n;
};

static bool same_currency(const char *a, const char *b)
{
    return a && b ? strcmp(a, b) == 0 : a == b;
}

static struct store_usage_sum *total_of(struct totals *t, const char *currency)
{
    for (size_t i = 0; i < t->n; i++)
        if (same_currency(t->v[i].currency, currency))
            return &t->v[i];
    t->v = mem_resize(t->v, t->n + 1, sizeof *t->v);
    t->v[t->n] = (struct store_usage_sum){ .key = "TOTAL", .currency = currency };
    return &t->v[t->n++];
}

static struct totals totals_of(const struct store_usage_sum *rows, size_t n)
{
    struct totals t = { NULL, 0 };
    for (size_t i = 0; i < n; i++) {
        struct store_usage_sum *sum = total_of(&t, rows[i].currency);
        sum->answers = decimal_add(sum->answers, rows[i].answers);
        sum->estimated = decimal_add(sum->estimated, rows[i].estimated);
        sum->prompt = decimal_add(sum->prompt, rows[i].prompt);
        sum->cached = decimal_add(sum->cached, rows[i].cached);
        sum->cache_write = decimal_add(sum->cache_write, rows[i].cache_write);
        sum->completion = decimal_add(sum->completion, rows[i].completion);
        sum->reasoning = decimal_add(sum->reasoning, rows[i].reasoning);
        sum->cost = decimal_add(sum->cost, rows[i].cost);
    }
    return t;
}

/* --- for people --- */
static void put_number(struct table *t, int64_t n, bool estimated)
{
    buf_addf(table_cell(t), "%s%" PRId64, estimated && n ? "~" : "", n);
}

static void put_cost(struct table *t, const struct store_usage_sum *s)
{
    static const int64_t unit = 1000000; /* of 10^-12, at SHOWN_PLACES */
    struct buf *cell = table_cell(t);
    if (!s->currency) {
        buf_addc(cell, '-');
        return;
    }
    buf_adds(cell, s->estimated ? "~" : "");
    decimal_print(cell, s->cost / unit + (s->cost % unit >= unit / 2), SHOWN_PLACES, WHOLE_PLACES);
    buf_addf(cell, " %s", s->currency);
}

static void put_sum(struct table *t, const struct store_usage_sum *s)
{
    cell_put(table_cell(t), *s->key ? s->key : "(nobody)", CELL_NO_LIMIT);
    put_number(t, s->answers, false);
    put_number(t, s->prompt, s->estimated);
    put_number(t, s->cached, false);
    put_number(t, s->completion, s->estimated);
    put_number(t, s->reasoning, false);
    put_cost(t, s);
}

static void put_heads(struct table *t, const char *by)
{
    static const char *const heads[] = { "ANSWERS", "PROMPT", "CACHED", "OUTPUT", "REASONING", "COST" };
    t->columns = 1 + sizeof heads / sizeof *heads;
    t->right = ~1U;
    struct buf *first = table_cell(t);
    for (; *by; by++)
        buf_addc(first, (char)(*by - 'a' + 'A'));
    for (size_t i = 1; i < t->columns; i++)
        buf_adds(table_cell(t), heads[i - 1]);
}

static void print_notes(const struct totals *totals)
{
    int64_t answers = 0, estimated = 0, unpriced = 0;
    for (size_t i = 0; i < totals->n; i++) {
        answers += totals->v[i].answers;
        estimated += totals->v[i].estimated;
        unpriced += totals->v[i].currency ? 0 : totals->v[i].answers;
    }
    if (estimated || unpriced)
        putchar('\n');
    if (estimated)
        printf("~ estimated in part: of %" PRId64 " answer%s out of %" PRId64 " the server did not say how many tokens they "
               "took.\n", estimated, estimated == 1 ? "" : "s", answers);
    if (unpriced)
        printf("- no price is known: the list `prices` of the configuration has none for these models.\n");
}

static void print_text(const struct report *r, const struct store_usage_sum *rows, size_t n)
{
    struct totals totals = totals_of(rows, n);
    struct table t = { 0 };
    if (!n) {
        puts("No answers in this time.");
        return;
    }
    put_heads(&t, by_names[r->by]);
    for (size_t i = 0; i < n; i++)
        put_sum(&t, &rows[i]);
    for (size_t i = 0; i < totals.n && n > 1; i++)
        put_sum(&t, &totals.v[i]);
    table_print(&t);
    print_notes(&totals);
    table_fini(&t);
    free(totals.v);
}

/* --- for programs --- */
static void json_number(struct buf *out, const char *name, int64_t n)
{
    buf_addf(out, ",\"%s\":%" PRId64, name, n);
}

static void json_sum(struct buf *out, const struct store_usage_sum *s)
{
    buf_adds(out, "\"currency\":");
    json_quote(out, s->currency);
    json_number(out, "answers", s->answers);
    json_number(out, "estimated", s->estimated);
    json_number(out, "prompt_tokens", s->prompt);
    json_number(out, "cached_tokens", s->cached);
    json_number(out, "cache_write_tokens", s->cache_write);
    json_number(out, "completion_tokens", s->completion);
    json_number(out, "reasoning_tokens", s->reasoning);
    buf_adds(out, ",\"cost\":");
    if (s->currency) {
        buf_addc(out, '"');
        decimal_print(out, s->cost, MONEY_PLACES, WHOLE_PLACES);
        buf_addc(out, '"');
    } else {
        buf_adds(out, "null");
    }
    buf_addc(out, '}');
}

static void json_time(struct buf *out, const char *name, int64_t ms)
{
    if (ms == INT64_MIN || ms == INT64_MAX)
        buf_addf(out, ",\"%s\":null", name);
    else
        json_number(out, name, ms);
}

static void write_json(struct buf *out, const struct report *r, const struct store_usage_sum *rows, size_t n)
{
    struct totals totals = totals_of(rows, n);
    buf_addf(out, "{\"by\":\"%s\"", by_names[r->by]);
    json_time(out, "since_ms", r->since_ms);
    json_time(out, "until_ms", r->until_ms);
    buf_adds(out, ",\"rows\":[");
    for (size_t i = 0; i < n; i++) {
        buf_adds(out, i ? ",\n {\"key\":" : "\n {\"key\":");
        json_quote(out, rows[i].key);
        buf_addc(out, ',');
        json_sum(out, &rows[i]);
    }
    buf_adds(out, "],\n\"totals\":[");
    for (size_t i = 0; i < totals.n; i++) {
        buf_adds(out, i ? ",\n {" : "\n {");
        json_sum(out, &totals.v[i]);
    }
    buf_adds(out, "]}\n");
    free(totals.v);
}

/* RFC 4180 */
static void csv_text(struct buf *out, const char *text)
{
    if (!strpbrk(text, ",\"\r\n")) {
        buf_adds(out, text);
        return;
    }
    buf_addc(out, '"');
    for (; *text; text++)
        buf_adds(out, *text == '"' ? "\"\"" : (const char[]){ *text, '\0' });
    buf_addc(out, '"');
}

static void write_csv(struct buf *out, const struct report *r, const struct store_usage_sum *rows, size_t n)
{
    buf_addf(out, "%s,currency,answers,estimated,prompt_tokens,cached_tokens,cache_write_tokens,completion_tokens,"
                  "reasoning_tokens,cost\r\n", by_names[r->by]);
    for (const struct store_usage_sum *s = rows; s < rows + n; s++) {
        csv_text(out, s->key);
        buf_addf(out, ",%s", s->currency ? s->currency : "");
        const int64_t numbers[] = { s->answers, s->estimated, s->prompt, s->cached, s->cache_write, s->completion, s->reasoning };
        for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
            buf_addf(out, ",%" PRId64, numbers[i]);
        buf_addc(out, ',');
        if (s->currency)
            decimal_print(out, s->cost, MONEY_PLACES, WHOLE_PLACES);
        buf_adds(out, "\r\n");
    }
}

static int print(const struct report *r, const struct store_usage_sum *rows, size_t n)
{
    struct buf out;
    if (r->format == FORMAT_TEXT) {
        print_text(r, rows, n);
        return 0;
    }
    buf_init(&out, OUTPUT_BYTES_MAX);
    if (r->format == FORMAT_JSON)
        write_json(&out, r, rows, n);
    else
        write_csv(&out, r, rows, n);
    bool fits = !buf_error(&out);
    if (fits)
        fputs(buf_str(&out), stdout);
    else
        fprintf(stderr, "warbler %s: more than %u bytes of output: choose a shorter time\n", r->self->name, OUTPUT_BYTES_MAX);
    buf_free(&out);
    return fits ? 0 : EXIT_CONFIG;
}

/* --- the options --- */
static bool choose(const struct cli_command *self, const char *option, const char *word, const char *const *names, int *index_r)
{
    char hint[NEAREST_BYTES];
    struct nearest near;
    for (*index_r = 0; names[*index_r]; ++*index_r)
        if (strcmp(names[*index_r], word) == 0)
            return true;
    nearest_init(&near, word);
    nearest_try_all(&near, names);
    cli_wrong(self, "--%s cannot be \"%s\"%s", option, word, nearest_hint(&near, hint));
    return false;
}

/* The first moment of the day that is `days` after this one, local time. */
static bool day_start(const char *text, int days, int64_t *ms_r)
{
    struct tm tm = { .tm_isdst = -1 };
    const char *end = strptime(text, "%Y-%m-%d", &tm);
    int day = tm.tm_mday, month = tm.tm_mon;
    if (!end || *end)
        return false;
    tm.tm_hour = 12; /* every day has one */
    mktime(&tm);
    if (tm.tm_mday != day || tm.tm_mon != month)
        return false;
    tm.tm_mday += days;
    tm.tm_hour = 0;
    tm.tm_isdst = -1;
    *ms_r = (int64_t)mktime(&tm) * 1000;
    return true;
}

/* "7d": that long ago. */
static bool time_ago(const char *text, int64_t *ms_r)
{
    static const struct {
        char unit;
        int64_t ms;
    } units[] = { { 'm', 60000 }, { 'h', 3600000 }, { 'd', 86400000 } };
    static const int64_t most = 36500;
    char number[16];
    size_t len = strlen(text);
    int64_t n;
    for (size_t i = 0; i < sizeof units / sizeof *units; i++)
        if (len > 1 && len < sizeof number && text[len - 1] == units[i].unit) {
            snprintf(number, sizeof number, "%.*s", (int)len - 1, text);
            if (!cli_int(number, 0, most * (86400000 / units[i].ms), &n))
                return false;
            *ms_r = clock_wall_ms() - n * units[i].ms;
            return true;
        }
    return false;
}

/* days: which a date means, from its own beginning on. */
static bool read_time(const struct cli_command *self, const char *option, const char *text, int days, int64_t *ms_r)
{
    if (!text || day_start(text, days, ms_r) || time_ago(text, ms_r))
        return true;
    cli_wrong(self, "--%s must be a day, such as 2026-11-01, or how long ago: 90m, 12h, 7d", option);
    return false;
}

/* --- the whole --- */
static int failed(const struct report *r, const struct err *e)
{
    fprintf(stderr, "warbler %s: %s\n", r->self->name, e->text);
    return EXIT_START;
}

static void on_sums(void *arg, const struct store_usage_sum *sums, size_t n, const struct err *e)
{
    struct report *r = arg;
    r->status = e->code ? failed(r, e) : print(r, sums, n);
    loop_stop(r->loop);
}

static int work(struct report *r, const struct config *c)
{
    struct err e = ERR_INIT;
    log_setup(LOG_ERROR, false);
    if (loop_new(0, &r->loop, &e)) {
        r->status = failed(r, &e);
    } else if (cli_store_open(r->loop, c, &r->store, &e)) {
        r->status = e.code == ERR_NOT_FOUND ? print(r, NULL, 0) : failed(r, &e);
    } else {
        store_usage_sum(r->store, (enum store_usage_by)r->by, r->since_ms, r->until_ms, on_sums, r);
        loop_run(r->loop);
    }
    store_close(&r->store);
    loop_free(&r->loop);
    return r->status;
}

int cli_usage(const struct cli_command *self, int argc, char **argv)
{
    const char *file = NULL, *by = "model", *format = "text", *since = NULL, *until = NULL;
    const struct cli_option options[] = {
        CLI_CONFIG(&file),
        { "by", 0, "WHAT", "a line for each account, channel, person, model (unless told otherwise) or day", &by },
        { "since", 0, "WHEN", "only answers from then on: a day, such as 2026-11-01, or how long ago: 90m, 12h, 7d", &since },
        { "until", 0, "WHEN", "only answers up to then; a day is meant with all its hours", &until },
        { "format", 0, "FORMAT", "text (unless told otherwise), json or csv", &format },
    };
    struct report r = { .self = self, .since_ms = INT64_MIN, .until_ms = INT64_MAX };
    int at = cli_options(self, options, sizeof options / sizeof *options, argc, argv);
    if (at < 0)
        return cli_status(at);
    if (!choose(self, "by", by, by_names, &r.by) || !choose(self, "format", format, format_names, &r.format) ||
        !read_time(self, "since", since, 0, &r.since_ms) || !read_time(self, "until", until, 1, &r.until_ms))
        return EXIT_CONFIG;
    struct config *c = daemon_config(config_default_file(file));
    int status = c ? work(&r, c) : EXIT_CONFIG;
    config_unref(&c);
    return status;
}
