/* Options, numbers and tables of the commands. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "plugin/base/utf8.h"
#include "plugin/cli.h"
#include "plugin/cli_cell.h"
#include "plugin/daemon.h"
#include "tests/unit/output.h"

#define ARGS_MAX 12

/* --- options --- */
struct parsed {
    int at, argc;
    char *argv[ARGS_MAX];
    char words[256]; /* what argv points into */
    const char *config, *fresh;
    struct output output;
};

static const struct cli_command WITH_ARGUMENTS = { .name = "queue", .arguments = "[ID]...", .summary = "does it",
                                                   .help = "Does what it does.\n" };
static const struct cli_command WITHOUT = { .name = "run", .arguments = "", .summary = "runs", .help = "Runs.\n" };

/* line: words with one blank between. */
static void parse(struct parsed *p, const struct cli_command *self, const char *line)
{
    const struct cli_option options[] = {
        { "config", 'c', "FILE", "the configuration file", &p->config },
        { "new", 0, NULL, "begin a new one instead of the last one that was begun here or somewhere else before", &p->fresh },
    };
    *p = (struct parsed) { 0 };
    snprintf(p->words, sizeof(p->words), "%s", line);
    for (char *word = p->words; word; word = strchr(word, ' ')) {
        if (*word == ' ')
            *word++ = '\0';
        assert_true(p->argc < ARGS_MAX);
        p->argv[p->argc++] = word;
    }
    output_begin(&p->output);
    p->at = cli_options(self, options, 2, p->argc, p->argv);
    output_end(&p->output);
}

static void check_words(const char *want, const struct parsed *p, size_t i)
{
    char got[256] = "";
    size_t len = 0;
    for (int k = p->at; k < p->argc; k++)
        len += (size_t)snprintf(got + len, sizeof(got) - len, "%s%s", k > p->at ? " " : "", p->argv[k]);
    if (strcmp(got, want) != 0)
        fail_msg("case %zu: arguments \"%s\" instead of \"%s\"", i, got, want);
}

static void options_and_arguments(void **state)
{
    static const struct {
        const char *line, *config;
        bool fresh;
        const char *rest;
    } cases[] = {
        { "queue", NULL, false, "" },
        { "queue -c a", "a", false, "" },
        { "queue -ca", "a", false, "" },
        { "queue --config a", "a", false, "" },
        { "queue --config=a", "a", false, "" },
        { "queue --config=", "", false, "" },
        { "queue --config=a=b", "a=b", false, "" },
        { "queue -c a -c b", "b", false, "" },
        { "queue -c -c", "-c", false, "" },
        { "queue --new", NULL, true, "" },
        { "queue retry 5", NULL, false, "retry 5" },
        { "queue retry 5 -c a", "a", false, "retry 5" },
        { "queue --new retry -c a 5", "a", true, "retry 5" },
        { "queue -- -c a", NULL, false, "-c a" },
        { "queue 1 -- --new -- 2", NULL, false, "1 --new -- 2" },
        { "queue -", NULL, false, "-" },
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct parsed p;
        parse(&p, &WITH_ARGUMENTS, cases[i].line);
        if (p.at < 1 || !p.config != !cases[i].config || (p.config && strcmp(p.config, cases[i].config) != 0) ||
            !p.fresh == cases[i].fresh || *output_out(&p.output) || *output_err(&p.output))
            fail_msg("case %zu \"%s\": at %d, config %s", i, cases[i].line, p.at, p.config ? p.config : "-");
        check_words(cases[i].rest, &p, i);
        output_free(&p.output);
    }
}

static void mistakes(void **state)
{
    static const struct {
        const char *line, *want;
        bool no_arguments;
    } cases[] = {
        { "queue --confg a", "warbler queue: unknown option --confg; did you mean --config?\n", false },
        { "queue --hlep", "did you mean --help?", false },
        { "queue --quite-another-thing", "unknown option --quite-another-thing\n", false },
        { "queue --confg=secret", "unknown option --confg;", false },
        { "queue -x", "unknown option -x", false },
        { "queue -hx", "unknown option -hx", false },
        { "queue -c", "--config needs a value: --config FILE", false },
        { "queue --config", "--config needs a value: --config FILE", false },
        { "queue --new=1", "--new takes no value", false },
        { "queue --", "", false },
        { "run a", "warbler run: takes no argument: \"a\"\nTry `warbler run --help`.\n", true },
        { "run -c a -- b", "takes no argument: \"b\"", true },
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct parsed p;
        parse(&p, cases[i].no_arguments ? &WITHOUT : &WITH_ARGUMENTS, cases[i].line);
        bool mistake = *cases[i].want;
        if ((p.at == CLI_WRONG) != mistake || !strstr(output_err(&p.output), cases[i].want) || *output_out(&p.output))
            fail_msg("case %zu \"%s\": %d, %s", i, cases[i].line, p.at, output_err(&p.output));
        output_free(&p.output);
    }
    assert_int_equal(cli_status(CLI_WRONG), EXIT_CONFIG);
    assert_int_equal(cli_status(CLI_DONE), 0);
}

