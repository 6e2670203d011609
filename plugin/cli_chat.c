#include "plugin/cli_chat.h"

#include <string.h>
#include <unistd.h>

#include "plugin/base/log.h"
#include "plugin/cli.h"
#include "plugin/daemon.h"

#define CHAT_PATH "/chat/ws"
#define WAIT_S_MAX 86400

enum err_code chat_url(struct buf *out, const char *given)
{
    static const char *const schemes[][2] = {
        { "http://", "ws://" }, { "https://", "wss://" }, { "ws://", "ws://" }, { "wss://", "wss://" }
    };
    for (size_t i = 0; i < sizeof(schemes) / sizeof(schemes[0]); i++) {
        size_t len = strlen(schemes[i][0]);
        if (strncmp(given, schemes[i][0], len) != 0)
            continue;
        const char *host = given + len, *path = strchr(host, '/');
        buf_adds(out, schemes[i][1]);
        buf_adds(out, host);
        if (!path || path[1] == '\0')
            buf_adds(out, path ? &CHAT_PATH[1] : CHAT_PATH);
        return *host && *host != '/' ? buf_error(out) : ERR_INVALID;
    }
    return ERR_INVALID;
}

struct link_conf chat_link_conf(const struct chat_conf *conf, const char *visitor)
{
    return (struct link_conf) {
        .url = conf->url,
        .name = conf->name,
        .room = conf->room,
        .lang = conf->lang == LANG_ZH ? "zh" : "en",
        .visitor = visitor,
    };
}

int chat_no_start(const struct chat_conf *conf, const struct err *e)
{
    chat_complain(conf, CHAT_REFUSED, conf->url, e->text);
    return e->code == ERR_INVALID ? EXIT_CONFIG : EXIT_START;
}

static int chat(const struct cli_command *self, struct chat_conf *conf)
{
    struct buf url;
    int status;
    buf_init(&url, CHAT_URL_BYTES_MAX);
    if (chat_url(&url, conf->url) == ERR_OK) {
        conf->url = buf_str(&url);
        conf->lang = chat_language();
        log_setup(LOG_ERROR, false);
        status = isatty(STDIN_FILENO) ? chat_talk(conf) : chat_pipe(conf);
    } else {
        status = cli_wrong(self, "--url \"%s\" is not an address like %s", conf->url, CHAT_URL);
    }
    buf_free(&url);
    return status;
}

int cli_chat(const struct cli_command *self, int argc, char **argv)
{
    const char *fresh = NULL, *wait = "60";
    int64_t wait_s;
    struct chat_conf conf = { .url = CHAT_URL };
    const struct cli_option options[] = {
        { "url", 'u', "URL", "where the web chat is (" CHAT_URL "); the address of its page is good too", &conf.url },
        { "name", 'n', "NAME", "what to call you", &conf.name },
        { "room", 'r', "ROOM", "a room with others instead of your private conversation with the bot", &conf.room },
        { "new", 0, NULL, "begin a new conversation instead of going on with the last one", &fresh },
        { "wait", 0, "SECONDS", "in a pipe: how long the bot may take to begin its answer (60)", &wait },
    };
    int at = cli_options(self, options, sizeof(options) / sizeof(options[0]), argc, argv);
    if (at < 0)
        return cli_status(at);
    if (!cli_int(wait, 1, WAIT_S_MAX, &wait_s))
        return cli_wrong(self, "--wait must be 1 to %d seconds, not \"%s\"", WAIT_S_MAX, wait);
    conf.wait_ms = wait_s * 1000;
    conf.fresh = fresh != NULL;
    return chat(self, &conf);
}
