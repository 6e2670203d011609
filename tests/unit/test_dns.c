/* dns.c: numbers, names and failures, and leaving before the answer. */
#include <string.h>

#include "plugin/net/dns.h"
#include "tests/unit/net_util.h"

static struct loop *loop;

static int set_up(void **state)
{
    (void)state;
    loop = net_loop_new();
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    loop_free(&loop);
    return 0;
}

struct asker {
    struct dns_query *query;
    struct dns_answer answer;
    int answers;
    bool answered;
    struct asker *cancels;
};

static void on_answer(void *arg, const struct dns_answer *answer)
{
    struct asker *a = arg;

    a->answer = *answer;
    a->answers++;
    a->answered = true;
    a->query = NULL;
    if (a->cancels)
        dns_cancel(&a->cancels->query);
}

static void ask(struct asker *a, const char *host)
{
    a->query = dns_resolve(loop, host, on_answer, a);
    assert_non_null(a->query);
    assert_int_equal(a->answers, 0); /* never from inside */
}

static void test_numeric(void **state)
{
    static const char *const hosts[] = {"127.0.0.1", "::1", "2001:db8::1:2"};

    (void)state;
    for (size_t i = 0; i < sizeof hosts / sizeof hosts[0]; i++) {
        struct asker a = {0};

        ask(&a, hosts[i]);
        net_until(loop, &a.answered);
        assert_int_equal(a.answer.e.code, ERR_OK);
        assert_int_equal(a.answer.count, 1);
        assert_string_equal(a.answer.address[0], hosts[i]);
    }
}

static void test_name(void **state)
{
    struct asker a = {0};
    bool found = false;

    (void)state;
    ask(&a, "localhost");
    net_until(loop, &a.answered);
    assert_int_equal(a.answer.e.code, ERR_OK);
    assert_true(a.answer.count >= 1);
    for (size_t i = 0; i < a.answer.count; i++)
        found |= strcmp(a.answer.address[i], "127.0.0.1") == 0 || strcmp(a.answer.address[i], "::1") == 0;
    assert_true(found);
}

static void test_unknown_name(void **state)
{
    struct asker a = {0};

    (void)state;
    ask(&a, "no-such-host.invalid");
    net_until(loop, &a.answered);
    assert_int_equal(a.answer.count, 0);
    assert_int_equal(a.answer.e.code, ERR_NET);
    assert_non_null(strstr(a.answer.e.text, "no-such-host.invalid"));
}

static void test_cancel(void **state)
{
    struct asker name = {0}, number = {0}, last = {0};
    struct dns_query *none = NULL;

    (void)state;
    dns_cancel(&none);
    ask(&name, "localhost");
    ask(&number, "127.0.0.1");
    ask(&last, "localhost");
    dns_cancel(&name.query);
    dns_cancel(&number.query);
    assert_null(name.query);
    net_until(loop, &last.answered);
    assert_int_equal(name.answers + number.answers, 0);
}

static void test_cancel_from_an_answer(void **state)
{
    struct asker a = {0}, b = {0}, last = {0};

    (void)state;
    a.cancels = &b;
    ask(&a, "127.0.0.1");
    ask(&b, "127.0.0.1");
    ask(&last, "127.0.0.1");
    net_until(loop, &last.answered);
    assert_int_equal(a.answers, 1);
    assert_int_equal(b.answers, 0);
}

/* The loop goes while look-ups wait, run and are answered: what is answered already is still delivered, nothing that
 * was cancelled is. AddressSanitizer and valgrind look for what is left. */
static void test_loop_goes_first(void **state)
{
    struct asker a[20] = {0};

    (void)state;
    for (int i = 0; i < 20; i++) {
        ask(&a[i], i % 2 ? "localhost" : "127.0.0.1");
        if (i % 3 == 0)
            dns_cancel(&a[i].query);
    }
    loop_free(&loop);
    for (int i = 0; i < 20; i++)
        assert_in_range(a[i].answers, 0, i % 3 == 0 ? 0 : 1);
    loop = net_loop_new();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_numeric, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_name, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_unknown_name, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_cancel, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_cancel_from_an_answer, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_loop_goes_first, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
