#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "config/describe.h"
#include "config/glob.h"
#include "config/nearest.h"
#include "plugin/base/clock.h"
#include "plugin/base/log.h"
#include "plugin/base/mem.h"
#include "plugin/chat/channel.h"
#include "plugin/chat/prompt.h"
#include "plugin/chat/room.h"
#include "plugin/chat/trigger.h"
#include "plugin/cli.h"
#include "plugin/cli_store.h"
#include "plugin/daemon.h"

/* A channel, and what is known about it. */
struct subject {
    const char *name;
    const struct config *config;
    const struct account_conf *account;
    const struct channel_rule *rule; /* NULL: none matches */
    const struct bot_conf *bot;      /* NULL: silent */
    const struct model_conf *model;
    /* what administrators changed in the channel itself */
    bool muted, direct;
    char *own_model, *own_prompt;    /* NULL: not changed */
    char *own_preset;                /* that people chose there, or NULL */
    const struct preset_conf *preset; /* the same, if it is configured */
    struct store_room room;          /* what the chat called itself last */
    char **names;                    /* by which rules may match it */
};

/* --- what the store knows --- */
struct look {
    struct subject *s;
    struct loop *loop;
    struct err e;
};

static void on_loaded(void *arg, const struct store_loaded *r, const struct err *e)
{
    struct look *look = arg;
    look->e = *e;
    loop_stop(look->loop);
    if (e->code)
        return;
    look->s->muted = r->channel.muted;
    look->s->own_model = mem_dup(r->channel.model);
    look->s->own_prompt = mem_dup(r->channel.prompt);
    look->s->own_preset = mem_dup(r->channel.preset);
    room_copy(&look->s->room, &r->room);
    look->s->direct = r->n && (r->msgs[r->n - 1].flags & STORE_DIRECT);
}

static void look_into_store(struct subject *s)
{
    struct look look = { .s = s };
    struct store *store = NULL;
    log_setup(LOG_ERROR, false);
    if (!loop_new(0, &look.loop, &look.e) && !cli_store_open(look.loop, s->config, &store, &look.e)) {
        store_load(store, s->account->name, s->name, 1, on_loaded, &look);
        loop_run(look.loop);
    }
    if (look.e.code && look.e.code != ERR_NOT_FOUND)
        fprintf(stderr, "What /model, /prompt and /mute changed in the channel is not known: %s\n", look.e.text);
    store_close(&store);
    loop_free(&look.loop);
}

/* --- parts of the answer --- */
#define INDENT "          "

static void heading(const char *name)
{
    printf("%-*s", (int)strlen(INDENT), name);
}

static void print_passed_over(const struct subject *s)
{
    for (size_t i = 0; i < s->config->n_channels && &s->config->channels[i] != s->rule; i++)
        printf(INDENT "line %d, match = \"%s\": does not match\n", s->config->channels[i].line,
               s->config->channels[i].match);
}

static void print_rule(const struct subject *s)
{
    heading("rule");
    if (s->rule)
        printf("line %d of %s, match = \"%s\": the first that matches%s\n", s->rule->line, s->config->file,
               s->rule->match, glob_matches_channel(s->rule->match, s->name) ? "" : ", by another name");
    else
        printf("none in %s matches, so the bot stays silent here\n", s->config->file);
    print_passed_over(s);
    for (char **name = s->names + 1; *name; name++)
        printf(INDENT "also called %s\n", *name);
}

/* The limits that the account's own settings set: whatever is a number. */
static void print_account_numbers(const struct account_conf *account)
{
    struct buf line;
    buf_init(&line, DESCRIBE_BYTES_MAX);
    for (const struct setting *t = account->settings_table; t && t->name; t++) {
        int64_t value;
        if (t->type != SETTING_INT && t->type != SETTING_DURATION)
            continue;
        memcpy(&value, (const char *)account->settings + t->offset, sizeof(value));
        buf_addf(&line, "%s%s ", line.len ? ", " : "", t->name);
        if (t->type == SETTING_INT)
            buf_addi(&line, value);
        else
            describe_duration(&line, value);
    }
    if (line.len)
        printf(INDENT "%s\n", buf_str(&line));
    buf_free(&line);
}

