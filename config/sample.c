/* The sample file: config_print_defaults() of config.h. */
#include <stdlib.h>
#include <string.h>

#include "config/config.h"
#include "config/describe.h"
#include "config/tables.h"
#include "plugin/base/utf8.h"

#define LINE_COLUMNS 100
#define INDENT 4

struct sample {
    FILE *out;
    int depth;      /* of brackets */
    bool opened;    /* nothing stands behind the last bracket yet */
    bool commented; /* all of it, for blocks that are only shown */
};

static const char head[] =
    "# Warbler's configuration, with every setting there is.\n"
    "#\n"
    "# What stands behind a # is the default, or an example where there is none: take the # away\n"
    "# to change it. The manual, warbler.conf(5), says the same at more length.\n"
    "#\n"
    "# Durations are written \"250ms\", \"30s\", \"5m\", \"1h\", \"2d\". Keys and passwords are better not\n"
    "# written here: \"env:NAME\" takes an environment variable, \"file:PATH\" a file, \"cred:NAME\" a\n"
    "# systemd credential. Other texts know \"env:NAME\" too, and \"env:NAME|what to take if it is not set\".\n"
    "#\n"
    "# `warbler check` finds mistakes in this file. SIGHUP makes the running program read it again.\n";

/* --- lines ---------------------------------------------------------------- */

static void begin(const struct sample *s)
{
    fprintf(s->out, "%*s%s", s->depth * INDENT, "", s->commented ? "# " : "");
}

static void line(const struct sample *s, const char *text)
{
    begin(s);
    fprintf(s->out, "%s\n", text);
}

static void open_bracket(struct sample *s)
{
    s->depth++;
    s->opened = true;
}

/* Between settings, but not behind the bracket that opens their group. */
static void space(struct sample *s)
{
    if (!s->opened && s->commented)
        fprintf(s->out, "%*s#\n", s->depth * INDENT, "");
    else if (!s->opened)
        fputc('\n', s->out);
    s->opened = false;
}

/* text as a comment of as many lines as it needs. */
static void comment(const struct sample *s, const char *text)
{
    size_t column = LINE_COLUMNS;
    bool first = true;

    while (*text) {
        size_t len = strcspn(text, " "), width = utf8_width(text, len);

        if (column + 1 + width > LINE_COLUMNS) {
            if (!first)
                fputc('\n', s->out);
            first = false;
            begin(s);
            fputc('#', s->out);
            column = (size_t)s->depth * INDENT + (s->commented ? 3 : 1);
        }
        fprintf(s->out, " %.*s", (int)len, text);
        column += 1 + width;
        text += len + (text[len] == ' ');
    }
    fputc('\n', s->out);
}

/* --- settings ------------------------------------------------------------- */

static void explain(const struct sample *s, const struct setting *setting)
{
    bool number = setting->type == SETTING_INT || setting->type == SETTING_FLOAT || setting->type == SETTING_DURATION;
    struct buf text, example;

    buf_init(&text, DESCRIBE_BYTES_MAX);
    buf_init(&example, DESCRIBE_BYTES_MAX);
    buf_adds(&text, setting->help);
    if (setting->choices && describe_is_text(setting->type)) {
        buf_adds(&text, " One of ");
        describe_choices(&text, setting);
        buf_addc(&text, '.');
    }
    if (number && (setting->min != 0 || setting->max != 0)) {
        buf_adds(&text, " From ");
        describe_range(&text, setting);
        buf_addc(&text, '.');
    }
    if (setting->type != SETTING_GROUP && !setting->fallback && !setting->required && !setting->shown)
        buf_adds(&text, " No default.");
    comment(s, buf_str(&text));
    if (setting->fallback && setting->example) {
        describe_line(&example, setting);
        buf_reset(&text);
        buf_addf(&text, "# For example: %s", buf_str(&example));
        line(s, buf_str(&text));
    }
    buf_free(&text);
    buf_free(&example);
}

/* value: as written in the file; NULL: the default, or else the example. */
static void assign(const struct sample *s, const struct setting *setting, const char *value)
{
    struct setting shown = *setting;
    struct buf text;

    buf_init(&text, DESCRIBE_BYTES_MAX);
    if (!setting->required && !setting->shown)
        buf_addc(&text, '#');
    shown.example = value ? value : setting->fallback ? setting->fallback : setting->example;
    describe_line(&text, &shown);
    line(s, buf_str(&text));
    buf_free(&text);
}

static void print_table(struct sample *s, const struct setting *table);

static void print_group(struct sample *s, const struct setting *group)
{
    begin(s);
    fprintf(s->out, "%s = {\n", group->name);
    open_bracket(s);
    print_table(s, group->group);
    s->depth--;
    line(s, "};");
}

static void print_table(struct sample *s, const struct setting *table)
{
    for (const struct setting *setting = table; setting && setting->name; setting++) {
        space(s);
        explain(s, setting);
        if (setting->type == SETTING_GROUP)
            print_group(s, setting);
        else
            assign(s, setting, NULL);
    }
}

/* --- lists ---------------------------------------------------------------- */

static bool needs_nothing(const struct setting *table)
{
    for (; table && table->name; table++)
        if (table->required)
            return false;
    return true;
}

/* The settings that all accounts have are explained in the first one only. */
static void print_account(struct sample *s, const struct config_adapter *adapter, bool first)
{
    for (const struct setting *setting = account_settings; setting->name; setting++) {
        bool is_adapter = strcmp(setting->name, "adapter") == 0, is_name = strcmp(setting->name, "name") == 0;

        if (first) {
            space(s);
            explain(s, setting);
        }
        if (first || is_adapter || is_name)
            assign(s, setting, is_adapter || (is_name && !first) ? adapter->name : NULL);
    }
    s->opened = false;
    print_table(s, adapter->settings);
}

/* An account that cannot work as it is printed, because it needs an address or
 * a password of its own, is only shown. */
static void print_accounts(struct sample *s, const struct config_adapter *adapters)
{
    for (const struct config_adapter *a = adapters; a->name; a++) {
        s->commented = a != adapters || !needs_nothing(a->settings);
        line(s, a == adapters ? "{" : ", {");
        open_bracket(s);
        print_account(s, a, a == adapters);
        s->depth--;
        line(s, "}");
    }
    s->commented = false;
}

static void print_list(struct sample *s, const struct setting *list, const struct config_adapter *adapters)
{
    s->commented = !list->required;
    begin(s);
    fprintf(s->out, "%s = (\n", list->name);
    open_bracket(s);
    if (list->open) {
        print_accounts(s, adapters);
    } else {
        line(s, "{");
        open_bracket(s);
        print_table(s, list->group);
        s->depth--;
        line(s, "}");
    }
    s->depth--;
    line(s, ");");
    s->commented = false;
}

void config_print_defaults(FILE *out, const struct config_adapter *adapters)
{
    struct sample s = { .out = out };

    fputs(head, out);
    for (const struct setting *setting = config_settings; setting->name; setting++) {
        fputc('\n', out);
        explain(&s, setting);
        if (setting->type == SETTING_LIST)
            print_list(&s, setting, adapters);
        else if (setting->type == SETTING_GROUP)
            print_group(&s, setting);
        else
            assign(&s, setting, NULL);
    }
}
