/* codec.h: the web chat's frames and the bodies of POST /chat, as text and as
 * structs. CONTRACTS, sections 4 and 5. Pure: no connection, no state.
 *
 * Writers append to a buffer; whether it all fitted is asked once, with
 * buf_error(). */
#ifndef WARBLER_WEBCHAT_CODEC_H
#define WARBLER_WEBCHAT_CODEC_H

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "plugin/adapter.h"
#include "plugin/base/buf.h"

#define NAME_POINTS_MAX 64U /* code points of a name, a room, a message's id */
#define LANG_BYTES_MAX 35U  /* of a language tag, RFC 5646 section 4.4.1 */

/* One event on its way out. A text is at most 256 KiB (chat.h), each byte of
 * which JSON makes at most six. */
#define FRAME_OUT_BYTES_MAX (2U * 1024 * 1024)

/* --- from the client --- */
enum frame_type { FRAME_NONE, FRAME_HELLO, FRAME_MESSAGE, FRAME_TYPING };

/* Strings are NULL where the member is absent; they belong to the frame. */
struct frame {
    enum frame_type type; /* FRAME_NONE: not one of ours */
    const char *visitor, *room, *name, *lang;
    int64_t last;         /* -1: absent */
    const char *id, *text, *reply_to;
    const char *why;      /* refused: one sentence for the other side's programmer */
    cJSON *tree;          /* private */
};
/* ERR_INVALID: `why` is set, and type and id as far as they are right. Legal
 * and needed in both cases: frame_fini(). */
enum err_code frame_read(struct frame *f, const char *data, size_t len);
void frame_fini(struct frame *f);

/* Body of POST /chat. */
struct question_body {
    const char *message;
    const char *conversation, *name; /* or NULL */
    const char *why;
    cJSON *tree; /* private */
};
enum err_code question_read(struct question_body *q, const char *data, size_t len);
void question_fini(struct question_body *q);

/* --- from the server --- */
void put_welcome(struct buf *out, const char *visitor, const char *room, const char *bot, int64_t last);
void put_ack(struct buf *out, const char *id, int64_t seq);
void put_answer(struct buf *out, const struct msg_out *m);
void put_edit(struct buf *out, const struct msg_out *m);
/* A person's message, to the others. */
void put_said(struct buf *out, const struct msg_in *m, int64_t seq);
/* A finished message, to the person with the key `self` who missed it. */
void put_past(struct buf *out, const struct msg_past *m, const char *self);
void put_typing(struct buf *out, const char *from, bool on);
void put_error(struct buf *out, const char *code, const char *text, const char *id); /* id may be NULL */

/* --- answers of POST /chat --- */
struct answer_body {
    const char *conversation, *reply;
    size_t reply_len;
    const char *finish; /* NULL: "stop" */
    const char *usage;  /* JSON object or NULL */
    bool notice;
};
void put_answer_body(struct buf *out, const struct answer_body *a);
/* Server-sent events: the last one, and those before it. */
void put_event_done(struct buf *out, const struct answer_body *a);
void put_event_delta(struct buf *out, const char *text, size_t len);
void put_event_replace(struct buf *out, const char *text, size_t len);

#endif
