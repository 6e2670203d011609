#include "plugin/chat/command.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <utlist.h>

#include "plugin/base/buf.h"
#include "plugin/base/mem.h"
#include "plugin/chat/core.h"
#include "plugin/chat/ending.h"
#include "plugin/chat/status.h"
#include "plugin/chat/summary.h"
#include "plugin/chat/turn.h"

#define RESULT_BYTES_MAX (64U * 1024)
#define PINS_BYTES_MAX 4096U /* of all pins of a conversation: they cost tokens with each answer */
#define PROMPT_DEFAULT "default" /* /prompt default gives the bot's own back */

static const struct {
    const char *name;    /* as people type it, and in the configuration */
    const char *chinese;
    bool admin;
    const char *help[LANG_COUNT];
} COMMANDS[COMMAND_COUNT] = {
    [COMMAND_HELP] = { "help", "帮助", false, { "shows this list", "显示此列表" } },
    [COMMAND_RESET] = { "reset", "重置", false, { "forgets the conversation so far", "忘记之前的对话" } },
    [COMMAND_STOP] = { "stop", "停止", false, { "stops the answer that is being written", "停止正在进行的回答" } },
    [COMMAND_RETRY] = { "retry", "重试", false, { "answers the last question again", "重新回答上一个问题" } },
    [COMMAND_STATUS] = { "status", "状态", false, { "shows model and state of this conversation", "显示本会话的模型和状态" } },
    [COMMAND_PIN] = { "pin", "钉住", false, { "pins a text that I am never to forget, or shows what is pinned",
                                              "钉住一段我不会忘记的内容，或查看已钉住的内容" } },
    [COMMAND_DEFAULT] = { PRESET_DEFAULT, "默认", false, { "goes back to my usual manner", "恢复默认设定" } },
    [COMMAND_MODEL] = { "model", "模型", true, { "shows or sets the model of this conversation", "查看或切换本会话的模型" } },
    [COMMAND_PROMPT] = { "prompt", "提示词", true, { "shows or sets the system prompt of this conversation",
                                                     "查看或设置本会话的系统提示词" } },
    [COMMAND_MUTE] = { "mute", "静音", true, { "makes the bot silent here", "让机器人在此保持安静" } },
    [COMMAND_UNMUTE] = { "unmute", "取消静音", true, { "makes it answer again", "让机器人恢复回答" } },
};

bool command_is_admin(enum command c)
{
    return COMMANDS[c].admin;
}

/* --- parsing --- */
static bool same(const char *word, size_t len, const char *name)
{
    return strlen(name) == len && strncasecmp(word, name, len) == 0;
}

/* The configuration's "help=hilfe,aide": 1 if word is among the names, -1 if
 * the command is switched off ("help="), 0 otherwise. */
static int configured(const struct bot_conf *bot, const char *command, const char *word, size_t len)
{
    size_t n = strlen(command);
    for (size_t i = 0; i < bot->commands.n; i++) {
        const char *at = bot->commands.v[i];
        if (strncmp(at, command, n) != 0 || at[n] != '=')
            continue;
        at += n + 1;
        if (!*at)
            return -1;
        for (size_t name; *at; at += name + (at[name] == ',')) {
            name = strcspn(at, ",");
            if (name == len && strncasecmp(at, word, len) == 0)
                return 1;
        }
    }
    return 0;
}

/* A preset goes by its own name. */
static bool exists(const struct bot_conf *bot, int c)
{
    return c == COMMAND_DEFAULT ? bot->n_presets > 0 : c != COMMAND_PRESET;
}

static enum command find(const struct bot_conf *bot, const char *word, size_t len)
{
    for (int c = COMMAND_NONE + 1; c < COMMAND_COUNT; c++) {
        if (!exists(bot, c))
            continue;
        int set = configured(bot, COMMANDS[c].name, word, len);
        if (set > 0 || (set == 0 && (same(word, len, COMMANDS[c].name) || same(word, len, COMMANDS[c].chinese))))
            return (enum command)c;
    }
    return COMMAND_NONE;
}

