#include "plugin/model/schema_check.h"

#include <math.h>
#include <string.h>

#include "plugin/base/utf8.h"

#define PATH_BYTES_MAX 256U  /* a longer one loses its end */
#define SHOWN_BYTES_MAX 256U /* of a value in a complaint */
#define REF_KEY_BYTES 256U

struct check {
    const cJSON *root;
    int64_t steps; /* left */
    int depth;
    size_t path_len;
    char path[PATH_BYTES_MAX];
    struct buf *complaint; /* NULL: nobody listens */
};

static bool fits(struct check *c, const cJSON *schema, const cJSON *value);

/* --- complaints --- */

static void describe(struct check *c, const char *what, const cJSON *shown)
{
    char *text = shown ? cJSON_PrintUnformatted(shown) : NULL;
    if (c->path_len)
        buf_add(c->complaint, c->path, c->path_len);
    else
        buf_adds(c->complaint, "the value");
    buf_addc(c->complaint, ' ');
    buf_adds(c->complaint, what);
    if (text)
        buf_add(c->complaint, text, utf8_cut(text, strlen(text), SHOWN_BYTES_MAX));
    cJSON_free(text);
}

/* Only the first one is told: a model is better at mending one thing. Nothing
 * that is found after the work became too much means anything. */
static bool complain(struct check *c, const char *what, const cJSON *shown)
{
    if (c->complaint && c->complaint->len == 0 && c->steps > 0)
        describe(c, what, shown);
    return false;
}

/* Appends "/key" to the path and returns how long it was. */
static size_t enter(struct check *c, const char *key)
{
    size_t before = c->path_len, room = sizeof c->path - before, len = utf8_cut(key, strlen(key), room ? room - 1 : 0);
    if (room > 0 && (len > 0 || !*key)) {
        c->path[c->path_len++] = '/';
        memcpy(c->path + c->path_len, key, len);
        c->path_len += len;
    }
    return before;
}

static bool member_fits(struct check *c, const char *key, const cJSON *schema, const cJSON *value)
{
    size_t before = enter(c, key);
    bool good = fits(c, schema, value);
    c->path_len = before;
    return good;
}

/* --- looking, with a bound --- */

static const cJSON *find(struct check *c, const cJSON *object, const char *key)
{
    const cJSON *member = cJSON_IsObject(object) ? object->child : NULL;
    while (member && c->steps-- > 0 && strcmp(member->string, key) != 0)
        member = member->next;
    return c->steps > 0 ? member : NULL;
}

static int64_t count(struct check *c, const cJSON *list)
{
    int64_t n = 0;
    for (const cJSON *member = list->child; member && c->steps-- > 0; member = member->next)
        n++;
    return n;
}

static bool equal(struct check *c, const cJSON *a, const cJSON *b);

static bool equal_members(struct check *c, const cJSON *a, const cJSON *b)
{
    const cJSON *member, *other = b->child;
    if (count(c, a) != count(c, b))
        return false;
    cJSON_ArrayForEach(member, a) {
        if (cJSON_IsObject(a))
            other = find(c, b, member->string);
        if (!other || !equal(c, member, other))
            return false;
        other = other->next;
    }
    return true;
}

static bool equal(struct check *c, const cJSON *a, const cJSON *b)
{
    if (c->steps-- <= 0 || (a->type & 0xFF) != (b->type & 0xFF))
        return false;
    if (cJSON_IsNumber(a))
        return a->valuedouble == b->valuedouble;
    if (cJSON_IsString(a))
        return strcmp(a->valuestring, b->valuestring) == 0;
    return !(cJSON_IsObject(a) || cJSON_IsArray(a)) || equal_members(c, a, b);
}

/* --- keywords: each is given its own value, the schema around it and what is checked --- */

static bool is_of_type(const char *type, const cJSON *value)
{
    if (strcmp(type, "integer") == 0)
        return cJSON_IsNumber(value) && floor(value->valuedouble) == value->valuedouble;
    return (strcmp(type, "string") == 0 && cJSON_IsString(value)) ||
           (strcmp(type, "number") == 0 && cJSON_IsNumber(value)) ||
           (strcmp(type, "object") == 0 && cJSON_IsObject(value)) ||
           (strcmp(type, "array") == 0 && cJSON_IsArray(value)) ||
           (strcmp(type, "boolean") == 0 && cJSON_IsBool(value)) ||
           (strcmp(type, "null") == 0 && cJSON_IsNull(value));
}

