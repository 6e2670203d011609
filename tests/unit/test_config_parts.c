/* config/: the parts below the file: patterns, spelling, grammar, sources of
 * secrets, and what is printed from the tables. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "config/checks.h"
#include "config/config.h"
#include "config/describe.h"
#include "config/glob.h"
#include "config/nearest.h"
#include "config/problem.h"
#include "config/source.h"
#include "config/syntax.h"
#include "config/tables.h"
#include "plugin/adapter.h"
#include "plugin/base/mem.h"
#include "plugin/base/utf8.h"
#include "tests/unit/config_fake.h"

#define EXAMPLE "config/warbler.conf.example"
#define ADAPTERS_MAX 64
#define COUNT(array) (sizeof(array) / sizeof(*(array)))

/* --- patterns --- */

static void test_glob(void **state)
{
    (void)state;
    static const struct {
        const char *pattern, *text;
        bool matches;
    } cases[] = {
        { "", "", true },
        { "", "a", false },
        { "*", "", true },
        { "*", "web:x/y", true },
        { "**", "a", true },
        { "?", "", false },
        { "?", "a", true },
        { "?", "莺", true },
        { "??", "莺", false },
        { "web:*", "web:", true },
        { "web:*", "web", false },
        { "web:*", "Web:a", false },
        { "*:a", "web:a", true },
        { "*a*b*c", "xaxbxbxc", true },
        { "*a*b*c", "xaxbxbx", false },
        { "a?c", "abc", true },
        { "[a-c]", "b", true },
        { "[a-c]", "d", false },
        { "[!a-c]", "d", true },
        { "[!a-c]", "b", false },
        { "[!a-c]", "", false },
        { "[abx-z]", "y", true },
        { "[a-]", "-", true },
        { "[-a]", "-", true },
        { "[]]", "]", true },
        { "[]a]", "a", true },
        { "[!]]", "]", false },
        { "[[]x", "[x", true },
        { "[*]", "*", true },
        { "[*]", "a", false },
        { "[一-龥]", "莺", true },
        { "[一-龥]", "a", false },
        { "[!a]", "莺", true },
        { "x[a", "x[a", true }, /* never closed: a plain letter */
        { "web:[0-9]*", "web:7/t", true },
        { "?", "\xff", true }, /* ill-formed text counts by bytes */
    };
    for (size_t i = 0; i < COUNT(cases); i++)
        if (config_glob(cases[i].pattern, cases[i].text) != cases[i].matches)
            fail_msg("%s over %s", cases[i].pattern, cases[i].text);
}

/* The worst that a pattern can ask for stays within lengths multiplied. */
static void test_glob_work(void **state)
{
    (void)state;
    char pattern[402], text[4001];
    for (size_t i = 0; i < 400; i += 2)
        memcpy(pattern + i, "*a", 2);
    memcpy(pattern + 400, "b", 2);
    memset(text, 'a', 4000);
    text[4000] = '\0';
    assert_false(config_glob(pattern, text));
}

static void test_glob_channels(void **state)
{
    (void)state;
    assert_true(glob_matches_channel("web:a", "web:a"));
    assert_true(glob_matches_channel("web:a", "web:a/t"));
    assert_true(glob_matches_channel("web:a", "web:a/t/u"));
    assert_true(glob_matches_channel("web:a/t", "web:a/t"));
    assert_false(glob_matches_channel("web:a/t", "web:a"));
    assert_false(glob_matches_channel("web:a", "web:ab"));
    assert_true(glob_reaches_account("web:*", "web"));
    assert_true(glob_reaches_account("*", "web"));
    assert_true(glob_reaches_account("w*", "web"));
    assert_true(glob_reaches_account("*:lobby", "web"));
    assert_true(glob_reaches_account("?eb:x", "web"));
    assert_false(glob_reaches_account("web", "web"));
    assert_false(glob_reaches_account("we:*", "web"));
    assert_false(glob_reaches_account("webb:*", "web"));
    assert_false(glob_reaches_account("m*:x", "web"));
}

