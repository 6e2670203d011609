#include "config/value.h"

#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "config/describe.h"
#include "config/nearest.h"
#include "config/source.h"
#include "plugin/base/json.h"
#include "plugin/base/mem.h"
#include "plugin/base/utf8.h"

#define ENTRY_BYTES 160 /* of what names an entry of a list */
#define DURATION_MAX_MS (INT64_C(36500) * 86400000) /* a hundred years */

/* --- what can be wrong ---------------------------------------------------- */

static void found_instead(struct buf *out, const struct setting *s, const config_setting_t *found)
{
    if (s->type == SETTING_SECRET || s->type == SETTING_SECRETS)
        buf_adds(out, describe_found_kind(found));
    else
        describe_found(out, found);
}

bool value_wrong_type(struct reader *r, const struct setting *s, const config_setting_t *found)
{
    struct buf instead, example;

    buf_init(&instead, DESCRIBE_BYTES_MAX);
    buf_init(&example, DESCRIBE_BYTES_MAX);
    found_instead(&instead, s, found);
    describe_line(&example, s);
    problem_error(r->problems, read_place(found), "%s must be %s, not %s; for example: %s", s->name,
                  describe_type(s->type), buf_str(&instead), buf_str(&example));
    buf_free(&instead);
    buf_free(&example);
    return false;
}

static bool wrong_entry(struct reader *r, const struct setting *s, const config_setting_t *entry)
{
    struct buf instead;

    buf_init(&instead, DESCRIBE_BYTES_MAX);
    found_instead(&instead, s, entry);
    problem_error(r->problems, read_place(entry), "each entry of %s must be text in quotes, not %s", s->name,
                  buf_str(&instead));
    buf_free(&instead);
    return false;
}

static bool wrong_choice(struct reader *r, const struct setting *s, struct place at, const char *value)
{
    char shown[SHOWN_BYTES], hint[NEAREST_BYTES];
    struct nearest near;
    struct buf choices;

    nearest_init(&near, value);
    nearest_try_all(&near, s->choices);
    buf_init(&choices, DESCRIBE_BYTES_MAX);
    describe_choices(&choices, s);
    problem_error(r->problems, at, "%s must be %s, not \"%s\"%s", s->name, buf_str(&choices),
                  problem_show(shown, value), nearest_hint(&near, hint));
    buf_free(&choices);
    return false;
}

/* unit: "" for what is a number itself, or what is counted. */
static bool wrong_range(struct reader *r, const struct setting *s, struct place at, const char *unit, double value)
{
    struct buf range, is;

    buf_init(&range, DESCRIBE_BYTES_MAX);
    buf_init(&is, DESCRIBE_BYTES_MAX);
    describe_range(&range, s);
    describe_limit(&is, s->type, value);
    problem_error(r->problems, at, "%s must %s %s%s, not %s", s->name, *unit ? "have" : "be", buf_str(&range), unit,
                  buf_str(&is));
    buf_free(&range);
    buf_free(&is);
    return false;
}

static bool in_range(struct reader *r, const struct setting *s, struct place at, const char *unit, double value)
{
    if ((s->min == 0 && s->max == 0) || (value >= s->min && value <= s->max))
        return true;
    return wrong_range(r, s, at, unit, value);
}

/* --- text ----------------------------------------------------------------- */

/* what: the setting's name, or which of its entries. */
static bool plain_text(struct reader *r, const struct setting *s, struct place at, const char *what, const char *text)
{
    struct err e = ERR_INIT;

    if (!utf8_valid(text, strlen(text)))
        problem_error(r->problems, at, "%s is not valid UTF-8: save the file in that encoding", what);
    else if (s->required && !*text)
        problem_error(r->problems, at, "%s must not be empty", what);
    else if (*text && s->check && s->check(text, &e) != ERR_OK)
        problem_error(r->problems, at, "%s %s", what, e.text);
    else
        return true;
    return false;
}

static bool chosen(struct reader *r, const struct setting *s, struct place at, const char *text, int *index_r)
{
    for (int i = 0; s->choices[i]; i++)
        if (strcmp(s->choices[i], text) == 0) {
            *index_r = i;
            return true;
        }
    return wrong_choice(r, s, at, text);
}

static bool take_string(struct reader *r, const struct setting *s, struct place at, const char *text, char **field)
{
    struct err e = ERR_INIT;
    char *value = source_string(text, &e);
    int unused;

    if (!value) {
        problem_error(r->problems, at, "%s: %s", s->name, e.text);
        return false;
    }
    if (s->type == SETTING_PATH && *value) {
        char *path = source_path(value, r->folder);

        free(value);
        value = path;
    }
    if (!plain_text(r, s, at, s->name, value) || !in_range(r, s, at, " bytes", (double)strlen(value)) ||
        (s->choices && !chosen(r, s, at, value, &unused))) {
        free(value);
        return false;
    }
    if (s->type == SETTING_PATH && s->check && *value) /* without one it is no file: data_dir */
        source_note(r->files, value);
    *field = value;
    return true;
}

