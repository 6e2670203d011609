#include "adapters/lanying/chats.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "adapters/lanying/lanying.h"
#include "plugin/base/clock.h"
#include "plugin/base/json.h"
#include "plugin/base/log.h"
#include "plugin/base/mem.h"

#define KEY_BYTES 192

static void on_flush(void *arg);

void chats_init(struct lanying *ly)
{
    ly->chats.ly = ly;
    timer_init(&ly->chats.flush, ly->a->loop, on_flush, ly);
}

static void forget_events(struct event **list)
{
    struct event *ev, *next;

    DL_FOREACH_SAFE(*list, ev, next) {
        DL_DELETE(*list, ev);
        event_free(ev);
    }
}

static void chat_free(struct lanying *ly, struct chat *c)
{
    HASH_DEL(ly->chats.all, c);
    forget_events(&c->past);
    forget_events(&c->in);
    free(c->name);
    free(c);
}

void chats_fini(struct lanying *ly)
{
    struct chat *c, *next;

    HASH_ITER(hh, ly->chats.all, c, next)
        chat_free(ly, c);
    timer_cancel(&ly->chats.flush);
}

/* --- finding --- */

struct chat *chats_find(struct lanying *ly, uint64_t id)
{
    struct chat *c;

    HASH_FIND(hh, ly->chats.all, &id, sizeof id, c);
    return c;
}

bool chats_is_group(void *lanying, uint64_t id)
{
    const struct chat *c = chats_find(lanying, id);

    return c && c->group;
}

static bool is_idle(const struct chat *c)
{
    return c->task == TASK_NONE && !c->queued && !c->pull_due && !c->look_due && !c->doubt && !c->in && !c->with_host &&
           !c->ready;
}

static void make_room(struct lanying *ly)
{
    struct chat *c, *next;

    HASH_ITER(hh, ly->chats.all, c, next) {
        if (HASH_COUNT(ly->chats.all) < CHATS_MAX)
            return;
        if (is_idle(c))
            chat_free(ly, c);
    }
}

struct chat *chats_get(struct lanying *ly, uint64_t id, bool group)
{
    struct chat *c = chats_find(ly, id);

    if (c) {
        c->group |= group;
        return c;
    }
    make_room(ly);
    c = mem_alloc(sizeof *c);
    c->id = id;
    c->group = group;
    HASH_ADD(hh, ly->chats.all, id, sizeof c->id, c);
    return c;
}

/* The order of the table is that of use: what is used goes to its end. */
void chats_used(struct lanying *ly, struct chat *c)
{
    c->active_ms = clock_wall_ms();
    HASH_DEL(ly->chats.all, c);
    HASH_ADD(hh, ly->chats.all, id, sizeof c->id, c);
}

void chats_moved(struct lanying *ly, struct chat *c, const struct event *ev)
{
    chats_used(ly, c);
    c->at = ev->id;
    if (ev->time_ms > 0)
        c->at_ms = ev->time_ms;
    chats_write_soon(ly);
}

/* --- on disk --- */

static void list_key(const struct lanying *ly, char key[KEY_BYTES])
{
    snprintf(key, KEY_BYTES, "chats/%s/%" PRIu64, lanying_conf(ly)->app_id, ly->session.uid);
}

static bool is_worth_keeping(const struct chat *c)
{
    return c->id != 0 && c->active_ms != 0;
}

static void print_chat(struct buf *out, const struct chat *c)
{
    buf_addf(out,
             "{\"id\":\"%" PRIu64 "\",\"group\":%s,\"at\":\"%" PRIu64 "\",\"at_ms\":%" PRId64 ",\"active_ms\":%" PRId64 "}", c->id,
             c->group ? "true" : "false", c->at, c->at_ms, c->active_ms);
}

/* Of too many, those used last. */
static void print_list(struct buf *out, const struct chats *chats)
{
    size_t n = 0;

    for (const struct chat *c = chats->all; c; c = c->hh.next)
        n += is_worth_keeping(c);
    buf_addc(out, '[');
    for (const struct chat *c = chats->all; c; c = c->hh.next) {
        if (!is_worth_keeping(c) || n-- > CHATS_KEPT_MAX)
            continue;
        if (out->len > 1)
            buf_addc(out, ',');
        print_chat(out, c);
    }
    buf_addc(out, ']');
}

static void read_list(struct lanying *ly, const char *text)
{
    cJSON *list = text ? ly_json_parse(text, strlen(text)) : NULL;
    const cJSON *item;

    cJSON_ArrayForEach(item, list) {
        uint64_t id = ly_json_get_id(item, "id");
        struct chat *c = id ? chats_get(ly, id, json_bool(item, "group", false)) : NULL;
        if (!c)
            continue;
        c->at = ly_json_get_id(item, "at");
        c->at_ms = json_int(item, "at_ms", 0);
        c->active_ms = json_int(item, "active_ms", 0);
        c->kept = c->doubt = true; /* what was under way when we stopped may have arrived */
    }
    cJSON_Delete(list);
}

static void on_recalled(void *arg, const char *value, int64_t expires_ms, const struct err *e)
{
    struct lanying *ly = arg;
    void (*loaded)(struct lanying *ly, const struct err *e) = ly->chats.loaded;

    (void)expires_ms;
    if (!failed(e)) {
        read_list(ly, value);
        ly->chats.known = true;
    }
    loaded(ly, e);
}

void chats_load(struct lanying *ly, void (*loaded)(struct lanying *ly, const struct err *e))
{
    char key[KEY_BYTES];

    ly->chats.loaded = loaded;
    if (ly->chats.known) {
        loaded(ly, NULL);
        return;
    }
    list_key(ly, key);
    adapter_recall(ly->a, key, on_recalled, ly);
}

static void on_written(void *arg, const struct err *e)
{
    struct lanying *ly = arg;
    struct chats *chats = &ly->chats;

    chats->writing = false;
    if (failed(e)) {
        log_warn("lanying", "%s: the positions of its conversations cannot be kept: %s", lanying_name(ly), e->text);
        chats_write_soon(ly);
        return;
    }
    for (struct chat *c = chats->all; c; c = c->hh.next)
        if (c->being_kept)
            c->kept = true;
    if (chats->again)
        chats_write_now(ly);
    ly_sync_kept(ly);
}

void chats_write_now(struct lanying *ly)
{
    struct chats *chats = &ly->chats;
    char key[KEY_BYTES];
    struct buf list;

    chats->again = chats->writing;
    if (chats->writing || !chats->known)
        return;
    timer_cancel(&chats->flush);
    for (struct chat *c = chats->all; c; c = c->hh.next)
        c->being_kept = is_worth_keeping(c);
    list_key(ly, key);
    buf_init(&list, CHATS_LIST_BYTES_MAX);
    print_list(&list, chats);
    chats->writing = true;
    adapter_keep(ly->a, key, buf_str(&list), 0, on_written, ly);
    buf_free(&list);
}

static void on_flush(void *arg)
{
    chats_write_now(arg);
}

void chats_write_soon(struct lanying *ly)
{
    if (!timer_pending(&ly->chats.flush))
        timer_set(&ly->chats.flush, CHATS_FLUSH_MS);
}