static void test_glob_covers(void **state)
{
    (void)state;
    static const struct {
        const char *earlier, *later;
        bool covers;
    } cases[] = {
        { "web:a", "web:a", true },
        { "web:[a]", "web:[a]", true },
        { "*", "web:a", true },
        { "*", "[a-z]*", true },
        { "web:*", "web:?x", true },
        { "web:*", "web:[a-z]", true },
        { "web:*", "we?:a", false },
        { "web:*", "mx:*", false },
        { "web:a", "web:a/t", true },
        { "web:a", "web:*", false },
        { "web:?", "web:a", true },
        { "web:?", "web:*", false },
        { "web:[a-c]", "web:b", true },
        { "*:a", "web:a", true },
        { "*:a", "*:a?", false },
    };
    for (size_t i = 0; i < COUNT(cases); i++)
        if (glob_covers(cases[i].earlier, cases[i].later) != cases[i].covers)
            fail_msg("%s before %s", cases[i].earlier, cases[i].later);
}

/* --- spelling --- */

static void test_distance(void **state)
{
    (void)state;
    char long_word[66];
    memset(long_word, 'a', 65);
    long_word[65] = '\0';
    assert_int_equal(nearest_distance("", ""), 0);
    assert_int_equal(nearest_distance("", "abc"), 3);
    assert_int_equal(nearest_distance("port", "port"), 0);
    assert_int_equal(nearest_distance("Port", "port"), 0);
    assert_int_equal(nearest_distance("prot", "port"), 1);
    assert_int_equal(nearest_distance("por", "port"), 1);
    assert_int_equal(nearest_distance("ports", "port"), 1);
    assert_int_equal(nearest_distance("kitten", "sitting"), 3);
    assert_int_equal(nearest_distance("ca", "abc"), 3);
    assert_true(nearest_distance(long_word, "a") == SIZE_MAX);
    assert_int_equal(nearest_distance(long_word + 1, "a"), 63);
}

static void test_nearest(void **state)
{
    (void)state;
    static const char *const known[] = { "model", "models", "mode", "warn", "history_days", NULL };
    static const struct {
        const char *word, *best;
    } cases[] = {
        { "modle", "model" }, { "modelz", "model" }, { "Models", "models" }, { "warning", "warn" },
        { "history", "history_days" }, { "history_dyas", "history_days" }, { "ab", NULL }, { "keys", NULL }, { "", NULL },
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct nearest near;
        nearest_init(&near, cases[i].word);
        nearest_try_all(&near, known);
        nearest_try(&near, NULL);
        if (cases[i].best)
            assert_string_equal(near.best, cases[i].best);
        else
            assert_null(near.best);
    }
}

/* --- what may stand in a message --- */

static void test_show(void **state)
{
    (void)state;
    char out[SHOWN_BYTES], text[200];
    assert_string_equal(problem_show(out, ""), "");
    assert_string_equal(problem_show(out, "a\nb\tc\x01"), "a b c");
    assert_string_equal(problem_show(out, "\xff"), "\xef\xbf\xbd");
    memset(text, 'x', 60);
    text[60] = '\0';
    assert_string_equal(problem_show(out, text), text);
    memset(text, 'x', 61);
    text[61] = '\0';
    problem_show(out, text);
    assert_int_equal(strlen(out), 60 + strlen("…"));
    assert_string_equal(out + 60, "…");
}

/* However long it is, a message is whole characters on one line. */
static void test_long_message(void **state)
{
    (void)state;
    char text[2 * PROBLEM_BYTES];
    for (size_t start = 0; start < 3; start++) {
        struct problems problems;
        struct config_report report;
        memset(text, 'a', start);
        for (size_t i = start; i + 4 < sizeof text; i += 3)
            memcpy(text + i, "莺", 4);
        problems_init(&problems, "f", "/");
        problem_warning(&problems, (struct place){ .line = 1 }, "%s", text);
        config_report_init(&report);
        problems_report(&problems, &report);
        assert_int_equal(report.n_warnings, 1);
        assert_true(utf8_valid(report.warnings.data, report.warnings.len));
        assert_true(report.warnings.len > PROBLEM_BYTES - 4 && report.warnings.len < PROBLEM_BYTES + strlen("f:1: \n"));
        config_report_fini(&report);
        problems_fini(&problems);
    }
}

/* --- grammar --- */

