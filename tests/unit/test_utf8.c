/* utf8.c: well-formedness, cleaning, and cuts where people see characters. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "plugin/base/utf8.h"

#define FFFD "\xEF\xBF\xBD"
#define FAMILY "\xF0\x9F\x91\xA8\xE2\x80\x8D\xF0\x9F\x91\xA9\xE2\x80\x8D\xF0\x9F\x91\xA7" /* 18 bytes, one grapheme */
#define FLAG_DE "\xF0\x9F\x87\xA9\xF0\x9F\x87\xAA"
#define FLAG_FR "\xF0\x9F\x87\xAB\xF0\x9F\x87\xB7"
#define HEART "\xE2\x9D\xA4\xEF\xB8\x8F"   /* with the emoji variation selector */
#define THUMB "\xF0\x9F\x91\x8D\xF0\x9F\x8F\xBD" /* with a skin tone */

#define COUNT(table) (sizeof(table) / sizeof *(table))

static void test_well_formed(void **state)
{
    (void)state;
    static const struct {
        const char *s;
        bool valid;
    } cases[] = {
        {"", true},
        {"plain", true},
        {"\x7F", true},
        {"\x80", false},
        {"\xBF", false},
        {"\xC0\x80", false}, /* overlong NUL */
        {"\xC1\xBF", false},
        {"\xC2\x80", true},
        {"\xC2", false},
        {"\xC2\x7F", false},
        {"\xC2\xC0", false},
        {"\xDF\xBF", true},
        {"\xE0\x9F\xBF", false}, /* overlong */
        {"\xE0\xA0\x80", true},
        {"\xE2\x82", false},
        {"\xE2\x28\xA1", false},
        {"\xE2\x82\x28", false},
        {"\xED\x9F\xBF", true},
        {"\xED\xA0\x80", false}, /* surrogates */
        {"\xED\xBF\xBF", false},
        {"\xEE\x80\x80", true},
        {"\xEF\xBF\xBF", true},
        {"\xF0\x8F\xBF\xBF", false},
        {"\xF0\x90\x80\x80", true},
        {"\xF0\x90\x80", false},
        {"\xF0\x90\x80\x7F", false},
        {"\xF4\x8F\xBF\xBF", true},
        {"\xF4\x90\x80\x80", false}, /* above U+10FFFF */
        {"\xF5\x80\x80\x80", false},
        {"\xFF", false},
        {"ok\xE4\xBD\xA0\xFFok", false},
    };
    for (size_t i = 0; i < COUNT(cases); i++)
        if (utf8_valid(cases[i].s, strlen(cases[i].s)) != cases[i].valid)
            fail_msg("case %zu", i);
    assert_true(utf8_valid("a\0b", 3));
}

/* utf8_put and utf8_next are inverse over all of Unicode but surrogates. */
static void test_every_point(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b, 4);
    for (uint32_t cp = 0; cp <= 0x10FFFF; cp++) {
        bool surrogate = cp >= 0xD800 && cp <= 0xDFFF;
        buf_reset(&b);
        assert_int_equal(utf8_put(&b, cp), ERR_OK);
        assert_int_equal(utf8_valid(b.data, b.len), !surrogate);
        size_t i = 0;
        uint32_t back = utf8_next(b.data, b.len, &i);
        if (surrogate ? back != 0xFFFD || i != 1 : back != cp || i != b.len)
            fail_msg("U+%04X", (unsigned)cp);
    }
    buf_reset(&b);
    utf8_put(&b, 0x110000);
    assert_string_equal(buf_str(&b), FFFD);
    buf_free(&b);
}

static void test_next_on_ill_formed(void **state)
{
    (void)state;
    static const char s[] = "\xE4\xBD" "a" "\xF0\x9F\x98";
    static const uint32_t expected[] = {0xFFFD, 0xFFFD, 'a', 0xFFFD, 0xFFFD, 0xFFFD};
    size_t n = 0, i = 0;
    while (i < sizeof s - 1)
        assert_int_equal(utf8_next(s, sizeof s - 1, &i), expected[n++]);
    assert_int_equal(n, COUNT(expected));
    assert_int_equal(utf8_points(s, sizeof s - 1), COUNT(expected));
}

static void test_points(void **state)
{
    (void)state;
    assert_int_equal(utf8_points("", 0), 0);
    assert_int_equal(utf8_points("abc", 3), 3);
    assert_int_equal(utf8_points("你好", 6), 2);
    assert_int_equal(utf8_points(FAMILY, 18), 5);
}

static void test_span(void **state)
{
    (void)state;
    static const bool stop[256] = {['x'] = 1, [0xE4] = 1};
    static const struct {
        const char *s;
        size_t span;
    } cases[] = {
        {"", 0}, {"x", 0}, {"abx", 2}, {"ab", 2}, {"a\xC3\xA9z", 4}, {"a\xE4\xBD\xA0", 1}, {"a\xFF", 1}, {"a\xC3", 1},
    };
    for (size_t i = 0; i < COUNT(cases); i++)
        assert_int_equal(utf8_span(cases[i].s, strlen(cases[i].s), stop), cases[i].span);
}

