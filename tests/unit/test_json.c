/* json.c: what is accepted, what the getters give, and what is written. */
#include <float.h>
#include <locale.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "plugin/base/json.h"
#include "plugin/base/utf8.h"

#define COUNT(table) (sizeof(table) / sizeof *(table))
#define FFFD "\xEF\xBF\xBD"
#define HIGH_D83D "\xED\xA0\xBD" /* WTF-8 */
#define LOW_DE00 "\xED\xB8\x80"
#define SMILE "\xF0\x9F\x98\x80" /* U+1F600, which is D83D DE00 */

/* Parses a copy that ends where the text ends, so that a sanitizer sees a byte too many. */
static cJSON *parse(const char *text, size_t len)
{
    char *exact = malloc(len + (len == 0));
    assert_non_null(exact);
    memcpy(exact, text, len);
    cJSON *tree = json_parse(exact, len);
    free(exact);
    return tree;
}

static void test_accepts(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool ok;
    } cases[] = {
        {"{}", true},
        {"[]", true},
        {"0", true},
        {"-1.5e3", true},
        {"\"a\"", true},
        {"true", true},
        {"null", true},
        {" {\"a\": [1, 2, {}]} \r\n\t", true},
        {"{\"a\":\"[[\\\"}\"}", true},
        {"\"\xE4\xBD\xA0\"", true},
        {"", false},
        {" ", false},
        {"{", false},
        {"}", false},
        {"[", false},
        {"]", false},
        {"[]]", false},
        {"{} {}", false},
        {"{}x", false},
        {"1 2", false},
        {"nullx", false},
        {"\"", false},
        {"\"\\", false},
        {"\"\\\"", false},
        {"\"\\u", false},
        {"\"\\u12\"", false},
        {"\"\\u12g4\"", false},
        {"\"\\x\"", false},
        {"{\"a\"}", false},
        {"{\"a\":}", false},
        {"{a:1}", false},
        {"[1,]", false},
        {"'a'", false},
        {"[1\\u0000]", false}, /* an escape outside a string is not removed */
        {"\\u0000", false},
        {"[NaN]", false},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        cJSON *tree = parse(cases[i].text, strlen(cases[i].text));
        if ((tree != NULL) != cases[i].ok)
            fail_msg("%s", cases[i].text);
        cJSON_Delete(tree);
    }
}

static void test_refuses_nul_bytes(void **state)
{
    (void)state;
    assert_null(parse("\"a\0b\"", 5));
    assert_null(parse("{}\0", 3));
}

static void test_member(void **state)
{
    (void)state;
    static const struct {
        const char *text, *value; /* of "a"; NULL: none */
    } cases[] = {
        { "{\"a\":1}", "1" },
        { " \n{ \"a\" : 1.50e-05 , \"b\":2}", "1.50e-05" },
        { "{\"b\":{\"a\":1},\"a\":\"x\\\"}\"}", "\"x\\\"}\"" },
        { "{\"b\":[{\"a\":1},[]],\"a\":{\"c\":[1,{\"d\":\"]\"}]} }", "{\"c\":[1,{\"d\":\"]\"}]}" },
        { "{\"b\":\"{,\",\"a\":[]}", "[]" },
        { "{\"a\":null}", "null" },
        { "{\"a\":\"\",\"a\":2}", "\"\"" },
        { "{\"b\":true\t,\r\n\"a\":false\n}", "false" },
        { "{}", NULL },
        { "{\"aa\":1}", NULL },
        { "{\"b\":{\"a\":1}}", NULL },
        { "[\"a\",1]", NULL },
        { "\"a\"", NULL },
        { "", NULL },
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        const char *at = NULL;
        size_t len = 0, text_len = strlen(cases[i].text);
        bool found = json_member(cases[i].text, text_len, "a", &at, &len);
        if (found != (cases[i].value != NULL) ||
            (found && (len != strlen(cases[i].value) || memcmp(at, cases[i].value, len) != 0)))
            fail_msg("%s: %.*s", cases[i].text, (int)len, at ? at : "");
    }
}

/* It looks at no byte behind the end, whatever is cut off. */
static void test_member_cut(void **state)
{
    (void)state;
    static const char text[] = "{ \"b\" : [ \"\\u00e4\", {} ] , \"a\" : { \"c\" : 1 } }";
    for (size_t len = 0; len < sizeof text - 1; len++) {
        char *cut = malloc(len + 1);
        const char *at;
        size_t n;
        memcpy(cut, text, len);
        bool found = json_member(cut, len, "a", &at, &n);
        assert_true(!found || (n == strlen("{ \"c\" : 1 }") && at + n < cut + len));
        free(cut);
    }
}

