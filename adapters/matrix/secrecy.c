#include "adapters/matrix/secrecy.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "adapters/matrix/matrix.h"
#include "adapters/matrix/words.h"
#include "plugin/base/log.h"
#include "plugin/base/mem.h"

#define FACT_BYTES 300
#define LIKE_BYTES_MAX 8192U
#define REMARK_BYTES_MAX 1024U

/* Fact: the notice is in the room. */
static void fact_of(char out[FACT_BYTES], const char *room)
{
    snprintf(out, FACT_BYTES, "encrypted:%s", room);
}

static void on_told(struct matrix *m, const char *room, bool ok)
{
    char fact[FACT_BYTES];

    fact_of(fact, room);
    if (ok)
        adapter_keep(m->a, fact, "1", 0, NULL, NULL);
}

/* What is asked of the store until it answers; the room may be another one by then. */
struct asked {
    struct matrix *m;
    char *room, *like;
};

static void on_recalled(void *arg, const char *value, int64_t expires_ms, const struct err *e)
{
    struct asked *asked = arg;
    char txn[FACT_BYTES];
    struct note note = {
        .room = asked->room,
        .text = words(WORDS_ENCRYPTED, asked->like),
        .txn = txn,
        .told = on_told,
    };

    (void)expires_ms;
    fact_of(txn, asked->room);
    if (!e->code && !value)
        sender_note(&asked->m->sender, &note);
    free(asked->room);
    free(asked->like);
    free(asked);
}

static char *likeness(const struct room *r, const char *user, const char *like)
{
    const char *words[] = { like, room_person(r, user), r->name, r->topic };
    struct buf all;

    buf_init(&all, LIKE_BYTES_MAX);
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        buf_addf(&all, "%s ", words[i] ? words[i] : "");
    return buf_take(&all);
}

void secrecy_heard(struct matrix *m, struct room *r, const char *user, const char *like)
{
    char fact[FACT_BYTES];
    struct asked *asked;

    if (r->told_encrypted || r->mute)
        return;
    r->told_encrypted = true;
    asked = mem_alloc(sizeof *asked);
    asked->m = m;
    asked->room = mem_dup(r->id);
    asked->like = likeness(r, user, like);
    fact_of(fact, r->id);
    adapter_recall(m->a, fact, on_recalled, asked);
}

static bool is_encrypted(const struct room *r)
{
    return r->encrypted;
}

void secrecy_changed(struct matrix *m)
{
    struct buf text;

    buf_init(&text, REMARK_BYTES_MAX);
    buf_adds(&text, "messages in encrypted rooms cannot be read: ");
    adapter_remark(m->a, "encryption", room_list(m, is_encrypted, &text) > 0 ? buf_str(&text) : NULL);
    buf_free(&text);
}