static void print_account(const struct subject *s)
{
    heading("account");
    printf("%s, adapter %s%s\n", s->account->name, s->account->adapter,
           s->account->enabled ? "" : ", disabled: nothing comes from it");
    print_account_numbers(s->account);
}

static void print_bot(const struct subject *s)
{
    heading("bot");
    printf("%s%s\n", s->bot->name, s->muted ? ", muted in the channel with /mute: silent until /unmute" : "");
    if (s->preset)
        printf(INDENT "preset %s, chosen in the channel\n", s->preset->name);
    for (size_t i = 0; i < s->bot->n_presets; i++)
        printf(INDENT "%s%s %s\n", s->bot->command_prefix, s->bot->presets[i].name,
               s->bot->presets[i].help ? s->bot->presets[i].help : "answers in another manner");
    for (size_t i = 0; i < s->bot->wish_names.n; i++)
        printf("%s%s", i ? ", " : INDENT "messages may wish for: ", s->bot->wish_names.v[i]);
    if (s->bot->wish_names.n)
        putchar('\n');
}

static void print_server(const struct model_conf *m)
{
    const char *model = m->model ? m->model : "the one in its address";
    switch (m->api) {
    case MODEL_API_COMPLETIONS:
        printf("%s, %s at %s, asked to complete text (template %s)", m->name, model, m->base_url, m->template);
        break;
    case MODEL_API_AZURE: printf("%s, %s at Azure, %s", m->name, model, m->base_url); break;
    default: printf("%s, %s at %s", m->name, model, m->base_url);
    }
}

static void print_model(const struct subject *s)
{
    const struct model_conf *m = s->model;
    heading("model");
    if (m->practice)
        printf("%s, the built-in practice model%s", m->name,
               m->api == MODEL_API_PRACTICE ? "" : " because no api_key is set");
    else
        print_server(m);
    printf(" (%s)\n", s->preset && s->preset->model_ref ? "the preset's"
                      : m != s->rule->model_ref           ? "set in the channel with /model"
                      : s->rule->model                    ? "the rule's"
                                                          : "the bot's");
}

static void print_keywords(const struct bot_conf *bot)
{
    printf("a message that matches");
    for (size_t i = 0; i < bot->keywords.n; i++)
        printf("%s /%s/", i ? " or" : "", bot->keywords.v[i]);
    putchar('\n');
}

static void print_trigger(const struct bot_conf *bot, enum trigger_kind kind)
{
    printf(INDENT "%-9s", trigger_name(kind));
    switch (kind) {
    case TRIGGER_DIRECT: puts("whatever is said in a private conversation"); break;
    case TRIGGER_MENTION: printf("a message with @%s in it\n", bot->name); break;
    case TRIGGER_REPLY: puts("a reply to a message of the bot"); break;
    case TRIGGER_PREFIX: printf("a message that begins with \"%s\"\n", bot->prefix ? bot->prefix : ""); break;
    case TRIGGER_KEYWORD: print_keywords(bot); break;
    case TRIGGER_ALWAYS: puts("every message"); break;
    case TRIGGER_CHANCE: printf("any message, with a chance of %g\n", bot->chance); break;
    }
}

static void print_triggers(const struct subject *s)
{
    heading("triggers");
    printf("the bot answers (%s):\n", s->rule->trigger_names.n ? "as the rule says" : "as the bot says");
    for (unsigned kind = TRIGGER_DIRECT; kind <= TRIGGER_CHANCE; kind <<= 1)
        if (s->rule->triggers & kind)
            print_trigger(s->bot, (enum trigger_kind)kind);
}

