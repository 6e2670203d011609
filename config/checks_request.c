/* The checks of settings that become members of a request; checks.h. */
#include "config/checks.h"

#include <ctype.h>
#include <string.h>

#include "plugin/base/json.h"
#include "plugin/base/utf8.h"

/* Limits of the chat-completions reference, section 2. */
#define BIAS_MAX 100
#define BIAS_DIGITS_MAX 10 /* no vocabulary is larger */
#define METADATA_PAIRS_MAX 16
#define METADATA_KEY_POINTS_MAX 64
#define METADATA_VALUE_POINTS_MAX 512
#define SCHEMA_NAME_MAX 64

static bool one_of(const char *word, const char *const *words)
{
    for (; word && *words; words++)
        if (strcmp(word, *words) == 0)
            return true;
    return false;
}

/* A member that must be text, or need not be there. */
static bool is_text_or_absent(const cJSON *object, const char *name)
{
    const cJSON *member = cJSON_GetObjectItemCaseSensitive(object, name);

    return !member || cJSON_IsString(member);
}

static bool is_word_or_absent(const cJSON *object, const char *name, const char *const *words)
{
    return !cJSON_GetObjectItemCaseSensitive(object, name) || one_of(json_str(object, name), words);
}

static enum err_code check_members(const cJSON *object, const char *const *known, struct err *e)
{
    const cJSON *member;

    cJSON_ArrayForEach(member, object)
        if (!one_of(member->string, known))
            return err_set(e, ERR_INVALID, "has a member \"%.32s\" that is not known", member->string);
    return ERR_OK;
}

/* Runs a check of the parsed object. */
static enum err_code with_json(const char *value, enum err_code (*check)(const cJSON *object, struct err *e), struct err *e)
{
    cJSON *object = json_parse(value, strlen(value));
    enum err_code code = check(object, e);

    cJSON_Delete(object);
    return code;
}

/* --- text ----------------------------------------------------------------- */

enum err_code check_api_version(const char *value, struct err *e)
{
    for (const char *c = value; *c; c++)
        if (!isalnum((unsigned char)*c) && !strchr("-._", *c))
            return err_set(e, ERR_INVALID, "must be a version such as \"2024-10-21\" or \"preview\"");
    return ERR_OK;
}

enum err_code check_template_part(const char *value, struct err *e)
{
    const char *text = strstr(value, "{text}");

    if (!text || strstr(text + 1, "{text}"))
        return err_set(e, ERR_INVALID, "must contain {text} once: that is where the text goes");
    return ERR_OK;
}

/* --- response_format ------------------------------------------------------ */

static bool is_schema_name(const char *name)
{
    size_t len = name ? strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-") : 0;

    return len > 0 && len <= SCHEMA_NAME_MAX && !name[len];
}

static enum err_code check_json_schema(const cJSON *inner, struct err *e)
{
    static const char *const known[] = { "name", "description", "schema", "strict", NULL };
    const cJSON *schema = cJSON_GetObjectItemCaseSensitive(inner, "schema");
    const cJSON *strict = cJSON_GetObjectItemCaseSensitive(inner, "strict");

    if (!cJSON_IsObject(inner))
        return err_set(e, ERR_INVALID, "must have an object \"json_schema\" for that type");
    if (!is_schema_name(json_str(inner, "name")))
        return err_set(e, ERR_INVALID, "must have a \"name\" of 1 to %d of a-z, A-Z, 0-9, _ and - in json_schema",
                       SCHEMA_NAME_MAX);
    if (schema && !cJSON_IsObject(schema))
        return err_set(e, ERR_INVALID, "must have an object as the \"schema\" of json_schema");
    if (!is_text_or_absent(inner, "description") || (strict && !cJSON_IsBool(strict)))
        return err_set(e, ERR_INVALID, "must have a text as \"description\" and true or false as \"strict\" in json_schema");
    return check_members(inner, known, e);
}

static enum err_code check_format_object(const cJSON *object, struct err *e)
{
    static const char *const types[] = { "text", "json_object", "json_schema", NULL };
    static const char *const known[] = { "type", "json_schema", NULL };
    const char *type = json_str(object, "type");

    if (!cJSON_IsObject(object) || !one_of(type, types))
        return err_set(e, ERR_INVALID, "must be \"text\", \"json_object\", or a JSON object whose \"type\" is \"text\", "
                       "\"json_object\" or \"json_schema\"");
    if (strcmp(type, "json_schema") == 0 && check_json_schema(cJSON_GetObjectItemCaseSensitive(object, "json_schema"), e))
        return e->code;
    return check_members(object, known, e);
}

enum err_code check_response_format(const char *value, struct err *e)
{
    static const char *const plain[] = { "text", "json_object", NULL };

    return one_of(value, plain) ? ERR_OK : with_json(value, check_format_object, e);
}

/* --- objects -------------------------------------------------------------- */

static enum err_code check_biases(const cJSON *object, struct err *e)
{
    const cJSON *bias;

