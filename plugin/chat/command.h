/* command.h: what people can tell the bot itself: /help, /reset, /stop, /retry,
 * /status, /pin, and administrators /model, /prompt, /mute, /unmute; the Chinese
 * names work too, and the configuration can add names, drop commands and change
 * the prefix. A bot with presets has /default and the name of each as well. */
#ifndef WARBLER_CHAT_COMMAND_H
#define WARBLER_CHAT_COMMAND_H

#include <stdbool.h>

#include "config/config.h"
#include "plugin/chat/channel.h"

enum command {
    COMMAND_NONE,
    COMMAND_HELP,
    COMMAND_RESET,
    COMMAND_STOP,
    COMMAND_RETRY,
    COMMAND_STATUS,
    COMMAND_PIN,
    COMMAND_DEFAULT, /* to no preset */
    COMMAND_PRESET,  /* to the one that is named */
    COMMAND_MODEL,
    COMMAND_PROMPT,
    COMMAND_MUTE,
    COMMAND_UNMUTE,
    COMMAND_COUNT
};

/* The command that text is, after an optional mention of the bot; *args_r: what
 * stands behind its name, blanks removed, "" if nothing. Pure. */
enum command command_parse(const struct bot_conf *bot, const char *text, const char **args_r);

/* The preset that text calls, as a command does, for what stands behind it
 * (*args_r, "" if nothing: for the conversation); PRESET_DEFAULT too. NULL: none.
 * Pure. */
const char *command_preset(const struct bot_conf *bot, const char *text, const char **args_r);

bool command_is_admin(enum command c); /* needs bot->admins */

/* Is this one of the bot's admins? */
bool command_is_allowed(const struct channel *ch, const struct bot_conf *bot, const char *sender);

/* Obeys q, a message that was stored as a command, and settles it. Owns q. */
void command_run(struct channel *ch, struct question *q);

#endif
