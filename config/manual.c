/* The manual warbler.conf(5): config_print_man() of config.h. */
#include <ctype.h>
#include <string.h>

#include "config/config.h"
#include "config/describe.h"
#include "config/tables.h"

#define TITLE_BYTES 64

static const char head[] =
    ".\\\" Printed by the program from the tables of its settings.\n"
    ".TH WARBLER.CONF 5 \"\" \"Warbler\" \"Warbler's manual\"\n"
    ".SH NAME\n"
    "warbler.conf \\- configuration of the chat bot daemon warbler\n"
    ".SH DESCRIPTION\n"
    "The file says which language models there are, which bots speak through them, on which platforms they have accounts,\n"
    "and which bot answers in which channel. It is read as a whole: with a single mistake in it nothing of it is used.\n"
    ".B warbler check\n"
    "lists all mistakes.\n"
    ".SS Syntax\n"
    "A setting is\n"
    ".IB name \" = \" value ;\n"
    "A group of settings stands in braces, a list in round brackets with commas between its entries. Texts stand in\n"
    "double quotes; texts side by side are joined. Comments begin with # or // and end with the line, or stand between /*\n"
    "and */. Whole numbers beyond 2147483647 need an L behind them; leading zeros are mistakes. A line\n"
    ".B @include \\(dqfile\\(dq\n"
    "takes in another file of the same folder. Unknown settings are mistakes.\n"
    ".SS Durations\n"
    "are texts of a number and its unit: \\(dq250ms\\(dq, \\(dq30s\\(dq, \\(dq5m\\(dq, \\(dq1h\\(dq or \\(dq2d\\(dq.\n"
    ".SS Secrets\n"
    "Keys, passwords and tokens may be written as\n"
    ".TP\n"
    ".B \\(dqenv:NAME\\(dq\n"
    "the value of the environment variable NAME;\n"
    ".TP\n"
    ".B \\(dqfile:PATH\\(dq\n"
    "the only line of a file;\n"
    ".TP\n"
    ".B \\(dqcred:NAME\\(dq\n"
    "a credential of the systemd unit (LoadCredential=);\n"
    ".TP\n"
    "anything else\n"
    "the secret itself, with a warning if others may read the file.\n"
    ".SS Texts and paths from the environment\n"
    "A text \\(dqenv:NAME|other\\(dq is the value of the variable NAME or, if that is not set or empty, what stands behind the\n"
    "bar. Without a bar the variable must be set. Relative paths start at the configuration file's folder.\n"
    ".SS Patterns\n"
    "In the names of channels and people, * stands for anything, ? for one character, [a\\-z] for one of these and [!a\\-z] for\n"
    "one that is none of them.\n";

static const char tail[] =
    ".SH EXAMPLE\n"
    ".nf\n"
    "models   = ( { name = \\(dqdefault\\(dq; base_url = \\(dqhttps://api.openai.com/v1\\(dq;\n"
    "               api_key = \\(dqenv:OPENAI_API_KEY\\(dq; model = \\(dqgpt\\-4o\\-mini\\(dq; } );\n"
    "bots     = ( { name = \\(dqassistant\\(dq; model = \\(dqdefault\\(dq; } );\n"
    "accounts = ( { name = \\(dqweb\\(dq; adapter = \\(dqwebchat\\(dq; } );\n"
    "channels = ( { match = \\(dqweb:*\\(dq; bot = \\(dqassistant\\(dq; } );\n"
    ".fi\n"
    ".SH FILES\n"
    ".TP\n"
    ".I ./warbler.conf\n"
    "if it is there, else\n"
    ".TP\n"
    ".I /etc/warbler/warbler.conf\n"
    ".PP\n"
    "unless the option \\-c or the environment variable WARBLER_CONFIG names another.\n"
    ".SH SIGNALS\n"
    "On SIGHUP the running program reads the file again. If there is a mistake in it, the log says so and the old\n"
    "configuration stays.\n"
    ".SH SEE ALSO\n"
    ".BR warbler (1)\n";

/* Text of the tables, safe against being read as requests and escapes. */
static void put(FILE *out, const char *text)
{
    if (*text == '.' || *text == '\'')
        fputs("\\&", out);
    for (; *text; text++) {
        if (*text == '\\')
            fputs("\\e", out);
        else if (*text == '-')
            fputs("\\-", out);
        else if (*text == '"')
            fputs("\\(dq", out);
        else
            fputc(*text, out);
    }
}

static void describe_default(struct buf *out, const struct setting *s)
{
    if (s->type == SETTING_GROUP)
        return;
    buf_adds(out, "; ");
    if (s->required) {
        buf_adds(out, "required");
    } else if (s->type == SETTING_LIST) {
        buf_adds(out, "default ()");
    } else if (s->fallback) {
        buf_adds(out, "default ");
        describe_value(out, s, s->fallback);
    } else {
        buf_adds(out, "no default");
    }
}

/* "(a whole number, 0 to 65535; default 8080)" */
static void print_facts(FILE *out, const struct setting *s)
{
    bool text = s->type == SETTING_STRING || s->type == SETTING_PATH || s->type == SETTING_LIST;
    struct buf facts;

    buf_init(&facts, DESCRIBE_BYTES_MAX);
    if (s->choices && describe_is_text(s->type)) {
        describe_choices(&facts, s);
    } else {
        buf_adds(&facts, describe_type(s->type));
        if (!text && s->max != 0) {
            buf_adds(&facts, ", ");
            describe_range(&facts, s);
            buf_adds(&facts, s->type == SETTING_STRINGS || s->type == SETTING_SECRETS ? " entries" : "");
        }
    }
    describe_default(&facts, s);
    fputc('(', out);
    put(out, buf_str(&facts));
    fputs(")\n", out);
    buf_free(&facts);
}

static void print_table(FILE *out, const struct setting *table, const char *within)
{
    for (const struct setting *s = table; s && s->name; s++) {
        fputs(".TP\n.B ", out);
        put(out, within);
        put(out, s->name);
        fputc('\n', out);
        print_facts(out, s);
        put(out, s->help);
        if (s->example && s->type != SETTING_LIST && !s->required) {
            struct buf line;

            buf_init(&line, DESCRIBE_BYTES_MAX);
            describe_line(&line, s);
            fputs(" For example: ", out);
            put(out, buf_str(&line));
            buf_free(&line);
        }
        fputc('\n', out);
        if (s->type == SETTING_GROUP || (s->type == SETTING_LIST && table != config_settings)) {
            char prefix[TITLE_BYTES];

            snprintf(prefix, sizeof prefix, "%s%s.", within, s->name);
            print_table(out, s->group, prefix);
        }
    }
}

static void print_title(FILE *out, const char *title)
{
    fputs(".SH ", out);
    for (; *title; title++)
        fputc(toupper((unsigned char)*title), out);
    fputc('\n', out);
}

static void print_list(FILE *out, const struct setting *list)
{
    print_title(out, list->name);
    put(out, list->help);
    fputs(" Each entry of this list is a group of these settings:\n", out);
    print_table(out, list->group, "");
}

void config_print_man(FILE *out, const struct config_adapter *adapters)
{
    fputs(head, out);
    fputs(".SH SETTINGS\n", out);
    print_table(out, config_settings, "");
    for (const struct setting *s = config_settings; s->name; s++) {
        if (s->type == SETTING_LIST)
            print_list(out, s);
        for (const struct config_adapter *a = adapters; s->open && a->name; a++) {
            fprintf(out, ".SS Further settings of accounts with adapter = \\(dq%s\\(dq\n", a->name);
            print_table(out, a->settings, "");
        }
    }
    fputs(tail, out);
}