static void help(void **state)
{
    static const char *const lines[] = { "queue --help", "queue -h", "queue 1 --help", "queue -c x -h --unknown" };
    static const char want[] = "Usage: warbler queue [OPTION]... [ID]...\n"
                               "\n"
                               "Does what it does.\n"
                               "\n"
                               "Options:\n"
                               "  -c, --config FILE       the configuration file\n"
                               "      --new               begin a new one instead of the last one that was begun\n"
                               "                          here or somewhere else before\n"
                               "  -h, --help              show this help\n";
    (void)state;
    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
        struct parsed p;
        parse(&p, &WITH_ARGUMENTS, lines[i]);
        assert_int_equal(p.at, CLI_DONE);
        assert_string_equal(output_out(&p.output), want);
        assert_string_equal(output_err(&p.output), "");
        output_free(&p.output);
    }
}

static void numbers(void **state)
{
    static const struct {
        const char *text;
        bool ok;
        int64_t want;
    } cases[] = {
        { "1", true, 1 },     { "65535", true, 65535 }, { "0", false, 0 },  { "65536", false, 0 }, { "", false, 0 },
        { "x", false, 0 },    { "5x", false, 0 },       { " 5", false, 0 }, { "5 ", false, 0 },    { "0x10", false, 0 },
        { "1.5", false, 0 },  { "-1", false, 0 },       { "007", true, 7 }, { "99999999999999999999", false, 0 },
        { "18446744073709551617", false, 0 },
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        int64_t n = -1;
        bool ok = cli_int(cases[i].text, 1, 65535, &n);
        if (ok != cases[i].ok || n != (ok ? cases[i].want : -1))
            fail_msg("case %zu \"%s\"", i, cases[i].text);
    }
    int64_t n;
    assert_true(cli_int("9223372036854775807", 0, INT64_MAX, &n) && n == INT64_MAX);
    assert_false(cli_int("9223372036854775808", 0, INT64_MAX, &n));
}

/* --- tables --- */
static void cells(void **state)
{
    static const struct {
        const char *text;
        size_t columns;
        const char *want;
    } cases[] = {
        { "", 10, "" },
        { "0123456789", 10, "0123456789" },
        { "0123456789a", 10, "012345678…" },
        { "你好世界和平", 12, "你好世界和平" },
        { "你好世界和平", 11, "你好世界和…" },
        { "你好世界和平", 10, "你好世界…" },
        { "  a\nb\tc\r\n ", 10, "a b c" },
        { "\033[31mred\a", 10, "[31mred" },
        { "\xff", 10, "\xef\xbf\xbd" },
        { "👨‍👩‍👧‍👦👨‍👩‍👧‍👦👨‍👩‍👧‍👦", 5, "👨‍👩‍👧‍👦👨‍👩‍👧‍👦…" },
        { "e\u0301e\u0301e\u0301", 2, "e\u0301…" },
        { "a", 1, "a" },
        { "ab", 1, "…" },
        { "0123456789a", CELL_NO_LIMIT, "0123456789a" },
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct buf b;
        buf_init(&b, 1024);
        cell_put(&b, cases[i].text, cases[i].columns);
        if (strcmp(buf_str(&b), cases[i].want) != 0 || cell_width(&b) > cases[i].columns)
            fail_msg("case %zu: \"%s\", %zu columns", i, buf_str(&b), cell_width(&b));
        buf_free(&b);
    }
}

/* The longest message there is must not take the square of its length. */
static void a_long_text_is_cut_at_once(void **state)
{
    static char text[256 * 1024];
    struct buf b;
    (void)state;
    memset(text, 'x', sizeof(text) - 1);
    buf_init(&b, 1024 * 1024);
    cell_put(&b, text, 40);
    assert_int_equal(cell_width(&b), 40);
    buf_free(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(options_and_arguments),
        cmocka_unit_test(mistakes),
        cmocka_unit_test(help),
        cmocka_unit_test(numbers),
        cmocka_unit_test(cells),
        cmocka_unit_test(a_long_text_is_cut_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