static bool check_type(struct check *c, const cJSON *type, const cJSON *schema, const cJSON *value)
{
    const cJSON *one;
    (void)schema;
    if (cJSON_IsString(type) && !is_of_type(type->valuestring, value))
        return complain(c, "must be of type ", type);
    if (!cJSON_IsArray(type))
        return true;
    cJSON_ArrayForEach(one, type)
        if (cJSON_IsString(one) && is_of_type(one->valuestring, value))
            return true;
    return complain(c, "must be of one of the types ", type);
}

static bool check_enum(struct check *c, const cJSON *list, const cJSON *schema, const cJSON *value)
{
    const cJSON *one;
    (void)schema;
    if (!cJSON_IsArray(list))
        return true;
    cJSON_ArrayForEach(one, list)
        if (equal(c, one, value))
            return true;
    return complain(c, "must be one of ", list);
}

static bool check_const(struct check *c, const cJSON *constant, const cJSON *schema, const cJSON *value)
{
    (void)schema;
    return equal(c, constant, value) || complain(c, "must be ", constant);
}

static bool check_required(struct check *c, const cJSON *list, const cJSON *schema, const cJSON *value)
{
    const cJSON *name;
    (void)schema;
    if (!cJSON_IsObject(value) || !cJSON_IsArray(list))
        return true;
    cJSON_ArrayForEach(name, list)
        if (cJSON_IsString(name) && !find(c, value, name->valuestring))
            return complain(c, "must have the member ", name);
    return true;
}

static bool check_properties(struct check *c, const cJSON *properties, const cJSON *schema, const cJSON *value)
{
    const cJSON *property;
    (void)schema;
    if (!cJSON_IsObject(value) || !cJSON_IsObject(properties))
        return true;
    cJSON_ArrayForEach(property, properties) {
        const cJSON *member = find(c, value, property->string);
        if (member && !member_fits(c, property->string, property, member))
            return false;
    }
    return true;
}

static bool check_additional(struct check *c, const cJSON *additional, const cJSON *schema, const cJSON *value)
{
    const cJSON *properties = find(c, schema, "properties"), *member;
    if (!cJSON_IsObject(value))
        return true;
    cJSON_ArrayForEach(member, value)
        if (!find(c, properties, member->string) && !member_fits(c, member->string, additional, member))
            return false;
    return true;
}

static bool check_items(struct check *c, const cJSON *items, const cJSON *schema, const cJSON *value)
{
    const cJSON *item;
    int64_t i = 0;
    (void)schema;
    if (!cJSON_IsArray(value))
        return true;
    cJSON_ArrayForEach(item, value) {
        struct buf index;
        buf_init(&index, 24);
        buf_addi(&index, i++);
        bool good = member_fits(c, buf_str(&index), items, item);
        buf_free(&index);
        if (!good)
            return false;
    }
    return true;
}

static bool check_bound(struct check *c, const cJSON *bound, double size, bool least, const char *what)
{
    if (!cJSON_IsNumber(bound) || (least ? size >= bound->valuedouble : size <= bound->valuedouble))
        return true;
    return complain(c, what, bound);
}

static double size_of(struct check *c, const cJSON *value)
{
    if (cJSON_IsNumber(value))
        return value->valuedouble;
    if (!cJSON_IsString(value))
        return (double)count(c, value);
    size_t len = strlen(value->valuestring);
    c->steps -= (int64_t)len;
    return (double)utf8_points(value->valuestring, len);
}

#define BOUND(name, is_kind, least, what)                                                                    \
    static bool name(struct check *c, const cJSON *bound, const cJSON *schema, const cJSON *value)            \
    {                                                                                                         \
        (void)schema;                                                                                         \
        return !is_kind(value) || check_bound(c, bound, size_of(c, value), least, what);                      \
    }
