#include "plugin/model/overflow.h"

#include <ctype.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#define DIGITS_MAX 9 /* no model takes a thousand million tokens */
#define GAP_MAX 8    /* what may stand between a phrase and its number: "(", "about " */

/* A number stands right behind one of these. The first that is there counts. */
static const char *const max_phrases[] = {
    "context length is only", "context length is", "context length of only", "context length of", "context length (",
    "context size of", "context size is", "context size (", "context window of", "context window is", "context window (",
    "maximum model length of", "maximum input length of", "input length should be [1,", "tokens allowed (",
    "token limit:", "token limit of", "token limit is", "must have less than", "must be <=", "limit is", "n_ctx =", " > ",
    "limit", NULL,
};
static const char *const used_phrases[] = {
    "you requested a total of", "you requested about", "you requested", "you passed", "resulted in", "prompt contains",
    "token count (", "prompt (length", "the input (", "request (", "prompt is too long:", "given:", "requested",
    "context limit:", "your request has", NULL,
};

/* Or right before one of these. */
static const char *const max_tails[] = {"maximum context length", "maximum", NULL};
static const char *const used_tails[] = {
    "tokens from the input", "tokens in the messages", "in the messages", "in your prompt", "of text input",
    "input tokens", NULL,
};

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* Digits, perhaps grouped by commas; -1: too many. */
static int64_t number(const char *s)
{
    int64_t n = 0;
    for (int digits = 0; is_digit(*s) || (*s == ',' && is_digit(s[1])); s++) {
        if (*s == ',')
            continue;
        if (digits++ == DIGITS_MAX)
            return -1;
        n = n * 10 + (*s - '0');
    }
    return n > 0 ? n : -1;
}

static int64_t number_behind(const char *s)
{
    for (int gap = 0; *s && gap < GAP_MAX; gap++, s++)
        if (is_digit(*s))
            return number(s);
        else if (!strchr(" :=(`'\"", *s) && !isalpha((unsigned char)*s))
            return -1;
    return -1;
}

static int64_t number_before(const char *text, const char *at)
{
    while (at > text && at[-1] == ' ')
        at--;
    const char *end = at;
    while (at > text && (is_digit(at[-1]) || (at[-1] == ',' && at < end)))
        at--;
    return at < end && is_digit(*at) ? number(at) : -1;
}

static int64_t find_behind(const char *text, const char *const *phrases)
{
    for (; *phrases; phrases++)
        for (const char *at = text; (at = strcasestr(at, *phrases)) != NULL;) {
            int64_t n = number_behind(at += strlen(*phrases));
            if (n > 0)
                return n;
        }
    return -1;
}

static int64_t find_before(const char *text, const char *const *tails)
{
    for (; *tails; tails++)
        for (const char *at = text; (at = strcasestr(at, *tails)) != NULL; at += strlen(*tails)) {
            int64_t n = number_before(text, at);
            if (n > 0)
                return n;
        }
    return -1;
}

void overflow_read(const char *message, int64_t *max_r, int64_t *used_r)
{
    *max_r = find_behind(message, max_phrases);
    if (*max_r < 0)
        *max_r = find_before(message, max_tails);
    *used_r = find_before(message, used_tails); /* of the prompt alone: told beside the sum, so looked for first */
    if (*used_r < 0)
        *used_r = find_behind(message, used_phrases);
}
