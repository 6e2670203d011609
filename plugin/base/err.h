/* err.h: one error type for the whole program.
 *
 * The code decides what happens next (retry, tell the person, give up); the
 * text is for the log and the terminal. What a person in a chat reads comes
 * from chat/notice.h, one sentence per code and language, never from here. */
#ifndef WARBLER_BASE_ERR_H
#define WARBLER_BASE_ERR_H

enum err_code {
    ERR_OK = 0,
    ERR_INVALID,   /* input that breaks a rule: configuration, frame, argument */
    ERR_TOO_LARGE, /* over a named limit */
    ERR_NOT_FOUND,
    ERR_EXISTS,
    ERR_BUSY,      /* a queue is full; the same call may succeed later */
    ERR_IO,        /* file or socket call failed */
    ERR_FULL,      /* disk full */
    ERR_VERSION,   /* data from a newer program */
    ERR_NET,       /* connection refused, reset, TLS, name look-up */
    ERR_TIMEOUT,
    ERR_CANCELLED,
    /* what a model server can say; chat-completions reference, section 6 */
    ERR_AUTH,      /* key wrong or missing */
    ERR_QUOTA,     /* account has no money left */
    ERR_RATE,      /* too many requests, later is fine */
    ERR_OVERLOAD,
    ERR_CONTEXT,   /* conversation longer than the model takes */
    ERR_CONTENT,   /* refused by a content filter */
    ERR_MODEL,     /* no such model */
    ERR_PARAM,     /* request refused: other 400, 422 */
    ERR_SERVER,    /* other 5xx */
    ERR_PROTO,     /* the other side speaks nonsense */
    ERR_EMPTY,     /* finished without an answer */
    ERR_INTERNAL,
    ERR_COUNT
};

#define ERR_TEXT_BYTES 384

struct err {
    enum err_code code;
    char text[ERR_TEXT_BYTES]; /* one line, cut at a character's border, no secrets */
};

#define ERR_INIT { ERR_OK, "" }

/* Fills *e (which may be NULL) and returns code, so that a function can end
 * with `return err_set(e, ERR_IO, "…")`. */
enum err_code err_set(struct err *e, enum err_code code, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* Puts "prefix: " before the text of a failed call. Returns e->code, or
 * ERR_INTERNAL if e is NULL. */
enum err_code err_prefix(struct err *e, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/* Short lower-case name for logs and metrics labels: "rate", "timeout". Never NULL. */
const char *err_name(enum err_code code);

#endif
