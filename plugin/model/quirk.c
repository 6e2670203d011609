#include "plugin/model/quirk.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#define COUNT(table) (sizeof(table) / sizeof *(table))
#define TEXT_BYTES (FAILURE_MESSAGE_BYTES + 2)
#define PHRASE_BYTES 64
#define NOT_SUPPORTED_ZH "不支持"

enum { STREAM, STREAM_OPTIONS, OBFUSCATION }; /* places of members that are looked at by themselves */

/* The members that can be given up; their places are the bits of `dropped`. The
 * ones that are words of English too must stand in quotes to be meant. */
static const struct {
    const char *name;
    bool word;
} members[] = {
    [STREAM] = {"stream", true},
    [STREAM_OPTIONS] = {"stream_options", false},
    [OBFUSCATION] = {"include_obfuscation", false},
    {"temperature", false},
    {"top_p", false},
    {"frequency_penalty", false},
    {"presence_penalty", false},
    {"stop", true},
    {"seed", true},
    {"logit_bias", false},
    {"reasoning_effort", false},
    {"verbosity", true},
    {"service_tier", false},
    {"store", true},
    {"metadata", true},
    {"user", true},
    {"user_id", false},
    {"safety_identifier", false},
    {"prompt_cache_key", false},
    {"prompt_cache_retention", false},
    {"prompt_cache_options", false},
    {"web_search_options", false},
    {"prediction", true},
    {"moderation", true},
};
_Static_assert(COUNT(members) <= 32, "bits of quirks.dropped");

static const char *const fields[] = {[MAX_TOKENS_OLD] = "max_tokens", [MAX_TOKENS_COMPLETION] = "max_completion_tokens"};
static const char *const roles[] = {
    [SYSTEM_ROLE_SYSTEM] = "system", [SYSTEM_ROLE_DEVELOPER] = "developer", [SYSTEM_ROLE_USER] = "user"};

/* --- the message --- */

/* A copy in which phrases can be looked for: lower case, one kind of quotes, one
 * blank where several were. A blank stands at each end. */
struct text {
    char s[TEXT_BYTES];
    const char *param;
};

static void text_init(struct text *t, const struct failure *f)
{
    size_t n = 0;
    t->s[n++] = ' ';
    for (const char *s = f->message; *s; s++) {
        char c = (char)tolower((unsigned char)*s);
        c = c == '"' || c == '`' ? '\'' : c == '\n' || c == '\t' || c == '\\' ? ' ' : c;
        if (c != ' ' || t->s[n - 1] != ' ')
            t->s[n++] = c;
    }
    t->s[n] = '\0';
    t->param = strncmp(f->param, "body.", 5) == 0 ? f->param + 5 : f->param;
}

static bool says(const struct text *t, const char *phrase)
{
    return strstr(t->s, phrase) != NULL;
}

static bool says_any(const struct text *t, const char *const *phrases)
{
    for (; *phrases; phrases++)
        if (says(t, *phrases))
            return true;
    return false;
}

/* That the thing itself is refused, not its value: words of messages about `param`. */
static const char *const refusals[] = {
    "not supported", "unsupported", "does not support", "doesn't support", "unknown parameter", "unknown field",
    "unknown name", "unrecognized", "not permitted", "not allowed", "unexpected", "is unavailable", "is not available",
    "is deprecated", "extra inputs", "extra fields", "not accept", NOT_SUPPORTED_ZH, NULL,
};

/* Right before a name. */
static const char *const before[] = {
    "unsupported parameter:", "unsupported parameter", "unsupported parameters:", "unknown parameter:",
    "unknown parameter", "unsupported value:", "unrecognized request argument supplied:",
    "unrecognized request arguments supplied:", "unrecognized parameter:", "unknown name", "unknown field",
    "unknown field:", "unknown argument", "unknown argument:", "unexpected keyword argument", "unexpected field",
    "unsupported field", "not supported on this model:", "not supported with this model:", "does not support parameter",
    "does not support parameters:", "does not support the parameter", "not permitted, field:", "parameter not supported:",
    NULL,
};

