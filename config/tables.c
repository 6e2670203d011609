#include "config/tables.h"

#include "config/checks.h"
#include "config/config.h"

#define CONFIG(field) offsetof(struct config, field)
#define MODEL(field) offsetof(struct model_conf, field)
#define PRACTICE(field) offsetof(struct practice_conf, field)
#define TEMPLATE(field) offsetof(struct template_conf, field)
#define BOT(field) offsetof(struct bot_conf, field)
#define PRESET(field) offsetof(struct preset_conf, field)
#define CACHE(field) offsetof(struct cache_conf, field)
#define ACCOUNT(field) offsetof(struct account_conf, field)
#define CHANNEL(field) offsetof(struct channel_rule, field)
#define PRICE(field) offsetof(struct price_conf, field)
#define STEP(field) offsetof(struct price_step, field)
#define LIMIT(field) offsetof(struct limit_conf, field)

#define HOUR_MS 3600e3
#define YEAR_MS (365 * 24 * HOUR_MS)
#define NAME_BYTES_MAX 256 /* 64 characters of any kind */

/* SETTING_LIST writes the count behind the pointer. */
#define SIDE_BY_SIDE(list) _Static_assert(CONFIG(n_##list) == CONFIG(list) + sizeof(void *), #list " and its count")
SIDE_BY_SIDE(models);
SIDE_BY_SIDE(bots);
SIDE_BY_SIDE(accounts);
SIDE_BY_SIDE(channels);
SIDE_BY_SIDE(prices);
SIDE_BY_SIDE(limits);
_Static_assert(BOT(n_presets) == BOT(presets) + sizeof(void *), "presets and their count");
_Static_assert(PRICE(n_above) == PRICE(above) + sizeof(void *), "above and its count");

/* Each in the order of its enum. */
static const char *const level_names[] = { "error", "warn", "info", "debug", NULL };
static const char *const format_names[] = { "text", "json", NULL };
static const char *const api_names[] = { "chat", "completions", "azure", "practice", NULL };
static const char *const user_field_names[] = { "none", "user", "safety_identifier", "user_id", NULL };
static const char *const show_reasoning_names[] = { "no", "live", "quote", NULL };
static const char *const max_tokens_names[] = { "max_tokens", "max_completion_tokens", "none", NULL };
static const char *const system_role_names[] = { "system", "developer", "user", NULL };
static const char *const queue_names[] = { "each", "merge", "latest", NULL };
static const char *const on_doubt_names[] = { "drop", "resend", NULL };
static const char *const per_names[] = { "person", "channel", "account", "all", NULL };
static const char *const period_names[] = { "minute", "hour", "day", "month", NULL };
static const char *const language_names[] = { "en", "zh", NULL };
/* Words that are sent as they are. */
static const char *const template_names[] = { "plain", "chatml", "llama2", "llama3", "mistral", "alpaca", "vicuna",
                                              "custom", NULL };
static const char *const effort_names[] = { "none", "minimal", "low", "medium", "high", "xhigh", "max", NULL };
static const char *const verbosity_names[] = { "low", "medium", "high", NULL };
static const char *const tier_names[] = { "auto", "default", "flex", "scale", "priority", "fast", NULL };
static const char *const retention_names[] = { "in_memory", "in-memory", "24h", NULL };
const char *const wish_names[] = { "preset", "prompt", "max_tokens", "reset", "silent", "answer", NULL };
const char *const trigger_names[] = { "direct", "mention", "reply", "prefix", "keyword", "always", "chance", NULL };

/* --- models --------------------------------------------------------------- */

static const struct setting practice_settings[] = {
    { "delay_ms", SETTING_INT, .offset = PRACTICE(delay_ms), .max = 600000, .fallback = "300",
      .help = "Milliseconds before the practice model begins to answer." },
    { "chunk_ms", SETTING_INT, .offset = PRACTICE(chunk_ms), .max = 60000, .fallback = "40",
      .help = "Milliseconds between two pieces of a streamed answer." },
    { "chunk_chars", SETTING_INT, .offset = PRACTICE(chunk_chars), .min = 1, .max = 10000, .fallback = "4",
      .help = "Characters in one piece of a streamed answer." },
    { "length_chars", SETTING_INT, .offset = PRACTICE(length_chars), .max = 1000000, .fallback = "0",
      .help = "Characters of the whole answer; 0: as long as it happens to be." },
    { "fail_rate", SETTING_FLOAT, .offset = PRACTICE(fail_rate), .max = 1, .fallback = "0.0",
      .help = "Share of the requests that fail on purpose." },
    SETTING_END
};

static const struct setting template_settings[] = {
    { "begin", SETTING_STRING, .offset = TEMPLATE(begin), .max = 1024, .fallback = "",
      .help = "Stands before everything else." },
    { "system", SETTING_STRING, .offset = TEMPLATE(system), .max = 1024, .check = check_template_part,
      .fallback = "{text}\n\n", .help = "How the system prompt is written; {text} is its text." },
    { "user", SETTING_STRING, .offset = TEMPLATE(user), .max = 1024, .check = check_template_part,
      .fallback = "User: {text}\n", .help = "How a person's message is written." },
    { "assistant", SETTING_STRING, .offset = TEMPLATE(assistant), .max = 1024, .check = check_template_part,
      .fallback = "Assistant: {text}\n",
      .help = "How an answer is written. The prompt ends with what stands before {text}; what stands behind it ends "
              "the model's answer." },
    SETTING_END
};