static void test_syntax_accepts(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "", "\n", "# only a comment", "a = 1", "a : 1", "a = 1;", "a = 1, b = 2", "a = -1", "a = +1", "a = 0x1F", "a = 5L",
        "a = 0xFFFFFFFFFFL", "a = 9223372036854775807L", "a = -9223372036854775808L", "a = 0", "a = -0", "a = 0L", "a = 0.5",
        "a = 00.5", "a = 99999999999999999999.0", "a = 1.5", "a = .5", "a = 1.", "a = 1e9", "a = 1.5E-3", "a = true",
        "a = False", "a = \"x\"", "a = \"\"", "a = \"x\" \"y\"\n\"z\"", "a = \"\\\"\\\\\"", "a = \"two\nlines\"",
        "a = ()", "a = []", "a = {}",
        "a = (1, \"x\", {b = 1;}, (2), [3])", "a = [1, 2]", "a-b_c* = 1", "a = 1 // c", "a = 1 # c", "/* x */ a /* = */ = 1",
        "a = 1 /* two\nlines */ b = 2", "@include \"x\"", "a = { b = { c = ( { d = 1 } ) } }", "a = \"“\"",
    };
    struct syntax_error error;
    for (size_t i = 0; i < COUNT(texts); i++)
        if (syntax_find(texts[i], &error))
            fail_msg("%s: %d: %s", texts[i], error.line, error.text);
}

static void test_syntax_refuses(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int line;
    } cases[] = {
        { "a", 1 }, { "a =", 1 }, { "= 1", 1 }, { "a = b", 1 }, { "a = (1 2)", 1 }, { "a = (1,)", 1 }, { "a = (,1)", 1 },
        { "\na = (1;2)", 2 }, { "a = (\n1\n", 1 }, { "a = { b = 1\n", 1 }, { "a = 1; }", 1 }, { "a = (1]", 1 },
        { "a = \"x", 1 }, { "a = \"x\\\"", 1 }, { "a = 1 /* x", 1 }, { "a = 'x'", 1 }, { "a = 10s", 1 }, { "a = 1.2.3", 1 },
        { "a = 1e", 1 }, { "a = 1.5L", 1 }, { "a = +0x1", 1 }, { "a = -", 1 }, { "a.b = 1", 1 }, { "1a = 1", 1 },
        { "a = [(1)]", 1 }, { "a = (b = 1)", 1 }, { "@include x", 1 }, { "a = \x01", 1 }, { "\n\n\xff", 3 }, { "a = 1;;", 1 },
        { "a = 9223372036854775808", 1 }, { "\na = 9223372036854775808L", 2 }, { "a = -9223372036854775809L", 1 },
        { "a = 0x10000000000000000L", 1 }, { "a = 010", 1 }, { "a = -010", 1 }, { "a = 007L", 1 }, { "a = (1,\n09)", 2 },
        { "a = \"x;\nb = \"y\";", 1 }, { "a = \"x;\nb = \"y\";\nc = \"z\";", 1 }, { "a = \"x \"y\" z\";", 1 },
    };
    struct syntax_error error;
    for (size_t i = 0; i < COUNT(cases); i++) {
        if (!syntax_find(cases[i].text, &error))
            fail_msg("accepted: %s", cases[i].text);
        if (error.line != cases[i].line)
            fail_msg("%s: line %d: %s", cases[i].text, error.line, error.text);
        assert_true(strlen(error.text) > 0 && !strchr(error.text, '\n'));
    }
}

static void nest(struct buf *out, int levels)
{
    buf_adds(out, "a = ");
    for (int i = 0; i < levels; i++)
        buf_addc(out, '(');
    for (int i = 0; i < levels; i++)
        buf_addc(out, ')');
}

static void test_syntax_depth(void **state)
{
    (void)state;
    struct syntax_error error;
    struct buf text;
    buf_init(&text, 1 << 20);
    nest(&text, 32);
    assert_false(syntax_find(buf_str(&text), &error));
    buf_reset(&text);
    nest(&text, 33);
    assert_true(syntax_find(buf_str(&text), &error));
    buf_reset(&text);
    nest(&text, 100000);
    assert_true(syntax_find(buf_str(&text), &error));
    buf_free(&text);
}

static void test_syntax_silent(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int line;
    } cases[] = {
        { "a = 2147483647; b = -2147483648;", 0 },
        { "a = 2147483648;", 1 },
        { "a = -2147483649;", 1 },
        { "\na = 9223372036854775807L;", 0 },
        { "a = 0x7FFFFFFF;", 0 },
        { "a = 0x80000000;", 1 },
        { "a = 0x80000000L;", 0 },
        { "a = 9999999999.0; b = 1e30; c = \"9999999999\"; # 9999999999", 0 },
        { "a = 1; /* 9999999999", 1 },
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        const char *from = cases[i].text;
        struct syntax_error error;
        int line = 1;
        bool found = syntax_find_silent(&from, &line, &error);
        if (found != (cases[i].line > 0) || error.line != cases[i].line)
            fail_msg("%s: line %d: %s", cases[i].text, error.line, error.text);
        assert_false(found && syntax_find_silent(&from, &line, &error));
    }
}