static void assert_cleaned(const char *s, size_t len, const char *expected)
{
    struct buf b;
    buf_init(&b, 100);
    assert_int_equal(utf8_clean(&b, s, len), ERR_OK);
    assert_string_equal(buf_str(&b), expected);
    assert_int_equal(b.len, strlen(expected));
    buf_free(&b);
}

static void test_clean(void **state)
{
    (void)state;
    static const struct {
        const char *s, *expected;
    } cases[] = {
        {"", ""},
        {"plain", "plain"},
        {"a\tb\nc", "a\tb\nc"},
        {"a\r\nb", "a\nb"},
        {"a\rb", "a\nb"},
        {"a\r", "a\n"},
        {"\r\r\n\n\r", "\n\n\n\n"},
        {"a\r\xFF", "a\n" FFFD},
        {"\x1b[31mred\x1b[0m", "[31mred[0m"},
        {"\x7F", ""},
        {"\xC2\x80\xC2\x9F\xC2\xA0\xC2\xA9", "\xC2\xA0\xC2\xA9"},
        {"\xC2", FFFD},
        {"caf\xC3\xA9 \xE4\xBD\xA0\xE5\xA5\xBD " FAMILY, "caf\xC3\xA9 \xE4\xBD\xA0\xE5\xA5\xBD " FAMILY},
        {"a\xE4\xBD", "a" FFFD FFFD},
        {"\xED\xA0\xBD", FFFD FFFD FFFD},
        {"\xFFx\xFF", FFFD "x" FFFD},
    };
    for (size_t i = 0; i < COUNT(cases); i++)
        assert_cleaned(cases[i].s, strlen(cases[i].s), cases[i].expected);
    assert_cleaned("a\0b\0", 4, "ab");
}

static void test_clean_controls(void **state)
{
    (void)state;
    for (int c = 0; c < 0x80; c++) {
        char s = (char)c;
        bool kept = (c >= ' ' && c < 0x7F) || c == '\n' || c == '\t';
        const char same[] = {s, '\0'};
        assert_cleaned(&s, 1, kept ? same : c == '\r' ? "\n" : "");
    }
}

static void test_clean_maximum(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b, 6);
    assert_int_equal(utf8_clean(&b, "abc\xFF", 4), ERR_OK);
    buf_reset(&b);
    assert_int_equal(utf8_clean(&b, "abcd\xFF", 5), ERR_TOO_LARGE);
    buf_free(&b);
}

static void test_cut(void **state)
{
    (void)state;
    static const struct {
        const char *s;
        size_t max, cut;
    } cases[] = {
        {"", 0, 0},
        {"abc", 0, 0},
        {"abc", 2, 2},
        {"abc", 3, 3},
        {"abc", 9, 3},
        {"你好", 2, 0},
        {"你好", 3, 3},
        {"你好", 5, 3},
        {"你好", 6, 6},
        {"e\xCC\x81x", 1, 0}, /* combining accent */
        {"e\xCC\x81x", 2, 0},
        {"e\xCC\x81x", 3, 3},
        {"a\r\nb", 2, 1},
        {"a\r\nb", 3, 3},
        {"a" FAMILY "b", 18, 1},
        {"a" FAMILY "b", 19, 19},
        {FAMILY FAMILY, 35, 18},
        {FAMILY, 17, 0},
        {FLAG_DE FLAG_FR, 7, 0},
        {FLAG_DE FLAG_FR, 12, 8}, /* not between the two halves of a flag */
        {FLAG_DE FLAG_FR, 16, 16},
        {"x" HEART, 4, 1},
        {"x" HEART, 7, 7},
        {THUMB "x", 7, 0},
        {THUMB "x", 8, 8},
        {"\xEA\xB0\x80\xE1\x86\xA8z", 3, 0}, /* Hangul syllable and final */
        {"\xEA\xB0\x80\xE1\x86\xA8z", 6, 6},
    };
    for (size_t i = 0; i < COUNT(cases); i++)
        if (utf8_cut(cases[i].s, strlen(cases[i].s), cases[i].max) != cases[i].cut)
            fail_msg("case %zu", i);
}

static void test_width(void **state)
{
    (void)state;
    static const struct {
        const char *s;
        size_t width;
    } cases[] = {
        {"", 0},          {"abc", 3},  {"你好", 4},  {"e\xCC\x81", 1}, {"a\tb\x1b\x7F", 2},
        {FAMILY "b", 3}, {"\xEF\xBC\xA1", 2} /* fullwidth A */, {"\xE2\x80\x8B", 0} /* zero width space */,
        {THUMB, 2},       {"\n", 0},
    };
    for (size_t i = 0; i < COUNT(cases); i++)
        if (utf8_width(cases[i].s, strlen(cases[i].s)) != cases[i].width)
            fail_msg("case %zu", i);
}