const struct setting model_settings[] = {
    { "name", SETTING_STRING, .offset = MODEL(name), .required = true, .min = 1, .max = NAME_BYTES_MAX,
      .check = check_name, .example = "default", .help = "What bots call this model." },
    { "api", SETTING_ENUM, .offset = MODEL(api), .choices = api_names, .fallback = "chat",
      .help = "How to talk to it: \"chat\" is the Chat Completions interface that nearly every server offers, "
              "\"completions\" is the older one, where all of a conversation is one text, \"azure\" is Azure OpenAI, "
              "and \"practice\" is the built-in practice model, which needs no network and no key." },
    { "base_url", SETTING_STRING, .offset = MODEL(base_url), .check = check_base_url, .shown = true,
      .example = "https://api.openai.com/v1",
      .help = "Where the server is, up to and without /chat/completions or /completions. For Azure: "
              "https://NAME.openai.azure.com; an address with /deployments/ or /openai/v1 in it is taken as it is. "
              "Needed unless api is \"practice\"." },
    { "model", SETTING_STRING, .offset = MODEL(model), .max = 256, .shown = true, .example = "gpt-4o-mini",
      .help = "The server's own name of the model; for Azure, the deployment's. Needed unless api is \"practice\" or "
              "base_url names it: …/engines/NAME, …/deployments/NAME." },
    { "api_version", SETTING_STRING, .offset = MODEL(api_version), .max = 64, .check = check_api_version,
      .example = "2024-10-21",
      .help = "The api-version that is asked of Azure. Not set: 2024-10-21, or none at all where base_url ends in "
              "/openai/v1." },
    { "template", SETTING_STRING, .offset = MODEL(template), .choices = template_names, .fallback = "plain",
      .help = "For api \"completions\": how the conversation is written as one text, which must be as the model was "
              "trained. \"custom\": as template_parts says." },
    { "template_parts", SETTING_GROUP, .offset = MODEL(template_parts), .group = template_settings,
      .help = "The parts of a template of one's own." },
    { "api_key", SETTING_SECRET, .offset = MODEL(api_key), .excuse = "practice_without_key", .shown = true,
      .example = "env:OPENAI_API_KEY",
      .help = "The key, sent as \"Authorization: Bearer\", or as \"api-key\" to Azure. Leave it out for a server that "
              "wants none." },
    { "keys", SETTING_SECRETS, .offset = MODEL(keys), .max = MODEL_KEYS_MAX, .fallback = "()",
      .example = "(\"env:KEY_ONE\", \"env:KEY_TWO\")",
      .help = "Several keys instead of api_key, used in turn. One that is over its limit rests; one that the server refuses "
              "is not used again." },
    { "practice_without_key", SETTING_BOOL, .offset = MODEL(practice_without_key), .fallback = "false",
      .help = "If there is no key, or its environment variable is not set: answer with the practice model, and say so, "
              "instead of refusing to start." },
    { "temperature", SETTING_FLOAT, .offset = MODEL(temperature), .max = 2, .example = "0.7",
      .help = "How freely the model picks its words. Not sent unless set, like all settings here without a default." },
    { "top_p", SETTING_FLOAT, .offset = MODEL(top_p), .max = 1, .example = "0.9",
      .help = "Only the likeliest words that make up this share are considered." },
    { "frequency_penalty", SETTING_FLOAT, .offset = MODEL(frequency_penalty), .min = -2, .max = 2, .example = "0.0",
      .help = "Above 0 makes words less likely the more often they have come up." },
    { "presence_penalty", SETTING_FLOAT, .offset = MODEL(presence_penalty), .min = -2, .max = 2, .example = "0.0",
      .help = "Above 0 makes words less likely that have come up at all." },
    { "max_tokens", SETTING_INT, .offset = MODEL(max_tokens), .max = 10e6, .fallback = "0",
      .help = "Longest answer, in tokens; 0: the server's own limit, or 1024 where api is \"completions\"." },
    { "context_tokens", SETTING_INT, .offset = MODEL(context_tokens), .max = 100e6, .fallback = "0", .example = "128000",
      .help = "How many tokens the model takes, question and answer together; 0: unknown. Older messages are left out in "
              "time; otherwise only after the server has refused a conversation as too long." },
    { "vocabulary", SETTING_PATH, .offset = MODEL(vocabulary), .check = check_vocabulary, .example = "./o200k.vocab",
      .help = "Counts tokens exactly, with a file that config/make-vocabulary makes; for OpenAI's models. Without one they "
              "are estimated, and what the server says corrects the estimate." },
    { "max_tokens_field", SETTING_ENUM, .offset = MODEL(max_tokens_field), .choices = max_tokens_names,
      .fallback = "max_tokens",
      .help = "Under which name max_tokens is sent. OpenAI's newer models want \"max_completion_tokens\"." },
    { "stop", SETTING_STRINGS, .offset = MODEL(stop), .max = 4, .fallback = "()", .example = "(\"END\")",
      .help = "The answer ends before any of these texts. Where api is \"completions\", the template's own follow them." },
    { "seed", SETTING_INT, .offset = MODEL(seed), .example = "42",
      .help = "Makes answers repeatable, as far as the server can." },
    { "system_role", SETTING_ENUM, .offset = MODEL(system_role), .choices = system_role_names, .fallback = "system",
      .help = "The role under which the system prompt is sent. Some models know no \"system\"." },
    { "stream", SETTING_BOOL, .offset = MODEL(stream), .fallback = "true",
      .help = "Ask the server to send the answer piece by piece. Whether people see it grow is the bot's stream." },
    { "stream_usage", SETTING_BOOL, .offset = MODEL(stream_usage), .fallback = "true",
      .help = "Ask for the number of tokens used in streamed answers too. Switch it off for servers that refuse "
              "stream_options." },
    { "include_obfuscation", SETTING_BOOL, .offset = MODEL(include_obfuscation), .fallback = "true",
      .help = "false asks OpenAI not to pad the pieces of a streamed answer, which saves traffic." },
    { "response_format", SETTING_STRING, .offset = MODEL(response_format), .max = 65536, .check = check_response_format,
      .example = "json_object",
      .help = "The form of the answer: \"text\", \"json_object\", or a JSON object such as {\"type\":\"json_schema\",…}. "
              "What is to be JSON is checked before anybody sees it, and asked for in simpler ways if the server "
              "cannot be made to keep to it." },
    { "reasoning_effort", SETTING_STRING, .offset = MODEL(reasoning_effort), .choices = effort_names, .example = "low",
      .help = "How long a reasoning model thinks before it answers." },
    { "show_reasoning", SETTING_ENUM, .offset = MODEL(show_reasoning), .choices = show_reasoning_names, .fallback = "no",
      .help = "What people see of a model's reasoning: \"live\" shows it as a quote until the answer begins and keeps "
              "nothing of it, \"quote\" leaves it standing above the answer. It is never given back to a model." },
    { "verbosity", SETTING_STRING, .offset = MODEL(verbosity), .choices = verbosity_names, .example = "low",
      .help = "How many words the model makes." },
    { "service_tier", SETTING_STRING, .offset = MODEL(service_tier), .choices = tier_names, .example = "flex",
      .help = "How the request is served, and what it costs." },
    { "store", SETTING_BOOL, .offset = MODEL(store), .fallback = "false",
      .help = "Ask the server to keep the conversation for its own console." },
    { "metadata", SETTING_JSON, .offset = MODEL(metadata), .check = check_metadata, .example = "{\"team\": \"support\"}",
      .help = "Up to 16 texts that stand beside a kept conversation." },
    { "logit_bias", SETTING_JSON, .offset = MODEL(logit_bias), .check = check_logit_bias, .example = "{\"1734\": -100}",
      .help = "Makes single tokens more or less likely, by their number in the model's vocabulary: -100 to 100." },
    { "prediction", SETTING_JSON, .offset = MODEL(prediction), .check = check_prediction,
      .example = "{\"type\": \"content\", \"content\": \"…\"}",
      .help = "Text that most of the answer will be the same as, which makes it faster." },
    { "web_search_options", SETTING_JSON, .offset = MODEL(web_search_options), .check = check_web_search,
      .example = "{\"search_context_size\": \"low\"}", .help = "How a model that searches the web does so." },
    { "moderation", SETTING_JSON, .offset = MODEL(moderation), .check = check_moderation,
      .example = "{\"model\": \"omni-moderation-latest\"}",
      .help = "Have question and answer looked through by this model." },
    { "user_field", SETTING_ENUM, .offset = MODEL(user_field), .choices = user_field_names, .fallback = "none",
      .help = "Under which name the server is told which requests are by the same person. It gets a pseudonym, from "
              "which nobody can tell who that is." },
    { "prompt_cache_key", SETTING_BOOL, .offset = MODEL(prompt_cache_key), .fallback = "false",
      .help = "Tell the server which requests belong to the same conversation, so that it finds its cached beginning." },
    { "prompt_cache_retention", SETTING_STRING, .offset = MODEL(prompt_cache_retention), .choices = retention_names,
      .example = "24h", .help = "How long the server keeps the beginning of a conversation in its cache." },
    { "prompt_cache_options", SETTING_JSON, .offset = MODEL(prompt_cache_options), .check = check_cache_options,
      .example = "{\"mode\": \"implicit\", \"ttl\": \"30m\"}", .help = "How the server's cache is used." },
    { "send_name", SETTING_BOOL, .offset = MODEL(send_name), .fallback = "false",
      .help = "In groups, send the speaker's name beside each message too, for models that know what to do with it. "
              "Messages of different speakers stay apart then, unless merge_consecutive joins them." },
    { "merge_consecutive", SETTING_BOOL, .offset = MODEL(merge_consecutive), .fallback = "true",
      .help = "Join messages of people that follow each other into one, and begin with a person's, as many models' "
              "templates need. With false each message is sent by itself." },
    { "extra", SETTING_JSON, .offset = MODEL(extra), .check = check_extra, .example = "{\"top_k\": 40}",
      .help = "A JSON object with more members for each request, for what has no setting here." },
    { "drop", SETTING_STRINGS, .offset = MODEL(drop), .max = 32, .fallback = "()", .example = "(\"stream_options\")",
      .help = "Members that are never sent, for servers that refuse them." },
    { "headers", SETTING_STRINGS, .offset = MODEL(headers), .max = 32, .fallback = "()", .check = check_header,
      .example = "(\"X-Team: support\")", .help = "More HTTP headers for each request." },
    { "proxy", SETTING_STRING, .offset = MODEL(proxy), .check = check_proxy, .example = "http://127.0.0.1:3128",
      .help = "An HTTP or SOCKS proxy on the way to the server." },
    { "ca_file", SETTING_PATH, .offset = MODEL(ca_file), .check = check_file, .example = "./ca.pem",
      .help = "Certificates (PEM) to trust instead of the system's." },
    { "connect_timeout", SETTING_DURATION, .offset = MODEL(connect_timeout), .min = 1, .max = HOUR_MS,
      .fallback = "10s",
      .help = "Longest wait for a connection." },
    { "first_byte_timeout", SETTING_DURATION, .offset = MODEL(first_byte_timeout), .min = 1, .max = HOUR_MS,
      .fallback = "120s",
      .help = "Longest wait for the beginning of an answer." },
    { "idle_timeout", SETTING_DURATION, .offset = MODEL(idle_timeout), .min = 1, .max = HOUR_MS, .fallback = "60s",
      .help = "Longest silence in the middle of an answer." },
    { "retries", SETTING_INT, .offset = MODEL(retries), .max = 10, .fallback = "2",
      .help = "How often a failed request is made again, if that can help." },
    { "retry_ceiling", SETTING_DURATION, .offset = MODEL(retry_ceiling), .max = HOUR_MS, .fallback = "60s",
      .help = "If the server asks to wait longer than this before the next try, the next key or the next model is asked; if "
              "there is none, people are told so at once." },
    { "retry_budget", SETTING_DURATION, .offset = MODEL(retry_budget), .max = HOUR_MS, .fallback = "60s",
      .help = "Longest time from the first failure of a request to the beginning of its last try." },
    { "fallback", SETTING_STRINGS, .offset = MODEL(fallback), .max = 8, .fallback = "()", .example = "(\"other\")",
      .help = "Other models that are asked, in this order, when this one cannot answer, and then theirs." },
    { "hedge_after", SETTING_DURATION, .offset = MODEL(hedge_after), .max = HOUR_MS, .fallback = "0", .example = "5s",
      .help = "After this long without a word the first model of fallback is asked too, and whichever speaks first is "
              "listened to; 0: never." },
    { "max_concurrent", SETTING_INT, .offset = MODEL(max_concurrent), .max = 100000, .fallback = "0",
      .help = "How many requests run at once; more wait, and conversations take turns. 0: no limit." },
    { "requests_per_minute", SETTING_INT, .offset = MODEL(requests_per_minute), .max = 10e6, .fallback = "0",
      .help = "How many requests are made in a minute, as the server allows; more wait. 0: no limit." },
    { "tokens_per_minute", SETTING_INT, .offset = MODEL(tokens_per_minute), .max = 1e12, .fallback = "0",
      .help = "How many tokens, of questions and answers, the requests of a minute have; more wait. 0: no limit." },
    { "practice", SETTING_GROUP, .offset = MODEL(practice_knobs), .group = practice_settings,
      .help = "How the practice model behaves, where it answers." },
    SETTING_END
};

