/* config.h: the configuration as one immutable object.
 *
 * config_load() reads a file (libconfig syntax), checks all of it, and gives
 * either a complete configuration or the complete list of what is wrong. A
 * loaded configuration never changes; reload makes a new one, and what still
 * uses the old one holds a reference. CONTRACTS of the settings: the manual,
 * warbler.conf(5), which is printed from the same tables. */
#ifndef WARBLER_CONFIG_CONFIG_H
#define WARBLER_CONFIG_CONFIG_H

#include <stdio.h>

#include "config/schema.h"
#include "plugin/base/buf.h"
#include "plugin/base/err.h"
#include "plugin/base/log.h"

enum trigger_kind { /* bits; the names in the file are lower case */
    TRIGGER_DIRECT = 1,   /* a private conversation */
    TRIGGER_MENTION = 2,  /* @ and the bot's name, or the platform's own mention */
    TRIGGER_REPLY = 4,    /* a reply to a message of the bot */
    TRIGGER_PREFIX = 8,   /* the text begins with the bot's `prefix` */
    TRIGGER_KEYWORD = 16, /* a PCRE2 pattern of the bot's `keywords` matches */
    TRIGGER_ALWAYS = 32,
    TRIGGER_CHANCE = 64,  /* with the bot's `chance` */
};
enum queue_policy { QUEUE_EACH, QUEUE_MERGE, QUEUE_LATEST };
enum model_api { MODEL_API_CHAT, MODEL_API_COMPLETIONS, MODEL_API_AZURE, MODEL_API_PRACTICE };
enum system_role { SYSTEM_ROLE_SYSTEM, SYSTEM_ROLE_DEVELOPER, SYSTEM_ROLE_USER };
enum max_tokens_field { MAX_TOKENS_OLD, MAX_TOKENS_COMPLETION, MAX_TOKENS_NONE }; /* max_tokens, max_completion_tokens, none */
enum user_field { USER_FIELD_NONE, USER_FIELD_USER, USER_FIELD_SAFETY_IDENTIFIER, USER_FIELD_USER_ID };
enum show_reasoning { SHOW_REASONING_NO, SHOW_REASONING_LIVE, SHOW_REASONING_QUOTE };
enum on_doubt { ON_DOUBT_DROP, ON_DOUBT_RESEND };

/* The practice model's knobs; also `warbler practice-model`'s options. */
struct practice_conf {
    int64_t delay_ms, chunk_ms, chunk_chars, length_chars; /* length 0: as the answer is */
    double fail_rate;                                     /* 0..1 of the requests get an error */
};

#define MODEL_KEYS_MAX 32

/* The roles of a prompt in one text; each part has {text} in it. */
struct template_conf {
    char *begin, *system, *user, *assistant;
};

struct model_conf {
    char *name;
    int api;                /* enum model_api */
    char *base_url, *model;
    char *api_version;      /* for Azure; NULL: request.h's */
    char *template;         /* for MODEL_API_COMPLETIONS: a name that template.h knows, or "custom" */
    struct template_conf template_parts; /* for "custom" */
    struct secret api_key;
    struct secrets keys;       /* instead of api_key; 0 to MODEL_KEYS_MAX */
    bool practice_without_key; /* no key configured or its variable unset: answer with the practice model and say so */
    bool practice;             /* derived: this model is the practice model now */
    double temperature, top_p, frequency_penalty, presence_penalty; /* NaN: not sent */
    int64_t max_tokens;     /* 0: not sent */
    int max_tokens_field;   /* enum max_tokens_field */
    int64_t context_tokens; /* 0: unknown */
    char *vocabulary;       /* a file of model/bpe.h, or NULL */
    struct strings stop;    /* at most 4 */
    int64_t seed;           /* INT64_MIN: not sent */
    int system_role;        /* enum system_role */
    bool stream, stream_usage, include_obfuscation;
    char *reasoning_effort, *verbosity, *service_tier, *prompt_cache_retention; /* words; NULL: not sent, as all below */
    char *response_format;  /* "text", "json_object" or the text of a JSON object */
    char *logit_bias, *metadata, *prediction, *web_search_options, *moderation, *prompt_cache_options; /* JSON objects */
    bool store, prompt_cache_key;
    int user_field;         /* enum user_field */
    bool send_name, merge_consecutive;
    int show_reasoning;     /* enum show_reasoning */
    char *extra;            /* JSON object merged last, or NULL */
    struct strings drop;    /* members never sent */
    struct strings headers; /* "Name: value" */
    char *proxy, *ca_file;
    int64_t connect_timeout, first_byte_timeout, idle_timeout; /* ms */
    int64_t retries, retry_ceiling, retry_budget;              /* count; ms */
    struct strings fallback; /* names of models; following them never leads in a circle */
    int64_t hedge_after;     /* ms; 0: never */
    int64_t max_concurrent, requests_per_minute, tokens_per_minute; /* 0: no limit */
    struct practice_conf practice_knobs;
    char digest[65];        /* derived: SHA-256 as hex over all settings but secrets: equal, and it is asked the same way */
};