static void test_printable(void **state)
{
    (void)state;
    static const struct {
        const char *s;
        bool printable;
    } cases[] = {
        {"", true},
        {"Alice B.", true},
        {"张三", true},
        {"Zo\xC3\xAB", true},
        {FAMILY, true},
        {HEART, true},
        {"\xD8\xB9\xD9\x84\xDB\x8C\xE2\x80\x8C\xD8\xB1\xD8\xB6\xD8\xA7", true}, /* Persian, with ZWNJ */
        {"b\xE2\x80\x8Cot", false},
        {"\xE2\x80\x8C\xD8\xB9", false},
        {"\xD8\xB9\xE2\x80\x8C", false},
        {"\xD8\xB9\xE2\x80\x8Dx", false},
        {"a\xE2\x80\x8B", false},     /* zero width space */
        {"\xEF\xBB\xBF" "a", false},    /* byte order mark */
        {"\xE2\x80\xAE" "abc", false},  /* right-to-left override */
        {"a\xE2\x80\xA8" "b", false},   /* line separator */
        {"a\xE2\x80\xA9" "b", false},
        {"a\nb", false},
        {"a\tb", false},
        {"\x7F", false},
        {"\xC2\x85", false},
        {"\xC2\xAD", false}, /* soft hyphen */
        {"a\xFF", false},
        {"\xED\xA0\x80", false},
        {FFFD, true},
    };
    for (size_t i = 0; i < COUNT(cases); i++)
        if (utf8_printable(cases[i].s, strlen(cases[i].s)) != cases[i].printable)
            fail_msg("case %zu", i);
    assert_false(utf8_printable("a\0b", 3));
}

static void test_fold(void **state)
{
    (void)state;
    static const struct {
        const char *s, *folded;
    } cases[] = {
        {"", ""},
        {"MiXed 123_[]", "mixed 123_[]"},
        {"\xC3\x89" "COLE", "\xC3\xA9" "cole"},
        {"E\xCC\x81" "COLE", "\xC3\xA9" "cole"}, /* decomposed is the same name */
        {"Stra\xC3\x9F" "e", "strasse"},
        {"\xCE\xA3\xCE\xAF\xCF\x83\xCF\x85\xCF\x86\xCE\xBF\xCF\x82", "\xCF\x83\xCE\xAF\xCF\x83\xCF\x85\xCF\x86\xCE\xBF\xCF\x83"},
        {"\xEF\xBC\xA2\xEF\xBC\xAF\xEF\xBC\xB4", "bot"}, /* fullwidth */
        {"b\xE2\x80\x8Cot", "bot"},
        {"你好", "你好"},
        {"A\xFF" "B", "a" FFFD "b"},
        {"\xFF", FFFD},
        {"\xC3\x89\xFF\xFF", "\xC3\xA9" FFFD FFFD},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct buf b;
        buf_init(&b, 100);
        assert_int_equal(utf8_fold(&b, cases[i].s, strlen(cases[i].s)), ERR_OK);
        assert_string_equal(buf_str(&b), cases[i].folded);
        buf_free(&b);
    }
}

static void test_in_word(void **state)
{
    (void)state;
    static const struct {
        const char *s;
        bool in_word;
    } cases[] = {
        {"a", true},
        {"Z", true},
        {"0", true},
        {"_", true},
        {"\xC3\xA9", true},     /* é */
        {"\xD0\xB1", true},     /* Cyrillic be */
        {"\xCC\x81", true},     /* combining acute */
        {" ", false},
        {"-", false},
        {"@", false},
        {"\xE4\xBD\xA0", false}, /* 你 */
        {"\xEA\xB0\x80", false}, /* Hangul ga */
        {"\xD7\x91", false},     /* Hebrew bet */
        {FLAG_DE, false},
        {FFFD, false},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        size_t at = 0;
        if (utf8_in_word(utf8_next(cases[i].s, strlen(cases[i].s), &at)) != cases[i].in_word)
            fail_msg("\"%s\": not as expected", cases[i].s);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_well_formed),
        cmocka_unit_test(test_every_point),
        cmocka_unit_test(test_next_on_ill_formed),
        cmocka_unit_test(test_points),
        cmocka_unit_test(test_span),
        cmocka_unit_test(test_clean),
        cmocka_unit_test(test_clean_controls),
        cmocka_unit_test(test_clean_maximum),
        cmocka_unit_test(test_cut),
        cmocka_unit_test(test_width),
        cmocka_unit_test(test_printable),
        cmocka_unit_test(test_in_word),
        cmocka_unit_test(test_fold),
    };
    return cmocka_run_group_tests_name("utf8", tests, NULL, NULL);
}
