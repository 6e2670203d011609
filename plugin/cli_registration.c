#include <stdio.h>
#include <string.h>

#include "plugin/adapter.h"
#include "plugin/cli.h"
#include "plugin/daemon.h"

#define REGISTRATION_BYTES_MAX (64U * 1024)

static const struct adapter_ops *registers(const struct account_conf *account)
{
    const struct adapter_ops *ops = adapter_find(account->adapter);
    return ops->registration ? ops : NULL;
}

/* The account of that name, or the only one that has something to install; NULL, and why. */
static const struct account_conf *choose(const struct config *c, const char *name, struct err *e)
{
    const struct account_conf *found = NULL;
    for (size_t i = 0; i < c->n_accounts; i++) {
        const struct account_conf *a = &c->accounts[i];
        if (!registers(a) || (name && strcmp(a->name, name) != 0))
            continue;
        if (found) {
            err_set(e, ERR_INVALID, "which ACCOUNT, \"%s\" or \"%s\"?", found->name, a->name);
            return NULL;
        }
        found = a;
    }
    if (!found && name && config_account(c, name))
        err_set(e, ERR_INVALID, "account \"%s\" (adapter %s) needs no registration", name, config_account(c, name)->adapter);
    else if (!found && name)
        err_set(e, ERR_NOT_FOUND, "%s has no account \"%s\"", c->file, name);
    else if (!found)
        err_set(e, ERR_NOT_FOUND, "%s has no account that needs a registration", c->file);
    return found;
}

static int print(const struct cli_command *self, const struct config *c, const char *name)
{
    struct err e = ERR_INIT;
    struct buf out;
    const struct account_conf *account = choose(c, name, &e);
    if (!account)
        return cli_wrong(self, "%s", e.text);
    buf_init(&out, REGISTRATION_BYTES_MAX);
    enum err_code code = registers(account)->registration(account, &out, &e);
    if (code)
        fprintf(stderr, "warbler %s: account \"%s\": %s\n", self->name, account->name, e.text);
    else
        fputs(buf_str(&out), stdout);
    buf_free(&out);
    return code ? EXIT_CONFIG : 0;
}

int cli_registration(const struct cli_command *self, int argc, char **argv)
{
    const char *file = NULL;
    const struct cli_option options[] = { CLI_CONFIG(&file) };
    int at = cli_options(self, options, 1, argc, argv);
    if (at < 0)
        return cli_status(at);
    if (argc - at > 1)
        return cli_wrong(self, "one ACCOUNT at a time");
    struct config *c = daemon_config(config_default_file(file));
    int status = c ? print(self, c, at < argc ? argv[at] : NULL) : EXIT_CONFIG;
    config_unref(&c);
    return status;
}