/* Of answers for a question that comes again. */
struct cache_conf {
    int64_t ttl;       /* ms; 0: no answer is kept */
    int64_t max_bytes;
};

enum wish_kind { /* bits; the names in the file are lower case */
    WISH_PRESET = 1,
    WISH_PROMPT = 2,
    WISH_MAX_TOKENS = 4,
    WISH_RESET = 8,
    WISH_SILENT = 16,
    WISH_ANSWER = 32,
};

#define PRESET_DEFAULT "default" /* what people call having none */

/* Another manner of the same bot. */
struct preset_conf {
    char *name;          /* /NAME */
    char *help;          /* for people, or NULL */
    char *system_prompt; /* NULL: as without */
    char *model;         /* name of a model; NULL: as without */
    const struct model_conf *model_ref;
    double temperature, top_p, frequency_penalty, presence_penalty; /* NaN: the model's */
    int64_t max_tokens;  /* 0: the model's */
};

struct bot_conf {
    char *name;
    char *model;             /* name of a model */
    const struct model_conf *model_ref;
    char *system_prompt;     /* with {date} {channel} {bot} {language} {room} {topic} */
    char *language;          /* "en", "zh" or NULL: the person's */
    unsigned triggers;       /* of enum trigger_kind */
    struct strings trigger_names;
    char *prefix;            /* for TRIGGER_PREFIX, NULL: none */
    struct strings keywords; /* PCRE2 patterns, checked at load */
    double chance;           /* 0..1 */
    int queue;               /* enum queue_policy */
    int64_t queue_max;       /* messages that may wait per channel */
    bool interrupt;          /* a new message of the same person cancels the running answer */
    bool stream;             /* people see the answer grow */
    bool context;            /* what was not for the bot is given to the model too */
    bool names;              /* speakers' names before group messages */
    int64_t history_messages, history_tokens;
    int64_t history_age;     /* ms; 0: no limit */
    char *summary_model;     /* name of the model that summarises what history drops, or NULL: none */
    const struct model_conf *summary_ref;
    char *command_prefix;    /* "/" ; "" switches commands off */
    struct strings commands; /* "help=帮助,hilfe": more names for a command; "retry=" switches it off */
    struct strings admins;   /* patterns over ACCOUNT:SENDER-ID */
    struct strings wish_names;
    unsigned wishes;         /* of enum wish_kind: what messages may ask of their own answers */
    struct preset_conf *presets;
    size_t n_presets;
    struct cache_conf answer_cache;
};

struct account_conf {
    char *name, *adapter;
    bool enabled;
    int on_doubt;                     /* enum on_doubt */
    void *settings;                   /* the adapter's own struct, filled from its table */
    const struct setting *settings_table;
    int line;                         /* in the file */
};

struct channel_rule {
    char *match;      /* glob over the channel's name: *, ?, [a-z] */
    char *bot;        /* name of a bot; "" or "none": silent */
    const struct bot_conf *bot_ref; /* NULL: silent */
    char *system_prompt;            /* NULL: the bot's */
    char *model;                    /* NULL: the bot's */
    const struct model_conf *model_ref; /* resolved: the rule's or the bot's */
    struct strings trigger_names;
    unsigned triggers;              /* resolved: the rule's or the bot's */
    int line;
};

/* Amounts as written, of the currency for `unit` tokens; price_text.h reads
 * them, plugin/model/price.h says what they come to. */
struct price_amounts {
    char *input, *cached_input, *cache_write, *output, *reasoning; /* NULL: not set */
};

struct price_step { /* what is different in long requests */
    int64_t tokens; /* prompts of more than these */
    struct price_amounts amounts;
};

