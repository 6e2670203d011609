#include "plugin/cli_chat_screen.h"

#include <stdlib.h>
#include <string.h>

#include "plugin/base/mem.h"
#include "plugin/base/utf8.h"

#define TEXT_BYTES_MAX (2U * 1024 * 1024)

#define ERASE "\r\033[K"
#define RESET "\033[0m"
#define DIM "\033[2m"
#define BOT "\033[1;36m"
#define PERSON "\033[1;32m"
#define NOTICE "\033[33m"

static void paint(struct screen *s, const char *colour)
{
    if (s->colours)
        fputs(colour, s->out);
}

/* To the beginning of an empty line. What is being typed vanishes from the
 * screen, but stays in the terminal's hands. */
static void begin_line(struct screen *s)
{
    if (s->place == SCREEN_ANSWER || (s->place == SCREEN_HINT && !s->terminal))
        putc('\n', s->out);
    if (s->terminal)
        fputs(ERASE, s->out);
    s->place = SCREEN_BLANK;
}

static void clean(struct buf *out, const char *text)
{
    buf_init(out, TEXT_BYTES_MAX);
    utf8_clean(out, text, strlen(text));
    while (out->len && (out->data[out->len - 1] == '\n' || out->data[out->len - 1] == ' '))
        buf_cut(out, out->len - 1);
}

static void put_clean(FILE *out, const char *text)
{
    struct buf cleaned;
    clean(&cleaned, text);
    fputs(buf_str(&cleaned), out);
    buf_free(&cleaned);
}

static void put_name(struct screen *s, const char *colour, const char *name)
{
    begin_line(s);
    paint(s, colour);
    put_clean(s->out, name);
    paint(s, RESET);
    fputs(": ", s->out);
}

static void put_dim(struct screen *s, const char *text)
{
    begin_line(s);
    paint(s, DIM);
    put_clean(s->out, text);
    paint(s, RESET);
}

/* In the terminal's own colours unless it is a notice. */
static void put_text(struct screen *s, const char *text, bool notice)
{
    if (notice)
        paint(s, NOTICE);
    fputs(text, s->out);
    if (notice)
        paint(s, RESET);
}

static void end_answer(struct screen *s)
{
    free(s->answer_id);
    s->answer_id = NULL;
    buf_free(&s->answer);
}

void screen_fini(struct screen *s)
{
    if (s->place != SCREEN_BLANK)
        begin_line(s);
    fflush(s->out);
    end_answer(s);
}

void screen_prompt(struct screen *s)
{
    if (!s->terminal)
        return;
    begin_line(s);
    fputs("> ", s->out);
    s->place = SCREEN_HINT;
    fflush(s->out);
}

void screen_writing(struct screen *s, const char *text)
{
    if (!s->terminal || s->place == SCREEN_ANSWER)
        return;
    put_dim(s, text);
    s->place = SCREEN_HINT;
    fflush(s->out);
}

void screen_typed(struct screen *s)
{
    s->place = SCREEN_BLANK;
}

void screen_note(struct screen *s, const char *text)
{
    if (s->terminal) {
        put_dim(s, text);
        putc('\n', s->out);
        fflush(s->out);
    } else {
        put_clean(s->notes, text);
        putc('\n', s->notes);
    }
}

void screen_said(struct screen *s, const char *name, const char *text)
{
    put_name(s, PERSON, name);
    put_clean(s->out, text);
    putc('\n', s->out);
    fflush(s->out);
}

static bool begins_with(const struct buf *text, const struct buf *start)
{
    return text->len >= start->len && memcmp(buf_str(text), buf_str(start), start->len) == 0;
}

/* Brings what stands on the screen to text. */
static void grow(struct screen *s, const char *name, const struct buf *text, bool notice, bool done)
{
    if (!done && begins_with(&s->answer, text)) /* it began anew, and has said the same so far */
        return;
    if (!begins_with(text, &s->answer)) {
        put_dim(s, s->starts_over);
        putc('\n', s->out);
        buf_reset(&s->answer);
    }
    if (text->len == s->answer.len)
        return;
    if (s->place != SCREEN_ANSWER) {
        put_name(s, BOT, name);
        if (s->answer.len)
            fputs("…", s->out);
    }
    put_text(s, buf_str(text) + s->answer.len, notice);
    s->place = SCREEN_ANSWER;
    buf_add(&s->answer, buf_str(text) + s->answer.len, text->len - s->answer.len);
}

void screen_answer(struct screen *s, const char *id, const char *name, const char *text, bool notice, bool done)
{
    if (!s->terminal && !done)
        return;
    if (!s->answer_id || strcmp(s->answer_id, id) != 0) {
        end_answer(s);
        s->answer_id = mem_dup(id);
        buf_init(&s->answer, TEXT_BYTES_MAX);
    }
    struct buf cleaned;
    clean(&cleaned, text);
    grow(s, name, &cleaned, notice, done);
    buf_free(&cleaned);
    if (done && s->place == SCREEN_ANSWER) {
        putc('\n', s->out);
        s->place = SCREEN_BLANK;
    }
    if (done)
        end_answer(s);
    fflush(s->out);
}

bool screen_busy(const struct screen *s)
{
    return s->answer_id != NULL;
}
