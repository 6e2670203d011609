/* practice.h: the brain of the practice model, which stands in for a language
 * model in demos, tests and benchmarks: a Chat Completions request goes in, the
 * bytes of the HTTP answer come out. By rules, the same every time. Neither
 * network nor time: practice_call.h and practice_server.h bring those.
 *
 * The first answer of a conversation (the request holds no assistant message)
 * says what it is and how to connect a real model, in the language of the
 * person. Greetings, questions, code, long answers, all in English and Chinese;
 * a tool call if the request has tools and the person names one.
 *
 * What the last user message says decides more, for tests:
 *   #echo TEXT     the answer is exactly TEXT, to the end of the message
 *   #fail 429      the answer is that error; also 500; also `#fail cut`, which
 *                  breaks off in the middle. With `once` behind it
 *                  (`#fail cut once`) the same request succeeds the next time
 *   #sleep N       N ms before the first byte, instead of delay_ms
 *   #len N         an answer of N code points, instead of length_chars
 *   #history       how many messages the request held, and one line for each:
 *                  "2. user: its first words"
 * They can be combined: `#sleep 300 #echo hello`. */
#ifndef WARBLER_MODEL_PRACTICE_H
#define WARBLER_MODEL_PRACTICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "config/config.h"
#include "plugin/base/buf.h"
#include "plugin/model/completion.h"

#define PRACTICE_TEXT_BYTES_MAX (1024U * 1024) /* of an answer that was asked to be long */
#define PRACTICE_RETRY_AFTER_MS 1000           /* said with a 429 */
#define PRACTICE_ONCE_SLOTS 64                 /* requests that are remembered to have failed once */

/* What one practice model remembers between requests. */
struct practice {
    uint64_t seed;  /* decides with `requests` who gets an error of fail_rate */
    uint64_t requests;
    uint64_t failed[PRACTICE_ONCE_SLOTS]; /* hashes; a ring */
    size_t n_failed;
};

enum practice_step {
    PRACTICE_ROLE,
    PRACTICE_CONTENT,
    PRACTICE_CALL,
    PRACTICE_FINISH,
    PRACTICE_USAGE,
    PRACTICE_DONE,
    PRACTICE_END
};

struct practice_reply {
    int status;             /* 200, 400, 429, 500 */
    bool stream;            /* text/event-stream, else one piece of JSON */
    int64_t delay_ms;       /* before the first byte */
    int64_t chunk_ms;       /* between two pieces */
    int64_t retry_after_ms; /* -1: nothing is said */

    struct buf text, arguments, head; /* private, as all below */
    char *tool;
    int64_t chunk_points;
    size_t at, cut_at;
    bool cut;
    enum practice_step step;
    enum finish_reason finish;
    struct usage usage;
    bool send_usage;
};

void practice_init(struct practice *p, uint64_t seed);

/* Fills *r for the request's body. */
void practice_answer(struct practice *p, const struct practice_conf *knobs, const char *body, size_t len,
                     struct practice_reply *r);
void practice_reply_fini(struct practice_reply *r); /* legal on a zeroed struct */

/* Appends the next piece of the answer's body: an event of a stream, or all of
 * it. False, and nothing appended, when there is no more. */
bool practice_next(struct practice_reply *r, struct buf *out);

/* Appends the answer to GET /models. */
void practice_models(struct buf *out);

#endif