static void test_every_prefix_is_incomplete(void **state)
{
    (void)state;
    static const char text[] = "{\"a\":[1.5,true,null,\"\\ud83d\\ude00\\n\\ud83d\"]}";
    for (size_t len = 0; len < sizeof text - 1; len++)
        assert_null(parse(text, len));
    cJSON *tree = parse(text, sizeof text - 1);
    assert_non_null(tree);
    cJSON_Delete(tree);
}

static cJSON *parse_nested(size_t depth)
{
    struct buf b;
    buf_init(&b, 2 * depth);
    for (size_t i = 0; i < depth; i++)
        buf_addc(&b, '[');
    for (size_t i = 0; i < depth; i++)
        buf_addc(&b, ']');
    cJSON *tree = parse(buf_str(&b), b.len);
    buf_free(&b);
    return tree;
}

static void test_depth(void **state)
{
    (void)state;
    cJSON *tree = parse_nested(JSON_DEPTH_MAX);
    assert_non_null(tree);
    cJSON_Delete(tree);
    assert_null(parse_nested(JSON_DEPTH_MAX + 1));
    assert_null(parse_nested(1000000));
}

/* What stands in so many brackets, with something before and behind them. */
static char *nested_in(size_t depth, const char *inner)
{
    struct buf b;
    buf_init(&b, 4 * depth + 200);
    buf_adds(&b, "{\"a\":1,\"deep\":");
    for (size_t i = 0; i < depth; i++)
        buf_addc(&b, '[');
    buf_adds(&b, inner);
    for (size_t i = 0; i < depth; i++)
        buf_addc(&b, ']');
    buf_adds(&b, ",\"b\":\"]\\ud83d\"}");
    return buf_take(&b);
}

static void test_pruned(void **state)
{
    (void)state;
    static const struct {
        size_t depth; /* of brackets; the object around them is one more */
        const char *inner;
        bool pruned;
    } cases[] = {
        {0, "7", false},
        {JSON_DEPTH_MAX - 1, "7", false},
        {JSON_DEPTH_MAX, "7", true},
        {JSON_DEPTH_MAX, "\"]]\\\"]\",{\"x\":[]},[1],\"\\u0000\"", true},
        {100000, "", true},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char *text = nested_in(cases[i].depth, cases[i].inner);
        cJSON *tree = json_parse_pruned(text, strlen(text)), *whole = json_parse(text, strlen(text));
        assert_int_equal(whole == NULL, cases[i].pruned);
        assert_int_equal(json_int(tree, "a", 0), 1);
        assert_string_equal(json_str(tree, "b"), "]\xED\xA0\xBD");
        size_t depth = 0;
        const cJSON *item = json_get(tree, "deep");
        for (; cJSON_IsArray(item); item = item->child)
            depth++;
        assert_int_equal(depth, cases[i].pruned ? JSON_DEPTH_MAX - 1 : cases[i].depth);
        assert_int_equal(cJSON_IsNull(item), cases[i].pruned);
        cJSON_Delete(whole);
        cJSON_Delete(tree);
        assert_null(json_parse_pruned(text, strlen(text) - 1));
        free(text);
    }
    assert_null(json_parse_pruned("", 0));
    assert_null(json_parse_pruned("[}", 2)); /* counted as closed, but cJSON sees it */
    char *open = nested_in(JSON_DEPTH_MAX + 1, "");
    assert_null(json_parse_pruned(open, strchr(open, ']') - open));
    free(open);
}

