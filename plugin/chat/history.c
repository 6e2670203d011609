#include "plugin/chat/history.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "plugin/base/buf.h"
#include "plugin/base/json.h"
#include "plugin/base/mem.h"
#include "plugin/base/secret.h"
#include "plugin/base/utf8.h"
#include "plugin/chat/quote.h"
#include "plugin/model/tokens.h"

#define NAME_BYTES_MAX 256U
#define NAME_HASH_DIGITS 6U
#define CONTENT_BYTES_MAX (2U * 1024 * 1024) /* a text of MESSAGE_TEXT_BYTES_MAX, all of it escaped */

int64_t history_place(const struct entry *e)
{
    return e->kind == STORE_PERSON ? e->seq : e->turn;
}

/* An answer stands behind the question with the same place. */
static bool before(const struct entry *a, const struct entry *b)
{
    if (history_place(a) != history_place(b))
        return history_place(a) < history_place(b);
    if ((a->kind == STORE_PERSON) != (b->kind == STORE_PERSON))
        return a->kind == STORE_PERSON;
    return a->seq < b->seq;
}

static size_t entry_bytes(const struct entry *e)
{
    return sizeof(*e) + e->len + 1 + (e->name ? strlen(e->name) + 1 : 0);
}

static void insert(struct history *h, struct entry *e)
{
    struct entry *at = h->head ? h->head->prev : NULL; /* utlist: the head's prev is the tail */
    while (at && before(e, at))
        at = at == h->head ? NULL : at->prev;
    if (at)
        DL_APPEND_ELEM(h->head, at, e);
    else
        DL_PREPEND(h->head, e);
    h->count++;
    h->tokens += e->tokens;
    h->bytes += entry_bytes(e);
}

static void add_name(struct buf *out, const char *name)
{
    char clean[NAME_BYTES_MAX];
    size_t n = 0;
    for (; *name && n < sizeof(clean); name++)
        if (*name != ':' && *name != '\n' && *name != '\r')
            clean[n++] = *name;
    buf_add(out, clean, n);
}

static void add_quoted(struct buf *out, const struct store_msg *m)
{
    size_t len = strlen(m->quoted), kept = utf8_cut(m->quoted, len, HISTORY_QUOTED_BYTES_MAX);
    buf_adds(out, "[Replying to this message of ");
    add_name(out, m->quoted_name ? m->quoted_name : "somebody");
    buf_adds(out, ":\n> ");
    for (size_t i = 0; i < kept; i++) {
        buf_addc(out, m->quoted[i]);
        if (m->quoted[i] == '\n')
            buf_adds(out, "> ");
    }
    buf_adds(out, kept < len ? "…\n]\n" : "\n]\n");
}

/* Returns the length. */
static size_t plain_name(char out[HISTORY_NAME_MAX + 1], const char *name)
{
    char hash[65];
    size_t n = 0;
    bool exact = *name;
    for (const char *c = name; *c; c++) {
        bool fits = isalnum((unsigned char)*c) || *c == '_' || *c == '-';
        exact &= fits && n < HISTORY_NAME_MAX;
        if (n < HISTORY_NAME_MAX && (fits || n == 0 || out[n - 1] != '_'))
            out[n++] = fits ? *c : '_';
    }
    if (!exact) {
        sha256_hex(hash, name, strlen(name));
        n = n < HISTORY_NAME_MAX - NAME_HASH_DIGITS ? n : HISTORY_NAME_MAX - NAME_HASH_DIGITS;
        memcpy(out + n, hash, NAME_HASH_DIGITS);
        n += NAME_HASH_DIGITS;
    }
    out[n] = '\0';
    return n;
}

static size_t tokens_of_json(const struct vocabulary *v, const char *json, size_t len)
{
    struct buf quoted;
    buf_init(&quoted, CONTENT_BYTES_MAX + 2);
    buf_addc(&quoted, '"');
    buf_add(&quoted, json, len);
    buf_addc(&quoted, '"');
    cJSON *text = json_parse(buf_str(&quoted), quoted.len);
    size_t n = cJSON_IsString(text) ? tokens_count(v, text->valuestring, strlen(text->valuestring)) : 0;
    cJSON_Delete(text);
    buf_free(&quoted);
    return n + TOKENS_PER_MESSAGE;
}

bool history_count_by(struct history *h, const struct vocabulary *v)
{
    if (h->vocabulary == v)
        return false;
    h->vocabulary = v;
    h->tokens = 0;
    for (struct entry *e = h->head; e; e = e->next) {
        e->tokens = tokens_of_json(v, e->json, e->len);
        h->tokens += e->tokens;
    }
    return true;
}