/* The word behind the prefix, with its length, and what stands behind it; NULL: there is none. */
static const char *command_word(const struct bot_conf *bot, const char *text, size_t *len_r, const char **args_r)
{
    size_t prefix = bot->command_prefix ? strlen(bot->command_prefix) : 0, mention;
    *args_r = "";
    if (trigger_mention(text, strlen(text), bot->name, &mention))
        text += mention;
    text += strspn(text, " \t\n");
    if (!prefix || strncmp(text, bot->command_prefix, prefix) != 0)
        return NULL;
    const char *word = text + prefix;
    *len_r = strcspn(word, " \t\n");
    *args_r = word + *len_r + strspn(word + *len_r, " \t\n");
    return word;
}

enum command command_parse(const struct bot_conf *bot, const char *text, const char **args_r)
{
    size_t len;
    const char *word = command_word(bot, text, &len, args_r);
    if (!word)
        return COMMAND_NONE;
    enum command c = find(bot, word, len);
    if (c == COMMAND_NONE && config_preset(bot, word, len))
        c = COMMAND_PRESET;
    return c;
}

const char *command_preset(const struct bot_conf *bot, const char *text, const char **args_r)
{
    size_t len;
    const char *word = command_word(bot, text, &len, args_r);
    enum command c = word ? command_parse(bot, text, args_r) : COMMAND_NONE;
    if (c == COMMAND_DEFAULT)
        return PRESET_DEFAULT;
    return c == COMMAND_PRESET ? config_preset(bot, word, len)->name : NULL;
}

/* --- results --- */
static void settle(struct channel *ch, struct question *q, const char *text)
{
    struct ending *end = ending_new(ch, q->seq, q->id);
    end->outcome = STORE_NOTICED;
    end->notice = true;
    end->flags = STORE_COMMAND;
    end->text = mem_dup(text);
    ending_start(end);
    question_free(q);
}

static void settlef(struct channel *ch, struct question *q, enum notice n, const char *a, const char *b)
{
    const char *format = notice_text(n, channel_language(ch, q));
    struct buf out;
    buf_init(&out, RESULT_BYTES_MAX);
    const char *args[] = { a, b };
    size_t next = 0;
    for (const char *at = format; *at; at++)
        if (at[0] == '%' && at[1] == 's' && next < 2) {
            buf_adds(&out, args[next++]);
            at++;
        } else {
            buf_addc(&out, *at);
        }
    settle(ch, q, buf_error(&out) ? format : buf_str(&out));
    buf_free(&out);
}

bool command_is_allowed(const struct channel *ch, const struct bot_conf *bot, const char *sender)
{
    struct buf who;
    bool found = false;
    buf_init(&who, 1024);
    buf_addf(&who, "%s:%s", ch->account, sender ? sender : "");
    for (size_t i = 0; i < bot->admins.n && !found; i++)
        found = config_glob(bot->admins.v[i], buf_str(&who));
    buf_free(&who);
    return found;
}

static void help(struct channel *ch, const struct bot_conf *bot, struct question *q)
{
    enum language lang = channel_language(ch, q);
    bool admin = command_is_allowed(ch, bot, q->sender);
    struct buf out;
    buf_init(&out, RESULT_BYTES_MAX);
    for (const char *at = notice_text(NOTICE_HELP_HEAD, lang); *at; at++)
        if (at[0] == '%' && at[1] == 's') {
            buf_adds(&out, bot->name);
            at++;
        } else {
            buf_addc(&out, *at);
        }
    buf_adds(&out, "\n\n");
    for (int c = COMMAND_NONE + 1; c < COMMAND_COUNT; c++) {
        if (!exists(bot, c) || (COMMANDS[c].admin && !admin) || configured(bot, COMMANDS[c].name, "", 0) < 0)
            continue;
        buf_addf(&out, "- `%s%s`", bot->command_prefix, COMMANDS[c].name);
        if (lang == LANG_ZH)
            buf_addf(&out, " `%s%s`", bot->command_prefix, COMMANDS[c].chinese);
        buf_addf(&out, " %s\n", COMMANDS[c].help[lang]);
    }
    for (size_t i = 0; i < bot->n_presets; i++) {
        const struct preset_conf *p = &bot->presets[i];
        buf_addf(&out, "- `%s%s` %s\n", bot->command_prefix, p->name, p->help ? p->help : notice_text(NOTICE_PRESET_HELP, lang));
    }
    settle(ch, q, buf_str(&out));
    buf_free(&out);
}