/* --- sources --- */

static char folder[] = "/tmp/test_config_parts.XXXXXX";

static void write_key(const char *name, const char *text, size_t len)
{
    char *path = source_path(name, folder);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    assert_int_equal(fwrite(text, 1, len, f), len);
    fclose(f);
    free(path);
}

static void remove_key(const char *name)
{
    char *path = source_path(name, folder);
    assert_int_equal(unlink(path), 0);
    free(path);
}

static void test_key_files(void **state)
{
    (void)state;
    char max[SECRET_BYTES_MAX + 3];
    memset(max, 'k', sizeof max);
    static const struct {
        const char *text;
        enum err_code code;
        const char *secret;
    } cases[] = {
        { "key", ERR_OK, "key" },      { "key\n", ERR_OK, "key" },       { "key\r\n\r\n", ERR_OK, "key" },
        { "k e y", ERR_OK, "k e y" },  { "", ERR_INVALID, "" },          { "\n\n", ERR_INVALID, "" },
        { "a\nb", ERR_INVALID, "" },   { "a\tb", ERR_INVALID, "" },      { "\x7f", ERR_INVALID, "" },
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct secret secret = { 0 };
        struct err e = ERR_INIT;
        write_key("key", cases[i].text, strlen(cases[i].text));
        assert_int_equal(source_secret("file:key", folder, &secret, &e), cases[i].code);
        assert_string_equal(secret_reveal(&secret), cases[i].secret);
        secret_clear(&secret);
    }
    struct secret secret = { 0 };
    struct err e = ERR_INIT;
    write_key("key", max, SECRET_BYTES_MAX);
    assert_int_equal(source_secret("file:./key", folder, &secret, &e), ERR_OK);
    assert_int_equal(strlen(secret_reveal(&secret)), SECRET_BYTES_MAX);
    secret_clear(&secret);
    write_key("key", max, SECRET_BYTES_MAX + 1);
    assert_int_equal(source_secret("file:key", folder, &secret, &e), ERR_TOO_LARGE);
    max[SECRET_BYTES_MAX] = '\n';
    write_key("key", max, SECRET_BYTES_MAX + 1);
    assert_int_equal(source_secret("file:key", folder, &secret, &e), ERR_OK);
    secret_clear(&secret);
    remove_key("key");
    assert_int_equal(source_secret("file:key", folder, &secret, &e), ERR_IO);
    assert_non_null(strstr(e.text, "No such file"));
    assert_int_equal(source_secret("file:.", folder, &secret, &e), ERR_IO);
    assert_true(secret_empty(&secret));
}

static void test_credentials(void **state)
{
    (void)state;
    struct secret secret = { 0 };
    struct err e = ERR_INIT;
    unsetenv("CREDENTIALS_DIRECTORY");
    assert_int_equal(source_secret("cred:key", "/", &secret, &e), ERR_IO);
    assert_non_null(strstr(e.text, "LoadCredential"));
    setenv("CREDENTIALS_DIRECTORY", folder, 1);
    write_key("key", "from systemd\n", 13);
    assert_int_equal(source_secret("cred:key", "/", &secret, &e), ERR_OK);
    assert_string_equal(secret_reveal(&secret), "from systemd");
    secret_clear(&secret);
    remove_key("key");
    assert_int_equal(source_secret("cred:key", "/", &secret, &e), ERR_IO);
    assert_int_equal(source_secret("cred:", "/", &secret, &e), ERR_INVALID);
    assert_int_equal(source_secret("cred:..", "/", &secret, &e), ERR_INVALID);
    assert_int_equal(source_secret("cred:../key", "/", &secret, &e), ERR_INVALID);
    unsetenv("CREDENTIALS_DIRECTORY");
}

