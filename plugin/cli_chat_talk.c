#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "plugin/base/mem.h"
#include "plugin/base/utf8.h"
#include "plugin/cli_chat.h"
#include "plugin/cli_chat_screen.h"
#include "plugin/cli_chat_visitor.h"
#include "plugin/cli_input.h"
#include "plugin/daemon.h"
#include "plugin/net/server.h"

#define LEAVE_MS 2000 /* for the server to acknowledge what was typed last */
#define NOTE_BYTES_MAX 4096U

struct talk {
    const struct chat_conf *conf;
    struct loop *loop;
    struct chat_link *link;
    struct input *input;
    struct screen screen;
    char *visitor; /* NULL: not known yet */
    char *bot;     /* what to call it */
    bool greeted, outage, leaving;
    struct timer leave;
    int status;
};

static void note(struct talk *t, enum chat_text id, const char *a, const char *b)
{
    struct buf text;
    buf_init(&text, NOTE_BYTES_MAX);
    chat_text(&text, id, t->conf->lang, a, b);
    screen_note(&t->screen, buf_str(&text));
    buf_free(&text);
}

/* The person's turn, unless the bot is in the middle of something. */
static void prompt(struct talk *t)
{
    if (t->greeted && !t->outage && !screen_busy(&t->screen))
        screen_prompt(&t->screen);
}

static void end(struct talk *t, int status)
{
    t->status = status;
    link_close(t->link);
    loop_stop(t->loop);
}

/* --- the connection --- */
static void remember(struct talk *t, const char *visitor)
{
    struct err e = ERR_INIT;
    if (t->visitor && strcmp(t->visitor, visitor) == 0)
        return;
    if (t->visitor)
        note(t, CHAT_NEW_VISITOR, NULL, NULL);
    free(t->visitor);
    t->visitor = mem_dup(visitor);
    if (visitor_save(t->conf->url, visitor, &e))
        note(t, CHAT_NOT_REMEMBERED, e.text, NULL);
}

static void greet(struct talk *t, const char *bot)
{
    note(t, *bot ? CHAT_HELLO_BOT : CHAT_HELLO, t->conf->url, bot);
    if (!*bot)
        note(t, CHAT_NO_BOT, NULL, NULL);
    t->greeted = true;
}

static void set_bot(struct talk *t, const char *bot)
{
    struct buf name;
    buf_init(&name, NOTE_BYTES_MAX);
    if (*bot)
        buf_adds(&name, bot);
    else
        chat_text(&name, CHAT_BOT, t->conf->lang, NULL, NULL);
    free(t->bot);
    t->bot = buf_take(&name);
}

static void on_welcome(void *arg, const struct link_welcome *w)
{
    struct talk *t = arg;
    remember(t, w->visitor);
    set_bot(t, w->bot);
    if (!t->greeted)
        greet(t, w->bot);
    else
        note(t, CHAT_AGAIN, NULL, NULL);
    t->outage = false;
    prompt(t);
}

static void on_message(void *arg, const struct link_message *m)
{
    struct talk *t = arg;
    struct buf you;
    buf_init(&you, NOTE_BYTES_MAX);
    chat_text(&you, CHAT_YOU, t->conf->lang, NULL, NULL);
    if (m->bot)
        screen_answer(&t->screen, m->id, t->bot, m->text, m->notice, m->done);
    else
        screen_said(&t->screen, strcmp(m->from, "you") == 0 ? buf_str(&you) : m->from, m->text);
    buf_free(&you);
    prompt(t);
}

static void on_acked(void *arg)
{
    struct talk *t = arg;
    if (t->leaving && link_idle(t->link))
        end(t, 0);
}

static void on_refused(void *arg, const char *id, const char *code, const char *text)
{
    struct talk *t = arg;
    (void)id;
    note(t, chat_refusal(code), text, NULL);
    on_acked(t);
    prompt(t);
}

static void on_typing(void *arg, const char *from, bool on)
{
    struct talk *t = arg;
    struct buf text;
    if (strcmp(from, "bot") != 0)
        return;
    buf_init(&text, NOTE_BYTES_MAX);
    chat_text(&text, CHAT_WRITING, t->conf->lang, t->bot, NULL);
    if (on)
        screen_writing(&t->screen, buf_str(&text));
    else
        prompt(t);
    buf_free(&text);
}