/* --- bots ----------------------------------------------------------------- */

static const struct setting cache_settings[] = {
    { "ttl", SETTING_DURATION, .offset = CACHE(ttl), .max = YEAR_MS, .fallback = "0", .example = "1h",
      .help = "For how long; 0: no answer is kept." },
    { "max_bytes", SETTING_INT, .offset = CACHE(max_bytes), .min = 4096, .max = 1024 * 1024 * 1024, .fallback = "1048576",
      .help = "How much memory the answers may take. The one that was not asked for the longest makes room for a new one." },
    SETTING_END
};

static const struct setting preset_settings[] = {
    { "name", SETTING_STRING, .offset = PRESET(name), .required = true, .min = 1, .max = NAME_BYTES_MAX,
      .check = check_preset_name, .example = "translator", .help = "What people call it: /translator." },
    { "help", SETTING_STRING, .offset = PRESET(help), .max = 256, .example = "translates into English",
      .help = "What /help says of it." },
    { "system_prompt", SETTING_STRING, .offset = PRESET(system_prompt), .max = 65536, .example = "Translate into English.",
      .help = "Instead of the bot's own; the same is filled in." },
    { "model", SETTING_STRING, .offset = PRESET(model), .example = "default", .help = "Instead of the bot's own." },
    { "temperature", SETTING_FLOAT, .offset = PRESET(temperature), .max = 2, .example = "0.2",
      .help = "Instead of the model's own, as all below." },
    { "top_p", SETTING_FLOAT, .offset = PRESET(top_p), .max = 1, .example = "0.9",
      .help = "Only the likeliest words that make up this share are considered." },
    { "frequency_penalty", SETTING_FLOAT, .offset = PRESET(frequency_penalty), .min = -2, .max = 2, .example = "0.0",
      .help = "Above 0 words are avoided the more often they were used." },
    { "presence_penalty", SETTING_FLOAT, .offset = PRESET(presence_penalty), .min = -2, .max = 2, .example = "0.0",
      .help = "Above 0 words are avoided once they were used." },
    { "max_tokens", SETTING_INT, .offset = PRESET(max_tokens), .max = 10e6, .fallback = "0", .example = "500",
      .help = "Longest answer; 0: as the model has it." },
    SETTING_END
};