/* Right behind a name. */
static const char *const behind[] = {
    "is not supported", "are not supported", "not supported", "is unsupported", "does not support", "doesn't support",
    "parameter is not supported", "parameter not supported", "field is not supported", "is not permitted",
    "extra inputs are not permitted", "extra fields not permitted", "is not allowed", "is not available",
    "is unavailable", "is deprecated", "is not accepted", "isn't supported", "cannot both be specified",
    "cannot find field", "is an unknown parameter", "is not a valid parameter", "unknown field",
    NOT_SUPPORTED_ZH, NULL,
};

static bool name_char(char c)
{
    return isalnum((unsigned char)c) || c == '_';
}

/* Bytes of name at s, where underscores may be missing (xAI's camel case); 0: another word. */
static size_t name_at(const char *s, const char *name)
{
    const char *begin = s;
    for (; *name; name++) {
        if (*name == *s)
            s++;
        else if (*name != '_')
            return 0;
    }
    return name_char(*s) ? 0 : (size_t)(s - begin);
}

/* Whether one of the phrases ends at `end`, with nothing but blanks, quotes and brackets between. */
static bool phrase_before(const char *text, const char *end)
{
    while (end > text && strchr(" '[{(", end[-1]))
        end--;
    for (const char *const *p = before; *p; p++) {
        size_t len = strlen(*p);
        if ((size_t)(end - text) >= len && strncmp(end - len, *p, len) == 0)
            return true;
    }
    return false;
}

static bool phrase_behind(const char *s)
{
    while (*s && strchr(" '])}:", *s))
        s++;
    for (const char *const *p = behind; *p; p++)
        if (strncmp(s, *p, strlen(*p)) == 0)
            return true;
    return false;
}

/* Pydantic prints ('body', 'NAME') beside "extra_forbidden". */
static bool in_extra_loc(const struct text *t, const char *at)
{
    static const char *const locs[] = {"('body', '", "['body', '", "['body','"};
    for (size_t i = 0; i < COUNT(locs) && (says(t, "extra_forbidden") || says(t, "extra inputs")); i++) {
        size_t len = strlen(locs[i]);
        if ((size_t)(at - t->s) >= len && strncmp(at - len, locs[i], len) == 0)
            return true;
    }
    return false;
}

/* Whether the message says itself that it means name. */
static bool message_refuses(const struct text *t, const char *name, bool must_be_quoted)
{
    for (const char *at = t->s + 1; *at; at++) {
        size_t len = name_char(at[-1]) ? 0 : name_at(at, name);
        if (len == 0)
            continue;
        while (at[len] == '.' && name_char(at[len + 1])) /* a member of it */
            for (len++; name_char(at[len]);)
                len++;
        bool quoted = at[-1] == '\'' && at[len] == '\'';
        if (phrase_before(t->s, at) || in_extra_loc(t, at))
            return true;
        if ((quoted || !must_be_quoted) && phrase_behind(at + len))
            return true;
    }
    return false;
}

static bool param_is(const struct text *t, const char *name)
{
    size_t len = strlen(name);
    return strncmp(t->param, name, len) == 0 && (t->param[len] == '\0' || t->param[len] == '.');
}

static bool refuses(const struct text *t, const char *name, bool must_be_quoted)
{
    return (param_is(t, name) && says_any(t, refusals)) || message_refuses(t, name, must_be_quoted);
}

/* --- what is learned --- */

static bool learn_bit(uint32_t *bits, uint32_t bit)
{
    bool news = !(*bits & bit);
    *bits |= bit;
    return news;
}

