#include "tests/unit/webchat_world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "plugin/base/mem.h"

/* --- jobs --- */

enum job_kind { JOB_MESSAGE, JOB_HISTORY, JOB_ANSWER, JOB_KEEP, JOB_RECALL };

struct job {
    struct job *prev, *next;
    enum job_kind kind;
    struct world_message *message; /* JOB_MESSAGE; not among the others yet */
    void *token;
    char *chat, *key, *value;
    int64_t number; /* seq, after or expires_ms */
    int limit;
    adapter_page_fn *page;
    void (*kept)(void *arg, const struct err *e);
    void (*recalled)(void *arg, const char *value, int64_t expires_ms, const struct err *e);
    void *arg;
};

static struct job *job_new(struct world *w, enum job_kind kind, const char *chat)
{
    struct job *j = mem_alloc(sizeof *j);

    j->kind = kind;
    j->chat = mem_dup(chat);
    DL_APPEND(w->jobs, j);
    if (!w->paused)
        defer_set(&w->work);
    return j;
}

static void message_fini(struct world_message *m)
{
    free(m->chat);
    free(m->id);
    free(m->sender);
    free(m->name);
    free(m->text);
    free(m->reply_to);
    free(m->finish);
    free(m->usage);
}

static void job_free(struct job *j)
{
    if (j->message)
        message_fini(j->message);
    free(j->message);
    free(j->chat);
    free(j->key);
    free(j->value);
    free(j);
}

/* Points past to the strings. */
static void message_point(struct world_message *m)
{
    m->past.id = m->id;
    m->past.sender = m->sender;
    m->past.name = m->name;
    m->past.text = m->text;
    m->past.reply_to = m->reply_to;
    m->past.finish = m->finish;
    m->past.usage = m->usage;
}

static struct world_message *message_store(struct world *w, const struct world_message *m)
{
    assert_true(w->n_messages < WORLD_MESSAGES_MAX);
    w->messages[w->n_messages] = *m;
    message_point(&w->messages[w->n_messages]);
    return &w->messages[w->n_messages++];
}

static struct world_message *message_find(struct world *w, const struct world_message *like)
{
    for (size_t i = 0; i < w->n_messages; i++) {
        struct world_message *m = &w->messages[i];

        if (m->sender && strcmp(m->chat, like->chat) == 0 && strcmp(m->id, like->id) == 0 &&
            strcmp(m->sender, like->sender) == 0)
            return m;
    }
    return NULL;
}

static struct world_message *answer_find(struct world *w, const char *chat, int64_t seq)
{
    for (size_t i = 0; i < w->n_messages; i++)
        if (w->messages[i].past.from_bot && w->messages[i].past.reply_seq == seq &&
            strcmp(w->messages[i].chat, chat) == 0)
            return &w->messages[i];
    return NULL;
}

static void do_message(struct world *w, struct job *j, const struct err *e)
{
    struct world_message *m = j->message, *first = message_find(w, m);
    struct msg_accepted r = { .seq = m->past.seq, .to_answer = !w->silent };

    if (!e && first) {
        r.seq = first->past.seq;
        r.duplicate = true;
        r.settled = answer_find(w, m->chat, r.seq) != NULL;
        message_fini(m);
    } else if (!e) {
        first = message_store(w, m);
    } else {
        first = m;
    }
    w->last = (struct msg_in){ .chat = first->chat, .id = first->id, .sender = first->sender,
                               .sender_name = first->name, .text = first->text, .len = strlen(first->text),
                               .reply_to = first->reply_to, .lang = w->last.lang, .direct = w->last.direct,
                               .token = j->token };
    if (!e) {
        free(j->message);
        j->message = NULL;
    }
    w->a.ops->accepted(&w->a, &w->last, e ? NULL : &r, e);
}