const struct setting bot_settings[] = {
    { "name", SETTING_STRING, .offset = BOT(name), .required = true, .min = 1, .max = NAME_BYTES_MAX,
      .check = check_bot_name,
      .example = "assistant", .help = "What people call it: @assistant." },
    { "model", SETTING_STRING, .offset = BOT(model), .required = true, .example = "default",
      .help = "The name of one of the models above." },
    { "system_prompt", SETTING_STRING, .offset = BOT(system_prompt), .max = 65536,
      .fallback = "You are a helpful assistant.",
      .help = "What the bot is told about its task. {date}, {channel}, {bot}, {language}, {room} and {topic} are filled "
              "in (the last two are what the chat calls itself); {{ and }} stand for braces. Texts side by side are joined, so a long one may go over several lines." },
    { "language", SETTING_STRING, .offset = BOT(language), .choices = language_names, .example = "en",
      .help = "The language of the bot's own notices. If not set: the language of the person." },
    { "trigger", SETTING_STRINGS, .offset = BOT(trigger_names), .min = 1, .max = 7, .choices = trigger_names,
      .fallback = "(\"direct\", \"mention\", \"reply\")",
      .help = "When the bot answers: \"direct\" in private conversations, \"mention\" when it is called by @name, \"reply\" "
              "when one replies to it, \"prefix\" when a message begins with prefix, \"keyword\" when one of keywords "
              "matches, \"chance\" now and then, \"always\"." },
    { "prefix", SETTING_STRING, .offset = BOT(prefix), .min = 1, .max = 64, .example = "!ask",
      .help = "For the trigger \"prefix\"." },
    { "keywords", SETTING_STRINGS, .offset = BOT(keywords), .max = 256, .fallback = "()", .check = check_pattern,
      .example = "(\"refunds?\", \"退款\")", .help = "For the trigger \"keyword\": patterns (PCRE2), without regard to case." },
    { "chance", SETTING_FLOAT, .offset = BOT(chance), .max = 1, .fallback = "0.0", .example = "0.05",
      .help = "For the trigger \"chance\": the share of the messages that is answered." },
    { "queue", SETTING_ENUM, .offset = BOT(queue), .choices = queue_names, .fallback = "each",
      .help = "What becomes of messages that come while the bot answers: \"each\" is answered in turn, \"merge\" answers all "
              "that piled up at once, \"latest\" answers the newest only." },
    { "queue_max", SETTING_INT, .offset = BOT(queue_max), .min = 1, .max = 1000, .fallback = "20",
      .help = "How many messages may wait in one channel; the next one is refused." },
    { "interrupt", SETTING_BOOL, .offset = BOT(interrupt), .fallback = "false",
      .help = "A new message stops the answer to the same person's last one." },
    { "stream", SETTING_BOOL, .offset = BOT(stream), .fallback = "true",
      .help = "People see the answer grow, where the platform can show that." },
    { "context", SETTING_BOOL, .offset = BOT(context), .fallback = "true",
      .help = "In groups, the model is shown what was not meant for the bot too, once the bot is asked." },
    { "names", SETTING_BOOL, .offset = BOT(names), .fallback = "true",
      .help = "In groups, the model is told who said what." },
    { "history_messages", SETTING_INT, .offset = BOT(history_messages), .max = 10000, .fallback = "40",
      .help = "How many of the last messages the model is shown; 0: none but the one to answer." },
    { "history_tokens", SETTING_INT, .offset = BOT(history_tokens), .max = 10e6, .fallback = "3000",
      .help = "And how many tokens of them at most, by estimate." },
    { "history_age", SETTING_DURATION, .offset = BOT(history_age), .max = YEAR_MS, .fallback = "0s", .example = "3d",
      .help = "After so long it is shown no message any more; 0: however old it is." },
    { "summary_model", SETTING_STRING, .offset = BOT(summary_model), .example = "default",
      .help = "The name of a model that puts older messages into a summary when there are more of them than that, so that "
              "the bot still knows what they were about. If not set, they are forgotten. What it costs counts for the limits of "
              "channels, accounts and all, not for those of persons." },
    { "command_prefix", SETTING_STRING, .offset = BOT(command_prefix), .max = 16, .fallback = "/",
      .help = "What commands such as /help begin with; \"\" switches commands off." },
    { "commands", SETTING_STRINGS, .offset = BOT(commands), .max = 64, .fallback = "()", .check = check_command,
      .example = "(\"help=hilfe,aide\", \"retry=\")",
      .help = "More names for commands: \"help=hilfe,aide\". With nothing behind the = the command is switched off." },
    { "admins", SETTING_STRINGS, .offset = BOT(admins), .max = 256, .fallback = "()", .check = check_glob,
      .example = "(\"web:alice\")", .help = "Who may use the commands that change something: patterns over ACCOUNT:SENDER." },
    { "wishes", SETTING_STRINGS, .offset = BOT(wish_names), .max = 6, .choices = wish_names, .fallback = "()",
      .example = "(\"preset\", \"reset\")",
      .help = "What a message may ask of its own answer, on platforms where programs send messages for people: \"preset\" "
              "picks one of presets, \"prompt\" adds to the system prompt, \"max_tokens\" shortens the answer, \"reset\" "
              "forgets the conversation first, \"silent\" has the message remembered and not answered, \"answer\" has it "
              "answered though nobody called the bot. Whoever can send such a message can do so: allow what all of them may." },
    { "presets", SETTING_LIST, .offset = BOT(presets), .group = preset_settings, .item = "preset",
      .item_size = sizeof(struct preset_conf),
      .example = "({ name = \"translator\"; system_prompt = \"Translate into English.\"; })",
      .help = "Other manners of the bot, by name. /NAME in a conversation switches to it, /NAME with a text answers that one "
              "message so, and /default goes back." },
    { "answer_cache", SETTING_GROUP, .offset = BOT(answer_cache), .group = cache_settings,
      .help = "Answers that are kept, so that the same question asked again gets the same answer without asking the model. "
              "That goes for questions of which the model is told neither who asks nor what was said before: the first of a "
              "private conversation. Answers that were cut short or came from a fallback, and notices, are not kept, and "
              "/retry asks the model anew. All is in memory only, until the program stops or the bot's settings change." },
    SETTING_END
};