static void test_environment(void **state)
{
    (void)state;
    static const struct {
        const char *text, *value;
    } cases[] = {
        { "plain", "plain" },
        { "", "" },
        { "env:WARBLER_TEST_SET", "value" },
        { "env:WARBLER_TEST_SET|other", "value" },
        { "env:WARBLER_TEST_UNSET|other", "other" },
        { "env:WARBLER_TEST_EMPTY|other", "other" },
        { "env:WARBLER_TEST_UNSET|", "" },
        { "env:WARBLER_TEST_UNSET|a|b", "a|b" },
        { "env:WARBLER_TEST_UNSET", NULL },
        { "env:WARBLER_TEST_EMPTY", NULL },
        { "env:", NULL },
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct err e = ERR_INIT;
        char *value = source_string(cases[i].text, &e);
        if (cases[i].value)
            assert_string_equal(value, cases[i].value);
        else
            assert_null(value);
        free(value);
    }
    assert_true(source_is_literal("sk-1"));
    assert_false(source_is_literal("env:A") || source_is_literal("file:A") || source_is_literal("cred:A"));
}

static void test_paths(void **state)
{
    (void)state;
    static const struct {
        const char *path, *folder, *result;
    } cases[] = {
        { "/x", "/a/b", "/x" },       { "x", "/a/b", "/a/b/x" },      { "./x", "/a/b", "/a/b/x" },
        { "../x", "/a/b", "/a/x" },   { "../../x", "/a/b", "/x" },    { "../../../x", "/a/b", "/x" },
        { "x", "/", "/x" },           { "./.././x", "/a", "/x" },     { "x/../y", "/a", "/a/x/../y" },
        { "..x", "/a", "/a/..x" },
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        char *result = source_path(cases[i].path, cases[i].folder);
        assert_string_equal(result, cases[i].result);
        free(result);
    }
}

static void test_loopback(void **state)
{
    (void)state;
    static const struct {
        const char *address;
        bool loopback;
    } cases[] = {
        { "127.0.0.1", true },  { "127.255.255.254", true },  { "::1", true },  { "::ffff:127.0.0.1", true },
        { "126.0.0.1", false }, { "128.0.0.1", false },       { "::", false },  { "0.0.0.0", false },
        { "::2", false },       { "::ffff:10.0.0.1", false }, { "1::1", false }, { "7f00::1", false },
    };
    for (size_t i = 0; i < COUNT(cases); i++)
        if (check_loopback(cases[i].address) != cases[i].loopback)
            fail_msg("%s", cases[i].address);
}

/* --- the tables, and what is printed from them --- */

static void check_table(const struct setting *table)
{
    for (const struct setting *s = table; s && s->name; s++) {
        bool bare = s->type == SETTING_BOOL || s->type == SETTING_ENUM || s->type == SETTING_DURATION;
        if (!s->help || !*s->help || s->help[strlen(s->help) - 1] != '.')
            fail_msg("%s needs a sentence of help", s->name);
        if (bare && !s->fallback && !s->required)
            fail_msg("%s needs a default", s->name);
        if (s->type == SETTING_ENUM && !s->choices)
            fail_msg("%s needs choices", s->name);
        if (s->shown && !s->example)
            fail_msg("%s needs an example", s->name);
        if (s->min > s->max)
            fail_msg("%s: min > max", s->name);
        check_table(s->group);
    }
}

static void test_tables(void **state)
{
    (void)state;
    struct config c = { 0 };
    check_table(config_settings);
    check_table(fake_adapters[0].settings);
    schema_defaults(config_settings, &c);
    assert_int_equal(c.listen.port, 8080);
    assert_int_equal(c.n_models, 0);
    schema_free(config_settings, &c);
    for (size_t i = 0; adapter_registry[i]; i++)
        check_table(adapter_registry[i]->settings);
}

static char *printed(void (*print)(FILE *, const struct config_adapter *), const struct config_adapter *adapters)
{
    char *text = NULL;
    size_t len;
    FILE *f = open_memstream(&text, &len);
    assert_non_null(f);
    print(f, adapters);
    assert_int_equal(fclose(f), 0);
    return text;
}

/* The sample as it is, and with every # before a setting taken away. */
static void check_sample(const char *text, bool uncomment)
{
    char *path = source_path("sample.conf", folder), *copy = mem_dup(text);
    for (char *hash = copy; uncomment && (hash = strchr(hash, '#')); hash++)
        if (hash[1] >= 'a' && hash[1] <= 'z')
            *hash = ' ';
    write_key("sample.conf", copy, strlen(copy));
    write_key("ca.pem", "", 0);
    write_key("o200k.vocab", "warblbpe", 8);
    struct config_report report;
    config_report_init(&report);
    struct config *c = config_load(path, fake_adapters, &report);
    if (!c)
        fail_msg("%s", buf_str(&report.errors));
    config_unref(&c);
    config_report_fini(&report);
    remove_key("sample.conf");
    remove_key("ca.pem");
    remove_key("o200k.vocab");
    free(copy);
    free(path);
}

