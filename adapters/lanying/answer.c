#include "adapters/lanying/answer.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "adapters/lanying/lanying.h"
#include "plugin/base/clock.h"
#include "plugin/base/mem.h"
#include "plugin/base/utf8.h"

#define TEXT_BYTES_MAX (1024U * 1024) /* the host's own limit is far below */
#define EXT_OUT_BYTES_MAX 8192U
#define KEY_BYTES_MAX 512U
#define OWN_ID 'c' /* before a client id that stands for a message */
#define PLATFORM_ID_BYTES (LY_ID_BYTES + 1)
#define LOOK_AGAIN_MS 250

/* The platform does not deliver the answer's own text; people still deserve a word. */
static const char censored[] =
    "(这条回答未能通过平台的内容审核。The platform's content check did not let this answer through.)";

struct answer {
    UT_hash_handle hh; /* by key */
    char *key;         /* conversation and message */
    struct lanying *ly;
    uint64_t chat;
    uint64_t client_id; /* of the message that holds it */
    uint64_t mid;       /* what the server calls that; 0: not said yet */

    struct buf text;    /* as it is now */
    bool done;          /* and stays */
    struct buf shown;   /* as people see it */
    bool shown_known;
    struct buf posted;  /* as they will, when the post is through */
    struct parcel *post;
    bool removed;       /* it is to be taken back */
    bool parts;         /* shown in parts */
    bool no_parts;      /* a part was refused: nothing more before the end */
    bool over;          /* the post under way is the last */
    int seq;
    int64_t begun_ms, next_ms;
    struct timer timer;

    int64_t part_handle, handle; /* the host waits for these; 0 */
    bool notice;
    char *question, *finish;
    enum err_code error;
};

static void step(struct answer *a);
static void on_posted(void *arg, const struct parcel_result *r);

/* --- life --- */

static void on_timer(void *arg)
{
    step(arg);
}

static void make_key(char key[KEY_BYTES_MAX], const struct msg_out *m)
{
    snprintf(key, KEY_BYTES_MAX, "%s %s", m->chat, m->id);
}

static struct answer *find(struct lanying *ly, const struct msg_out *m)
{
    char key[KEY_BYTES_MAX];
    struct answer *a;

    make_key(key, m);
    HASH_FIND_STR(ly->answers.all, key, a);
    return a;
}

static struct answer *answer_new(struct lanying *ly, const struct msg_out *m)
{
    struct answer *a = mem_alloc(sizeof *a);
    char key[KEY_BYTES_MAX];

    make_key(key, m);
    a->key = mem_dup(key);
    a->ly = ly;
    ly_id_parse(m->chat, &a->chat);
    a->client_id = posting_id_of(ly, m->txn);
    a->begun_ms = clock_mono_ms();
    buf_init(&a->text, TEXT_BYTES_MAX);
    buf_init(&a->shown, TEXT_BYTES_MAX);
    buf_init(&a->posted, TEXT_BYTES_MAX);
    timer_init(&a->timer, ly->a->loop, on_timer, a);
    HASH_ADD_KEYPTR(hh, ly->answers.all, a->key, strlen(a->key), a);
    return a;
}

static void answer_free(struct answer *a)
{
    HASH_DEL(a->ly->answers.all, a);
    posting_give_up(&a->post);
    timer_cancel(&a->timer);
    buf_free(&a->text);
    buf_free(&a->shown);
    buf_free(&a->posted);
    free(a->question);
    free(a->finish);
    free(a->key);
    free(a);
}

void answers_init(struct lanying *ly)
{
    ly->answers.all = NULL;
}

void answers_fini(struct lanying *ly)
{
    while (ly->answers.all)
        answer_free(ly->answers.all);
}

/* --- the host hears --- */

/* What the host knows the message by: the server's id, or before it is known,
 * and in its place ever after, our own. */
static void print_platform_id(const struct answer *a, char out[PLATFORM_ID_BYTES])
{
    if (a->mid != 0)
        snprintf(out, PLATFORM_ID_BYTES, "%" PRIu64, a->mid);
    else
        snprintf(out, PLATFORM_ID_BYTES, "%c%" PRIu64, OWN_ID, a->client_id);
}

static void tell_sent(struct answer *a, int64_t *handle)
{
    char id[PLATFORM_ID_BYTES];
    int64_t told = *handle;

    *handle = 0;
    print_platform_id(a, id);
    if (told != 0)
        adapter_sent(a->ly->a, told, id);
}

static void tell_failed(struct answer *a, const struct err *e, bool retry)
{
    int64_t told[] = { a->part_handle, a->handle };

    a->part_handle = a->handle = 0;
    for (size_t i = 0; i < 2; i++)
        if (told[i] != 0)
            adapter_send_failed(a->ly->a, told[i], e, retry, 0);
}

static void finish(struct answer *a)
{
    struct chat *c = chats_find(a->ly, a->chat);

    if (c)
        chats_used(a->ly, c);
    tell_sent(a, &a->part_handle);
    tell_sent(a, &a->handle);
    answer_free(a);
}