/* --- accounts and channels ------------------------------------------------ */

const struct setting account_settings[] = {
    { "name", SETTING_STRING, .offset = ACCOUNT(name), .required = true, .check = check_account_name, .example = "web",
      .help = "What the names of this account's channels begin with: 1 to 32 of a-z, 0-9, _ and -." },
    { "adapter", SETTING_STRING, .offset = ACCOUNT(adapter), .required = true, .example = "webchat",
      .help = "The platform." },
    { "enabled", SETTING_BOOL, .offset = ACCOUNT(enabled), .fallback = "true",
      .help = "false leaves the account out, as if it were not in the file." },
    { "on_doubt", SETTING_ENUM, .offset = ACCOUNT(on_doubt), .choices = on_doubt_names, .fallback = "drop",
      .help = "After a crash, when nobody can say whether an answer still went out: \"drop\" leaves it, \"resend\" sends it, "
              "perhaps for the second time." },
    SETTING_END
};

const struct setting channel_settings[] = {
    { "match", SETTING_STRING, .offset = CHANNEL(match), .required = true, .max = 1024, .check = check_match,
      .example = "web:*",
      .help = "Which channels: a pattern over ACCOUNT:CHAT or ACCOUNT:CHAT/THREAD, with * for anything, ? for one "
              "character, [a-z] for one of these and [!a-z] for none of them. A chat's rule holds for its threads too. Where "
              "the platform tells a chat's name and aliases, CHAT may be any of them as well; mind that people choose them." },
    { "bot", SETTING_STRING, .offset = CHANNEL(bot), .shown = true, .example = "assistant",
      .help = "The name of one of the bots above, or \"none\": no bot answers there. Needed." },
    { "system_prompt", SETTING_STRING, .offset = CHANNEL(system_prompt), .max = 65536,
      .example = "You answer questions on our shop.",
      .help = "Instead of the bot's own." },
    { "model", SETTING_STRING, .offset = CHANNEL(model), .example = "default", .help = "Instead of the bot's own." },
    { "trigger", SETTING_STRINGS, .offset = CHANNEL(trigger_names), .min = 1, .max = 7, .choices = trigger_names,
      .example = "(\"always\")", .help = "Instead of the bot's own." },
    SETTING_END
};