static bool learn_members(struct quirks *q, const struct text *t)
{
    bool news = false;
    for (size_t i = 0; i < COUNT(members); i++)
        if (refuses(t, members[i].name, members[i].word))
            news |= learn_bit(&q->dropped, 1U << i);
    if (q->dropped & (1U << STREAM))
        q->dropped |= 1U << STREAM_OPTIONS; /* it may only stand beside the other */
    return news;
}

/* Of stream_options one member is newer than the rest: give up that one alone. */
static bool learn_obfuscation(struct quirks *q, const struct text *t)
{
    static const char name[] = "stream_options.include_obfuscation";
    if (strcmp(t->param, name) != 0 && !says(t, "'stream_options.include_obfuscation'"))
        return false;
    return says_any(t, refusals) && learn_bit(&q->dropped, 1U << OBFUSCATION);
}

static bool learn_field(struct quirks *q, const struct model_conf *m, const struct text *t)
{
    enum max_tokens_field sent = quirk_max_tokens_field(q, m);
    if (m->max_tokens <= 0 || sent == MAX_TOKENS_NONE || !refuses(t, fields[sent], false))
        return false;
    q->fields_refused |= (uint8_t)(1U << sent);
    return true;
}

/* LM Studio: 'response_format.type' must be 'json_schema' or 'text'. */
static bool only_schemas(const struct text *t)
{
    return says(t, "response_format.type' must be 'json_schema'");
}

static bool type_refused(const struct text *t)
{
    static const char *const phrases[] = {
        "'json_schema' is not supported", "'json_schema' not supported", "json_schema is not supported",
        "'json_schema' is unavailable", "does not support 'json_schema'", "does not support json_schema",
        "response_format type is unavailable", "response_format type is not supported", NULL,
    };
    return says_any(t, phrases);
}

static bool learn_format(struct quirks *q, const struct text *t)
{
    enum quirk_format now = q->format;
    bool of_type = strcmp(t->param, "response_format.type") == 0 ||
                   (param_is(t, "response_format") && says(t, "'json_schema'"));
    bool no_objects = only_schemas(t) || message_refuses(t, "json_object", true);
    if (now == FORMAT_NONE)
        return false;
    if (!no_objects && (type_refused(t) || (of_type && says_any(t, refusals))))
        q->format = now + 1;
    else if (no_objects || refuses(t, "response_format", false))
        q->format = FORMAT_NONE;
    return q->format != now;
}

static bool says_word(const struct text *t, const char *phrase)
{
    for (const char *at = t->s + 1; (at = strstr(at, phrase)) != NULL; at++)
        if (!name_char(at[-1]))
            return true;
    return false;
}

/* "%" in a phrase is the role. */
static bool says_of_role(const struct text *t, const char *const *phrases, const char *role)
{
    for (; *phrases; phrases++) {
        char phrase[PHRASE_BYTES];
        const char *at = strchr(*phrases, '%');
        snprintf(phrase, sizeof phrase, "%.*s%s%s", (int)(at - *phrases), *phrases, role, at + 1);
        if (says_word(t, phrase))
            return true;
    }
    return false;
}

static bool role_refused(const struct text *t, enum system_role role)
{
    static const char *const plain[] = {
        "% role not supported", "% role is not supported", "'%' role is not supported", "% messages are not supported",
        "% message is not supported", "role '%' is not supported", "role % is not supported", "unknown role: %",
        "unknown role '%'", "unsupported role: %", "unsupported role '%'", "invalid role: %", "invalid role '%'",
        "unexpected role '%'", "unexpected role: %", "unknown variant '%'", "does not support the % role",
        "does not support % messages", "does not support the '%' role", NULL,
    };
    static const char *const of_roles[] = {
        "does not support '%'", "'%' is not one of", "invalid value: '%'", "'%' is not a valid", NULL,
    };
    bool about_roles = says(t, "role") || strstr(t->param, "role");
    if (says_of_role(t, plain, roles[role]) || (about_roles && says_of_role(t, of_roles, roles[role])))
        return true;
    return role == SYSTEM_ROLE_DEVELOPER && (says(t, "unexpected message role") || says(t, "roles are supported"));
}

