#include "plugin/cli.h"

#include <stdbool.h>
#include <stdlib.h>
#include <unistd.h>

#include "plugin/daemon.h"

/* Who names the configuration means this bot, and "warbler run -c FILE" is what other programs rely on. Refused is
 * the root who starts whatever lies in the folder, or would take the service's data from its user. */
static bool is_told(const char *file)
{
    const char *variable = getenv("WARBLER_CONFIG");
    return file || (variable && *variable);
}

int cli_run(const struct cli_command *self, int argc, char **argv)
{
    const char *file = NULL, *allow_root = NULL;
    const struct cli_option options[] = {
        CLI_CONFIG(&file),
        { "allow-root", 0, NULL, "run as root, which a bot has no need of", &allow_root },
    };
    int at = cli_options(self, options, 2, argc, argv);
    if (at < 0)
        return cli_status(at);
    if (geteuid() == 0 && !allow_root && !is_told(file))
        return cli_wrong(self, "a bot has no need of root: run it as an ordinary user, as the systemd unit does, or say "
                         "--allow-root");
    return daemon_run(config_default_file(file));
}