BOUND(check_minimum, cJSON_IsNumber, true, "must be at least ")
BOUND(check_maximum, cJSON_IsNumber, false, "must be at most ")
BOUND(check_min_length, cJSON_IsString, true, "must have at least this many characters: ")
BOUND(check_max_length, cJSON_IsString, false, "must have at most this many characters: ")
BOUND(check_min_items, cJSON_IsArray, true, "must have at least this many items: ")
BOUND(check_max_items, cJSON_IsArray, false, "must have at most this many items: ")

static bool check_any_of(struct check *c, const cJSON *list, const cJSON *schema, const cJSON *value)
{
    const cJSON *one;
    (void)schema;
    if (!cJSON_IsArray(list))
        return true;
    struct buf *complaint = c->complaint;
    bool good = false;
    c->complaint = NULL;
    for (one = list->child; one && !good; one = one->next)
        good = fits(c, one, value);
    c->complaint = complaint;
    return good || complain(c, "must fit one of the alternatives of the schema", NULL);
}

/* One key of a JSON pointer (RFC 6901), up to the next slash. */
static const char *read_key(const char *pointer, char key[REF_KEY_BYTES])
{
    size_t n = 0;
    for (; *pointer && *pointer != '/' && n < REF_KEY_BYTES - 1; pointer++) {
        char ch = *pointer;
        if (ch == '~' && (pointer[1] == '0' || pointer[1] == '1'))
            ch = *++pointer == '0' ? '~' : '/';
        key[n++] = ch;
    }
    key[n] = '\0';
    return pointer;
}

static const cJSON *referred(struct check *c, const char *ref)
{
    const cJSON *at = c->root;
    char key[REF_KEY_BYTES];
    if (*ref++ != '#')
        return NULL;
    while (at && *ref == '/') {
        ref = read_key(ref + 1, key);
        at = find(c, at, key);
    }
    return at;
}

/* What leads nowhere is a fault of the schema, and not of the value. */
static bool check_ref(struct check *c, const cJSON *ref, const cJSON *schema, const cJSON *value)
{
    const cJSON *target = cJSON_IsString(ref) ? referred(c, ref->valuestring) : NULL;
    (void)schema;
    return !target || fits(c, target, value);
}

/* --- all --- */

static const struct {
    const char *name;
    bool (*check)(struct check *c, const cJSON *keyword, const cJSON *schema, const cJSON *value);
} keywords[] = {
    {"type", check_type},
    {"enum", check_enum},
    {"const", check_const},
    {"required", check_required},
    {"properties", check_properties},
    {"additionalProperties", check_additional},
    {"items", check_items},
    {"minItems", check_min_items},
    {"maxItems", check_max_items},
    {"minLength", check_min_length},
    {"maxLength", check_max_length},
    {"minimum", check_minimum},
    {"maximum", check_maximum},
    {"anyOf", check_any_of},
    {"$ref", check_ref},
};
#define N_KEYWORDS (sizeof keywords / sizeof *keywords)

static bool keyword_fits(struct check *c, const cJSON *keyword, const cJSON *schema, const cJSON *value)
{
    for (size_t i = 0; i < N_KEYWORDS; i++)
        if (strcmp(keyword->string, keywords[i].name) == 0)
            return keywords[i].check(c, keyword, schema, value);
    return true;
}

static bool fits(struct check *c, const cJSON *schema, const cJSON *value)
{
    const cJSON *keyword;
    bool good = true;
    if (cJSON_IsBool(schema))
        return cJSON_IsTrue(schema) || complain(c, "must not be there", NULL);
    if (c->depth == SCHEMA_DEPTH_MAX)
        return complain(c, "is nested too deep", NULL);
    c->depth++;
    for (keyword = cJSON_IsObject(schema) ? schema->child : NULL; keyword && good; keyword = keyword->next)
        good = c->steps-- > 0 && keyword_fits(c, keyword, schema, value);
    c->depth--;
    return good && c->steps > 0;
}

bool schema_fits(const cJSON *schema, const cJSON *value, struct buf *complaint)
{
    struct check c = {.root = schema, .steps = SCHEMA_STEPS_MAX, .complaint = complaint};
    if (fits(&c, schema, value))
        return true;
    if (c.steps <= 0)
        describe(&c, "is too large to be checked", NULL);
    return false;
}
