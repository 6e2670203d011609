#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "plugin/base/mem.h"
#include "plugin/base/utf8.h"
#include "plugin/cli_chat.h"
#include "plugin/cli_input.h"
#include "plugin/daemon.h"

#define OUTAGE_MS 60000      /* without a connection that was there */
#define AGAIN_MS 2000        /* before a message is offered again that was refused; doubles */
#define AGAIN_TRIES_MAX 6    /* two minutes in all */

/* One line at a time: read, sent, answered, printed. */
struct pipe {
    const struct chat_conf *conf;
    struct loop *loop;
    struct chat_link *link;
    struct input *input;
    bool welcomed;
    char *line;      /* being answered; NULL: none */
    char *id;        /* of it, as it was sent; NULL: waits to be sent */
    char *answer_id; /* of its answer, once that has begun */
    unsigned refusals;
    struct timer patience; /* for the bot to begin */
    struct timer again, outage;
    int status;
};

static void end(struct pipe *p)
{
    link_close(p->link);
    loop_stop(p->loop);
}

static void fail(struct pipe *p, int status)
{
    p->status = status;
    end(p);
}

static void replace(char **field, const char *value)
{
    free(*field);
    *field = mem_dup(value);
}

/* This line is done with. */
static void next(struct pipe *p)
{
    replace(&p->line, NULL);
    replace(&p->id, NULL);
    replace(&p->answer_id, NULL);
    timer_cancel(&p->patience);
    p->refusals = 0;
    input_next(p->input);
}

/* The bot owes us a sign, from now on. */
static void expect(struct pipe *p)
{
    if (p->id && !p->answer_id && !timer_pending(&p->outage))
        timer_set(&p->patience, p->conf->wait_ms);
}

static void send_line(void *arg)
{
    struct pipe *p = arg;
    replace(&p->id, link_send(p->link, p->line));
    expect(p);
}

static void on_no_sign(void *arg)
{
    struct pipe *p = arg;
    chat_complain(p->conf, CHAT_NO_ANSWER, p->line, NULL);
    p->status = EXIT_CONFIG;
    if (link_idle(p->link))
        next(p);
    else /* it does not even acknowledge */
        end(p);
}

/* --- the connection --- */
static void on_welcome(void *arg, const struct link_welcome *w)
{
    struct pipe *p = arg;
    timer_cancel(&p->outage);
    if (!*w->bot) {
        chat_complain(p->conf, CHAT_NO_BOT, NULL, NULL);
        fail(p, EXIT_CONFIG);
    } else if (!p->welcomed) {
        p->welcomed = true;
        input_next(p->input);
    } else {
        expect(p);
    }
}

static void print_answer(struct pipe *p, const char *text)
{
    size_t len = strlen(text);
    fputs(text, stdout);
    if (!len || text[len - 1] != '\n')
        putchar('\n');
    if (fflush(stdout) == 0)
        next(p);
    else /* nobody reads on; main() says so */
        end(p);
}

static void on_message(void *arg, const struct link_message *m)
{
    struct pipe *p = arg;
    if (!m->bot || !p->id)
        return;
    if (link_answers(m, p->id))
        replace(&p->answer_id, m->id);
    if (!p->answer_id || strcmp(p->answer_id, m->id) != 0)
        return;
    timer_cancel(&p->patience);
    if (m->done)
        print_answer(p, m->text);
}

static void on_refused(void *arg, const char *id, const char *code, const char *text)
{
    struct pipe *p = arg;
    enum chat_text why = chat_refusal(code);
    if (!p->id || strcmp(p->id, id) != 0)
        return;
    timer_cancel(&p->patience);
    if (why != CHAT_TOO_LONG && why != CHAT_NOT_SENT && p->refusals < AGAIN_TRIES_MAX) {
        replace(&p->id, NULL);
        timer_set(&p->again, (int64_t)AGAIN_MS << p->refusals++);
        return;
    }
    chat_complain(p->conf, why, text, NULL);
    p->status = EXIT_CONFIG;
    next(p);
}

static void on_typing(void *arg, const char *from, bool on)
{
    struct pipe *p = arg;
    if (strcmp(from, "bot") != 0)
        return;
    if (on)
        timer_cancel(&p->patience);
    else
        expect(p);
}

static void on_lost(void *arg, const struct link_loss *loss)
{
    struct pipe *p = arg;
    timer_cancel(&p->patience);
    if (!p->welcomed) {
        chat_complain(p->conf, CHAT_REFUSED, p->conf->url, loss->reason);
        fail(p, EXIT_START);
    } else if (!timer_pending(&p->outage)) {
        timer_set(&p->outage, OUTAGE_MS);
    }
}

static void on_outage(void *arg)
{
    struct pipe *p = arg;
    chat_complain(p->conf, CHAT_GONE, p->conf->url, "");
    fail(p, EXIT_START);
}

static void on_denied(void *arg, const char *text)
{
    struct pipe *p = arg;
    chat_complain(p->conf, CHAT_DENIED, text, NULL);
    fail(p, EXIT_CONFIG);
}

/* --- the lines --- */
static void on_line(void *arg, const char *text, size_t len)
{
    struct pipe *p = arg;
    struct buf clean;
    if (text[strspn(text, " \t\r")] == '\0') {
        input_next(p->input);
        return;
    }
    buf_init(&clean, INPUT_LINE_BYTES_MAX * 3); /* a bad byte becomes three */
    utf8_clean(&clean, text, len);
    replace(&p->line, buf_str(&clean));
    buf_free(&clean);
    send_line(p);
}

static void on_too_long(void *arg)
{
    struct pipe *p = arg;
    chat_complain(p->conf, CHAT_TOO_LONG, NULL, NULL);
    p->status = EXIT_CONFIG;
    input_next(p->input);
}

static void on_end(void *arg)
{
    end(arg);
}

static bool start(struct pipe *p, struct err *e)
{
    static const struct link_handler link_handler = { on_welcome, on_message, NULL,     on_refused,
                                                      on_typing,  on_lost,    on_denied };
    static const struct input_handler input_handler = { on_line, on_too_long, on_end };
    struct link_conf conf = chat_link_conf(p->conf, NULL);
    if (loop_new(0, &p->loop, e))
        return false;
    timer_init(&p->patience, p->loop, on_no_sign, p);
    timer_init(&p->again, p->loop, send_line, p);
    timer_init(&p->outage, p->loop, on_outage, p);
    p->input = input_new(p->loop, STDIN_FILENO, &input_handler, p);
    p->link = link_new(p->loop, &conf, &link_handler, p, e);
    return p->link != NULL;
}

int chat_pipe(const struct chat_conf *conf)
{
    struct pipe p = { .conf = conf };
    struct err e = ERR_INIT;
    if (start(&p, &e)) {
        loop_run(p.loop);
    } else {
        p.status = chat_no_start(conf, &e);
    }
    timer_cancel(&p.patience);
    timer_cancel(&p.again);
    timer_cancel(&p.outage);
    input_free(&p.input);
    link_free(&p.link);
    loop_free(&p.loop);
    free(p.line);
    free(p.id);
    free(p.answer_id);
    return p.status;
}
