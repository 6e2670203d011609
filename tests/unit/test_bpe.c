/* Where a text is cut, how bytes become tokens, and what is no vocabulary.
 * tests/e2e/test_tokens.py compares the counts with tiktoken's own. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "plugin/base/clock.h"
#include "plugin/base/mem.h"
#include "plugin/model/bpe.h"
#include "plugin/model/bpe_split.h"
#include "plugin/model/vocabularies.h"
#include "tests/unit/vocabulary_fake.h"

#define COUNT(table) (sizeof(table) / sizeof *(table))
#define LONG_RUN_BYTES 300000
#define LONG_RUN_SECONDS_MAX 20 /* quadratic work would take hours */

/* --- pieces --- */
static void assert_pieces(enum bpe_encoding encoding, const char *text, const char *want)
{
    struct buf got;
    buf_init(&got, 65536);
    size_t len = strlen(text);
    for (size_t at = 0, end; at < len; at = end) {
        end = bpe_split(encoding, text, len, at);
        assert_true(end > at && end <= len);
        if (at)
            buf_addc(&got, '|');
        buf_add(&got, text + at, end - at);
    }
    if (strcmp(buf_str(&got), want) != 0)
        fail_msg("encoding %d: \"%s\", not \"%s\"", encoding, buf_str(&got), want);
    buf_free(&got);
}

static void pieces(void **state)
{
    (void)state;
    static const struct {
        const char *text, *o200k, *cl100k; /* NULL: the same */
    } cases[] = {
        { "", "", NULL },
        { "a", "a", NULL },
        { "Hello world", "Hello| world", NULL },
        { "HelloWorld", "Hello|World", "HelloWorld" },
        { "HTTPServer", "HTTPServer", "HTTPServer" },
        { "HTTP", "HTTP", NULL },
        { "it's IT'S she'Ll", "it's| IT'S| she'Ll", "it|'s| IT|'S| she|'Ll" },
        { "I'm you're we've I'd don't", "I'm| you're| we've| I'd| don't", "I|'m| you|'re| we|'ve| I|'d| don|'t" },
        { "it'\xC5\xBF", "it'\xC5\xBF", "it|'\xC5\xBF" }, /* a long s */
        { "a'x", "a|'x", NULL },
        { "a'", "a|'", NULL },
        { "a'r", "a|'r", NULL },
        { "12345678", "123|456|78", NULL },
        { "a1b", "a|1|b", NULL },
        { " 1", " |1", NULL },
        { "1 2", "1| |2", NULL },
        { "a  b", "a| | b", NULL },
        { "a   b", "a|  | b", NULL },
        { "a   ", "a|   ", NULL },
        { "a\n\n  b", "a|\n\n| | b", NULL },
        { "a \n \n b", "a| \n \n| b", NULL },
        { "\tb", "\tb", NULL },
        { "\t\tb", "\t|\tb", NULL },
        { "x = y;\n", "x| =| y|;\n", NULL },
        { "a!!/\r\n/b", "a|!!/\r\n/|b", "a|!!/\r\n|/b" },
        { "a:/b", "a|:/|b", "a|:/|b" },
        { "\n/b", "\n|/b", NULL },
        { "(a)", "(a|)", NULL },
        { "((a", "((|a", NULL },
        { "!\xE4\xBD\xA0\xE5\xA5\xBD", "!\xE4\xBD\xA0\xE5\xA5\xBD", NULL },
        { "\xE3\x80\x80\xE4\xBD\xA0", "\xE3\x80\x80\xE4\xBD\xA0", NULL }, /* an ideographic space */
        { "A\xE4\xBD\xA0" "B", "A\xE4\xBD\xA0|B", "A\xE4\xBD\xA0" "B" },
        { "\xCA\xB0" "AA", "\xCA\xB0|AA", "\xCA\xB0" "AA" }, /* Lm ends the first word, as heads come only */
        { "e\xCC\x81t", "e\xCC\x81t", "e|\xCC\x81t" },    /* a mark belongs to the word, or is a sign */
        { "\xE0\xA4\x95\xE0\xA5\x8D", "\xE0\xA4\x95\xE0\xA5\x8D", "\xE0\xA4\x95|\xE0\xA5\x8D" },
        { "\xF0\x9F\x98\x80\xF0\x9F\x98\x80 x", "\xF0\x9F\x98\x80\xF0\x9F\x98\x80| x", NULL },
        { "\xC2\xA0x", "\xC2\xA0x", NULL },
        { "\xC2\xBD\xE2\x85\xA7", "\xC2\xBD\xE2\x85\xA7", NULL }, /* one half, roman eight: numbers */
        { "\xFF" "a\xC3", "\xFF" "a|\xC3", NULL },                /* ill-formed: signs */
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        assert_pieces(BPE_O200K, cases[i].text, cases[i].o200k);
        assert_pieces(BPE_CL100K, cases[i].text, cases[i].cl100k ? cases[i].cl100k : cases[i].o200k);
    }
}

