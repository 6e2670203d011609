#include "plugin/chat/ending.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "plugin/base/clock.h"
#include "plugin/base/log.h"
#include "plugin/base/mem.h"
#include "plugin/base/metric.h"
#include "plugin/chat/outbox.h"
#include "plugin/chat/reply.h"
#include "plugin/chat/turn.h"

void answer_id(char out[ANSWER_ID_BYTES], int64_t lead)
{
    snprintf(out, ANSWER_ID_BYTES, "m%" PRId64 "a", lead);
}

bool is_answer_id(const char *id)
{
    size_t digits = id && id[0] == 'm' ? strspn(id + 1, "0123456789") : 0;
    return digits && strcmp(id + 1 + digits, "a") == 0;
}

static void free_ending(struct pending *link)
{
    struct ending *end = (struct ending *)link;
    timer_cancel(&end->again);
    for (char **id = end->answers; id && *id; id++)
        free(*id);
    free(end->answers);
    free(end->reply_to);
    free(end->first);
    free(end->text);
    free(end->usage);
    free(end->reason);
    bill_free(&end->bill);
    free(end);
}

static void attempt(void *arg);

struct ending *ending_new(struct channel *ch, int64_t lead, const char *reply_to)
{
    struct ending *end = mem_alloc(sizeof(*end));
    end->ch = ch;
    end->lead = lead;
    end->reply_to = mem_dup(reply_to);
    end->finish = "stop";
    end->accepted_ms = clock_mono_ms();
    timer_init(&end->again, ch->core->env.loop, attempt, end);
    pending_add(ch->core, &end->link, NULL, free_ending);
    channel_ref(ch);
    return end;
}

void ending_answers(struct ending *end, const struct question *list)
{
    const struct question *q;
    size_t n;
    DL_COUNT(list, q, n);
    if (n < 2)
        return;
    end->answers = mem_array(n + 1, sizeof(*end->answers));
    n = 0;
    DL_FOREACH(list, q)
        end->answers[n++] = mem_dup(q->id);
}

static void count(const struct ending *end)
{
    static const enum metric by_outcome[] = {
        [STORE_ANSWERED] = METRIC_TURNS_ANSWERED,
        [STORE_NOTICED] = METRIC_TURNS_NOTICED,
        [STORE_SILENT] = METRIC_TURNS_SILENT,
        [STORE_DEAD] = METRIC_TURNS_DEAD,
    };
    metric_add(by_outcome[end->outcome], 1);
    metric_add(METRIC_MESSAGES_OUT, 1);
    if (!(end->flags & STORE_COMMAND))
        metric_seconds(METRIC_TURN_TIME, (double)(clock_mono_ms() - end->accepted_ms) / 1000.0);
}

static void send_last(const struct ending *end)
{
    struct adapter *a = channel_adapter(end->ch);
    if (!a || !(a->ops->facts.caps & ADAPTER_STORED))
        return;
    char id[ANSWER_ID_BYTES];
    answer_id(id, end->lead);
    struct msg_out m = {
        .chat = end->ch->chat,
        .thread = end->ch->thread,
        .id = id,
        .txn = id,
        .text = end->text,
        .len = strlen(end->text),
        .seq = end->seq,
        .first = !end->shown,
        .done = true,
        .notice = end->notice,
        .reply_to = end->reply_to,
        .reply_seq = end->lead,
        .answers = (const char *const *)end->answers,
        .finish = end->finish,
        .usage = end->usage,
        .error = end->error,
    };
    if (end->shown)
        a->ops->edit(a, &m);
    else
        a->ops->send(a, &m);
}

/* A notice in place of an answer that is to be made anew leaves the old one alone, if it can. */
static int64_t adopts(const struct ending *end)
{
    return end->untouched && end->notice ? 0 : end->adopts;
}

static void close_outbox(const struct ending *end)
{
    struct channel *ch = end->ch;
    struct outbox_final f = {
        .answer = end->seq,
        .n_parts = end->n_parts,
        .text = end->first,
        .finish = end->finish,
        .usage = end->usage,
        .reply_to = end->reply_to,
        .notice = end->notice,
        .fresh = end->untouched && !adopts(end),
    };
    outbox_close(ch, end->lead, &f);
    if (end->n_parts)
        outbox_kick(ch->core);
}

static void stored(void *arg, const struct err *e)
{
    struct ending *end = arg;
    struct channel *ch = end->ch;
    ch->commits--;
    ch->core->commits--;
    if (e->code == ERR_OK) {
        channel_limit_written(ch, end->limit);
        channel_event_out(ch, end->seq);
        count(end);
        bill_written(end->bill);
        send_last(end);
        close_outbox(end);
    } else if (e->code == ERR_EXISTS) {
        log_info("chat", "channel %s, message %" PRId64 " was taken back or dropped while it was answered: the answer is not sent",
                 ch->name, end->lead);
        end->dropped = true;
        outbox_lost(ch, end->lead);
    } else {
        log_error("chat", "cannot write the answer to message %" PRId64 " of channel %s: %s; trying again", end->lead,
                  ch->name, e->text);
        timer_set(&end->again, STORE_RETRY_MS);
        return;
    }
    if (end->done)
        end->done(end->arg, end);
    channel_unref(ch);
    pending_done(ch->core, &end->link);
    if (ch->turn)
        turn_kick(ch->turn);
}