static void test_sample(void **state)
{
    (void)state;
    char *text = printed(config_print_defaults, fake_adapters);
    assert_non_null(strstr(text, "\n    # , {\n        # name = \"needy\";\n        # adapter = \"needy\";\n"));
    setenv("OPENAI_API_KEY", "sk-1", 1);
    check_sample(text, false);
    check_sample(text, true);
    unsetenv("OPENAI_API_KEY");
    free(text);
}

/* The file that people are given is what this very program prints. */
static void test_example_file(void **state)
{
    (void)state;
    struct config_adapter adapters[ADAPTERS_MAX] = { 0 };
    for (size_t i = 0; adapter_registry[i]; i++) {
        assert_true(i + 1 < ADAPTERS_MAX);
        adapters[i] = (struct config_adapter){ adapter_registry[i]->name, adapter_registry[i]->settings,
                                               adapter_registry[i]->settings_size };
    }
    char *text = printed(config_print_defaults, adapters), *file = mem_alloc(strlen(text) + 2);
    FILE *f = fopen(EXAMPLE, "r");
    assert_non_null(f);
    size_t len = fread(file, 1, strlen(text) + 1, f);
    fclose(f);
    if (len != strlen(text) || memcmp(file, text, len) != 0)
        fail_msg("make it anew: build/warbler check --defaults > %s", EXAMPLE);
    free(file);
    free(text);
}

/* A text of the tables that begins a line with a dot would be a request. */
static void test_manual(void **state)
{
    (void)state;
    static const char *const requests[] = { ".\\\"", ".TH ", ".SH ", ".SS ", ".TP\n", ".PP\n", ".B ", ".I ", ".IB ", ".BR ",
                                            ".nf\n", ".fi\n" };
    char *text = printed(config_print_man, fake_adapters);
    for (char *line = text; *line; line = strchr(line, '\n') + 1) {
        bool known = *line != '.' && *line != '\'';
        for (size_t i = 0; i < COUNT(requests); i++)
            known |= strncmp(line, requests[i], strlen(requests[i])) == 0;
        if (!known)
            fail_msg("%.40s", line);
    }
    assert_non_null(strstr(text, "\n.B listen.port\n(a whole number, 0 to 65535; default 8080)\n"));
    assert_non_null(strstr(text, "\n.B practice.fail_rate\n(a number, 0 to 1; default 0.0)\n"));
    assert_non_null(strstr(text, "adapter = \\(dqneedy\\(dq\n.TP\n.B homeserver\n"));
    assert_non_null(strstr(text, "{\\e\\(dqtop_k\\e\\(dq: 40}"));
    free(text);
}

static int setup(void **state)
{
    (void)state;
    assert_int_equal(setenv("WARBLER_TEST_SET", "value", 1), 0);
    assert_int_equal(setenv("WARBLER_TEST_EMPTY", "", 1), 0);
    unsetenv("WARBLER_TEST_UNSET");
    return mkdtemp(folder) ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    return rmdir(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_glob),
        cmocka_unit_test(test_glob_work),
        cmocka_unit_test(test_glob_channels),
        cmocka_unit_test(test_glob_covers),
        cmocka_unit_test(test_distance),
        cmocka_unit_test(test_nearest),
        cmocka_unit_test(test_show),
        cmocka_unit_test(test_long_message),
        cmocka_unit_test(test_syntax_accepts),
        cmocka_unit_test(test_syntax_refuses),
        cmocka_unit_test(test_syntax_depth),
        cmocka_unit_test(test_syntax_silent),
        cmocka_unit_test(test_key_files),
        cmocka_unit_test(test_credentials),
        cmocka_unit_test(test_environment),
        cmocka_unit_test(test_paths),
        cmocka_unit_test(test_loopback),
        cmocka_unit_test(test_tables),
        cmocka_unit_test(test_sample),
        cmocka_unit_test(test_example_file),
        cmocka_unit_test(test_manual),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