/* --- merging --- */
static struct vocabulary *vocabulary_of(const char *const *tokens)
{
    struct vocabulary *v;
    struct err e = ERR_INIT;
    struct buf file;
    buf_init(&file, VOCABULARY_FAKE_MAX);
    vocabulary_fake(&file, 0, tokens);
    if (vocabulary_parse(file.data, file.len, "fake", &v, &e))
        fail_msg("%s", e.text);
    buf_free(&file);
    return v;
}

static void merging(void **state)
{
    (void)state;
    static const char *const tokens[] = { "ab", "bc", "cd", "abcd", "aa", "aaa", NULL };
    static const struct {
        const char *text;
        size_t count;
    } cases[] = {
        { "", 0 },
        { "a", 1 },
        { "ab", 1 },
        { "abc", 2 },     /* ab c: the lower rank first */
        { "bcd", 2 },     /* bc d */
        { "abcd", 1 },    /* whole */
        { "xabcd", 2 },   /* ab cd, then abcd */
        { "aaaa", 2 },    /* the leftmost of equals: aa aa, and no token of four */
        { "aaaaa", 2 },   /* aa aa a; then "aaa" at the right: aa aaa */
        { "xyz", 3 },
        { "ab ab", 3 },   /* "ab", and " ab" of two */
        { "\xFF\xFE", 2 },
    };
    struct vocabulary *v = vocabulary_of(tokens);
    assert_string_equal(vocabulary_name(v), "o200k_base");
    for (size_t i = 0; i < COUNT(cases); i++)
        if (vocabulary_count(v, cases[i].text, strlen(cases[i].text)) != cases[i].count)
            fail_msg("\"%s\": %zu, not %zu", cases[i].text, vocabulary_count(v, cases[i].text, strlen(cases[i].text)),
                     cases[i].count);
    vocabulary_free(&v);
    assert_null(v);
    vocabulary_free(&v);
}

static void long_runs_cost_no_more_than_other_text(void **state)
{
    (void)state;
    static const char *const tokens[] = { "aa", "aaaa", "ab", "  ", NULL };
    static const char *const units[] = { "a", "A", " ", "!", "\n", "\xE4\xBD\xA0", "\xCA\xB0" "A", "ab", " \n", "\xCC\x81" };
    struct vocabulary *v = vocabulary_of(tokens);
    int64_t begin = clock_mono_ms();
    for (size_t i = 0; i < COUNT(units); i++) {
        struct buf text;
        buf_init(&text, LONG_RUN_BYTES);
        while (text.len + strlen(units[i]) <= LONG_RUN_BYTES)
            buf_adds(&text, units[i]);
        size_t n = vocabulary_count(v, text.data, text.len);
        assert_true(n >= text.len / 4 && n <= text.len);
        buf_free(&text);
    }
    assert_true(clock_mono_ms() - begin < LONG_RUN_SECONDS_MAX * 1000);
    vocabulary_free(&v);
}