struct entry *history_add(struct history *h, const struct store_msg *m, const char *name)
{
    struct buf text, json;
    buf_init(&text, CONTENT_BYTES_MAX);
    buf_init(&json, CONTENT_BYTES_MAX);
    if (name) {
        add_name(&text, name);
        buf_adds(&text, ": ");
    }
    if (m->quoted)
        add_quoted(&text, m);
    buf_adds(&text, m->flags & STORE_QUOTED ? quote_skip(m->text) : m->text);
    json_escape(&json, buf_str(&text), text.len);
    char plain[HISTORY_NAME_MAX + 1];
    size_t plain_size = name ? plain_name(plain, name) + 1 : 0;
    struct entry *e = mem_alloc(sizeof(*e) + json.len + 1 + plain_size);
    e->seq = m->seq;
    e->time_ms = m->time_ms;
    e->kind = m->kind;
    e->turn = m->turn;
    if (m->kind == STORE_PERSON && !e->turn && (m->flags & STORE_ADDRESSED))
        e->turn = m->seq;
    e->pending = m->kind == STORE_PERSON && m->outcome == STORE_PENDING;
    e->noticed = m->kind == STORE_PERSON && (m->outcome == STORE_NOTICED || m->outcome == STORE_DEAD);
    e->tokens = tokens_count(h->vocabulary, buf_str(&text), text.len) + TOKENS_PER_MESSAGE;
    e->len = json.len;
    if (json.len)
        memcpy(e->json, json.data, json.len);
    if (name)
        e->name = memcpy(e->json + json.len + 1, plain, plain_size);
    buf_free(&text);
    buf_free(&json);
    insert(h, e);
    return e;
}

struct entry *history_replace(struct history *h, struct entry *e, const struct store_msg *m, const char *name)
{
    const struct entry old = { .turn = e->turn, .pending = e->pending, .noticed = e->noticed };
    history_drop(h, e);
    struct entry *now = history_add(h, m, name);
    now->turn = old.turn;
    now->pending = old.pending;
    now->noticed = old.noticed;
    return now;
}

void history_drop(struct history *h, struct entry *e)
{
    DL_DELETE(h->head, e);
    h->count--;
    h->tokens -= e->tokens;
    h->bytes -= entry_bytes(e);
    free(e);
}

void history_clear(struct history *h)
{
    while (h->head)
        history_drop(h, h->head);
}

void history_drop_before(struct history *h, int64_t seq)
{
    while (h->head && history_place(h->head) < seq)
        history_drop(h, h->head);
}

struct entry *history_find(struct history *h, int64_t seq)
{
    struct entry *e = h->head ? h->head->prev : NULL;
    while (e && e->seq != seq)
        e = e == h->head ? NULL : e->prev;
    return e;
}

/* The first entry behind the turn or lone context message that `e` begins. */
static struct entry *turn_end(const struct entry *e)
{
    int64_t turn = e->turn;
    struct entry *end = e->next;
    while (end && (end->kind != STORE_PERSON || (turn && end->turn == turn)))
        end = end->next;
    return end;
}

/* Drops the oldest turn; not if something in it is from since_ms or later, or has its place at keep or behind. */
static bool drop_turn(struct history *h, int64_t since_ms, int64_t keep, history_gone_fn *gone, void *arg)
{
    struct entry *end = turn_end(h->head);
    for (const struct entry *e = h->head; e != end; e = e->next)
        if (history_place(e) >= keep || e->time_ms >= since_ms)
            return false;
    while (h->head != end) {
        if (gone)
            gone(arg, h->head);
        history_drop(h, h->head);
    }
    return true;
}

void history_trim(struct history *h, size_t max_messages, size_t max_tokens, int64_t keep, history_gone_fn *gone, void *arg)
{
    if (h->count <= max_messages && h->tokens <= max_tokens)
        return;
    size_t messages = max_messages * HISTORY_TRIM_PERCENT / 100, tokens = max_tokens * HISTORY_TRIM_PERCENT / 100;
    while (h->head && (h->count > messages || h->tokens > tokens) && drop_turn(h, INT64_MAX, keep, gone, arg))
        continue;
}

void history_expire(struct history *h, int64_t since_ms, int64_t keep, history_gone_fn *gone, void *arg)
{
    while (h->head && drop_turn(h, since_ms, keep, gone, arg))
        continue;
}

const struct entry *history_within(const struct history *h, size_t max_tokens, int64_t keep)
{
    size_t tokens = h->tokens;
    const struct entry *from = h->head;
    while (from && tokens > max_tokens) {
        const struct entry *end = turn_end(from), *e;
        for (e = from; e != end; e = e->next) {
            if (history_place(e) >= keep)
                return from;
            tokens -= e->tokens;
        }
        from = end;
    }
    return from;
}