static void note_secret_file(struct reader *r, const char *text)
{
    char *path = source_secret_file(text, r->folder);

    if (path)
        source_note(r->files, path);
    free(path);
}

static void warn_if_others_can_read(struct reader *r, const struct setting *s, struct place at)
{
    char *file = at.file ? source_included(at.file, r->folder) : mem_dup(r->problems->file);
    struct stat st;

    if (stat(file, &st) == 0 && (st.st_mode & 077) != 0)
        problem_warning(r->problems, at, "%s stands here as it is, and others may read this file (mode %04o): "
                        "make it 0600, or write \"env:NAME\", \"file:PATH\" or \"cred:NAME\"",
                        s->name, (unsigned)st.st_mode & 07777);
    free(file);
}

static bool excused(const struct setting *s, const config_setting_t *found)
{
    int excuse = 0;

    return s->excuse && config_setting_lookup_bool(config_setting_parent(found), s->excuse, &excuse) && excuse;
}

static bool take_secret(struct reader *r, const struct setting *s, const config_setting_t *found, struct secret *field)
{
    const char *text = config_setting_get_string(found);
    struct place at = read_place(found);
    struct err e = ERR_INIT;
    enum err_code code;

    if (!*text && !s->required) /* "" is how one says: none */
        return true;
    code = source_secret(text, r->folder, field, &e);
    if (code == ERR_OK) {
        note_secret_file(r, text);
        if (source_is_literal(text))
            warn_if_others_can_read(r, s, at);
        return true;
    }
    if (code == ERR_NOT_FOUND && excused(s, found))
        return true;
    problem_error(r->problems, at, "%s: %s", s->name, e.text);
    return false;
}

static bool parse_duration(const char *text, int64_t *ms_r)
{
    static const struct {
        const char *unit;
        int64_t ms;
    } units[] = { { "ms", 1 }, { "s", 1000 }, { "m", 60000 }, { "h", 3600000 }, { "d", 86400000 } };
    int64_t n = 0;
    const char *c = text;

    for (; *c >= '0' && *c <= '9' && n <= DURATION_MAX_MS; c++)
        n = n * 10 + (*c - '0');
    if (c == text)
        return false;
    *ms_r = 0;
    if (n == 0 && !*c)
        return true;
    for (size_t i = 0; i < sizeof units / sizeof *units; i++)
        if (strcmp(c, units[i].unit) == 0 && n <= DURATION_MAX_MS / units[i].ms) {
            *ms_r = n * units[i].ms;
            return true;
        }
    return false;
}

static bool take_duration(struct reader *r, const struct setting *s, struct place at, const char *text, int64_t *field)
{
    char shown[SHOWN_BYTES];
    int64_t ms;

    if (!parse_duration(text, &ms)) {
        problem_error(r->problems, at,
                      "%s must be a number with its unit, such as \"250ms\", \"30s\", \"5m\", \"1h\" or \"2d\", not \"%s\"",
                      s->name, problem_show(shown, text));
        return false;
    }
    if (!in_range(r, s, at, "", (double)ms))
        return false;
    *field = ms;
    return true;
}

static bool take_json(struct reader *r, const struct setting *s, struct place at, const char *text, char **field)
{
    cJSON *json = json_parse(text, strlen(text));
    bool object = cJSON_IsObject(json);

    if (!json)
        problem_error(r->problems, at, "%s is not valid JSON; an object is needed, such as \"{\\\"member\\\": 1}\"",
                      s->name);
    else if (!object)
        problem_error(r->problems, at, "%s must be a JSON object, such as \"{\\\"member\\\": 1}\"", s->name);
    cJSON_Delete(json);
    if (!object || !plain_text(r, s, at, s->name, text))
        return false;
    *field = mem_dup(text);
    return true;
}

/* A text of the file or a table's default. Secrets are none: they have no default. */
static bool take_text(struct reader *r, const struct setting *s, struct place at, const char *text, void *field)
{
    switch (s->type) {
    case SETTING_STRING:
    case SETTING_PATH: return take_string(r, s, at, text, field);
    case SETTING_DURATION: return take_duration(r, s, at, text, field);
    case SETTING_ENUM: return chosen(r, s, at, text, field);
    case SETTING_JSON: return take_json(r, s, at, text, field);
    default: abort(); /* no other type is written in quotes and has a default */
    }
}

/* --- numbers and lists of texts ------------------------------------------- */

static bool take_int(struct reader *r, const struct setting *s, const config_setting_t *found, int64_t *field)
{
    int type = config_setting_type(found);
    int64_t value;

    if (type != CONFIG_TYPE_INT && type != CONFIG_TYPE_INT64)
        return value_wrong_type(r, s, found);
    value = config_setting_get_int64(found);
    if (!in_range(r, s, read_place(found), "", (double)value))
        return false;
    *field = value;
    return true;
}

static bool take_float(struct reader *r, const struct setting *s, const config_setting_t *found, double *field)
{
    double value;

    if (!config_setting_is_number(found))
        return value_wrong_type(r, s, found);
    value = config_setting_type(found) == CONFIG_TYPE_FLOAT ? config_setting_get_float(found)
                                                            : (double)config_setting_get_int64(found);
    if (!in_range(r, s, read_place(found), "", value))
        return false;
    *field = value;
    return true;
}