/* --- parts for platforms that are not our own store --- */
struct parts {
    struct ending *end;
    struct store_part v[REPLY_PARTS_MAX];
    size_t n;
};

static void add_part(void *arg, const char *text, size_t len)
{
    struct parts *p = arg;
    char txn[96];
    /* By the answer's number, not the question's: what ended as a dead letter and is answered later is another message. */
    snprintf(txn, sizeof(txn), "w%" PRId64 "-%" PRId64 "-%zu", p->end->ch->row.id, p->end->seq, p->n);
    p->v[p->n].txn = mem_dup(txn);
    p->v[p->n++].text = mem_dupn(text, len);
}

static void split(struct parts *p)
{
    struct ending *end = p->end;
    const struct adapter *a = end->ch->adapter;
    const struct adapter_facts *f = end->ch->facts;
    size_t limit = a ? adapter_text_limit(a) : f->text_limit;
    if (!(f->caps & ADAPTER_STORED))
        reply_split(end->text, strlen(end->text), limit, f->text_unit, add_part, p);
    end->n_parts = p->n;
    free(end->first);
    end->first = p->n ? mem_dup(p->v[0].text) : NULL;
    end->untouched = outbox_hold(end->ch, end->lead, end->fresh);
}

/* The number is drawn anew for each try: events that were written in the
 * meantime have left with higher ones. */
static void attempt(void *arg)
{
    struct ending *end = arg;
    struct channel *ch = end->ch;
    char id[ANSWER_ID_BYTES];
    answer_id(id, end->lead);
    end->seq = channel_next_seq(ch);
    end->limit = channel_limit_for(ch, end->seq);
    struct store_msg answer = {
        .seq = end->seq,
        .time_ms = clock_wall_ms(),
        .kind = end->notice ? STORE_NOTICE : STORE_BOT,
        .flags = end->flags | (end->notice ? STORE_NO_PROMPT : 0),
        .turn = end->lead,
        .id = id,
        .reply_to = end->reply_to,
        .text = end->text,
        .finish = end->finish,
        .usage = end->usage,
    };
    struct parts *parts = mem_alloc(sizeof(*parts));
    parts->end = end;
    split(parts);
    struct store_finish f = {
        .account = ch->account,
        .channel = ch->name,
        .channel_id = ch->row.id,
        .lead = end->lead,
        .outcome = end->outcome,
        .reason = end->reason,
        .answer = &answer,
        .seq_limit = end->limit,
        .supersedes = end->outcome == STORE_ANSWERED || adopts(end) ? end->supersedes : 0,
        .parts = parts->n ? parts->v : NULL,
        .n_parts = parts->n,
        .untouched = end->untouched,
        .adopts = adopts(end),
        .bill = bill_rows(end->bill),
    };
    ch->commits++;
    ch->core->commits++;
    store_finish(ch->core->env.store, &f, stored, end);
    for (size_t i = 0; i < parts->n; i++) {
        free((char *)parts->v[i].txn);
        free((char *)parts->v[i].text);
    }
    free(parts);
}

void ending_start(struct ending *end)
{
    attempt(end);
}

/* --- decided not to answer --- */
struct silent {
    struct pending link;
    struct timer again;
    struct channel *ch;
    struct question *list;
};

static void free_silent(struct pending *link)
{
    struct silent *s = (struct silent *)link;
    struct question *q, *tmp;
    timer_cancel(&s->again);
    DL_FOREACH_SAFE(s->list, q, tmp)
        question_free(q);
    free(s);
}

static void silence(struct channel *ch, const struct question *q)
{
    struct entry *entry = history_find(&ch->history, q->seq);
    if (entry) { /* the model may know of it all the same */
        entry->pending = false;
        entry->turn = 0;
    }
    metric_add(METRIC_TURNS_SILENT, 1);
    if (ch->adapter && ch->adapter->ops->silent)
        ch->adapter->ops->silent(ch->adapter, ch->chat, ch->thread, q->seq);
}

static void silenced(void *arg, const struct err *e)
{
    struct silent *s = arg;
    struct channel *ch = s->ch;
    ch->core->commits--;
    if (e->code) {
        log_error("chat", "cannot write that messages of %s are not answered: %s; trying again", ch->name, e->text);
        timer_set(&s->again, STORE_RETRY_MS);
        return;
    }
    struct question *q;
    DL_FOREACH(s->list, q) {
        silence(ch, q);
        outbox_lost(ch, q->seq);
    }
    channel_unref(ch);
    pending_done(ch->core, &s->link);
}

static void write_silent(void *arg)
{
    struct silent *s = arg;
    struct question *q;
    size_t n;
    DL_COUNT(s->list, q, n);
    int64_t *seqs = mem_array(n, sizeof(*seqs));
    n = 0;
    DL_FOREACH(s->list, q)
        seqs[n++] = q->seq;
    s->ch->core->commits++;
    store_turn(s->ch->core->env.store, s->ch->row.id, 0, NULL, 0, seqs, n, silenced, s);
    free(seqs);
}

void ending_silent(struct channel *ch, struct question *list)
{
    struct silent *s = mem_alloc(sizeof(*s));
    s->ch = ch;
    s->list = list;
    timer_init(&s->again, ch->core->env.loop, write_silent, s);
    pending_add(ch->core, &s->link, NULL, free_silent);
    channel_ref(ch);
    write_silent(s);
}