static void a_cut_in_a_long_run_costs_a_token(void **state)
{
    (void)state;
    static const char *const tokens[] = { "aa", NULL };
    struct vocabulary *v = vocabulary_of(tokens);
    char text[BPE_PIECE_BYTES_MAX + 2];
    memset(text, 'a', sizeof text);
    assert_int_equal(vocabulary_count(v, text, BPE_PIECE_BYTES_MAX), BPE_PIECE_BYTES_MAX / 2);
    assert_int_equal(vocabulary_count(v, text, BPE_PIECE_BYTES_MAX + 1), BPE_PIECE_BYTES_MAX / 2 + 1);
    assert_int_equal(vocabulary_count(v, text, BPE_PIECE_BYTES_MAX + 2), BPE_PIECE_BYTES_MAX / 2 + 1);
    vocabulary_free(&v);
}

/* --- what is no vocabulary --- */
static void assert_refused(const char *data, size_t len, enum err_code code, const char *says)
{
    struct vocabulary *v;
    struct err e = ERR_INIT;
    assert_int_equal(vocabulary_parse(data, len, "some.vocab", &v, &e), code);
    assert_null(v);
    assert_non_null(strstr(e.text, "some.vocab"));
    if (!strstr(e.text, says))
        fail_msg("\"%s\" does not say \"%s\"", e.text, says);
}

static void damaged_files_are_refused(void **state)
{
    (void)state;
    static const char *const tokens[] = { "ab", "abc", NULL };
    static const struct {
        size_t at;
        char byte;
        bool seal;
        enum err_code code;
        const char *says;
    } cases[] = {
        { 0, 'W', false, ERR_INVALID, "is no vocabulary" },
        { 8, 2, false, ERR_VERSION, "another version" },
        { 12, 2, false, ERR_VERSION, "encoding" },
        { 16, 3, false, ERR_INVALID, "cut off or damaged" },   /* another number of tokens */
        { 19, 127, false, ERR_INVALID, "cut off or damaged" }, /* far too many of them */
        { 20, 9, false, ERR_INVALID, "cut off or damaged" },
        { 23, -1, false, ERR_INVALID, "cut off or damaged" },
        { 24, 0x55, false, ERR_INVALID, "checksum" },
        { 40, 2, false, ERR_INVALID, "checksum" },
        { 40, 2, true, ERR_INVALID, "contradicts itself" },     /* lengths that sum up to too much */
        { 40, 0, true, ERR_INVALID, "contradicts itself" },     /* an empty token */
        { 40, -1, true, ERR_INVALID, "contradicts itself" },
        { 32 + 258 + 65, 66, true, ERR_INVALID, "contradicts itself" }, /* no A, and two B */
    };
    struct buf file;
    buf_init(&file, VOCABULARY_FAKE_MAX);
    vocabulary_fake(&file, 1, tokens);
    for (size_t i = 0; i < COUNT(cases); i++) {
        char *copy = malloc(file.len);
        memcpy(copy, file.data, file.len);
        copy[cases[i].at] = cases[i].byte;
        if (cases[i].seal)
            vocabulary_fake_seal(copy, file.len);
        assert_refused(copy, file.len, cases[i].code, cases[i].says);
        free(copy);
    }
    for (size_t len = 0; len < file.len; len++) {
        char *part = mem_array(len + 1, 1); /* of its size, so that a sanitizer sees who reads on */
        memcpy(part, file.data, len);
        assert_refused(part, len, ERR_INVALID, "some.vocab");
        free(part);
    }
    buf_addc(&file, 'x');
    assert_refused(file.data, file.len, ERR_INVALID, "cut off or damaged");
    buf_free(&file);
}

static void a_byte_that_is_no_token_is_refused(void **state)
{
    (void)state;
    static const char *const tokens[] = { "ab", NULL };
    struct buf file;
    buf_init(&file, VOCABULARY_FAKE_MAX);
    vocabulary_fake(&file, 0, tokens);
    /* "A" becomes "AB", the "ab" at the end becomes "b": all sums are right. */
    file.data[32 + 65] = 2;
    file.data[32 + 256] = 1;
    vocabulary_fake_seal(file.data, file.len);
    assert_refused(file.data, file.len, ERR_INVALID, "contradicts itself");
    buf_free(&file);
}

