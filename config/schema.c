#include "config/schema.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "config/read.h"

void schema_defaults(const struct setting *table, void *out)
{
    struct reader r = { .folder = "." };

    read_group(&r, NULL, table, out);
}

/* --- releasing ------------------------------------------------------------ */

static void free_strings(struct strings *strings)
{
    for (size_t i = 0; i < strings->n; i++)
        free(strings->v[i]);
    free(strings->v);
    *strings = (struct strings){ 0 };
}

static void free_secrets(struct secrets *secrets)
{
    for (size_t i = 0; i < secrets->n; i++)
        secret_clear(&secrets->v[i]);
    free(secrets->v);
    *secrets = (struct secrets){ 0 };
}

static void free_list(const struct setting *s, void *field)
{
    char *items;
    size_t n;

    memcpy(&items, field, sizeof items);
    memcpy(&n, (char *)field + sizeof items, sizeof n);
    for (size_t i = 0; i < n; i++)
        schema_free(s->group, items + i * s->item_size);
    free(items);
    memset(field, 0, sizeof items + sizeof n);
}

static void free_string(char **string)
{
    free(*string);
    *string = NULL;
}

void schema_free(const struct setting *table, void *settings)
{
    for (const struct setting *s = table; s && s->name; s++) {
        void *field = (char *)settings + s->offset;

        switch (s->type) {
        case SETTING_BOOL:
        case SETTING_INT:
        case SETTING_FLOAT:
        case SETTING_DURATION:
        case SETTING_ENUM: break;
        case SETTING_STRING:
        case SETTING_PATH:
        case SETTING_JSON: free_string(field); break;
        case SETTING_SECRET: secret_clear(field); break;
        case SETTING_STRINGS: free_strings(field); break;
        case SETTING_SECRETS: free_secrets(field); break;
        case SETTING_GROUP: schema_free(s->group, field); break;
        case SETTING_LIST: free_list(s, field); break;
        }
    }
}

/* --- comparing ------------------------------------------------------------ */

static bool equal_strings(const char *a, const char *b)
{
    return a && b ? strcmp(a, b) == 0 : a == b;
}

static bool equal_numbers(double a, double b)
{
    return a == b || (isnan(a) && isnan(b));
}

static bool equal_lists(const struct strings *a, const struct strings *b)
{
    if (a->n != b->n)
        return false;
    for (size_t i = 0; i < a->n; i++)
        if (!equal_strings(a->v[i], b->v[i]))
            return false;
    return true;
}

static bool equal_secret(const struct secret *a, const struct secret *b)
{
    return strcmp(secret_reveal(a), secret_reveal(b)) == 0;
}

static bool equal_secrets(const struct secrets *a, const struct secrets *b)
{
    if (a->n != b->n)
        return false;
    for (size_t i = 0; i < a->n; i++)
        if (!equal_secret(&a->v[i], &b->v[i]))
            return false;
    return true;
}

static bool equal_groups(const struct setting *s, const void *a, const void *b)
{
    const char *left, *right;
    size_t n, m;

    memcpy(&left, a, sizeof left);
    memcpy(&right, b, sizeof right);
    memcpy(&n, (const char *)a + sizeof left, sizeof n);
    memcpy(&m, (const char *)b + sizeof right, sizeof m);
    for (size_t i = 0; n == m && i < n; i++)
        if (!schema_equal(s->group, left + i * s->item_size, right + i * s->item_size))
            return false;
    return n == m;
}

static bool equal_fields(const struct setting *s, const void *a, const void *b)
{
    switch (s->type) {
    case SETTING_BOOL: return *(const bool *)a == *(const bool *)b;
    case SETTING_ENUM: return *(const int *)a == *(const int *)b;
    case SETTING_INT:
    case SETTING_DURATION: return *(const int64_t *)a == *(const int64_t *)b;
    case SETTING_FLOAT: return equal_numbers(*(const double *)a, *(const double *)b);
    case SETTING_STRING:
    case SETTING_PATH:
    case SETTING_JSON: return equal_strings(*(char *const *)a, *(char *const *)b);
    case SETTING_SECRET: return equal_secret(a, b);
    case SETTING_STRINGS: return equal_lists(a, b);
    case SETTING_SECRETS: return equal_secrets(a, b);
    case SETTING_GROUP: return schema_equal(s->group, a, b);
    case SETTING_LIST: return equal_groups(s, a, b);
    }
    return false;
}

bool schema_equal(const struct setting *table, const void *a, const void *b)
{
    for (const struct setting *s = table; s && s->name; s++)
        if (!equal_fields(s, (const char *)a + s->offset, (const char *)b + s->offset))
            return false;
    return true;
}

/* --- digesting ------------------------------------------------------------ */

#define DIGEST_LEN 64 /* letters */

/* What stands in digest, and now this too. */
static void mix(char digest[DIGEST_LEN + 1], const void *data, size_t len)
{
    char both[2 * DIGEST_LEN + 1];

    memcpy(both, digest, DIGEST_LEN);
    sha256_hex(both + DIGEST_LEN, data, len);
    sha256_hex(digest, both, 2 * DIGEST_LEN);
}

static void mix_string(char digest[DIGEST_LEN + 1], const char *s)
{
    if (s)
        mix(digest, s, strlen(s) + 1); /* "" is not NULL */
    else
        mix(digest, "", 0);
}

static void mix_strings(char digest[DIGEST_LEN + 1], const struct strings *strings)
{
    mix(digest, &strings->n, sizeof strings->n);
    for (size_t i = 0; i < strings->n; i++)
        mix_string(digest, strings->v[i]);
}

static void mix_group(char digest[DIGEST_LEN + 1], const struct setting *table, const void *settings)
{
    char group[DIGEST_LEN + 1];

    schema_digest(table, settings, group);
    mix(digest, group, DIGEST_LEN);
}

static void mix_list(char digest[DIGEST_LEN + 1], const struct setting *s, const void *field)
{
    const char *items;
    size_t n;

    memcpy(&items, field, sizeof items);
    memcpy(&n, (const char *)field + sizeof items, sizeof n);
    mix(digest, &n, sizeof n);
    for (size_t i = 0; i < n; i++)
        mix_group(digest, s->group, items + i * s->item_size);
}

static void mix_field(char digest[DIGEST_LEN + 1], const struct setting *s, const void *field)
{
    switch (s->type) {
    case SETTING_BOOL: mix(digest, field, sizeof(bool)); break;
    case SETTING_ENUM: mix(digest, field, sizeof(int)); break;
    case SETTING_INT:
    case SETTING_DURATION: mix(digest, field, sizeof(int64_t)); break;
    case SETTING_FLOAT: mix(digest, field, sizeof(double)); break;
    case SETTING_STRING:
    case SETTING_PATH:
    case SETTING_JSON: mix_string(digest, *(char *const *)field); break;
    case SETTING_SECRET:
    case SETTING_SECRETS: break;
    case SETTING_STRINGS: mix_strings(digest, field); break;
    case SETTING_GROUP: mix_group(digest, s->group, field); break;
    case SETTING_LIST: mix_list(digest, s, field); break;
    }
}

void schema_digest(const struct setting *table, const void *settings, char out[65])
{
    sha256_hex(out, "", 0);
    for (const struct setting *s = table; s && s->name; s++)
        mix_field(out, s, (const char *)settings + s->offset);
}
