/* `warbler matrix-registration`: whose registration it prints. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "plugin/adapter.h"
#include "plugin/cli.h"
#include "plugin/daemon.h"
#include "tests/unit/output.h"

static enum err_code registration(const struct account_conf *conf, struct buf *out, struct err *e)
{
    if (strcmp(conf->name, "unfit") == 0)
        return err_set(e, ERR_INVALID, "has no tokens");
    return buf_addf(out, "id: %s\n", conf->name);
}

static const struct adapter_ops service = { .abi = ADAPTER_ABI, .name = "service", .registration = registration };
static const struct adapter_ops plain = { .abi = ADAPTER_ABI, .name = "plain" };

/* Instead of the generated one. */
const struct adapter_ops *const adapter_registry[] = { &service, &plain, NULL };

#define SERVICE(name) "{ name = \"" name "\"; adapter = \"service\"; }"
#define PLAIN "{ name = \"web\"; adapter = \"plain\"; }"

static void check(const char *accounts, const char *account, int want_status, const char *want_out, const char *want_err)
{
    static const struct cli_command self = { .name = "matrix-registration", .arguments = "[ACCOUNT]", .help = "" };
    char path[] = "/tmp/warbler-test-XXXXXX", name[16];
    char *argv[] = { (char[]) { "matrix-registration" }, (char[]) { "-c" }, path, account ? name : NULL, NULL };
    struct output o;
    FILE *f = fdopen(mkstemp(path), "w");
    assert_non_null(f);
    snprintf(name, sizeof name, "%s", account ? account : "");
    fprintf(f,
            "models = ( { name = \"p\"; api = \"practice\"; } );\n"
            "bots = ( { name = \"bo\"; model = \"p\"; } );\n"
            "accounts = ( %s );\n"
            "channels = ( { match = \"*\"; bot = \"bo\"; } );\n",
            accounts);
    fclose(f);
    output_begin(&o);
    int status = cli_registration(&self, account ? 4 : 3, argv);
    output_end(&o);
    unlink(path);
    assert_string_equal(output_out(&o), want_out);
    if (!strstr(output_err(&o), want_err) || (!*want_err && *output_err(&o)))
        fail_msg("it says \"%s\" and not \"%s\"", output_err(&o), want_err);
    assert_int_equal(status, want_status);
    output_free(&o);
}

static void the_only_one_needs_no_name(void **state)
{
    (void)state;
    check(PLAIN "," SERVICE("mx"), NULL, 0, "id: mx\n", "");
    check(PLAIN "," SERVICE("mx"), "mx", 0, "id: mx\n", "");
    check(SERVICE("a") "," SERVICE("b"), "b", 0, "id: b\n", "");
}

static void it_says_why_not(void **state)
{
    (void)state;
    check(PLAIN, NULL, EXIT_CONFIG, "", "has no account that needs a registration");
    check(PLAIN "," SERVICE("mx"), "web", EXIT_CONFIG, "", "account \"web\" (adapter plain) needs no registration");
    check(PLAIN "," SERVICE("mx"), "my", EXIT_CONFIG, "", "has no account \"my\"");
    check(SERVICE("a") "," SERVICE("b"), NULL, EXIT_CONFIG, "", "which ACCOUNT, \"a\" or \"b\"?");
    check(SERVICE("unfit"), NULL, EXIT_CONFIG, "", "account \"unfit\": has no tokens");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_only_one_needs_no_name),
        cmocka_unit_test(it_says_why_not),
    };
    return cmocka_run_group_tests_name("cli_registration", tests, NULL, NULL);
}