/* --- prices --------------------------------------------------------------- */

static const struct setting step_settings[] = {
    { "tokens", SETTING_INT, .offset = STEP(tokens), .required = true, .min = 1, .max = 1e9, .example = "200000",
      .help = "These prices hold for requests with more prompt tokens than this." },
    { "input", SETTING_STRING, .offset = STEP(amounts.input), .check = check_amount, .example = "5.00",
      .help = "Instead of the input above, and so on; what is not set here stays." },
    { "cached_input", SETTING_STRING, .offset = STEP(amounts.cached_input), .check = check_amount, .example = "0.50",
      .help = "Prompt tokens that the server had cached." },
    { "cache_write", SETTING_STRING, .offset = STEP(amounts.cache_write), .check = check_amount, .example = "6.25",
      .help = "Prompt tokens that the server wrote to its cache." },
    { "output", SETTING_STRING, .offset = STEP(amounts.output), .check = check_amount, .example = "15.00",
      .help = "Tokens of the answer." },
    { "reasoning", SETTING_STRING, .offset = STEP(amounts.reasoning), .check = check_amount, .example = "15.00",
      .help = "Tokens of the reasoning before the answer." },
    SETTING_END
};

const struct setting price_settings[] = {
    { "model", SETTING_STRING, .offset = PRICE(model), .required = true, .max = 256, .check = check_glob,
      .example = "gpt-4o*",
      .help = "Which models: a pattern over the server's own name of the model, and over its name in models. The longest "
              "pattern that matches counts." },
    { "currency", SETTING_STRING, .offset = PRICE(currency), .check = check_currency, .fallback = "USD",
      .help = "The currency of the amounts, which are written as texts, such as \"2.50\"." },
    { "unit", SETTING_INT, .offset = PRICE(unit), .min = 1, .max = 1e9, .fallback = "1000000",
      .help = "For how many tokens the amounts are." },
    { "input", SETTING_STRING, .offset = PRICE(amounts.input), .check = check_amount, .fallback = "0", .example = "2.50",
      .help = "Prompt tokens." },
    { "cached_input", SETTING_STRING, .offset = PRICE(amounts.cached_input), .check = check_amount, .example = "1.25",
      .help = "Prompt tokens that the server had cached. If not set: as input." },
    { "cache_write", SETTING_STRING, .offset = PRICE(amounts.cache_write), .check = check_amount, .example = "3.125",
      .help = "Prompt tokens that the server wrote to its cache. If not set: as input." },
    { "output", SETTING_STRING, .offset = PRICE(amounts.output), .check = check_amount, .fallback = "0",
      .example = "10.00", .help = "Tokens of the answer." },
    { "reasoning", SETTING_STRING, .offset = PRICE(amounts.reasoning), .check = check_amount, .example = "10.00",
      .help = "Tokens of the reasoning before the answer. If not set: as output." },
    { "request", SETTING_STRING, .offset = PRICE(request), .check = check_amount, .example = "0.005",
      .help = "For each request, whatever its length; tiers and hours leave it as it is." },
    { "tiers", SETTING_STRINGS, .offset = PRICE(tiers), .max = 16, .fallback = "()", .check = check_tier,
      .example = "(\"flex=0.5\", \"priority=2\")",
      .help = "What the amounts are multiplied by if the answer says that it came from this service tier." },
    { "above", SETTING_LIST, .offset = PRICE(above), .group = step_settings, .item = "step",
      .item_size = sizeof(struct price_step), .example = "({ tokens = 200000; input = \"5.00\"; output = \"15.00\"; })",
      .help = "Other amounts for long requests: the step with the most tokens that the prompt has more of." },
    { "valid_from", SETTING_STRING, .offset = PRICE(valid_from), .check = check_date, .example = "2026-08-01",
      .help = "The first day of these prices, by UTC. Among entries with the same pattern the newest that has begun counts." },
    { "hours", SETTING_STRINGS, .offset = PRICE(hours), .max = 16, .fallback = "()", .check = check_hours,
      .example = "(\"00:30-08:30+08:00=0.5\")",
      .help = "What the amounts are multiplied by at these hours of the day, on a clock that is so far ahead of UTC." },
    SETTING_END
};