static void on_lost(void *arg, const struct link_loss *loss)
{
    struct talk *t = arg;
    if (t->leaving) {
        end(t, 0);
        return;
    }
    if (t->outage)
        return;
    t->outage = true;
    if (!t->greeted)
        note(t, CHAT_REFUSED_WAIT, t->conf->url, loss->reason);
    else
        note(t, loss->code == WS_CLOSE_GOING_AWAY ? CHAT_RESTARTING : CHAT_LOST, loss->reason, NULL);
}

static void on_denied(void *arg, const char *text)
{
    struct talk *t = arg;
    screen_fini(&t->screen);
    chat_complain(t->conf, CHAT_DENIED, text, NULL);
    end(t, EXIT_CONFIG);
}

/* --- the keyboard --- */
static void say(struct talk *t, const char *text, size_t len)
{
    struct buf clean;
    buf_init(&clean, INPUT_LINE_BYTES_MAX * 3);
    utf8_clean(&clean, text, len);
    if (!link_send(t->link, buf_str(&clean)))
        note(t, CHAT_TOO_MANY, NULL, NULL);
    buf_free(&clean);
}

static void on_line(void *arg, const char *text, size_t len)
{
    struct talk *t = arg;
    screen_typed(&t->screen);
    if (text[strspn(text, " \t")] != '\0')
        say(t, text, len);
    prompt(t);
    input_next(t->input);
}

static void on_too_long(void *arg)
{
    struct talk *t = arg;
    note(t, CHAT_TOO_LONG, NULL, NULL);
    input_next(t->input);
}

static void on_leave_time(void *arg)
{
    end(arg, 0);
}

static void on_end(void *arg)
{
    struct talk *t = arg;
    t->leaving = true;
    timer_set(&t->leave, link_idle(t->link) ? 0 : LEAVE_MS);
}

/* --- the whole --- */
static void screen_setup(struct talk *t)
{
    static char starts_over[64];
    struct buf text;
    const char *term = getenv("TERM"), *no_colour = getenv("NO_COLOR");
    buf_init(&text, sizeof(starts_over));
    chat_text(&text, CHAT_STARTS_OVER, t->conf->lang, NULL, NULL);
    snprintf(starts_over, sizeof(starts_over), "%s", buf_str(&text));
    buf_free(&text);
    bool terminal = isatty(STDOUT_FILENO) && term && *term && strcmp(term, "dumb") != 0;
    t->screen = (struct screen) {
        .out = stdout,
        .notes = stderr,
        .terminal = terminal,
        .colours = terminal && !(no_colour && *no_colour),
        .starts_over = starts_over,
    };
}

static bool start(struct talk *t, struct err *e)
{
    static const struct link_handler link_handler = { on_welcome, on_message, on_acked, on_refused,
                                                      on_typing,  on_lost,    on_denied };
    static const struct input_handler input_handler = { on_line, on_too_long, on_end };
    struct link_conf conf = chat_link_conf(t->conf, t->visitor);
    if (loop_new(0, &t->loop, e))
        return false;
    timer_init(&t->leave, t->loop, on_leave_time, t);
    t->input = input_new(t->loop, STDIN_FILENO, &input_handler, t);
    t->link = link_new(t->loop, &conf, &link_handler, t, e);
    return t->link != NULL;
}

int chat_talk(const struct chat_conf *conf)
{
    struct talk t = { .conf = conf };
    struct err e = ERR_INIT;
    t.visitor = conf->fresh ? NULL : visitor_load(conf->url);
    screen_setup(&t);
    if (start(&t, &e)) {
        input_next(t.input);
        loop_run(t.loop);
    } else {
        t.status = chat_no_start(conf, &e);
    }
    screen_fini(&t.screen);
    timer_cancel(&t.leave);
    input_free(&t.input);
    link_free(&t.link);
    loop_free(&t.loop);
    free(t.visitor);
    free(t.bot);
    return t.status;
}
