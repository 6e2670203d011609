/* cli_chat_screen.h: a conversation on a terminal, written as it goes on.
 *
 * A growing answer is written in place: only what came behind it is printed,
 * and if it was replaced, all of it again. The terminal stays in its own mode,
 * so what a person types shows up between. On anything but a terminal
 * only finished messages are written. Bytes that could steer the terminal are
 * left out of every text. */
#ifndef WARBLER_CLI_CHAT_SCREEN_H
#define WARBLER_CLI_CHAT_SCREEN_H

#include <stdbool.h>
#include <stdio.h>

#include "plugin/base/buf.h"

struct screen {
    FILE *out, *notes; /* notes: for what is not of the conversation */
    bool terminal;     /* out can erase a line */
    bool colours;
    const char *starts_over; /* said when an answer is replaced */

    /* private, as all below: where the cursor is */
    enum screen_place { SCREEN_BLANK, SCREEN_HINT, SCREEN_ANSWER } place;
    struct buf answer; /* as far as it stands on the screen */
    char *answer_id;   /* NULL: none is growing */
};

void screen_fini(struct screen *s);

void screen_prompt(struct screen *s);                   /* asks for the next line */
void screen_writing(struct screen *s, const char *text); /* somebody is writing; gone with whatever comes next */
void screen_typed(struct screen *s);                    /* the person pressed Enter */
void screen_note(struct screen *s, const char *text);
void screen_said(struct screen *s, const char *name, const char *text);
/* How the answer `id` stands now. */
void screen_answer(struct screen *s, const char *id, const char *name, const char *text, bool notice, bool done);
bool screen_busy(const struct screen *s); /* an answer is growing */

#endif