    cJSON_ArrayForEach(bias, object) {
        size_t digits = strspn(bias->string, "0123456789");

        if (digits == 0 || digits > BIAS_DIGITS_MAX || bias->string[digits])
            return err_set(e, ERR_INVALID, "must name tokens by their numbers, not \"%.32s\"", bias->string);
        if (!cJSON_IsNumber(bias) || bias->valuedouble < -BIAS_MAX || bias->valuedouble > BIAS_MAX)
            return err_set(e, ERR_INVALID, "must give token %s a number from -%d to %d", bias->string, BIAS_MAX, BIAS_MAX);
    }
    return ERR_OK;
}

enum err_code check_logit_bias(const char *value, struct err *e)
{
    return with_json(value, check_biases, e);
}

static enum err_code check_pairs(const cJSON *object, struct err *e)
{
    const cJSON *pair;

    if (cJSON_GetArraySize(object) > METADATA_PAIRS_MAX)
        return err_set(e, ERR_INVALID, "must have at most %d members", METADATA_PAIRS_MAX);
    cJSON_ArrayForEach(pair, object) {
        if (utf8_points(pair->string, strlen(pair->string)) > METADATA_KEY_POINTS_MAX)
            return err_set(e, ERR_INVALID, "must have names of at most %d characters", METADATA_KEY_POINTS_MAX);
        if (!cJSON_IsString(pair) || utf8_points(pair->valuestring, strlen(pair->valuestring)) > METADATA_VALUE_POINTS_MAX)
            return err_set(e, ERR_INVALID, "must have a text of at most %d characters as \"%.64s\"", METADATA_VALUE_POINTS_MAX,
                           pair->string);
    }
    return ERR_OK;
}

enum err_code check_metadata(const char *value, struct err *e)
{
    return with_json(value, check_pairs, e);
}

static enum err_code check_predicted(const cJSON *object, struct err *e)
{
    static const char *const known[] = { "type", "content", NULL }, *const types[] = { "content", NULL };
    const cJSON *content = cJSON_GetObjectItemCaseSensitive(object, "content");

    if (!one_of(json_str(object, "type"), types) || (!cJSON_IsString(content) && !cJSON_IsArray(content)))
        return err_set(e, ERR_INVALID, "must be like {\"type\": \"content\", \"content\": \"…\"}");
    return check_members(object, known, e);
}

enum err_code check_prediction(const char *value, struct err *e)
{
    return with_json(value, check_predicted, e);
}

static enum err_code check_location(const cJSON *location, struct err *e)
{
    static const char *const known[] = { "country", "region", "city", "timezone", NULL }, *const types[] = { "approximate", NULL };
    const cJSON *place = cJSON_GetObjectItemCaseSensitive(location, "approximate");

    if (!location)
        return ERR_OK;
    if (!one_of(json_str(location, "type"), types) || !cJSON_IsObject(place))
        return err_set(e, ERR_INVALID, "must have a user_location like {\"type\": \"approximate\", \"approximate\": "
                       "{\"country\": \"DE\"}}");
    for (const char *const *name = known; *name; name++)
        if (!is_text_or_absent(place, *name))
            return err_set(e, ERR_INVALID, "must have a text as the %s of user_location", *name);
    return check_members(place, known, e);
}

static enum err_code check_search(const cJSON *object, struct err *e)
{
    static const char *const known[] = { "search_context_size", "user_location", NULL };
    static const char *const sizes[] = { "low", "medium", "high", NULL };

    if (!is_word_or_absent(object, "search_context_size", sizes))
        return err_set(e, ERR_INVALID, "must have \"low\", \"medium\" or \"high\" as search_context_size");
    if (check_location(cJSON_GetObjectItemCaseSensitive(object, "user_location"), e) != ERR_OK)
        return e->code;
    return check_members(object, known, e);
}

enum err_code check_web_search(const char *value, struct err *e)
{
    return with_json(value, check_search, e);
}

static enum err_code check_moderating(const cJSON *object, struct err *e)
{
    static const char *const known[] = { "model", "policy", NULL };
    const char *model = json_str(object, "model");

    if (!model || !*model)
        return err_set(e, ERR_INVALID, "must have the name of a model as \"model\"");
    return check_members(object, known, e);
}

enum err_code check_moderation(const char *value, struct err *e)
{
    return with_json(value, check_moderating, e);
}

static enum err_code check_caching(const cJSON *object, struct err *e)
{
    static const char *const known[] = { "mode", "ttl", NULL }, *const modes[] = { "implicit", "explicit", NULL };

    if (!is_word_or_absent(object, "mode", modes))
        return err_set(e, ERR_INVALID, "must have \"implicit\" or \"explicit\" as mode");
    if (!is_text_or_absent(object, "ttl"))
        return err_set(e, ERR_INVALID, "must have a text such as \"30m\" as ttl");
    return check_members(object, known, e);
}

enum err_code check_cache_options(const char *value, struct err *e)
{
    return with_json(value, check_caching, e);
}
