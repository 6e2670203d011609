/* calibrate.h: how far our count of tokens is off for one model, learned from
 * what its server counts (chat-completions reference, section 11.4), and how
 * much fits into its context by our count. Pure.
 *
 * One struct per model, kept as long as the program knows the model, and one
 * per conversation with it, because a language has much to do with it
 * (calibrate_joined()); zeroed at first. After each answer with usage calibrate_learn(), after ERR_CONTEXT
 * calibrate_overflow(), before each request calibrate_budget(). All of them
 * take our own count as it is, never multiplied by the ratio before. */
#ifndef WARBLER_MODEL_CALIBRATE_H
#define WARBLER_MODEL_CALIBRATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CALIBRATE_NEW_PERCENT 30        /* weight of the newest answer */
#define CALIBRATE_RATIO_MIN 0.2         /* what lies outside is no token count of this text */
#define CALIBRATE_RATIO_MAX 8.0
#define CALIBRATE_TOKENS_MIN 8          /* less says nothing: the server's own frame around it weighs more */
#define CALIBRATE_TOKENS_MAX 100000000LL
#define CALIBRATE_MARGIN_PERCENT 5      /* of the context, kept free once the ratio is known */
#define CALIBRATE_SAFETY_PERCENT 125    /* a count that was never compared may be that much too low */
#define CALIBRATE_OUTPUT_TOKENS 1024    /* room for the answer where max_tokens is not set */
#define CALIBRATE_OVERFLOW_PERCENT 110  /* so much more than fits we take a request to have had that did not fit */
#define CALIBRATE_CONTEXT_MIN 64        /* tokens; no server has less */

struct calibration {
    double ratio;    /* the server's count / ours; 0: never compared */
    int64_t context; /* tokens that the server turned out to take; 0: it never said */
};

/* counted: ours, of the whole request; actual: the server's prompt_tokens.
 * False: nonsense, nothing was learned. */
bool calibrate_learn(struct calibration *c, size_t counted, int64_t actual);

/* A request of `counted` tokens did not fit. used, max: what the error said of
 * the request and of the context, 0 where it said nothing; configured: the
 * model's context_tokens, 0 unknown. Afterwards calibrate_budget() is lower
 * than counted, whatever the error said, if counted is over CALIBRATE_CONTEXT_MIN. */
void calibrate_overflow(struct calibration *c, size_t counted, int64_t used, int64_t max, int64_t configured,
                        int64_t max_output);

/* What is known of a conversation: the model's context, and the ratio of the
 * conversation itself as soon as it has one. own may be NULL. */
struct calibration calibrate_joined(const struct calibration *model, const struct calibration *own);

/* What the server will count, as far as we know. */
int64_t calibrate_expect(const struct calibration *c, size_t counted);

/* So many tokens by our count fit into the model's context beside the answer;
 * SIZE_MAX if nobody knows the context. configured, max_output: context_tokens
 * and max_tokens of the model, 0 where not set. The smaller of what is
 * configured and what the server said holds. */
size_t calibrate_budget(const struct calibration *c, int64_t configured, int64_t max_output);

#endif
