#include <stdio.h>

#include "plugin/cli.h"
#include "plugin/daemon.h"

static void print_count(size_t n, const char *what)
{
    printf(", %zu %s%s", n, what, n == 1 ? "" : "s");
}

static int check(const char *file)
{
    struct config *c = daemon_config(file);
    if (!c)
        return EXIT_CONFIG;
    printf("%s: ok", file);
    print_count(c->n_models, "model");
    print_count(c->n_bots, "bot");
    print_count(c->n_accounts, "account");
    print_count(c->n_channels, "channel rule");
    putchar('\n');
    config_unref(&c);
    return 0;
}

int cli_check(const struct cli_command *self, int argc, char **argv)
{
    const char *file = NULL, *defaults = NULL, *man = NULL;
    const struct cli_option options[] = {
        CLI_CONFIG(&file),
        { "defaults", 0, NULL, "print a sample file instead, with every setting, its default and what it is for",
          &defaults },
        { "man", 0, NULL, "print the manual page warbler.conf(5) instead", &man },
    };
    int at = cli_options(self, options, sizeof(options) / sizeof(options[0]), argc, argv);
    if (at < 0)
        return cli_status(at);
    if (defaults && man)
        return cli_wrong(self, "--defaults or --man, not both");
    if (defaults)
        config_print_defaults(stdout, daemon_adapters());
    else if (man)
        config_print_man(stdout, daemon_adapters());
    else
        return check(config_default_file(file));
    return 0;
}