static const struct model_conf *model_of(const struct channel *ch)
{
    const struct bot_conf *bot = ch->rule->bot_ref;
    const struct preset_conf *p = ch->row.preset ? config_preset(bot, ch->row.preset, strlen(ch->row.preset)) : NULL;
    const struct model_conf *own = ch->row.model ? config_model(ch->core->config, ch->row.model) : NULL;
    return p && p->model_ref ? p->model_ref : own ? own : ch->rule->model_ref;
}

static void status(struct channel *ch, const struct bot_conf *bot, struct question *q)
{
    struct buf out;
    buf_init(&out, RESULT_BYTES_MAX);
    status_write(&out, ch, bot, model_of(ch), q);
    settle(ch, q, buf_str(&out));
    buf_free(&out);
}

/* --- what they do --- */
static void set_text(const char **field, const char *value)
{
    free((char *)*field);
    *field = mem_dup(value);
}

static void reset(struct channel *ch, struct question *q)
{
    turn_cancel_all(ch, q->seq);
    history_drop_before(&ch->history, q->seq); /* after a restart, what was said since stands there too */
    summary_forget(ch);
    set_text(&ch->row.pins, NULL);
    ch->row.reset_seq = q->seq;
    ch->lang = -1;
    channel_save(ch);
    settle(ch, q, notice_text(NOTICE_RESET, channel_language(ch, q)));
}

static void model(struct channel *ch, struct question *q, const char *name)
{
    const struct config *config = ch->core->config;
    struct buf names;
    buf_init(&names, RESULT_BYTES_MAX);
    for (size_t i = 0; i < config->n_models; i++)
        buf_addf(&names, "%s%s", i ? ", " : "", config->models[i].name);
    if (!*name) {
        settlef(ch, q, NOTICE_MODEL_IS, model_of(ch)->name, buf_str(&names));
    } else if (!config_model(config, name)) {
        settlef(ch, q, NOTICE_MODEL_UNKNOWN, name, buf_str(&names));
    } else {
        set_text(&ch->row.model, name);
        channel_save(ch);
        settlef(ch, q, NOTICE_MODEL_SET, ch->row.model, "");
    }
    buf_free(&names);
}

static void prompt(struct channel *ch, const struct bot_conf *bot, struct question *q, const char *text)
{
    const char *now = ch->row.prompt              ? ch->row.prompt
                      : ch->rule->system_prompt ? ch->rule->system_prompt
                                                : bot->system_prompt;
    if (!*text) {
        settlef(ch, q, NOTICE_PROMPT_IS, now ? now : "", "");
        return;
    }
    bool clear = strcmp(text, PROMPT_DEFAULT) == 0;
    set_text(&ch->row.prompt, clear ? NULL : text);
    channel_save(ch);
    settle(ch, q, notice_text(clear ? NOTICE_PROMPT_CLEARED : NOTICE_PROMPT_SET, channel_language(ch, q)));
}

/* One line, so that what is pinned can be shown as a list. */
static void write_pin(struct buf *line, const char *text)
{
    buf_adds(line, "- ");
    for (; *text; text++)
        buf_addc(line, *text == '\n' ? ' ' : *text);
}