/* --- posting --- */

static void put_ext(const struct answer *a, struct buf *ext)
{
    uint64_t question = 0;

    ly_id_parse(a->question, &question);
    const struct ext_out x = {
        .stream = a->parts,
        .finish = a->over,
        .interval_s = lanying_conf(a->ly)->stream_interval,
        .seq = a->seq,
        .reason = a->finish,
        .question = a->question,
        .error = a->notice && a->error ? err_name(a->error) : NULL,
        .error_text = buf_str(&a->text),
        .feedback = ly_intake_feedback(a->ly, question),
        .client_id = a->client_id,
    };

    buf_init(ext, EXT_OUT_BYTES_MAX);
    ext_write(ext, &x);
    if (!buf_error(ext))
        return;
    buf_reset(ext);
    ext_write(ext, &(struct ext_out){ .stream = x.stream, .finish = x.finish, .interval_s = x.interval_s, .seq = x.seq,
                                      .client_id = x.client_id });
}

/* Text that is on its way is part of `posted`, of which people will see all. */
static void post(struct answer *a, enum deed deed, const char *text, size_t len)
{
    struct buf ext;

    if (a->seq == 0 && a->mid != 0) /* an earlier run, or an earlier answer, began it */
        a->seq = posting_seq(a->ly, a->mid);
    a->seq++;
    put_ext(a, &ext);
    const struct outgoing o = {
        .deed = deed,
        .id = deed == DEED_SAY ? a->client_id : 0,
        .chat = a->chat,
        .mid = a->mid,
        .text = { text, len },
        .ext = { ext.data, ext.len },
    };
    a->post = posting_add(a->ly, &o, on_posted, a);
    buf_free(&ext);
}

static void post_whole(struct answer *a, enum deed deed)
{
    buf_reset(&a->posted);
    buf_add(&a->posted, a->text.data, a->text.len);
    post(a, deed, a->text.data, a->text.len);
}

static void post_rest(struct answer *a)
{
    buf_reset(&a->posted);
    buf_add(&a->posted, a->text.data, a->text.len);
    post(a, DEED_APPEND, a->text.data + a->shown.len, a->text.len - a->shown.len);
}

static bool grew(const struct answer *a)
{
    return a->shown_known && a->text.len > a->shown.len &&
           (a->shown.len == 0 || memcmp(a->text.data, a->shown.data, a->shown.len) == 0);
}

static bool same(const struct answer *a)
{
    return a->shown_known && a->text.len == a->shown.len &&
           (a->text.len == 0 || memcmp(a->text.data, a->shown.data, a->text.len) == 0);
}

static int64_t interval_ms(const struct answer *a)
{
    int64_t ms = lanying_conf(a->ly)->stream_interval * 1000;

    return ms > ANSWER_STEP_MS ? ms : ANSWER_STEP_MS;
}

/* True: not yet; step() comes again. */
static bool wait_until(struct answer *a, int64_t ms)
{
    int64_t now = clock_mono_ms();

    if (now >= ms)
        return false;
    timer_set(&a->timer, ms - now);
    return true;
}

static void say(struct answer *a)
{
    if (a->done) {
        a->over = true;
        post_whole(a, DEED_SAY);
    } else if (!a->no_parts && utf8_points(buf_str(&a->text), a->text.len) >= ANSWER_FIRST_CHARS &&
               !wait_until(a, a->begun_ms + interval_ms(a))) {
        a->parts = true;
        post_whole(a, DEED_SAY);
    }
}

static void go_on(struct answer *a)
{
    if (a->done && !a->parts && !a->shown_known && posting_says(a->ly, a->mid, a->text.data, a->text.len)) {
        finish(a); /* an earlier run was about to say so */
    } else if (a->done) {
        if (!wait_until(a, a->next_ms)) {
            a->over = true;
            post_whole(a, DEED_REPLACE);
        }
    } else if (!a->no_parts && !same(a) && !wait_until(a, a->next_ms - ANSWER_STEP_MS + interval_ms(a))) {
        a->parts = true;
        if (grew(a))
            post_rest(a);
        else
            post_whole(a, DEED_REPLACE);
    }
}

static void take_back(struct answer *a)
{
    struct outgoing o = { .deed = DEED_RECALL, .chat = a->chat };
    struct chat *c = chats_find(a->ly, a->chat);

    if (a->mid == 0)
        a->mid = posting_known(a->ly, a->client_id);
    a->over = true;
    if (a->mid != 0) {
        o.mid = a->mid;
        a->post = posting_add(a->ly, &o, on_posted, a);
    } else if (c && c->doubt) { /* from an earlier run: it may be there */
        ly_sync_look(a->ly, c);
        timer_set(&a->timer, LOOK_AGAIN_MS);
    } else {
        finish(a);
    }
}

