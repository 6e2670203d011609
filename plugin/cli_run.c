#include "plugin/cli.h"

#include "plugin/daemon.h"

int cli_run(const struct cli_command *self, int argc, char **argv)
{
    const char *file = NULL;
    const struct cli_option options[] = { CLI_CONFIG(&file) };
    int at = cli_options(self, options, 1, argc, argv);
    if (at < 0)
        return cli_status(at);
    return daemon_run(config_default_file(file));
}
