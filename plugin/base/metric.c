#include "plugin/base/metric.h"

#include <dirent.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "plugin/base/decimal.h"
#include "plugin/base/mem.h"

#ifndef WARBLER_VERSION
#define WARBLER_VERSION "unknown"
#endif

enum kind { COUNTER, GAUGE, HISTOGRAM };
static const char *const types[] = { "counter", "gauge", "histogram" };

#define METRIC_ROW(id, kind, name, help) [id] = { kind, name, help },
static const struct {
    enum kind kind;
    const char *name, *help;
} table[METRIC_COUNT] = { METRICS(METRIC_ROW) }, model_table[METRIC_MODEL_COUNT] = { MODEL_METRICS(METRIC_ROW) };
#undef METRIC_ROW

/* Upper ends of the histograms' steps. The label is text because printf's
 * decimal point depends on the locale. */
static const struct {
    int64_t us;
    const char *label;
} steps[] = {
    { 1000, "0.001" },   { 2500, "0.0025" },   { 5000, "0.005" },     { 10000, "0.01" },
    { 25000, "0.025" },  { 50000, "0.05" },    { 100000, "0.1" },     { 250000, "0.25" },
    { 500000, "0.5" },   { 1000000, "1" },     { 2500000, "2.5" },    { 5000000, "5" },
    { 10000000, "10" },  { 30000000, "30" },   { 60000000, "60" },    { 120000000, "120" },
};
#define STEPS (sizeof steps / sizeof *steps)
#define SECONDS_MAX 1e9 /* more in one observation is somebody's mistake; the sum must not overflow */

static _Atomic int64_t values[METRIC_COUNT]; /* of a histogram: the sum in microseconds */
static _Atomic int64_t hits[METRIC_COUNT][STEPS + 1]; /* the last: above every step */

void metric_add(enum metric m, int64_t n)
{
    atomic_fetch_add_explicit(&values[m], n, memory_order_relaxed);
}

void metric_set(enum metric m, int64_t value)
{
    atomic_store_explicit(&values[m], value, memory_order_relaxed);
}

void metric_seconds(enum metric m, double secs)
{
    if (!(secs > 0)) /* NaN too */
        secs = 0;
    else if (secs > SECONDS_MAX)
        secs = SECONDS_MAX;
    int64_t us = (int64_t)(secs * 1e6 + 0.5);
    size_t step = 0;
    while (step < STEPS && us > steps[step].us)
        step++;
    atomic_fetch_add_explicit(&hits[m][step], 1, memory_order_relaxed);
    metric_add(m, us);
}

static int64_t hits_get(enum metric m, size_t step)
{
    return atomic_load_explicit(&hits[m][step], memory_order_relaxed);
}

int64_t metric_get(enum metric m)
{
    if (table[m].kind != HISTOGRAM)
        return atomic_load_explicit(&values[m], memory_order_relaxed);
    int64_t count = 0;
    for (size_t i = 0; i <= STEPS; i++)
        count += hits_get(m, i);
    return count;
}

/* --- money --- */
#define CURRENCY_BYTES 16
#define MONEY_PLACES 12

static struct {
    char currency[CURRENCY_BYTES];
    int64_t amount;
} costs[METRIC_CURRENCIES_MAX];

void metric_money(const char *currency, int64_t amount)
{
    size_t i = 0;
    while (i < METRIC_CURRENCIES_MAX && *costs[i].currency && strcmp(costs[i].currency, currency) != 0)
        i++;
    if (i == METRIC_CURRENCIES_MAX)
        return;
    snprintf(costs[i].currency, CURRENCY_BYTES, "%s", currency);
    costs[i].amount = decimal_add(costs[i].amount, amount);
}