/* What is to be done next, if nothing is under way. */
static void step(struct answer *a)
{
    timer_cancel(&a->timer);
    tell_sent(a, &a->part_handle);
    if (a->post)
        return;
    if (a->removed)
        take_back(a);
    else if (a->mid == 0)
        say(a);
    else
        go_on(a);
}

/* --- the server's answers --- */

/* It was there before, from an earlier run: perhaps only its beginning was. */
static bool is_complete_there(const struct answer *a, const struct parcel_result *r)
{
    return a->over && (!r->found || posting_says(a->ly, r->found->mid, a->text.data, a->text.len));
}

static void part_refused(struct answer *a)
{
    a->no_parts = true;
    a->over = false;
    step(a);
}

static void replace_by_notice(struct answer *a)
{
    buf_reset(&a->text);
    buf_adds(&a->text, censored);
    a->notice = true;
    a->error = ERR_CONTENT;
    a->over = false;
    /* Said anew, it is another message than the one that was refused. */
    a->client_id = posting_id_of(a->ly, a->key);
    step(a);
}

static void refused(struct answer *a, const struct parcel_result *r)
{
    if (!a->over) {
        part_refused(a);
    } else if (r->code == LY_CODE_WORD_CENSORED && a->error != ERR_CONTENT) {
        replace_by_notice(a);
    } else {
        tell_failed(a, &r->e, r->code == LY_CODE_UNKNOWN);
        answer_free(a);
    }
}

static void on_posted(void *arg, const struct parcel_result *r)
{
    struct answer *a = arg;
    bool said_before = a->mid != 0;

    a->post = NULL;
    if (failed(&r->e)) {
        refused(a, r);
        return;
    }
    if (a->removed && a->over && said_before) {
        finish(a);
        return;
    }
    if (!said_before)
        a->mid = r->server_mid;
    a->next_ms = clock_mono_ms() + ANSWER_STEP_MS;
    a->shown_known = !r->found;
    buf_reset(&a->shown);
    buf_add(&a->shown, a->posted.data, a->posted.len);
    if (a->removed) {
        a->over = false;
        step(a);
        return;
    }
    if (a->over && (said_before || a->mid == 0 || is_complete_there(a, r))) {
        finish(a);
        return;
    }
    a->over = false;
    a->parts |= r->found != NULL;
    if (r->found && a->seq < posting_seq(a->ly, a->mid))
        a->seq = posting_seq(a->ly, a->mid);
    if (a->mid == 0) /* the server knows the beginning of it, and nobody can tell as what */
        a->no_parts = true;
    step(a);
}

/* --- from the host --- */

static void set_string(char **to, const char *s)
{
    if (!s)
        return;
    free(*to);
    *to = mem_dup(s);
}

/* Only the first part of an answer names the question. */
static void take_question(struct answer *a, const struct msg_out *m)
{
    struct chat *c = chats_find(a->ly, a->chat);
    char id[LY_ID_BYTES];

    set_string(&a->question, m->reply_to);
    if (c && ly_id_parse(m->reply_to, &c->question)) {
        c->question_seq = m->reply_seq;
    } else if (c && !a->question && c->question != 0 && c->question_seq == m->reply_seq) {
        ly_id_print(id, c->question);
        set_string(&a->question, id);
    }
}

static void take(struct answer *a, const struct msg_out *m)
{
    buf_reset(&a->text);
    buf_add(&a->text, m->text, m->len);
    a->done |= m->done;
    a->notice = m->notice;
    a->error = m->notice ? m->error : ERR_OK;
    take_question(a, m);
    set_string(&a->finish, m->finish);
    if (m->handle != 0 && m->done)
        a->handle = m->handle;
    else if (m->handle != 0)
        a->part_handle = m->handle;
    timer_set(&a->timer, 0); /* a down-call: what is to be told is told from the loop */
}

void answer_say(struct lanying *ly, const struct msg_out *m)
{
    struct answer *a = find(ly, m);

    take(a ? a : answer_new(ly, m), m);
}

/* A message that another run, or an earlier answer, left there. */
static struct answer *answer_there(struct lanying *ly, const struct msg_out *m)
{
    struct answer *a = answer_new(ly, m);
    const char *id = m->platform_id;
    struct chat *c = chats_find(ly, a->chat);

    if (!ly_id_parse(id, &a->mid) && id && id[0] == OWN_ID && ly_id_parse(id + 1, &a->client_id) &&
        posting_known(ly, a->client_id) == 0 && c)
        c->doubt = true;
    return a;
}

void answer_edit(struct lanying *ly, const struct msg_out *m)
{
    struct answer *a = find(ly, m);

    if (!a && m->handle == 0) /* a part of what is over */
        return;
    take(a ? a : answer_there(ly, m), m);
}

void answer_remove(struct lanying *ly, const struct msg_out *m)
{
    struct answer *a = find(ly, m);

    if (!a)
        a = answer_there(ly, m);
    a->removed = true;
    a->handle = m->handle;
    timer_set(&a->timer, 0);
}
