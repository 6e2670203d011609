/* tokens.c: values of the fitted model, worked out by hand from its weights. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "plugin/model/tokens.h"

#define COUNT(table) (sizeof(table) / sizeof *(table))

static void test_weights(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        size_t tokens;
    } cases[] = {
        {"", 0},
        {" ", 1}, /* costs nothing, but no text is free */
        {"a", 1},
        {"hello world", 2},                    /* 94+13 + 94+13 = 214 */
        {"internationalization", 3},           /* 94 + 16*13 = 302 */
        {"getHTTPResponseCode", 5},            /* 94*3 (steps at H and C) + 15*13 = 477 */
        {"Straße", 2},                         /* 28 + 6*30 = 208 */
        {"1234567", 5},                        /* three groups: 456 */
        {"123", 2},
        {"...", 1},                            /* 78 + 2*10 = 98 */
        {"!", 1},
        {"a\n\n  b", 3},                       /* 94 + 62 + 94 = 250 */
        {"a  b", 3},                           /* 94 + 130 + 94 = 318 */
        {"a\xC2\xA0\tb", 3},                   /* no-break space and tab are blanks */
        {"你好世界", 3},                       /* 4*76 = 304 */
        {"你好，世界！", 5},                   /* 304 + 2*78 = 460 */
        {"ひらがな", 3},                       /* 4*69 = 276 */
        {"カタカナ", 3},                       /* 4*70 = 280 */
        {"한국어", 2},                         /* 3*69 = 207 */
        {"Привет", 2},                         /* 138 + 6*6 = 174 */
        {"Ελλάδα", 2},                         /* 3 + 6*38 = 231 */
        {"😀", 2},                             /* 224 */
        {"👩\xE2\x80\x8D👧", 5},               /* two emoji and a joiner: 224*2 + 78 */
        {"कखग", 1},                            /* 3*37 = 111 */
        {"\xFF\xFE", 1},                       /* two U+FFFD: 74 */
        {"\xD9\xA1\xD9\xA2\xD9\xA3\xD9\xA4", 3}, /* four Arabic digits are two groups */
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        size_t got = tokens_estimate(cases[i].text, strlen(cases[i].text));
        if (got != cases[i].tokens)
            fail_msg("\"%s\": %zu, not %zu", cases[i].text, got, cases[i].tokens);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_weights),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