struct price_conf {
    char *model;    /* glob over the server's name of the model, and ours */
    char *currency;
    int64_t unit;   /* tokens */
    struct price_amounts amounts;
    char *request;          /* for each request, NULL: nothing */
    struct strings tiers;   /* "flex=0.5" */
    struct price_step *above;
    size_t n_above;
    char *valid_from;       /* "2026-08-01" or NULL */
    struct strings hours;   /* "00:30-08:30+08:00=0.5" */
};

enum limit_per { LIMIT_PERSON, LIMIT_CHANNEL, LIMIT_ACCOUNT, LIMIT_ALL };
enum limit_period { LIMIT_MINUTE, LIMIT_HOUR, LIMIT_DAY, LIMIT_MONTH };

struct limit_conf {
    int per;        /* enum limit_per */
    int period;     /* enum limit_period */
    char *match;    /* glob over the channel's name */
    int64_t messages, tokens; /* 0: no limit */
    char *money;    /* as price_text.h reads it, NULL: no limit */
    char *currency;
    char *degrade_to; /* name of a model or NULL */
    const struct model_conf *degrade_ref;
};

struct config {
    char *file;      /* as given */
    struct strings files; /* all that were read: this one, those it includes, those of secrets and certificates */
    char *data_dir;
    struct {
        char *address;
        int64_t port;
        bool public; /* others than this machine may reach it, and that is meant */
    } listen;
    struct {
        int level;   /* enum log_level */
        int format;  /* 0 text, 1 json */
    } log;
    bool sandbox;
    int64_t history_days, usage_days;
    int64_t shutdown_timeout; /* ms */
    struct model_conf *models;
    size_t n_models;
    struct bot_conf *bots;
    size_t n_bots;
    struct account_conf *accounts;
    size_t n_accounts;
    struct channel_rule *channels;
    size_t n_channels;
    struct price_conf *prices;
    size_t n_prices;
    struct limit_conf *limits;
    size_t n_limits;
    unsigned refs; /* private */
};

/* Where the settings of adapters come from: main.c hands in the registry, so
 * that config/ knows no adapter. */
struct config_adapter {
    const char *name;
    const struct setting *settings; /* may be NULL */
    size_t settings_size;           /* bytes of the adapter's struct */
};

/* The problems found, one line each: "FILE:LINE: text". Warnings do not fail. */
struct config_report {
    struct buf errors, warnings;
    size_t n_errors, n_warnings;
};
void config_report_init(struct config_report *r);
void config_report_fini(struct config_report *r);

/* NULL if there was any error. adapters ends with a NULL name; its tables must
 * live as long as the configuration. file is looked for in the working folder,
 * everything that it names in its own. Reads the environment and the files of
 * secrets, contacts nobody, changes nothing. */
struct config *config_load(const char *file, const struct config_adapter *adapters, struct config_report *report);
struct config *config_ref(struct config *c); /* from one thread only, as unref */
void config_unref(struct config **c); /* NULL-safe; clears *c; wipes secrets with the last reference */

/* -c, else $WARBLER_CONFIG, else ./warbler.conf, else /etc/warbler/warbler.conf.
 * given may be NULL. The result is static or given. */
const char *config_default_file(const char *given);

const struct model_conf *config_model(const struct config *c, const char *name);
const struct bot_conf *config_bot(const struct config *c, const char *name);
/* By its name, without regard to case, which len bytes of `name` are. NULL: there is none. */
const struct preset_conf *config_preset(const struct bot_conf *bot, const char *name, size_t len);
const struct account_conf *config_account(const struct config *c, const char *name);
/* Would an adapter made from one do the same as one made from the other? */
bool config_account_equal(const struct account_conf *a, const struct account_conf *b);
/* The same settings; those of its model do not count. */
bool config_bot_equal(const struct bot_conf *a, const struct bot_conf *b);

/* The first rule whose pattern matches "ACCOUNT:CHAT" or "ACCOUNT:CHAT/THREAD",
 * where a pattern that matches a chat matches its threads too; NULL: none, the
 * bot is silent. */
const struct channel_rule *config_rule(const struct config *c, const char *channel);
/* The same for a channel that has several such names; they end with NULL. */
const struct channel_rule *config_rule_of(const struct config *c, const char *const *names);
bool config_glob(const char *pattern, const char *text); /* *, ?, [a-z], [!a-z]; work: product of the lengths */

void config_print_defaults(FILE *out, const struct config_adapter *adapters); /* a complete sample file, each setting explained */
void config_print_man(FILE *out, const struct config_adapter *adapters);      /* warbler.conf(5), man(7) macros */

#endif
