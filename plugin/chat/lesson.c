#include "plugin/chat/lesson.h"

#include <stdlib.h>

#include "plugin/base/clock.h"
#include "plugin/base/log.h"
#include "plugin/base/mem.h"
#include "plugin/chat/core.h"

#define LESSON_ACCOUNT "" /* nobody's fact */
#define LESSON_KEY "lessons:"
#define KEY_BYTES_MAX 1024U
#define DAY_MS (24LL * 60 * 60 * 1000)

/* A model whose lessons are being read. */
struct reading {
    struct pending link;
    struct chat *core;
    char *model;
};

static void write_key(struct buf *key, const char *model)
{
    buf_init(key, KEY_BYTES_MAX);
    buf_adds(key, LESSON_KEY);
    buf_adds(key, model);
}

static void on_written(void *arg, const struct err *e)
{
    (void)arg;
    if (e->code)
        log_warn("chat", "cannot keep what a model's refusal taught: %s", e->text);
}

static void on_learned(void *arg, const struct model_conf *model, const char *lessons)
{
    struct chat *core = arg;
    struct buf key;
    write_key(&key, model->name);
    store_kv_put(core->env.store, LESSON_ACCOUNT, buf_str(&key), lessons, clock_wall_ms() + LESSON_DAYS * DAY_MS,
                 on_written, NULL);
    buf_free(&key);
}

static void free_reading(struct pending *link)
{
    struct reading *r = (struct reading *)link;
    free(r->model);
    free(r);
}

static void on_read(void *arg, const char *value, int64_t expires_ms, const struct err *e)
{
    struct reading *r = arg;
    struct chat *core = r->core;
    const struct model_conf *model = config_model(core->config, r->model); /* as it is by now */
    if (e->code)
        log_warn("chat", "cannot read what model %s taught: %s", r->model, e->text);
    else if (value && model && expires_ms > clock_wall_ms())
        model_recall(core->env.models, model, value);
    pending_done(core, &r->link);
}

void lesson_begin(struct chat *core)
{
    model_client_watch(core->env.models, on_learned, core);
}

void lesson_recall(struct chat *core)
{
    for (size_t i = 0; i < core->config->n_models; i++) {
        struct reading *r = mem_alloc(sizeof(*r));
        struct buf key;
        r->core = core;
        r->model = mem_dup(core->config->models[i].name);
        pending_add(core, &r->link, NULL, free_reading);
        write_key(&key, r->model);
        store_kv_get(core->env.store, LESSON_ACCOUNT, buf_str(&key), on_read, r);
        buf_free(&key);
    }
}
