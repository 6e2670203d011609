#define PCRE2_CODE_UNIT_WIDTH 8
#include "plugin/chat/trigger.h"

#include <pcre2.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "plugin/base/buf.h"
#include "plugin/base/log.h"
#include "plugin/base/mem.h"
#include "plugin/base/utf8.h"

#define FOLD_BYTES_MAX (1024U * 1024)

struct keywords {
    pcre2_match_context *limits;
    pcre2_match_data *match;
    size_t n;
    pcre2_code *code[];
};

static void *give(PCRE2_SIZE size, void *arg)
{
    (void)arg;
    return mem_alloc(size);
}

static void take(void *p, void *arg)
{
    (void)arg;
    free(p);
}

/* A pattern that got no memory would match nothing, and the person would wait in vain. */
struct keywords *keywords_new(const struct strings *patterns)
{
    if (!patterns->n)
        return NULL;
    struct keywords *k = mem_alloc(sizeof(*k) + patterns->n * sizeof(k->code[0]));
    pcre2_general_context *memory = pcre2_general_context_create(give, take, NULL);
    pcre2_compile_context *compiling = pcre2_compile_context_create(memory);
    k->limits = pcre2_match_context_create(memory);
    pcre2_set_match_limit(k->limits, KEYWORD_MATCH_LIMIT);
    pcre2_set_depth_limit(k->limits, KEYWORD_DEPTH_LIMIT);
    k->match = pcre2_match_data_create(1, memory);
    for (size_t i = 0; i < patterns->n; i++) {
        int error;
        PCRE2_SIZE at;
        pcre2_code *code = pcre2_compile((PCRE2_SPTR)patterns->v[i], PCRE2_ZERO_TERMINATED,
                                         PCRE2_UTF | PCRE2_UCP | PCRE2_CASELESS, &error, &at, compiling);
        if (code)
            k->code[k->n++] = code;
    }
    pcre2_compile_context_free(compiling);
    pcre2_general_context_free(memory); /* what was made by it has a copy */
    return k;
}

void keywords_free(struct keywords **k)
{
    if (!*k)
        return;
    for (size_t i = 0; i < (*k)->n; i++)
        pcre2_code_free((*k)->code[i]);
    pcre2_match_data_free((*k)->match);
    pcre2_match_context_free((*k)->limits);
    free(*k);
    *k = NULL;
}

static bool keywords_match(const struct keywords *k, const char *text, size_t len)
{
    for (size_t i = 0; k && i < k->n; i++) {
        int rc = pcre2_match(k->code[i], (PCRE2_SPTR)text, len, 0, PCRE2_NO_UTF_CHECK, k->match, k->limits);
        if (rc >= 0)
            return true;
        if (rc != PCRE2_ERROR_NOMATCH)
            log_warn("trigger", "keyword pattern %zu gave up on a message (code %d); make the pattern simpler", i + 1, rc);
    }
    return false;
}

static bool is_name_letter(unsigned char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

bool trigger_mention(const char *text, size_t len, const char *name, size_t *end_r)
{
    struct buf hay, needle;
    buf_init(&hay, FOLD_BYTES_MAX);
    buf_init(&needle, FOLD_BYTES_MAX);
    buf_addc(&needle, '@');
    utf8_fold(&needle, name, strlen(name));
    utf8_fold(&hay, text, len);
    bool found = false;
    *end_r = 0;
    if (!buf_error(&hay) && !buf_error(&needle) && needle.len > 1) {
        const char *start = buf_str(&hay);
        for (const char *at = start; (at = strstr(at, needle.data)); at++) {
            const char *end = at + needle.len;
            if (is_name_letter((unsigned char)*end) || (at > start && is_name_letter((unsigned char)at[-1])))
                continue;
            found = true;
            if (at == start && text[0] == '@' && strncasecmp(text + 1, name, strlen(name)) == 0)
                *end_r = 1 + strlen(name);
            break;
        }
    }
    buf_free(&hay);
    buf_free(&needle);
    return found;
}

enum trigger_kind trigger_match(const struct trigger_in *in, size_t *skip_r)
{
    size_t at;
    *skip_r = 0;
    if (in->triggers & TRIGGER_PREFIX && in->bot->prefix && *in->bot->prefix) {
        size_t n = strlen(in->bot->prefix);
        if (in->len >= n && memcmp(in->text, in->bot->prefix, n) == 0) {
            *skip_r = n;
            return TRIGGER_PREFIX;
        }
    }
    if (in->triggers & TRIGGER_DIRECT && in->direct)
        return TRIGGER_DIRECT;
    if (in->triggers & TRIGGER_MENTION && (in->mentioned || trigger_mention(in->text, in->len, in->bot->name, &at)))
        return TRIGGER_MENTION;
    if (in->triggers & TRIGGER_REPLY && in->reply_to_bot)
        return TRIGGER_REPLY;
    if (in->triggers & TRIGGER_KEYWORD && keywords_match(in->keywords, in->text, in->len))
        return TRIGGER_KEYWORD;
    if (in->triggers & TRIGGER_ALWAYS)
        return TRIGGER_ALWAYS;
    if (in->triggers & TRIGGER_CHANCE && in->dice < in->bot->chance)
        return TRIGGER_CHANCE;
    return 0;
}

const char *trigger_name(enum trigger_kind kind)
{
    static const char *const names[] = { "direct", "mention", "reply", "prefix", "keyword", "always", "chance" };
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (kind == (enum trigger_kind)(1U << i))
            return names[i];
    return "none";
}
