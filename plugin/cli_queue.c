#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "config/nearest.h"
#include "plugin/base/log.h"
#include "plugin/cli.h"
#include "plugin/cli_cell.h"
#include "plugin/cli_store.h"
#include "plugin/cli_table.h"
#include "plugin/daemon.h"

#define ITEMS_MAX 1000   /* shown at once */
#define TEXT_COLUMNS 40U /* of a message */

struct queue {
    const struct cli_command *self;
    int64_t id;
    struct loop *loop;
    struct store *store;
    int status;
};

static void end(struct queue *q, int status)
{
    q->status = status;
    loop_stop(q->loop);
}

static int store_failed(const struct queue *q, const struct err *e)
{
    fprintf(stderr, "warbler %s: %s\n", q->self->name, e->text);
    return EXIT_START;
}

/* --- list --- */
static void put_time(struct buf *out, int64_t time_ms)
{
    char text[32];
    struct tm tm;
    time_t seconds = (time_t)(time_ms / 1000);
    localtime_r(&seconds, &tm);
    strftime(text, sizeof(text), "%Y-%m-%d %H:%M", &tm);
    buf_adds(out, text);
}

static void put_item(struct table *t, const struct store_item *item)
{
    buf_addi(table_cell(t), item->id);
    buf_adds(table_cell(t), item->dead ? "failed" : "waiting");
    put_time(table_cell(t), item->time_ms);
    buf_addi(table_cell(t), item->tries);
    cell_put(table_cell(t), item->channel, CELL_NO_LIMIT);
    cell_put(table_cell(t), item->text ? item->text : "", TEXT_COLUMNS);
    cell_put(table_cell(t), item->reason ? item->reason : "", CELL_NO_LIMIT);
}

static void print_items(const struct store_item *items, size_t n)
{
    static const char *const heads[] = { "ID", "STATE", "SINCE", "TRIES", "CHANNEL", "MESSAGE", "WHY" };
    struct table t = { .columns = sizeof(heads) / sizeof(heads[0]) };
    for (size_t i = 0; i < t.columns; i++)
        buf_adds(table_cell(&t), heads[i]);
    for (size_t i = 0; i < n; i++)
        put_item(&t, &items[i]);
    table_print(&t);
    table_fini(&t);
}

static void print_sum(const struct store_item *items, size_t n)
{
    size_t dead = 0;
    for (size_t i = 0; i < n; i++)
        dead += items[i].dead;
    printf("\n%zu failed for good, %zu waiting.", dead, n - dead);
    if (n == ITEMS_MAX)
        printf(" There may be more: only the first %d are shown.", ITEMS_MAX);
    puts(dead ? "\n`warbler queue retry ID` has the bot try again, `warbler queue drop ID` gives a message up." : "");
}

static void on_list(void *arg, const struct store_item *items, size_t n, const struct err *e)
{
    struct queue *q = arg;
    if (e->code) {
        end(q, store_failed(q, e));
        return;
    }
    if (n) {
        print_items(items, n);
        print_sum(items, n);
    } else {
        puts("Nothing waits and nothing has failed.");
    }
    end(q, 0);
}

static void list(struct queue *q)
{
    store_queue_list(q->store, ITEMS_MAX, on_list, q);
}

/* --- retry and drop --- */
static int no_such_id(const struct queue *q)
{
    fprintf(stderr, "warbler %s: nothing here has the ID %" PRId64 "; `warbler queue` lists what there is\n",
            q->self->name, q->id);
    return EXIT_CONFIG;
}

static bool changed(struct queue *q, const struct err *e)
{
    if (e->code == ERR_NOT_FOUND)
        end(q, no_such_id(q));
    else
        end(q, e->code ? store_failed(q, e) : 0);
    return !e->code;
}

static void on_retried(void *arg, const struct err *e)
{
    struct queue *q = arg;
    if (changed(q, e))
        printf("%" PRId64 ": the bot tries again, within seconds if it is running, else when it starts.\n", q->id);
}

static void on_dropped(void *arg, const struct err *e)
{
    struct queue *q = arg;
    if (changed(q, e))
        printf("%" PRId64 ": dropped.\n", q->id);
}

static void retry(struct queue *q)
{
    store_queue_retry(q->store, q->id, on_retried, q);
}

static void drop(struct queue *q)
{
    store_queue_drop(q->store, q->id, on_dropped, q);
}

/* --- the whole --- */
static const struct verb {
    const char *name;
    bool takes_id;
    void (*fn)(struct queue *q);
} verbs[] = { { "list", false, list }, { "retry", true, retry }, { "drop", true, drop } };
#define N_VERBS (sizeof(verbs) / sizeof(verbs[0]))

/* NULL: the mistake was told. */
static const struct verb *read_verb(struct queue *q, int n, char **args)
{
    const char *name = n ? args[0] : "list";
    struct nearest near;
    char hint[NEAREST_BYTES];
    nearest_init(&near, name);
    for (size_t i = 0; i < N_VERBS; i++) {
        const struct verb *v = &verbs[i];
        nearest_try(&near, v->name);
        if (strcmp(v->name, name) != 0)
            continue;
        if (v->takes_id ? n != 2 || !cli_int(args[1], 1, INT64_MAX, &q->id) : n > 1) {
            cli_wrong(q->self, v->takes_id ? "%s needs one ID, as the list shows it" : "%s takes nothing more", name);
            return NULL;
        }
        return v;
    }
    cli_wrong(q->self, "unknown command \"%s\"%s", name, nearest_hint(&near, hint));
    return NULL;
}

static int no_store(const struct queue *q, const struct verb *v, const struct err *e)
{
    if (e->code != ERR_NOT_FOUND)
        return store_failed(q, e);
    if (v->takes_id)
        return no_such_id(q);
    printf("Nothing waits and nothing has failed: %s.\n", e->text);
    return 0;
}

static int work(struct queue *q, const struct verb *v, const struct config *c)
{
    struct err e = ERR_INIT;
    log_setup(LOG_ERROR, false);
    if (loop_new(0, &q->loop, &e)) {
        q->status = store_failed(q, &e);
    } else if (cli_store_open(q->loop, c, &q->store, &e)) {
        q->status = no_store(q, v, &e);
    } else {
        v->fn(q);
        loop_run(q->loop);
    }
    store_close(&q->store);
    loop_free(&q->loop);
    return q->status;
}

int cli_queue(const struct cli_command *self, int argc, char **argv)
{
    const char *file = NULL;
    struct queue q = { .self = self };
    const struct cli_option options[] = { CLI_CONFIG(&file) };
    int at = cli_options(self, options, 1, argc, argv);
    if (at < 0)
        return cli_status(at);
    const struct verb *v = read_verb(&q, argc - at, argv + at);
    struct config *c = v ? daemon_config(config_default_file(file)) : NULL;
    int status = c ? work(&q, v, c) : EXIT_CONFIG;
    config_unref(&c);
    return status;
}
