/* policy.c: the whole table, and what must hold for every code. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "plugin/model/policy.h"

#define COUNT(table) (sizeof(table) / sizeof *(table))

/* Letters: a again, k next key, m next model, t trips; C cools, K kills the key. */
static const struct {
    enum err_code code;
    const char *does;
    enum log_level log;
} cases[] = {
    {ERR_NET, "amt", LOG_WARN},       {ERR_TIMEOUT, "amt", LOG_WARN}, {ERR_OVERLOAD, "amt", LOG_WARN},
    {ERR_SERVER, "amt", LOG_WARN},    {ERR_PROTO, "amt", LOG_WARN},   {ERR_EMPTY, "am", LOG_WARN},
    {ERR_RATE, "akmC", LOG_WARN},     {ERR_BUSY, "", LOG_ERROR},      {ERR_AUTH, "kmK", LOG_ERROR},
    {ERR_QUOTA, "kmK", LOG_ERROR},     {ERR_MODEL, "m", LOG_ERROR},     {ERR_PARAM, "m", LOG_ERROR},
    {ERR_INVALID, "m", LOG_ERROR},     {ERR_CONTEXT, "m", LOG_INFO},    {ERR_CONTENT, "", LOG_INFO},
    {ERR_TOO_LARGE, "", LOG_WARN},     {ERR_CANCELLED, "", LOG_DEBUG},  {ERR_OK, "", LOG_DEBUG},
    {ERR_NOT_FOUND, "", LOG_ERROR},    {ERR_EXISTS, "", LOG_ERROR},     {ERR_IO, "", LOG_ERROR},
    {ERR_FULL, "", LOG_ERROR},         {ERR_VERSION, "", LOG_ERROR},    {ERR_INTERNAL, "", LOG_ERROR},
};

static void test_table(void **state)
{
    (void)state;
    assert_int_equal(COUNT(cases), ERR_COUNT); /* a new code needs a decision */
    for (size_t i = 0; i < COUNT(cases); i++) {
        const struct policy *p = policy_of(cases[i].code);
        char does[8];
        snprintf(does, sizeof does, "%s%s%s%s%s%s", p->again ? "a" : "", p->next_key ? "k" : "",
                 p->next_model ? "m" : "", p->trips ? "t" : "",
                 p->key == KEY_COOL ? "C" : "", p->key == KEY_KILL ? "K" : "");
        if (strcmp(does, cases[i].does) != 0 || p->log != cases[i].log)
            fail_msg("%s: %s, log %d", err_name(cases[i].code), does, (int)p->log);
    }
}

static void test_sense(void **state)
{
    (void)state;
    for (int code = 0; code < ERR_COUNT; code++) {
        const struct policy *p = policy_of((enum err_code)code);
        assert_true(!p->trips || p->again);
        assert_true(p->next_key == (p->key != KEY_KEEP)); /* the next one differs only if this one rests */
        assert_false(p->key == KEY_KILL && p->again);
    }
    assert_ptr_equal(policy_of(ERR_COUNT), policy_of(ERR_INTERNAL));
    assert_ptr_equal(policy_of((enum err_code) -1), policy_of(ERR_INTERNAL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_table), cmocka_unit_test(test_sense)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
