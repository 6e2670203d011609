#include "plugin/cli.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "config/nearest.h"
#include "plugin/daemon.h"

#define HELP_COLUMN 26 /* where the explanation of an option begins */
#define HELP_WIDTH 80

/* The arguments as they are read. */
struct reader {
    const struct cli_command *self;
    const struct cli_option *options;
    size_t n;
    int argc, at; /* at: being read */
    char **argv;
};

/* From the column on, in lines of words. */
static void print_wrapped(const char *text)
{
    for (int at = HELP_COLUMN; *text; text += strspn(text, " ")) {
        int len = (int)strcspn(text, " ");
        bool first = at == HELP_COLUMN;
        if (!first && at + 1 + len > HELP_WIDTH) {
            printf("\n%*s", HELP_COLUMN, "");
            at = HELP_COLUMN;
            first = true;
        }
        printf("%s%.*s", first ? "" : " ", len, text);
        at += len + !first;
        text += len;
    }
    putchar('\n');
}

static void print_option(const struct cli_option *o)
{
    char left[64];
    char letter[] = { '-', o->letter, ',', ' ', '\0' };
    snprintf(left, sizeof(left), "  %s--%s%s%s", o->letter ? letter : "    ", o->name, o->value ? " " : "",
             o->value ? o->value : "");
    if (strlen(left) < HELP_COLUMN)
        printf("%-*s", HELP_COLUMN, left);
    else
        printf("%s\n%*s", left, HELP_COLUMN, "");
    print_wrapped(o->help);
}

static int print_help(const struct reader *r)
{
    const struct cli_command *c = r->self;
    printf("Usage: warbler %s [OPTION]...%s%s\n\n%s\nOptions:\n", c->name, *c->arguments ? " " : "", c->arguments,
           c->help);
    for (size_t i = 0; i < r->n; i++)
        print_option(&r->options[i]);
    print_option(&(struct cli_option) { "help", 'h', NULL, "show this help", NULL });
    return CLI_DONE;
}

int cli_wrong(const struct cli_command *self, const char *fmt, ...)
{
    fprintf(stderr, "warbler %s: ", self->name);
    va_list ap;
    va_start(ap, fmt);
    vfprintf(stderr, fmt, ap);
    va_end(ap);
    fprintf(stderr, "\nTry `warbler %s --help`.\n", self->name);
    return EXIT_CONFIG;
}

static int unknown_option(const struct reader *r, const char *arg)
{
    char given[64];
    struct nearest near;
    snprintf(given, sizeof(given), "%.*s", (int)strcspn(arg, "="), arg);
    nearest_init(&near, given + strspn(given, "-"));
    nearest_try(&near, "help");
    for (size_t i = 0; i < r->n; i++)
        nearest_try(&near, r->options[i].name);
    cli_wrong(r->self, "unknown option %s%s%s%s", given, near.best ? "; did you mean --" : "",
              near.best ? near.best : "", near.best ? "?" : "");
    return CLI_WRONG;
}

/* value: what is attached to the option, or NULL. */
static int take_option(struct reader *r, const struct cli_option *o, const char *value)
{
    if (!o->value && value) {
        cli_wrong(r->self, "--%s takes no value", o->name);
        return CLI_WRONG;
    }
    if (!o->value)
        value = "";
    else if (!value && ++r->at < r->argc)
        value = r->argv[r->at];
    if (!value) {
        cli_wrong(r->self, "--%s needs a value: --%s %s", o->name, o->name, o->value);
        return CLI_WRONG;
    }
    *o->into = value;
    return 0;
}

static int take_long(struct reader *r, const char *arg)
{
    const char *name = arg + 2;
    size_t len = strcspn(name, "=");
    for (size_t i = 0; i < r->n; i++)
        if (strlen(r->options[i].name) == len && memcmp(r->options[i].name, name, len) == 0)
            return take_option(r, &r->options[i], name[len] == '=' ? name + len + 1 : NULL);
    return strcmp(arg, "--help") == 0 ? print_help(r) : unknown_option(r, arg);
}

static int take_short(struct reader *r, const char *arg)
{
    for (size_t i = 0; i < r->n; i++)
        if (r->options[i].letter == arg[1])
            return take_option(r, &r->options[i], arg[2] ? arg + 2 : NULL);
    return strcmp(arg, "-h") == 0 ? print_help(r) : unknown_option(r, arg);
}

int cli_options(const struct cli_command *self, const struct cli_option *options, size_t n, int argc, char **argv)
{
    struct reader r = { .self = self, .options = options, .n = n, .argc = argc, .argv = argv };
    int others = 0; /* found so far, gathered at the front */
    bool more = true;
    for (r.at = 1; r.at < argc; r.at++) {
        char *arg = argv[r.at];
        int over = 0;
        if (!more || arg[0] != '-' || !arg[1])
            argv[1 + others++] = arg;
        else if (strcmp(arg, "--") == 0)
            more = false;
        else
            over = arg[1] == '-' ? take_long(&r, arg) : take_short(&r, arg);
        if (over)
            return over;
    }
    if (others && !*self->arguments) {
        cli_wrong(self, "takes no argument: \"%s\"", argv[1]);
        return CLI_WRONG;
    }
    memmove(argv + argc - others, argv + 1, (size_t)others * sizeof *argv);
    return argc - others;
}

int cli_status(int over)
{
    return over == CLI_DONE ? 0 : EXIT_CONFIG;
}

bool cli_int(const char *text, int64_t min, int64_t max, int64_t *value_r)
{
    char *end;
    errno = 0;
    intmax_t n = strtoimax(text, &end, 10);
    if (isspace((unsigned char)*text) || end == text || *end || errno || n < min || n > max)
        return false;
    *value_r = n;
    return true;
}