static bool take_bool(struct reader *r, const struct setting *s, const config_setting_t *found, bool *field)
{
    if (config_setting_type(found) != CONFIG_TYPE_BOOL)
        return value_wrong_type(r, s, found);
    *field = config_setting_get_bool(found);
    return true;
}

static bool is_list(const config_setting_t *found)
{
    return config_setting_is_list(found) || config_setting_is_array(found);
}

/* One entry's mistake does not hide the next one's. */
static bool entry_is_fine(struct reader *r, const struct setting *s, const config_setting_t *entry)
{
    const char *text = config_setting_get_string(entry);
    char what[ENTRY_BYTES], shown[SHOWN_BYTES];
    int unused;

    if (!text)
        return wrong_entry(r, s, entry);
    snprintf(what, sizeof what, "the entry \"%s\" of %s", problem_show(shown, text), s->name);
    return plain_text(r, s, read_place(entry), what, text) &&
           (!s->choices || chosen(r, s, read_place(entry), text, &unused));
}

bool value_entries(struct reader *r, const struct setting *s, const config_setting_t *found, size_t *n_r)
{
    size_t n;

    if (!is_list(found))
        return value_wrong_type(r, s, found);
    n = (size_t)config_setting_length(found);
    if (n > LIST_ENTRIES_MAX) {
        problem_error(r->problems, read_place(found), "%s has %zu entries; at most %d", s->name, n, LIST_ENTRIES_MAX);
        return false;
    }
    *n_r = n;
    return true;
}

static bool take_strings(struct reader *r, const struct setting *s, const config_setting_t *found,
                         struct strings *field)
{
    bool fine = true;
    size_t n;

    if (!value_entries(r, s, found, &n) || !in_range(r, s, read_place(found), " entries", (double)n))
        return false;
    for (size_t i = 0; i < n; i++)
        fine &= entry_is_fine(r, s, config_setting_get_elem(found, (unsigned)i));
    if (!fine)
        return false;
    field->v = mem_array(n + 1, sizeof *field->v);
    field->n = n;
    for (size_t i = 0; i < n; i++)
        field->v[i] = mem_dup(config_setting_get_string_elem(found, (int)i));
    return true;
}

static bool take_secrets(struct reader *r, const struct setting *s, const config_setting_t *found,
                         struct secrets *field)
{
    struct secrets secrets;
    bool fine = true;

    if (!value_entries(r, s, found, &secrets.n) || !in_range(r, s, read_place(found), " entries", (double)secrets.n))
        return false;
    secrets.v = mem_array(secrets.n + 1, sizeof *secrets.v);
    for (size_t i = 0; i < secrets.n; i++) {
        const config_setting_t *entry = config_setting_get_elem(found, (unsigned)i);

        fine &= config_setting_get_string(entry) ? take_secret(r, s, entry, &secrets.v[i]) : wrong_entry(r, s, entry);
    }
    if (fine) {
        *field = secrets;
        return true;
    }
    for (size_t i = 0; i < secrets.n; i++)
        secret_clear(&secrets.v[i]);
    free(secrets.v);
    return false;
}

/* --- any ------------------------------------------------------------------ */

bool value_take(struct reader *r, const struct setting *s, const config_setting_t *found, void *field)
{
    if (describe_is_text(s->type) && config_setting_type(found) != CONFIG_TYPE_STRING)
        return value_wrong_type(r, s, found);
    switch (s->type) {
    case SETTING_BOOL: return take_bool(r, s, found, field);
    case SETTING_INT: return take_int(r, s, found, field);
    case SETTING_FLOAT: return take_float(r, s, found, field);
    case SETTING_STRINGS: return take_strings(r, s, found, field);
    case SETTING_SECRET: return take_secret(r, s, found, field);
    case SETTING_SECRETS: return take_secrets(r, s, found, field);
    default: return take_text(r, s, read_place(found), config_setting_get_string(found), field);
    }
}

/* Numbers and lists go through libconfig too, which reads them whatever the locale. */
static void take_written_default(struct reader *r, const struct setting *s, void *field)
{
    config_t tree;
    struct buf line;
    bool fine;

    buf_init(&line, DESCRIBE_BYTES_MAX);
    buf_addf(&line, "%s = %s;", s->name, s->fallback);
    config_init(&tree);
    fine = config_read_string(&tree, buf_str(&line)) && value_take(r, s, config_lookup(&tree, s->name), field);
    assert(fine);
    (void)fine;
    config_destroy(&tree);
    buf_free(&line);
}

void value_default(struct reader *r, const struct setting *s, void *field)
{
    if (s->fallback && describe_is_text(s->type)) {
        bool fine = take_text(r, s, r->group, s->fallback, field);

        assert(fine);
        (void)fine;
    } else if (s->fallback) {
        take_written_default(r, s, field);
    } else if (s->type == SETTING_INT) {
        *(int64_t *)field = INT64_MIN;
    } else if (s->type == SETTING_FLOAT) {
        *(double *)field = NAN;
    }
}