/* --- limits --------------------------------------------------------------- */

const struct setting limit_settings[] = {
    { "per", SETTING_ENUM, .offset = LIMIT(per), .choices = per_names, .fallback = "person",
      .help = "Whom it is for: each person, each channel, each account, or all together." },
    { "match", SETTING_STRING, .offset = LIMIT(match), .max = 1024, .check = check_match, .fallback = "*", .example = "web:*",
      .help = "In which channels: a pattern as in channels." },
    { "period", SETTING_ENUM, .offset = LIMIT(period), .choices = period_names, .fallback = "day",
      .help = "A day and a month are those of the local calendar; a minute and an hour begin with the first message." },
    { "messages", SETTING_INT, .offset = LIMIT(messages), .max = 1e12, .fallback = "0", .example = "50",
      .help = "How many answers; 0: no limit. Commands and answers from answer_cache do not count." },
    { "tokens", SETTING_INT, .offset = LIMIT(tokens), .max = 1e15, .fallback = "0", .example = "100000",
      .help = "How many tokens, of prompts and answers; 0: no limit." },
    { "money", SETTING_STRING, .offset = LIMIT(money), .check = check_amount, .example = "0.50",
      .help = "How much money, by the list prices or as servers say it." },
    { "currency", SETTING_STRING, .offset = LIMIT(currency), .check = check_currency, .fallback = "USD",
      .help = "The currency of money; costs in others do not count." },
    { "degrade_to", SETTING_STRING, .offset = LIMIT(degrade_to), .example = "cheap",
      .help = "The name of a model that answers when the limit is used up, instead of a notice that says when it goes on. "
              "The limits below it hold for that model too." },
    SETTING_END
};