static bool learn_role(struct quirks *q, const struct model_conf *m, const struct text *t)
{
    enum system_role sent = quirk_system_role(q, m);
    if (sent == SYSTEM_ROLE_USER || !role_refused(t, sent))
        return false;
    q->roles_refused |= (uint8_t)(1U << sent);
    if (sent == SYSTEM_ROLE_SYSTEM && !says(t, "developer")) /* then it knows no better one either */
        q->roles_refused |= 1U << SYSTEM_ROLE_DEVELOPER;
    return true;
}

/* messages[0].name, messages.0.name */
static bool is_name_path(const char *s)
{
    static const char begin[] = "messages";
    if (strncmp(s, begin, strlen(begin)) != 0)
        return false;
    s += strlen(begin);
    s += strspn(s, "[].0123456789");
    return strncmp(s, "name", 4) == 0 && !name_char(s[4]);
}

static bool learn_names(struct quirks *q, const struct text *t)
{
    bool refused = is_name_path(t->param) || says(t, "property 'name' is unsupported");
    for (const char *at = t->s; !refused && (at = strstr(at, "'messages")) != NULL; at++)
        refused = is_name_path(at + 1);
    bool news = refused && !q->no_names;
    q->no_names |= refused;
    return news;
}

static bool learn_alternation(struct quirks *q, const struct text *t)
{
    static const char *const phrases[] = {
        "roles must alternate", "must alternate between", "must be alternating", "roles should alternate", NULL,
    };
    bool news = !q->alternate && says_any(t, phrases);
    q->alternate |= news;
    return news;
}

bool quirk_learn(struct quirks *q, const struct model_conf *m, const struct failure *f)
{
    struct text t;
    bool refused = f->err.code == ERR_PARAM && (f->status == 400 || f->status == 422);
    if (!refused && f->status != 500)
        return false;
    text_init(&t, f);
    if (!refused) /* a chat template that gave up: no parameter's fault */
        return learn_role(q, m, &t) || learn_alternation(q, &t);
    if (learn_obfuscation(q, &t))
        return true;
    bool news = learn_field(q, m, &t);
    news |= learn_members(q, &t);
    news |= learn_format(q, &t);
    news |= learn_role(q, m, &t);
    news |= learn_names(q, &t);
    return learn_alternation(q, &t) || news;
}

/* --- what to do about it --- */

bool quirk_drops(const struct quirks *q, const char *member)
{
    for (size_t i = 0; q && i < COUNT(members); i++)
        if (strcmp(members[i].name, member) == 0)
            return q->dropped & (1U << i);
    return false;
}

enum max_tokens_field quirk_max_tokens_field(const struct quirks *q, const struct model_conf *m)
{
    enum max_tokens_field field = m->max_tokens_field;
    if (!q || field == MAX_TOKENS_NONE || !(q->fields_refused & (1U << field)))
        return field;
    field = field == MAX_TOKENS_OLD ? MAX_TOKENS_COMPLETION : MAX_TOKENS_OLD;
    return q->fields_refused & (1U << field) ? MAX_TOKENS_NONE : field;
}

enum system_role quirk_system_role(const struct quirks *q, const struct model_conf *m)
{
    const enum system_role order[] = {m->system_role, SYSTEM_ROLE_SYSTEM, SYSTEM_ROLE_DEVELOPER};
    for (size_t i = 0; i < COUNT(order); i++)
        if (!q || !(q->roles_refused & (1U << order[i])))
            return order[i];
    return SYSTEM_ROLE_USER;
}

enum quirk_format quirk_format(const struct quirks *q)
{
    return q ? q->format : FORMAT_CONFIGURED;
}

bool quirk_no_names(const struct quirks *q)
{
    return q && q->no_names;
}

bool quirk_alternate(const struct quirks *q)
{
    return q && q->alternate;
}