static void print_duration(const char *before, int64_t ms)
{
    struct buf text;
    buf_init(&text, DESCRIBE_BYTES_MAX);
    describe_duration(&text, ms);
    printf("%s%s", before, buf_str(&text));
    buf_free(&text);
}

static void print_rate(int64_t n, const char *what)
{
    if (n)
        printf(INDENT "at most %" PRId64 " %s\n", n, what);
}

static void print_fallback(const struct model_conf *m)
{
    if (m->fallback.n == 0)
        return;
    printf(INDENT "where it cannot answer, others are asked:");
    for (size_t i = 0; i < m->fallback.n; i++)
        printf("%s %s", i ? "," : "", m->fallback.v[i]);
    printf("\n");
    if (m->hedge_after) {
        print_duration(INDENT "the first of them too, after a silence of ", m->hedge_after);
        printf("\n");
    }
}

static void print_people_limit(const struct limit_conf *l)
{
    static const char *const pers[] = { "person", "channel", "account", "all together" };
    static const char *const periods[] = { "minute", "hour", "day", "month" };
    printf(INDENT "%s %s, in a %s:", l->per == LIMIT_ALL ? "for" : "for each", pers[l->per], periods[l->period]);
    if (l->messages)
        printf(" %" PRId64 " messages", l->messages);
    if (l->tokens)
        printf("%s %" PRId64 " tokens", l->messages ? "," : "", l->tokens);
    if (l->money)
        printf("%s %s %s", l->messages || l->tokens ? "," : "", l->money, l->currency);
    if (l->degrade_to)
        printf("; then the model %s answers", l->degrade_to);
    putchar('\n');
}

static void print_people_limits(const struct subject *s)
{
    for (size_t i = 0; i < s->config->n_limits; i++)
        if (glob_matches_any(s->config->limits[i].match, (const char *const *)s->names))
            print_people_limit(&s->config->limits[i]);
}

static void print_limits(const struct subject *s)
{
    static const char *const queues[] = { "answered one by one", "answered all at once",
                                          "of which the newest is answered" };
    const struct model_conf *m = s->model;
    heading("limits");
    printf("the model is given %" PRId64 " messages, about %" PRId64 " tokens, of what was said before\n",
           s->bot->history_messages, s->bot->history_tokens);
    if (s->bot->history_age) {
        print_duration(INDENT "none of them older than ", s->bot->history_age);
        printf("\n");
    }
    printf(INDENT "while the bot answers, %" PRId64 " messages may wait, %s%s\n", s->bot->queue_max,
           queues[s->bot->queue], s->bot->interrupt ? "; a new one of the same person stops the answer" : "");
    if (m->max_tokens)
        printf(INDENT "an answer is at most %" PRId64 " tokens long\n", m->max_tokens);
    print_duration(INDENT "the model has ", m->connect_timeout);
    print_duration(" to connect, ", m->first_byte_timeout);
    print_duration(" to begin, ", m->idle_timeout);
    printf(" between two pieces; %" PRId64 " retries\n", m->retries);
    print_rate(m->max_concurrent, "requests to the model run at once");
    print_rate(m->requests_per_minute, "requests to the model in a minute");
    print_rate(m->tokens_per_minute, "tokens of the model in a minute");
    print_fallback(m);
    print_people_limits(s);
}

/* --- the prompt --- */
static void expand(const struct subject *s, const char *text, struct buf *out)
{
    char date[64], *chat;
    const char *thread;
    time_t now = (time_t)(clock_wall_ms() / 1000);
    struct tm tm;
    localtime_r(&now, &tm);
    strftime(date, sizeof(date), "%Y-%m-%d (%A)", &tm);
    channel_name_split(s->name, &chat, &thread);
    char *title = room_title(&s->room);
    struct prompt_vars vars = {
        .date = date,
        .channel = s->direct ? "private chat" : chat,
        .bot = s->bot->name,
        .language = s->bot->language ? language_name(language_of(s->bot->language, NULL)) : "the person's language",
    };
    prompt_expand(out, text, &vars);
    free(title);
    free(chat);
}

