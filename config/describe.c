#include "config/describe.h"

#include <inttypes.h>
#include <string.h>

#include "config/problem.h"
#include "plugin/base/json.h"

static const struct {
    const char *words, *typical;
    bool text;
} types[] = {
    [SETTING_BOOL] = { "true or false", "true", false },
    [SETTING_INT] = { "a whole number", "10", false },
    [SETTING_FLOAT] = { "a number", "0.5", false },
    [SETTING_STRING] = { "text in quotes", "text", true },
    [SETTING_SECRET] = { "text in quotes", "env:NAME", true },
    [SETTING_DURATION] = { "a duration in quotes", "30s", true },
    [SETTING_PATH] = { "a path in quotes", "./folder", true },
    [SETTING_ENUM] = { "a word in quotes", "", true },
    [SETTING_STRINGS] = { "a list of texts in quotes", "(\"one\", \"two\")", false },
    [SETTING_SECRETS] = { "a list of texts in quotes", "(\"env:ONE\", \"env:TWO\")", false },
    [SETTING_JSON] = { "a JSON object in quotes", "{\"member\": 1}", true },
    [SETTING_GROUP] = { "a group in braces", "{ … }", false },
    [SETTING_LIST] = { "a list of groups", "( { … } )", false },
};

bool describe_is_text(enum setting_type type)
{
    return types[type].text;
}

const char *describe_type(enum setting_type type)
{
    return types[type].words;
}

void describe_value(struct buf *out, const struct setting *s, const char *value)
{
    if (!types[s->type].text) {
        buf_adds(out, value);
        return;
    }
    buf_addc(out, '"');
    for (; *value; value++) {
        if (*value == '"' || *value == '\\')
            buf_addc(out, '\\');
        if (*value == '\n')
            buf_adds(out, "\\n");
        else
            buf_addc(out, *value);
    }
    buf_addc(out, '"');
}

static const char *sample_value(const struct setting *s)
{
    if (s->example)
        return s->example;
    if (s->fallback && *s->fallback && strcmp(s->fallback, "()") != 0)
        return s->fallback;
    return s->choices && types[s->type].text ? s->choices[0] : types[s->type].typical;
}

void describe_line(struct buf *out, const struct setting *s)
{
    buf_addf(out, "%s = ", s->name);
    describe_value(out, s, sample_value(s));
    buf_addc(out, ';');
}

void describe_duration(struct buf *out, int64_t ms)
{
    static const struct {
        int64_t ms;
        const char *unit;
    } units[] = { { 86400000, "d" }, { 3600000, "h" }, { 60000, "m" }, { 1000, "s" }, { 1, "ms" } };
    size_t i = 0;

    if (ms == 0) {
        buf_addc(out, '0');
        return;
    }
    while (ms % units[i].ms != 0)
        i++;
    buf_addf(out, "%" PRId64 "%s", ms / units[i].ms, units[i].unit);
}

void describe_limit(struct buf *out, enum setting_type type, double value)
{
    if (type == SETTING_DURATION)
        describe_duration(out, (int64_t)value);
    else if (type == SETTING_FLOAT)
        json_double(out, value);
    else
        buf_addi(out, (int64_t)value);
}

void describe_range(struct buf *out, const struct setting *s)
{
    if (s->min == 0 && s->max == 0)
        return;
    describe_limit(out, s->type, s->min);
    buf_adds(out, " to ");
    describe_limit(out, s->type, s->max);
}

void describe_choices(struct buf *out, const struct setting *s)
{
    for (size_t i = 0; s->choices && s->choices[i]; i++) {
        if (i > 0)
            buf_adds(out, s->choices[i + 1] ? ", " : " or ");
        buf_addf(out, "\"%s\"", s->choices[i]);
    }
}

const char *describe_found_kind(const config_setting_t *found)
{
    switch (config_setting_type(found)) {
    case CONFIG_TYPE_STRING: return "a text";
    case CONFIG_TYPE_BOOL: return "true or false";
    case CONFIG_TYPE_GROUP: return "a group { … }";
    case CONFIG_TYPE_LIST: return "a list ( … )";
    case CONFIG_TYPE_ARRAY: return "a list [ … ]";
    default: return "a number";
    }
}

void describe_found(struct buf *out, const config_setting_t *found)
{
    char shown[SHOWN_BYTES];

    switch (config_setting_type(found)) {
    case CONFIG_TYPE_STRING:
        buf_addf(out, "the text \"%s\"", problem_show(shown, config_setting_get_string(found)));
        break;
    case CONFIG_TYPE_BOOL:
        buf_adds(out, config_setting_get_bool(found) ? "true" : "false");
        break;
    case CONFIG_TYPE_INT:
    case CONFIG_TYPE_INT64:
        buf_addf(out, "the number %lld", config_setting_get_int64(found));
        break;
    case CONFIG_TYPE_FLOAT:
        buf_adds(out, "the number ");
        json_double(out, config_setting_get_float(found));
        break;
    default:
        buf_adds(out, describe_found_kind(found));
    }
}