static bool has_line(const struct buf *lines, const struct buf *line)
{
    const char *at = buf_str(lines), *end;
    for (; *at; at = *end ? end + 1 : end) {
        end = at + strcspn(at, "\n");
        if ((size_t)(end - at) == line->len && memcmp(at, line->data, line->len) == 0)
            return true;
    }
    return false;
}

/* What is there already stays as it is: after a crash the same command may be obeyed again. */
static enum notice add_pin(struct channel *ch, struct buf *pins, const char *text)
{
    struct buf line;
    buf_init(&line, PINS_BYTES_MAX);
    write_pin(&line, text);
    if (!has_line(pins, &line)) {
        if (pins->len)
            buf_addc(pins, '\n');
        buf_add(pins, line.data, line.len);
    }
    bool full = buf_error(&line) || buf_error(pins);
    buf_free(&line);
    if (full)
        return NOTICE_PINS_FULL;
    set_text(&ch->row.pins, buf_str(pins));
    channel_save(ch);
    return NOTICE_PINNED;
}

static void pin(struct channel *ch, struct question *q, const char *text)
{
    enum notice result = ch->row.pins ? NOTICE_PINS_ARE : NOTICE_PINS_NONE;
    struct buf pins;
    buf_init(&pins, PINS_BYTES_MAX);
    if (ch->row.pins)
        buf_adds(&pins, ch->row.pins);
    if (*text)
        result = add_pin(ch, &pins, text);
    settlef(ch, q, result, buf_str(&pins), "");
    buf_free(&pins);
}

/* name NULL: none. */
static void preset(struct channel *ch, struct question *q, const char *name)
{
    set_text(&ch->row.preset, name);
    channel_save(ch);
    settlef(ch, q, name ? NOTICE_PRESET_SET : NOTICE_PRESET_CLEARED, name ? name : "", "");
}

static void mute(struct channel *ch, struct question *q, bool on)
{
    ch->row.muted = on;
    channel_save(ch);
    settle(ch, q, notice_text(on ? NOTICE_MUTED : NOTICE_UNMUTED, channel_language(ch, q)));
}

static void stop(struct channel *ch, struct question *q)
{
    bool any = turn_cancel_all(ch, q->seq);
    settle(ch, q, notice_text(any ? NOTICE_STOP_DONE : NOTICE_STOP_NOTHING, channel_language(ch, q)));
}

static void retry(struct channel *ch, struct question *q)
{
    q->retry = true;
    channel_enqueue(ch, q);
    turn_next(ch);
}

void command_run(struct channel *ch, struct question *q)
{
    const struct bot_conf *bot = channel_bot(ch);
    const char *args = "";
    enum command c = bot ? command_parse(bot, q->text, &args) : COMMAND_NONE;
    if (!bot) { /* the configuration took it away while the command waited */
        struct question *list = NULL;
        DL_APPEND(list, q);
        ending_silent(ch, list);
        return;
    }
    if (command_is_admin(c) && !command_is_allowed(ch, bot, q->sender)) {
        settle(ch, q, notice_text(NOTICE_NOT_ADMIN, channel_language(ch, q)));
        return;
    }
    switch (c) {
    case COMMAND_RESET: reset(ch, q); break;
    case COMMAND_STOP: stop(ch, q); break;
    case COMMAND_RETRY: retry(ch, q); break;
    case COMMAND_STATUS: status(ch, bot, q); break;
    case COMMAND_PIN: pin(ch, q, args); break;
    case COMMAND_DEFAULT: preset(ch, q, NULL); break;
    case COMMAND_PRESET: preset(ch, q, command_preset(bot, q->text, &args)); break;
    case COMMAND_MODEL: model(ch, q, args); break;
    case COMMAND_PROMPT: prompt(ch, bot, q, args); break;
    case COMMAND_MUTE: mute(ch, q, true); break;
    case COMMAND_UNMUTE: mute(ch, q, false); break;
    case COMMAND_HELP:
    default: help(ch, bot, q); break; /* stored as a command that the configuration has lost since */
    }
}