static void print_head(struct buf *out, const char *type, const char *name, const char *help)
{
    buf_addf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void print_seconds(struct buf *out, const char *name, int64_t us)
{
    buf_addf(out, "%s %" PRId64 ".%06" PRId64 "\n", name, us / 1000000, us % 1000000);
}

/* The count is made of the steps as read, so that it fits them even while
 * another thread counts on. */
static void print_histogram(struct buf *out, enum metric m)
{
    const char *name = table[m].name;
    int64_t count = 0;
    for (size_t i = 0; i <= STEPS; i++) {
        count += hits_get(m, i);
        buf_addf(out, "%s_bucket{le=\"%s\"} %" PRId64 "\n", name, i < STEPS ? steps[i].label : "+Inf", count);
    }
    char sum[64];
    snprintf(sum, sizeof sum, "%s_sum", name);
    print_seconds(out, sum, atomic_load_explicit(&values[m], memory_order_relaxed));
    buf_addf(out, "%s_count %" PRId64 "\n", name, count);
}

/* --- per model --- */
static struct {
    char *name; /* kept for good: a model that is gone keeps its figures */
    int64_t values[METRIC_MODEL_COUNT], errors[ERR_COUNT];
} models[METRIC_MODELS_MAX + 1]; /* the last: "other" */
static size_t n_models;

static size_t model_find(const char *model)
{
    size_t i = 0;
    while (i < n_models && strcmp(models[i].name, model) != 0)
        i++;
    return i;
}

static size_t model_place(const char *model)
{
    size_t i = model_find(model);
    if (i == n_models && n_models < METRIC_MODELS_MAX)
        models[n_models++].name = mem_dup(model);
    return i;
}

void metric_model_add(enum metric_model m, const char *model, int64_t n)
{
    models[model_place(model)].values[m] += n;
}

void metric_model_set(enum metric_model m, const char *model, int64_t value)
{
    models[model_place(model)].values[m] = value;
}

void metric_model_error(const char *model, enum err_code code)
{
    models[model_place(model)].errors[code]++;
}

int64_t metric_model_get(enum metric_model m, const char *model)
{
    size_t i = model_find(model);
    return i == n_models && n_models < METRIC_MODELS_MAX ? 0 : models[i].values[m];
}

static void print_label(struct buf *out, size_t i)
{
    buf_adds(out, "{model=\"");
    for (const char *c = i < METRIC_MODELS_MAX ? models[i].name : "other"; *c; c++) {
        if (*c == '"' || *c == '\\')
            buf_addc(out, '\\');
        buf_addc(out, *c);
    }
    buf_addc(out, '"');
}

static size_t models_shown(void)
{
    return n_models < METRIC_MODELS_MAX ? n_models : METRIC_MODELS_MAX + 1;
}

static void print_model_errors(struct buf *out)
{
    static const char name[] = "warbler_model_failures_total";
    print_head(out, "counter", name, "Requests that failed, by model and class");
    for (size_t i = 0; i < models_shown(); i++)
        for (enum err_code code = 0; code < ERR_COUNT; code++) {
            if (models[i].errors[code] == 0)
                continue;
            buf_adds(out, name);
            print_label(out, i);
            buf_addf(out, ",class=\"%s\"} %" PRId64 "\n", err_name(code), models[i].errors[code]);
        }
}

static void print_models(struct buf *out)
{
    for (enum metric_model m = 0; m < METRIC_MODEL_COUNT; m++) {
        print_head(out, types[model_table[m].kind], model_table[m].name, model_table[m].help);
        for (size_t i = 0; i < models_shown(); i++) {
            buf_adds(out, model_table[m].name);
            print_label(out, i);
            buf_addf(out, "} %" PRId64 "\n", models[i].values[m]);
        }
    }
    print_model_errors(out);
}

/* --- the process: each figure only where the system tells it --- */
#ifdef __linux__
static int64_t resident_bytes(void)
{
    FILE *f = fopen("/proc/self/statm", "re");
    if (!f)
        return -1;
    char line[128]; /* pages: all, resident, … */
    char *resident = fgets(line, sizeof line, f) ? strchr(line, ' ') : NULL;
    fclose(f);
    return resident ? strtoll(resident, NULL, 10) * sysconf(_SC_PAGESIZE) : -1;
}

static int64_t open_fds(void)
{
    DIR *dir = opendir("/proc/self/fd");
    if (!dir)
        return -1;
    int64_t n = -1; /* the one that reads the directory does not count */
    for (struct dirent *d; (d = readdir(dir));)
        n += d->d_name[0] != '.';
    closedir(dir);
    return n;
}
#else
static int64_t resident_bytes(void)
{
    return -1;
}

static int64_t open_fds(void)
{
    return -1;
}
#endif

static int64_t cpu_us(void)
{
    struct rusage use;
    if (getrusage(RUSAGE_SELF, &use) < 0)
        return -1;
    return ((int64_t)use.ru_utime.tv_sec + use.ru_stime.tv_sec) * 1000000 + use.ru_utime.tv_usec +
           use.ru_stime.tv_usec;
}

static void print_process(struct buf *out)
{
    int64_t resident = resident_bytes(), fds = open_fds(), cpu = cpu_us();
    if (resident >= 0) {
        print_head(out, "gauge", "process_resident_memory_bytes", "Memory in RAM");
        buf_addf(out, "process_resident_memory_bytes %" PRId64 "\n", resident);
    }
    if (fds >= 0) {
        print_head(out, "gauge", "process_open_fds", "Open file descriptors");
        buf_addf(out, "process_open_fds %" PRId64 "\n", fds);
    }
    if (cpu >= 0) {
        print_head(out, "counter", "process_cpu_seconds_total", "User and system time");
        print_seconds(out, "process_cpu_seconds_total", cpu);
    }
}

static void print_money(struct buf *out)
{
    print_head(out, "counter", "warbler_cost_total", "What answers cost, by the configuration's prices or as servers said it");
    for (size_t i = 0; i < METRIC_CURRENCIES_MAX && *costs[i].currency; i++) {
        buf_addf(out, "warbler_cost_total{currency=\"%s\"} ", costs[i].currency);
        decimal_print(out, costs[i].amount, MONEY_PLACES, 0);
        buf_addc(out, '\n');
    }
}

void metric_print(struct buf *out)
{
    for (enum metric m = 0; m < METRIC_COUNT; m++) {
        print_head(out, types[table[m].kind], table[m].name, table[m].help);
        if (table[m].kind == HISTOGRAM)
            print_histogram(out, m);
        else
            buf_addf(out, "%s %" PRId64 "\n", table[m].name, metric_get(m));
    }
    print_models(out);
    print_money(out);
    print_process(out);
    print_head(out, "gauge", "warbler_build_info", "Always 1; the version is in the label");
    buf_addf(out, "warbler_build_info{version=\"%s\"} 1\n", WARBLER_VERSION);
}