static void files(void **state)
{
    (void)state;
    static const char *const tokens[] = { "ab", NULL };
    char name[] = "/tmp/warbler-vocabulary-XXXXXX";
    struct vocabulary *v;
    struct err e = ERR_INIT;
    struct buf file;
    int fd = mkstemp(name);
    assert_true(fd >= 0);
    buf_init(&file, VOCABULARY_FAKE_MAX);
    vocabulary_fake(&file, 1, tokens);
    assert_int_equal(write(fd, file.data, file.len), file.len);
    assert_int_equal(vocabulary_load(name, &v, &e), ERR_OK);
    assert_string_equal(vocabulary_name(v), "cl100k_base");
    vocabulary_free(&v);
    assert_int_equal(ftruncate(fd, (off_t)BPE_FILE_BYTES_MAX + 1), 0);
    assert_int_equal(vocabulary_load(name, &v, &e), ERR_TOO_LARGE);
    assert_int_equal(ftruncate(fd, 0), 0);
    assert_int_equal(vocabulary_load(name, &v, &e), ERR_INVALID);
    close(fd);
    unlink(name);
    assert_int_equal(vocabulary_load(name, &v, &e), ERR_IO);
    assert_null(v);
    assert_non_null(strstr(e.text, name));
    assert_int_equal(vocabulary_load("/tmp", &v, &e), ERR_IO);
    buf_free(&file);
}

static void write_vocabulary(const char *name, const char *const *tokens)
{
    struct buf file;
    buf_init(&file, VOCABULARY_FAKE_MAX);
    vocabulary_fake(&file, 0, tokens);
    FILE *f = fopen(name, "w");
    assert_non_null(f);
    assert_int_equal(fwrite(file.data, 1, file.len, f), file.len);
    fclose(f);
    buf_free(&file);
}

static void a_file_is_read_once_until_it_changes(void **state)
{
    (void)state;
    static const char *const few[] = { "ab", NULL }, *const more[] = { "ab", "abc", NULL };
    char name[] = "/tmp/warbler-vocabulary-XXXXXX";
    int fd = mkstemp(name);
    assert_true(fd >= 0);
    close(fd);
    struct vocabularies *vs = vocabularies_new();
    assert_null(vocabularies_get(vs, NULL));
    assert_null(vocabularies_get(vs, name)); /* empty */
    write_vocabulary(name, few);
    assert_null(vocabularies_get(vs, name)); /* as it was read */
    vocabularies_refresh(vs);
    const struct vocabulary *first = vocabularies_get(vs, name);
    assert_non_null(first);
    vocabularies_refresh(vs);
    assert_ptr_equal(vocabularies_get(vs, name), first);
    write_vocabulary(name, more);
    assert_ptr_equal(vocabularies_get(vs, name), first);
    vocabularies_refresh(vs);
    const struct vocabulary *second = vocabularies_get(vs, name);
    assert_int_equal(vocabulary_count(second, "abc", 3), 1);
    assert_int_equal(vocabulary_count(first, "abc", 3), 2); /* histories still know it */
    unlink(name);
    vocabularies_refresh(vs);
    assert_null(vocabularies_get(vs, name));
    vocabularies_free(&vs);
    assert_null(vs);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pieces),
        cmocka_unit_test(merging),
        cmocka_unit_test(long_runs_cost_no_more_than_other_text),
        cmocka_unit_test(a_cut_in_a_long_run_costs_a_token),
        cmocka_unit_test(damaged_files_are_refused),
        cmocka_unit_test(a_byte_that_is_no_token_is_refused),
        cmocka_unit_test(files),
        cmocka_unit_test(a_file_is_read_once_until_it_changes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