/* --- kept --- */

static const char field_word[] = "field:", role_word[] = "role:", names_word[] = "names", turns_word[] = "turns";
static const char *const format_words[] = {
    [FORMAT_CONFIGURED] = "format:configured", [FORMAT_JSON_OBJECT] = "format:json_object", [FORMAT_NONE] = "format:none"};

static void add_word(struct buf *out, size_t begin, const char *kind, const char *word)
{
    buf_addf(out, "%s%s%s", out->len > begin ? " " : "", kind, word);
}

void quirk_write(struct buf *out, const struct quirks *q)
{
    size_t begin = out->len;
    for (size_t i = 0; i < COUNT(members); i++)
        if (q->dropped & (1U << i))
            add_word(out, begin, "", members[i].name);
    for (size_t i = 0; i < COUNT(fields); i++)
        if (q->fields_refused & (1U << i))
            add_word(out, begin, field_word, fields[i]);
    for (size_t i = 0; i < COUNT(roles); i++)
        if (q->roles_refused & (1U << i))
            add_word(out, begin, role_word, roles[i]);
    if (q->format != FORMAT_CONFIGURED)
        add_word(out, begin, "", format_words[q->format]);
    if (q->no_names)
        add_word(out, begin, "", names_word);
    if (q->alternate)
        add_word(out, begin, "", turns_word);
}

/* Is this word, of len bytes, made of kind and name? */
static bool word_is(const char *word, size_t len, const char *kind, const char *name)
{
    size_t n = strlen(kind);
    return len == n + strlen(name) && strncmp(word, kind, n) == 0 && strncmp(word + n, name, len - n) == 0;
}

static void read_word(struct quirks *q, const char *word, size_t len)
{
    for (size_t i = 0; i < COUNT(members); i++)
        if (word_is(word, len, "", members[i].name))
            q->dropped |= 1U << i;
    for (size_t i = 0; i < COUNT(fields); i++)
        if (word_is(word, len, field_word, fields[i]))
            q->fields_refused |= (uint8_t)(1U << i);
    for (size_t i = 0; i < COUNT(roles); i++)
        if (word_is(word, len, role_word, roles[i]))
            q->roles_refused |= (uint8_t)(1U << i);
    for (size_t i = 0; i < COUNT(format_words); i++)
        if (word_is(word, len, "", format_words[i]) && i > q->format)
            q->format = (enum quirk_format)i;
    q->no_names |= word_is(word, len, "", names_word);
    q->alternate |= word_is(word, len, "", turns_word);
}

void quirk_read(struct quirks *q, const char *text)
{
    for (size_t len; *text; text += len + (text[len] == ' ')) {
        len = strcspn(text, " ");
        read_word(q, text, len);
    }
}

/* --- for people --- */

static void add_item(struct buf *out, size_t begin, const char *before_name, const char *name)
{
    buf_adds(out, out->len > begin ? ", " : "");
    buf_adds(out, before_name);
    buf_adds(out, name);
}

void quirk_describe(struct buf *out, const struct quirks *q, const struct model_conf *m)
{
    static const char *const formats[] = {NULL, "json_object instead of a schema", "no response_format"};
    size_t begin = out->len;
    enum max_tokens_field field = quirk_max_tokens_field(q, m);
    if (q->fields_refused)
        add_item(out, begin, "", field == MAX_TOKENS_NONE ? "no max_tokens" : fields[field]);
    for (size_t i = 0; i < COUNT(members); i++)
        if (q->dropped & (1U << i))
            add_item(out, begin, "no ", members[i].name);
    if (q->format != FORMAT_CONFIGURED)
        add_item(out, begin, "", formats[q->format]);
    if (q->roles_refused)
        add_item(out, begin, "role ", roles[quirk_system_role(q, m)]);
    if (q->no_names)
        add_item(out, begin, "", "no names");
    if (q->alternate)
        add_item(out, begin, "", "alternating roles");
}