static void test_strings(void **state)
{
    (void)state;
    static const struct {
        const char *text, *value;
    } cases[] = {
        {"\"a\\n\\t\\\"\\\\\\/\\u0041\"", "a\n\t\"\\/A"},
        {"\"\\ud83d\\ude00\"", SMILE},
        {"\"\\uD83D\\uDE00\"", SMILE},
        {"\"\\ud83d\"", HIGH_D83D},
        {"\"\\uD83D!\"", HIGH_D83D "!"},
        {"\"\\ude00\"", LOW_DE00},
        {"\"\\ude00\\ud83d\"", LOW_DE00 HIGH_D83D},
        {"\"\\ud83d\\ud83d\\ude00\"", HIGH_D83D SMILE},
        {"\"\\ud83d\\u0041\"", HIGH_D83D "A"},
        {"\"\\ud83d\\n\"", HIGH_D83D "\n"},
        {"\"\\ud800\\udbff\\udc00\\udfff\"", "\xED\xA0\x80\xF4\x8F\xB0\x80\xED\xBF\xBF"},
        {"\"a\\u0000b\"", "ab"},
        {"\"\\u0000\"", ""},
        {"\"\\\\u0000\"", "\\u0000"}, /* an escaped backslash, no NUL */
        {"\"\\\\ud83d\\ud83d\"", "\\ud83d" HIGH_D83D},
        {"\"\\u0001\"", "\x01"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        cJSON *tree = parse(cases[i].text, strlen(cases[i].text));
        if (!tree || strcmp(cJSON_GetStringValue(tree), cases[i].value) != 0)
            fail_msg("%s", cases[i].text);
        cJSON_Delete(tree);
    }
}

static void test_odd_escapes_in_keys(void **state)
{
    (void)state;
    static const char text[] = "{\"k\\u0000\":1,\"\\ud83d\":2}";
    cJSON *tree = parse(text, sizeof text - 1);
    assert_int_equal(json_int(tree, "k", 0), 1);
    assert_int_equal(json_int(tree, HIGH_D83D, 0), 2);
    cJSON_Delete(tree);
}

static void test_getters(void **state)
{
    (void)state;
    static const char text[] = "{\"s\":\"text\",\"n\":42,\"t\":true,\"f\":false,\"z\":null,\"o\":{\"n\":1},\"S\":\"other\"}";
    cJSON *tree = parse(text, sizeof text - 1);
    assert_string_equal(json_str(tree, "s"), "text");
    assert_string_equal(json_str(tree, "S"), "other");
    assert_null(json_str(tree, "n"));
    assert_null(json_str(tree, "z"));
    assert_null(json_str(tree, "none"));
    assert_null(json_get(tree, "z"));
    assert_null(json_get(tree, "N"));
    assert_int_equal(json_int(json_get(tree, "o"), "n", 0), 1);
    assert_int_equal(json_int(tree, "n", 7), 42);
    assert_int_equal(json_int(tree, "s", 7), 7);
    assert_int_equal(json_int(tree, "t", 7), 7);
    assert_int_equal(json_int(tree, "none", 7), 7);
    assert_true(json_bool(tree, "t", false));
    assert_false(json_bool(tree, "f", true));
    assert_true(json_bool(tree, "n", true));
    assert_true(json_bool(tree, "z", true));
    cJSON_Delete(tree);
}

static void test_getters_on_anything(void **state)
{
    (void)state;
    static const char *const texts[] = {"[1,2]", "\"a\"", "1", "null", "true", "[]"};
    for (size_t i = 0; i < COUNT(texts); i++) {
        cJSON *tree = parse(texts[i], strlen(texts[i]));
        assert_non_null(tree);
        assert_null(json_get(tree, "a"));
        assert_int_equal(json_int(tree, "a", -1), -1);
        cJSON_Delete(tree);
    }
    assert_null(json_get(NULL, "a"));
    assert_null(json_str(NULL, "a"));
    assert_true(json_bool(NULL, "a", true));
    assert_int_equal(json_int(NULL, "a", -1), -1);
}

static void test_integers(void **state)
{
    (void)state;
    static const struct {
        const char *number;
        int64_t value; /* -7: the fallback */
    } cases[] = {
        {"0", 0},
        {"-0", 0},
        {"1.0", 1},
        {"1.5", -7},
        {"1e3", 1000},
        {"9007199254740991", INT64_C(9007199254740991)},
        {"-9007199254740991", INT64_C(-9007199254740991)},
        {"9007199254740992", -7},
        {"9007199254740993", -7},
        {"-9007199254740992", -7},
        {"1e300", -7},
        {"1e999", -7},
        {"-1e999", -7},
        {"\"12\"", -7},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct buf b;
        buf_init(&b, 100);
        buf_addf(&b, "{\"n\":%s}", cases[i].number);
        cJSON *tree = parse(buf_str(&b), b.len);
        assert_non_null(tree);
        assert_int_equal(json_int(tree, "n", -7), cases[i].value);
        cJSON_Delete(tree);
        buf_free(&b);
    }
}

static void test_escape(void **state)
{
    (void)state;
    static const struct {
        const char *s, *escaped;
    } cases[] = {
        {"", ""},
        {"plain /text/", "plain /text/"},
        {"\"\\", "\\\"\\\\"},
        {"\b\f\n\r\t", "\\b\\f\\n\\r\\t"},
        {"\x01\x1f\x7f", "\\u0001\\u001f\x7f"},
        {"a\nb", "a\\nb"},
        {"\xE4\xBD\xA0\xE5\xA5\xBD" SMILE, "\xE4\xBD\xA0\xE5\xA5\xBD" SMILE},
        {"a\xFF" "b", "a" FFFD "b"},
        {"\xE4\xBD", FFFD FFFD},
        {HIGH_D83D, FFFD FFFD FFFD},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct buf b;
        buf_init(&b, 100);
        assert_int_equal(json_escape(&b, cases[i].s, strlen(cases[i].s)), ERR_OK);
        assert_string_equal(buf_str(&b), cases[i].escaped);
        buf_free(&b);
    }
}

/* Each ASCII character comes back from cJSON as it went in. */
static void test_escape_round_trip(void **state)
{
    (void)state;
    for (int c = 1; c < 0x80; c++) {
        const char s[] = {'<', (char)c, '>', '\0'};
        struct buf b;
        buf_init(&b, 20);
        assert_int_equal(json_quote(&b, s), ERR_OK);
        cJSON *tree = parse(buf_str(&b), b.len);
        assert_non_null(tree);
        assert_string_equal(cJSON_GetStringValue(tree), s);
        cJSON_Delete(tree);
        buf_free(&b);
    }
}

static void test_quote(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b, 100);
    json_quote(&b, "a\"b");
    buf_addc(&b, ',');
    json_quote(&b, NULL);
    buf_addc(&b, ',');
    json_quoten(&b, "a\0b", 3);
    buf_addc(&b, ',');
    json_quoten(&b, "", 0);
    assert_string_equal(buf_str(&b), "\"a\\\"b\",null,\"a\\u0000b\",\"\"");
    buf_free(&b);

    buf_init(&b, 4);
    assert_int_equal(json_quote(&b, "ab"), ERR_OK);
    buf_reset(&b);
    assert_int_equal(json_quote(&b, "abc"), ERR_TOO_LARGE);
    buf_free(&b);
}