static void print_prompt(const struct subject *s)
{
    bool preset = s->preset && s->preset->system_prompt;
    const char *text = preset                   ? s->preset->system_prompt
                       : s->own_prompt          ? s->own_prompt
                       : s->rule->system_prompt ? s->rule->system_prompt
                                                : s->bot->system_prompt;
    struct buf prompt;
    buf_init(&prompt, PROMPT_BYTES_MAX);
    expand(s, text, &prompt);
    heading("prompt");
    printf("%s, filled in as of now:\n\n%s\n",
           preset                   ? "the preset's"
           : s->own_prompt          ? "set in the channel with /prompt"
           : s->rule->system_prompt ? "the rule's"
                                    : "the bot's",
           buf_str(&prompt));
    buf_free(&prompt);
}

/* --- the whole --- */
static void print_all(const struct subject *s)
{
    printf("%s\n\n", s->name);
    print_rule(s);
    print_account(s);
    if (!s->rule)
        return;
    if (!s->bot) {
        heading("bot");
        puts("none: the rule says that no bot speaks here");
        return;
    }
    print_bot(s);
    print_model(s);
    print_triggers(s);
    print_limits(s);
    print_prompt(s);
}

/* NULL, and what to say. */
static const struct account_conf *find_account(const struct config *c, const char *channel, struct err *e)
{
    const char *colon = strchr(channel, ':');
    struct nearest near;
    char hint[NEAREST_BYTES];
    if (!colon || colon == channel || !colon[1]) {
        err_set(e, ERR_INVALID, "\"%s\" is not a channel: it is named ACCOUNT:CHAT or ACCOUNT:CHAT/THREAD", channel);
        return NULL;
    }
    char *name = mem_dupn(channel, (size_t)(colon - channel));
    const struct account_conf *account = config_account(c, name);
    nearest_init(&near, name);
    for (size_t i = 0; i < c->n_accounts; i++)
        nearest_try(&near, c->accounts[i].name);
    if (!account)
        err_set(e, ERR_NOT_FOUND, "%s has no account \"%s\"%s", c->file, name, nearest_hint(&near, hint));
    free(name);
    return account;
}

static int explain(const struct cli_command *self, const struct config *c, const char *channel)
{
    struct err e = ERR_INIT;
    struct subject s = { .name = channel, .config = c, .account = find_account(c, channel, &e) };
    if (!s.account)
        return cli_wrong(self, "%s", e.text);
    look_into_store(&s);
    s.names = room_names(channel, &s.room);
    s.rule = config_rule_of(c, (const char *const *)s.names);
    s.bot = s.rule ? s.rule->bot_ref : NULL;
    if (s.bot) {
        const struct model_conf *own = s.own_model ? config_model(c, s.own_model) : NULL;
        s.preset = s.own_preset ? config_preset(s.bot, s.own_preset, strlen(s.own_preset)) : NULL;
        s.model = s.preset && s.preset->model_ref ? s.preset->model_ref : own ? own : s.rule->model_ref;
    }
    print_all(&s);
    room_names_free(&s.names);
    room_fini(&s.room);
    free(s.own_model);
    free(s.own_preset);
    free(s.own_prompt);
    return s.rule ? 0 : EXIT_CONFIG;
}

int cli_explain(const struct cli_command *self, int argc, char **argv)
{
    const char *file = NULL;
    const struct cli_option options[] = { CLI_CONFIG(&file) };
    int at = cli_options(self, options, 1, argc, argv);
    if (at < 0)
        return cli_status(at);
    if (argc - at != 1)
        return cli_wrong(self, argc == at ? "which CHANNEL?" : "one CHANNEL at a time");
    struct config *c = daemon_config(config_default_file(file));
    int status = c ? explain(self, c, argv[at]) : EXIT_CONFIG;
    config_unref(&c);
    return status;
}