/* --- the file ------------------------------------------------------------- */

static const struct setting listen_settings[] = {
    { "address", SETTING_STRING, .offset = CONFIG(listen.address), .check = check_address, .fallback = "127.0.0.1",
      .help = "127.0.0.1 is reachable from this machine only, 0.0.0.0 or :: from everywhere." },
    { "public", SETTING_BOOL, .offset = CONFIG(listen.public), .fallback = "false",
      .help = "true says that others than this machine are meant to reach it. Needed for an address that they can reach, unless "
              "a web chat has tokens: whoever reaches the web chat may write to the bot, and read /metrics and /readyz. "
              "Mostly a reverse proxy with TLS on this machine is the better way." },
    { "port", SETTING_INT, .offset = CONFIG(listen.port), .max = 65535, .fallback = "8080",
      .help = "TCP port; 0: any free one, which the log names." },
    SETTING_END
};

static const struct setting log_settings[] = {
    { "level", SETTING_ENUM, .offset = CONFIG(log.level), .choices = level_names, .fallback = "info",
      .help = "\"debug\" writes several lines per message, the others none." },
    { "format", SETTING_ENUM, .offset = CONFIG(log.format), .choices = format_names, .fallback = "text",
      .help = "Lines for people, or for programs." },
    SETTING_END
};

const struct setting config_settings[] = {
    { "data_dir", SETTING_PATH, .offset = CONFIG(data_dir), .fallback = "./data",
      .help = "Where conversations are kept. The folder is made if it is missing; a relative path starts at this file's "
              "folder." },
    { "history_days", SETTING_INT, .offset = CONFIG(history_days), .max = 36500, .fallback = "90",
      .help = "After how many days messages are deleted; 0: never." },
    { "usage_days", SETTING_INT, .offset = CONFIG(usage_days), .max = 36500, .fallback = "400",
      .help = "After how many days the records of what answers cost are deleted, which `warbler usage` adds up; 0: never." },
    { "sandbox", SETTING_BOOL, .offset = CONFIG(sandbox), .fallback = "true",
      .help = "Whether the running program gives up, as far as the system can keep it from them, all files and system calls "
              "that it does not need; see SECURITY in warbler(1). false is for finding out whether that is in the way." },
    { "shutdown_timeout", SETTING_DURATION, .offset = CONFIG(shutdown_timeout), .max = HOUR_MS, .fallback = "10s",
      .help = "How long running answers may take to finish when the program is stopped. What is not finished by then is "
              "taken up at the next start." },
    { "listen", SETTING_GROUP, .group = listen_settings,
      .help = "The address of the web chat, the HTTP interface, health and metrics." },
    { "log", SETTING_GROUP, .group = log_settings, .help = "The log, on standard error." },
    { "models", SETTING_LIST, .offset = CONFIG(models), .required = true, .group = model_settings, .item = "model",
      .item_size = sizeof(struct model_conf),
      .example = "( { name = \"default\"; base_url = \"https://api.openai.com/v1\"; model = \"gpt-4o-mini\"; } )",
      .help = "Language models, each behind a server that speaks Chat Completions." },
    { "bots", SETTING_LIST, .offset = CONFIG(bots), .required = true, .group = bot_settings, .item = "bot",
      .item_size = sizeof(struct bot_conf), .example = "( { name = \"assistant\"; model = \"default\"; } )",
      .help = "Characters: a model, what it is told, and when it speaks." },
    { "accounts", SETTING_LIST, .offset = CONFIG(accounts), .required = true, .group = account_settings,
      .item = "account",
      .item_size = sizeof(struct account_conf), .open = true,
      .example = "( { name = \"web\"; adapter = \"webchat\"; } )",
      .help = "Connections to chat platforms. Each has the settings of its platform's adapter too." },
    { "channels", SETTING_LIST, .offset = CONFIG(channels), .required = true, .group = channel_settings,
      .item = "channel",
      .item_size = sizeof(struct channel_rule), .example = "( { match = \"web:*\"; bot = \"assistant\"; } )",
      .help = "Which bot speaks where. The first rule that matches counts; where none does, nobody answers." },
    { "prices", SETTING_LIST, .offset = CONFIG(prices), .group = price_settings, .item = "price",
      .item_size = sizeof(struct price_conf),
      .example = "( { model = \"gpt-4o*\"; input = \"2.50\"; output = \"10.00\"; } )",
      .help = "What models cost, for `warbler usage`, the metrics and limits. A cost that the server itself names counts "
              "instead." },
    { "limits", SETTING_LIST, .offset = CONFIG(limits), .group = limit_settings, .item = "limit",
      .item_size = sizeof(struct limit_conf), .example = "( { per = \"person\"; period = \"day\"; messages = 50; } )",
      .help = "How much of the models people may take. All limits that fit hold together, in their order." },
    SETTING_END
};