static void test_doubles(void **state)
{
    (void)state;
    static const struct {
        double d;
        const char *text;
    } cases[] = {
        {0, "0"},
        {-0.0, "-0"},
        {1, "1"},
        {0.7, "0.7"},
        {0.1, "0.1"},
        {-2.5, "-2.5"},
        {0.1 + 0.2, "0.30000000000000004"},
        {1.0 / 3, "0.3333333333333333"},
        {100000, "100000"},
        {1e22, "1e+22"},
        {123456789012345680.0, "1.2345678901234568e+17"},
        {DBL_MAX, "1.7976931348623157e+308"},
        {DBL_MIN, "2.2250738585072014e-308"},
        {5e-324, "5e-324"},
        {NAN, "null"},
        {INFINITY, "null"},
        {-INFINITY, "null"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct buf b;
        buf_init(&b, 40);
        assert_int_equal(json_double(&b, cases[i].d), ERR_OK);
        assert_string_equal(buf_str(&b), cases[i].text);
        buf_free(&b);
    }
}

static void test_doubles_round_trip(void **state)
{
    (void)state;
    uint64_t bits = 88172645463325252U; /* xorshift64 */
    for (int i = 0; i < 20000; i++) {
        bits ^= bits << 13;
        bits ^= bits >> 7;
        bits ^= bits << 17;
        double d;
        memcpy(&d, &bits, sizeof d);
        if (!isfinite(d))
            continue;
        struct buf b;
        buf_init(&b, 24);
        assert_int_equal(json_double(&b, d), ERR_OK);
        cJSON *tree = parse(buf_str(&b), b.len);
        assert_non_null(tree);
        assert_true(cJSON_GetNumberValue(tree) == d);
        cJSON_Delete(tree);
        buf_free(&b);
    }
}

/* Numbers are the same where people write "0,7". */
static void test_doubles_in_a_comma_locale(void **state)
{
    (void)state;
    static const char *const names[] = {"de_DE.UTF-8", "de_DE.utf8", "fr_FR.UTF-8"};
    const char *found = NULL;
    for (size_t i = 0; i < COUNT(names) && !found; i++)
        found = setlocale(LC_NUMERIC, names[i]);
    if (!found) {
        print_message("no locale with a decimal comma is installed\n");
        skip();
    }
    struct buf b;
    buf_init(&b, 100);
    json_double(&b, 0.7);
    buf_addc(&b, ' ');
    json_double(&b, -1.5e-10);
    assert_string_equal(buf_str(&b), "0.7 -1.5e-10");
    buf_free(&b);
    cJSON *tree = parse("[0.5]", 5);
    assert_true(cJSON_GetNumberValue(cJSON_GetArrayItem(tree, 0)) == 0.5);
    cJSON_Delete(tree);
    setlocale(LC_NUMERIC, "C");
}

static void test_join(void **state)
{
    (void)state;
    static const struct {
        const char *parts[4]; /* up to NULL; then the end of the text */
        const char *joined;
    } cases[] = {
        {{NULL}, ""},
        {{"abc", "def"}, "abcdef"},
        {{HIGH_D83D, LOW_DE00}, SMILE},
        {{HIGH_D83D LOW_DE00}, SMILE},
        {{"a" HIGH_D83D, LOW_DE00 "b"}, "a" SMILE "b"},
        {{HIGH_D83D}, FFFD},
        {{LOW_DE00}, FFFD},
        {{HIGH_D83D, "a"}, FFFD "a"},
        {{HIGH_D83D, HIGH_D83D, LOW_DE00}, FFFD SMILE},
        {{LOW_DE00 HIGH_D83D}, FFFD FFFD},
        {{HIGH_D83D LOW_DE00 LOW_DE00}, SMILE FFFD},
        {{"\xFF" "a"}, FFFD "a"},
        {{HIGH_D83D, "\xFF", LOW_DE00}, FFFD FFFD FFFD},
        {{"\xED\xA0"}, FFFD FFFD},
        {{"\xE4\xBD\xA0" HIGH_D83D}, "\xE4\xBD\xA0" FFFD},
        {{"\xED\xAF\xBF", "\xED\xBF\xBF"}, "\xF4\x8F\xBF\xBF"},
        {{"\xED\xA0\x80", "\xED\xB0\x80"}, "\xF0\x90\x80\x80"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct buf b;
        uint32_t pending = 0;
        buf_init(&b, 100);
        for (size_t k = 0; k < 4 && cases[i].parts[k]; k++) {
            json_join(&b, &pending, cases[i].parts[k], strlen(cases[i].parts[k]));
            assert_true(utf8_valid(buf_str(&b), b.len));
        }
        assert_int_equal(json_join(&b, &pending, "", 0), ERR_OK);
        assert_int_equal(pending, 0);
        if (strcmp(buf_str(&b), cases[i].joined) != 0)
            fail_msg("case %zu", i);
        buf_free(&b);
    }
}

static void test_join_drops_nul(void **state)
{
    (void)state;
    struct buf b;
    uint32_t pending = 0;
    buf_init(&b, 100);
    json_join(&b, &pending, "a\0b" HIGH_D83D "\0" LOW_DE00, 11);
    assert_string_equal(buf_str(&b), "ab" SMILE);
    buf_free(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_accepts),
        cmocka_unit_test(test_refuses_nul_bytes),
        cmocka_unit_test(test_every_prefix_is_incomplete),
        cmocka_unit_test(test_depth),
        cmocka_unit_test(test_pruned),
        cmocka_unit_test(test_strings),
        cmocka_unit_test(test_odd_escapes_in_keys),
        cmocka_unit_test(test_getters),
        cmocka_unit_test(test_getters_on_anything),
        cmocka_unit_test(test_integers),
        cmocka_unit_test(test_escape),
        cmocka_unit_test(test_escape_round_trip),
        cmocka_unit_test(test_quote),
        cmocka_unit_test(test_doubles),
        cmocka_unit_test(test_member),
        cmocka_unit_test(test_member_cut),
        cmocka_unit_test(test_doubles_round_trip),
        cmocka_unit_test(test_doubles_in_a_comma_locale),
        cmocka_unit_test(test_join),
        cmocka_unit_test(test_join_drops_nul),
    };
    return cmocka_run_group_tests_name("json", tests, NULL, NULL);
}