static void do_history(struct world *w, struct job *j, const struct err *e)
{
    struct msg_past *msgs = mem_array(WORLD_MESSAGES_MAX, sizeof *msgs);
    int limit = w->page_limit > 0 ? w->page_limit : j->limit;
    struct msg_page page = { .msgs = msgs, .last = w->seq, .bot = "warbler" };

    for (size_t i = 0; j->number >= 0 && i < w->n_messages; i++) {
        if (strcmp(w->messages[i].chat, j->chat) != 0 || w->messages[i].past.seq <= j->number)
            continue;
        if (page.n == (size_t)limit) {
            page.more = true;
            break;
        }
        msgs[page.n++] = w->messages[i].past;
    }
    if (w->running.id && strcmp(w->running.chat, j->chat) == 0)
        page.running = &w->running;
    j->page(j->arg, e ? NULL : &page, e);
    free(msgs);
}

static void do_answer(struct world *w, struct job *j, const struct err *e)
{
    const struct world_message *m = answer_find(w, j->chat, j->number);
    struct msg_page page = { .msgs = m ? &m->past : NULL, .n = m != NULL, .last = w->seq, .bot = "warbler" };

    j->page(j->arg, e ? NULL : &page, e);
}

static struct world_fact *fact_find(struct world *w, const char *key)
{
    for (size_t i = 0; i < w->n_facts; i++)
        if (strcmp(w->facts[i].key, key) == 0)
            return &w->facts[i];
    return NULL;
}

static void do_keep(struct world *w, struct job *j, const struct err *e)
{
    struct world_fact *f = fact_find(w, j->key);

    w->n_keeps++;
    if (!e && !f) {
        assert_true(w->n_facts < WORLD_FACTS_MAX);
        f = &w->facts[w->n_facts++];
        f->key = mem_dup(j->key);
    }
    if (!e) {
        free(f->value);
        f->value = mem_dup(j->value);
        f->expires_ms = j->number;
    }
    j->kept(j->arg, e);
}

static void do_recall(struct world *w, struct job *j, const struct err *e)
{
    const struct world_fact *f = e ? NULL : fact_find(w, j->key);

    j->recalled(j->arg, f ? f->value : NULL, f ? f->expires_ms : 0, e);
}

static void job_do(struct world *w)
{
    static void (*const how[])(struct world *w, struct job *j, const struct err *e) = {
        do_message, do_history, do_answer, do_keep, do_recall,
    };
    struct err refuse = w->refuse;
    struct job *j = w->jobs;

    DL_DELETE(w->jobs, j);
    how[j->kind](w, j, refuse.code == ERR_OK ? NULL : &refuse);
    job_free(j);
    w->jobs_done++;
}

void world_work(void *arg)
{
    struct world *w = arg;

    if (w->paused || !w->jobs)
        return;
    job_do(w);
    if (w->jobs)
        defer_set(&w->work);
}

static void host_online(void *host, struct adapter *a)
{
    (void)a;
    ((struct world *)host)->online++;
}

static void host_stopped(void *host, struct adapter *a)
{
    (void)a;
    ((struct world *)host)->stopped++;
}

static void host_sent(void *host, struct adapter *a, int64_t handle, const char *platform_id)
{
    struct world *w = host;

    (void)a;
    w->sent_handle = handle;
    snprintf(w->sent_id, sizeof w->sent_id, "%s", platform_id);
}

static void host_message(void *host, struct adapter *a, const struct msg_in *m)
{
    struct world *w = host;
    struct job *j = job_new(w, JOB_MESSAGE, m->chat);

    assert_ptr_equal(a, &w->a);
    assert_null(m->thread);
    assert_int_equal(strlen(m->text), m->len);
    j->message = mem_alloc(sizeof *j->message);
    *j->message = (struct world_message){ .chat = mem_dup(m->chat), .id = mem_dup(m->id), .sender = mem_dup(m->sender),
                                          .name = mem_dup(m->sender_name), .text = mem_dup(m->text),
                                          .reply_to = mem_dup(m->reply_to) };
    j->message->past.seq = ++w->seq;
    j->token = m->token;
    w->last.lang = m->lang ? "given" : NULL;
    w->last.direct = m->direct;
}

static void host_history(void *host, struct adapter *a, const char *chat, const char *thread, int64_t after, int limit,
                         adapter_page_fn *fn, void *arg)
{
    struct job *j = job_new(host, JOB_HISTORY, chat);

    (void)a;
    assert_null(thread);
    j->number = after;
    j->limit = limit;
    j->page = fn;
    j->arg = arg;
}

