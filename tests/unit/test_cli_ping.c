/* `warbler ping` over adapters that have a platform to contact. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "plugin/adapter.h"
#include "plugin/base/clock.h"
#include "plugin/cli.h"
#include "plugin/daemon.h"
#include "tests/unit/output.h"

#define PATIENCE_MS 10000 /* as cli_ping.c has it */

/* --- a platform --- */
struct fake {
    struct defer answer;
};

static int finis;

static void answer(void *arg)
{
    struct adapter *a = arg;
    struct err e;
    if (strcmp(a->conf->name, "chatty") == 0) {
        adapter_remark(a, "rooms", "2 rooms are encrypted");
        adapter_remark(a, "quota", "most of it is used");
        adapter_remark(a, "rooms", "3 rooms are encrypted");
        adapter_remark(a, "quota", NULL);
    }
    if (strcmp(a->conf->name, "up") == 0 || strcmp(a->conf->name, "chatty") == 0)
        adapter_online(a);
    else if (strcmp(a->conf->name, "down") == 0)
        err_set(&e, ERR_AUTH, "the token is wrong"), adapter_down(a, &e, false);
    else if (strcmp(a->conf->name, "quiet") == 0)
        clock_test_advance(PATIENCE_MS);
}

static enum err_code fake_init(struct adapter *a, struct err *e)
{
    struct fake *f = a->priv;
    assert_null(a->server);
    defer_init(&f->answer, a->loop, answer, a);
    return strcmp(a->conf->name, "unfit") == 0 ? err_set(e, ERR_INVALID, "cannot be set up") : ERR_OK;
}

static void fake_ping(struct adapter *a)
{
    struct fake *f = a->priv;
    if (strcmp(a->conf->name, "quiet") == 0)
        clock_test_freeze(clock_wall_ms());
    defer_set(&f->answer);
}

static void fake_start(struct adapter *a)
{
    fail_msg("%s was started", a->conf->name);
}

static void fake_fini(struct adapter *a)
{
    struct fake *f = a->priv;
    defer_cancel(&f->answer);
    finis++;
}

static const struct adapter_ops fake = {
    .abi = ADAPTER_ABI,
    .name = "fake",
    .size = sizeof(struct fake),
    .init = fake_init,
    .start = fake_start,
    .ping = fake_ping,
    .fini = fake_fini,
};

/* Instead of the generated one. */
const struct adapter_ops *const adapter_registry[] = { &fake, NULL };

/* --- the command --- */
static void ping(const char *accounts, int want_status, const char *want)
{
    static const struct cli_command self = { .name = "ping", .arguments = "", .help = "" };
    char path[] = "/tmp/warbler-test-XXXXXX", *argv[] = { (char[]) { "ping" }, (char[]) { "-c" }, path, NULL };
    struct output o;
    FILE *f = fdopen(mkstemp(path), "w");
    assert_non_null(f);
    fprintf(f,
            "listen = { port = 0; };\n"
            "models = ( { name = \"p\"; api = \"practice\"; } );\n"
            "bots = ( { name = \"bo\"; model = \"p\"; } );\n"
            "accounts = ( %s );\n"
            "channels = ( { match = \"*\"; bot = \"bo\"; } );\n",
            accounts);
    fclose(f);
    output_begin(&o);
    int status = cli_ping(&self, 3, argv);
    output_end(&o);
    unlink(path);
    assert_string_equal(output_err(&o), "");
    assert_string_equal(output_out(&o), want);
    assert_int_equal(status, want_status);
    output_free(&o);
}

static void all_are_ok(void **state)
{
    (void)state;
    finis = 0;
    ping("{ name = \"up\"; adapter = \"fake\"; }", 0, "account up: ok\nmodel p: ok\n");
    assert_int_equal(finis, 1);
}

static void each_says_why_not(void **state)
{
    (void)state;
    finis = 0;
    ping("{ name = \"unfit\"; adapter = \"fake\"; }, { name = \"down\"; adapter = \"fake\"; },"
         "{ name = \"off\"; adapter = \"fake\"; enabled = false; }, { name = \"up\"; adapter = \"fake\"; }",
         EXIT_CONFIG,
         "account unfit: cannot be set up\naccount down: the token is wrong\naccount up: ok\nmodel p: ok\n");
    assert_int_equal(finis, 3);
}

static void remarks_stand_behind_it(void **state)
{
    (void)state;
    ping("{ name = \"chatty\"; adapter = \"fake\"; }", 0, "account chatty: ok; 3 rooms are encrypted\nmodel p: ok\n");
}

static void one_that_never_answers_is_given_up(void **state)
{
    (void)state;
    ping("{ name = \"quiet\"; adapter = \"fake\"; }", EXIT_CONFIG, "account quiet: no answer\nmodel p: ok\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_are_ok),
        cmocka_unit_test(each_says_why_not),
        cmocka_unit_test(remarks_stand_behind_it),
        cmocka_unit_test(one_that_never_answers_is_given_up), /* the last: it stops the clock */
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
