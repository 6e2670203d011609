#include "config/read.h"

#include <string.h>

#include "config/describe.h"
#include "config/nearest.h"
#include "config/value.h"
#include "plugin/base/mem.h"

struct place read_place(const config_setting_t *setting)
{
    return (struct place){ config_setting_source_file(setting), (int)config_setting_source_line(setting) };
}

struct place read_place_of(const config_setting_t *group, const char *name)
{
    const config_setting_t *member = config_setting_get_member(group, name);

    return read_place(member ? member : group);
}

void read_missing(struct problems *problems, struct place where, const struct setting *s)
{
    struct buf example;

    buf_init(&example, DESCRIBE_BYTES_MAX);
    describe_line(&example, s);
    problem_error(problems, where, "%s is missing; for example: %s", s->name, buf_str(&example));
    buf_free(&example);
}

/* --- groups and lists ----------------------------------------------------- */

static void read_entry(struct reader *r, const struct setting *list, const config_setting_t *entry, void *out)
{
    if (!config_setting_is_group(entry)) {
        problem_error(r->problems, read_place(entry), "each entry of %s must be a group in braces, not %s", list->name,
                      describe_found_kind(entry));
        schema_defaults(list->group, out);
        return;
    }
    read_group(r, entry, list->group, out);
    if (!list->open)
        read_unknown(r, entry, list->group, NULL);
}

static void read_list(struct reader *r, const struct setting *s, const config_setting_t *found, void *field)
{
    char *items;
    size_t n;

    if (!value_entries(r, s, found, &n))
        return;
    if (s->required && n == 0)
        problem_error(r->problems, read_place(found), "%s must have at least one entry", s->name);
    items = mem_array(n + 1, s->item_size);
    for (size_t i = 0; i < n; i++)
        read_entry(r, s, config_setting_get_elem(found, (unsigned)i), items + i * s->item_size);
    memcpy(field, &items, sizeof items);
    memcpy((char *)field + sizeof items, &n, sizeof n);
}

static void read_nested(struct reader *r, const struct setting *s, const config_setting_t *found, void *field)
{
    if (found && !config_setting_is_group(found)) {
        value_wrong_type(r, s, found);
        found = NULL;
    }
    read_group(r, found, s->group, field);
    if (found)
        read_unknown(r, found, s->group, NULL);
}

static void read_setting(struct reader *r, const struct setting *s, const config_setting_t *found, void *field)
{
    if (!found && s->required && r->problems)
        read_missing(r->problems, r->group, s);
    if (s->type == SETTING_GROUP)
        read_nested(r, s, found, field);
    else if (s->type == SETTING_LIST && found)
        read_list(r, s, found, field);
    else if (s->type != SETTING_LIST && (!found || !value_take(r, s, found, field)))
        value_default(r, s, field);
}

void read_group(struct reader *r, const config_setting_t *group, const struct setting *table, void *out)
{
    struct place outer = r->group;

    if (group)
        r->group = read_place(group);
    for (const struct setting *s = table; s && s->name; s++)
        read_setting(r, s, group ? config_setting_get_member(group, s->name) : NULL, (char *)out + s->offset);
    r->group = outer;
}

/* --- unknown settings ----------------------------------------------------- */

static const struct setting *find(const struct setting *table, const char *name)
{
    for (const struct setting *s = table; s && s->name; s++)
        if (strcmp(s->name, name) == 0)
            return s;
    return NULL;
}

/* Whoever writes `temperature` in a bot wants to hear that it belongs into
 * models. Adds the groups that know the name: "bots or channels". */
static void add_homes(struct buf *out, const struct setting *table, const char *name)
{
    for (const struct setting *s = table; s && s->name; s++) {
        if (s->group && find(s->group, name))
            buf_addf(out, "%s%s", out->len > 0 ? " or " : "", s->name);
        add_homes(out, s->group, name);
    }
}

static void unknown(struct reader *r, const config_setting_t *member, const struct setting *table,
                    const struct setting *more)
{
    char hint[NEAREST_BYTES], shown[SHOWN_BYTES];
    const char *name = config_setting_name(member);
    struct nearest near;
    struct buf homes;

    buf_init(&homes, DESCRIBE_BYTES_MAX);
    add_homes(&homes, r->root, name);
    nearest_init(&near, name);
    for (const struct setting *s = table; s && s->name; s++)
        nearest_try(&near, s->name);
    for (const struct setting *s = more; s && s->name; s++)
        nearest_try(&near, s->name);
    problem_show(shown, name);
    if (find(r->root, name))
        problem_error(r->problems, read_place(member), "unknown setting \"%s\" here; it belongs outside of all groups",
                      shown);
    else if (homes.len > 0)
        problem_error(r->problems, read_place(member), "unknown setting \"%s\" here; it belongs into %s", shown,
                      buf_str(&homes));
    else
        problem_error(r->problems, read_place(member), "unknown setting \"%s\"%s", shown, nearest_hint(&near, hint));
    buf_free(&homes);
}

void read_unknown(struct reader *r, const config_setting_t *group, const struct setting *table,
                  const struct setting *more)
{
    for (int i = 0; i < config_setting_length(group); i++) {
        const config_setting_t *member = config_setting_get_elem(group, (unsigned)i);
        const char *name = config_setting_name(member);

        if (!find(table, name) && !find(more, name))
            unknown(r, member, table, more);
    }
}