static void host_answer(void *host, struct adapter *a, const char *chat, const char *thread, int64_t seq,
                        adapter_page_fn *fn, void *arg)
{
    struct job *j = job_new(host, JOB_ANSWER, chat);

    (void)a;
    assert_null(thread);
    j->number = seq;
    j->page = fn;
    j->arg = arg;
}

static void host_keep(void *host, struct adapter *a, const char *key, const char *value, int64_t expires_ms,
                      void (*done)(void *arg, const struct err *e), void *arg)
{
    struct job *j = job_new(host, JOB_KEEP, NULL);

    (void)a;
    j->key = mem_dup(key);
    j->value = mem_dup(value);
    j->number = expires_ms;
    j->kept = done;
    j->arg = arg;
}

static void host_recall(void *host, struct adapter *a, const char *key,
                        void (*done)(void *arg, const char *value, int64_t expires_ms, const struct err *e), void *arg)
{
    struct job *j = job_new(host, JOB_RECALL, NULL);

    (void)a;
    j->key = mem_dup(key);
    j->recalled = done;
    j->arg = arg;
}

const struct adapter_host world_host = {
    .online = host_online,
    .stopped = host_stopped,
    .message = host_message,
    .sent = host_sent,
    .history = host_history,
    .answer = host_answer,
    .keep = host_keep,
    .recall = host_recall,
};

/* --- events --- */

int64_t world_past(struct world *w, const char *chat, const char *id, const char *sender, const char *text)
{
    struct world_message m = { .chat = mem_dup(chat), .id = mem_dup(id), .sender = mem_dup(sender),
                               .name = mem_dup("Old"), .text = mem_dup(text) };

    m.past.seq = ++w->seq;
    m.past.from_bot = !sender;
    message_store(w, &m);
    return m.past.seq;
}

static const struct world_message *question_of(struct world *w, const struct world_event *e)
{
    for (size_t i = w->n_messages; i-- > 0;) {
        const struct world_message *m = &w->messages[i];

        if (!m->past.from_bot && strcmp(m->chat, e->chat) == 0 && (e->reply_seq == 0 || m->past.seq == e->reply_seq))
            return m;
    }
    fail_msg("nothing to answer in %s", e->chat);
    return NULL;
}

static void settle(struct world *w, const struct msg_out *m)
{
    struct world_message answer = { .chat = mem_dup(m->chat), .id = mem_dup(m->id), .text = mem_dupn(m->text, m->len),
                                    .reply_to = mem_dup(m->reply_to), .finish = mem_dup(m->finish),
                                    .usage = mem_dup(m->usage) };

    answer.past.seq = m->seq;
    answer.past.reply_seq = m->reply_seq;
    answer.past.from_bot = true;
    answer.past.notice = m->notice;
    message_store(w, &answer);
}

int64_t world_bot(struct world *w, const struct world_event *e)
{
    const struct world_message *q = question_of(w, e);
    struct msg_out m = {
        .handle = e->handle, .chat = e->chat, .id = e->id, .txn = e->id, .text = e->text, .len = strlen(e->text),
        .seq = ++w->seq, .first = !e->edit, .done = e->done, .notice = e->notice, .reply_to = q->id,
        .reply_seq = q->past.seq, .answers = e->answers, .finish = e->finish, .usage = e->usage, .error = e->error,
    };

    if (e->done)
        settle(w, &m);
    (e->edit ? w->a.ops->edit : w->a.ops->send)(&w->a, &m);
    return m.seq;
}

void world_host_fini(struct world *w)
{
    struct job *j, *next;

    DL_FOREACH_SAFE(w->jobs, j, next)
    job_free(j);
    for (size_t i = 0; i < w->n_messages; i++)
        message_fini(&w->messages[i]);
    for (size_t i = 0; i < w->n_facts; i++) {
        free(w->facts[i].key);
        free(w->facts[i].value);
    }
}

static bool has_job(void *arg)
{
    return ((struct world *)arg)->jobs != NULL;
}

void world_step(struct world *w)
{
    world_until(w, has_job, w, "a job for the host");
    job_do(w);
}
