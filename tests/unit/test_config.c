/* config/: files as people write them, right and wrong. Every file of
 * conf-bad/ and conf-good/ says at its top what is to be reported about it. */
#include <dirent.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "config/config.h"
#include "config/problem.h"
#include "config/read.h"
#include "config/tables.h"
#include "plugin/base/mem.h"
#include "tests/unit/config_fake.h"

#define BAD "tests/data/conf-bad"
#define GOOD "tests/data/conf-good"
#define BAD_FILES_MIN 40
#define LINE_BYTES 1024
#define COUNT(array) (sizeof(array) / sizeof(*(array)))

static struct config_report report;

static struct config *load(const char *file)
{
    config_report_fini(&report);
    config_report_init(&report);
    return config_load(file, fake_adapters, &report);
}

static struct config *load_good(const char *file)
{
    struct config *c = load(file);
    if (!c)
        fail_msg("%s", buf_str(&report.errors));
    return c;
}

/* --- all files of a folder --- */

#define HERE "$HERE" /* in an expectation: the folder's absolute path */

static void add_expected(struct buf *out, const char *file, const char *text)
{
    char *here = realpath(BAD, NULL);
    const char *at = strstr(text, HERE);
    if (at != text)
        buf_addf(out, "%s:%s", file, *text >= '0' && *text <= '9' ? "" : " ");
    if (at)
        buf_addf(out, "%.*s%s%s", (int)(at - text), text, here, at + strlen(HERE));
    else
        buf_adds(out, text);
    free(here);
}

/* "# expect: 7: text" becomes "FILE:7: text", "# expect: text" becomes "FILE: text". */
static size_t expectations(const char *file, const char *mark, struct buf *out)
{
    FILE *f = fopen(file, "r");
    char line[LINE_BYTES];
    size_t n = 0;
    assert_non_null(f);
    while (fgets(line, sizeof line, f))
        if (strncmp(line, mark, strlen(mark)) == 0) {
            add_expected(out, file, line + strlen(mark));
            n++;
        }
    fclose(f);
    return n;
}

static void check_file_report(const char *file, bool good)
{
    struct buf errors, warnings;
    buf_init(&errors, 65536);
    buf_init(&warnings, 65536);
    size_t n_errors = expectations(file, "# expect: ", &errors);
    size_t n_warnings = expectations(file, "# warn: ", &warnings);
    struct config *c = load(file);
    assert_string_equal(buf_str(&report.errors), buf_str(&errors));
    assert_string_equal(buf_str(&report.warnings), buf_str(&warnings));
    assert_int_equal(report.n_errors, n_errors);
    assert_int_equal(report.n_warnings, n_warnings);
    assert_int_equal(c != NULL, good);
    assert_int_equal(n_errors == 0, good);
    config_unref(&c);
    buf_free(&errors);
    buf_free(&warnings);
}

static size_t check_folder(const char *folder, bool good)
{
    DIR *dir = opendir(folder);
    struct dirent *entry;
    char file[LINE_BYTES];
    size_t n = 0;
    assert_non_null(dir);
    while ((entry = readdir(dir))) {
        if (!strstr(entry->d_name, ".conf"))
            continue;
        snprintf(file, sizeof file, "%s/%s", folder, entry->d_name);
        check_file_report(file, good);
        n++;
    }
    closedir(dir);
    return n;
}

static void test_bad(void **state)
{
    (void)state;
    assert_true(check_folder(BAD, false) >= BAD_FILES_MIN);
}

static void test_good(void **state)
{
    (void)state;
    assert_true(check_folder(GOOD, true) > 0);
}

/* --- values --- */

static void test_defaults(void **state)
{
    (void)state;
    struct config *c = load_good(GOOD "/minimal.conf");
    const struct model_conf *m = &c->models[0];
    const struct bot_conf *b = &c->bots[0];
    assert_true(strstr(c->data_dir, "/" GOOD "/data"));
    assert_int_equal(c->data_dir[0], '/');
    assert_string_equal(c->listen.address, "127.0.0.1");
    assert_int_equal(c->listen.port, 8080);
    assert_int_equal(c->log.level, LOG_INFO);
    assert_int_equal(c->log.format, 0);
    assert_int_equal(c->history_days, 90);
    assert_int_equal(c->shutdown_timeout, 10000);
    assert_true(m->practice && isnan(m->temperature) && isnan(m->top_p) && isnan(m->presence_penalty));
    assert_true(m->stream && m->stream_usage && !m->practice_without_key);
    assert_true(m->include_obfuscation && m->merge_consecutive);
    assert_false(m->store || m->prompt_cache_key || m->send_name);
    assert_int_equal(m->user_field, USER_FIELD_NONE);
    assert_int_equal(m->show_reasoning, SHOW_REASONING_NO);
    assert_string_equal(m->template, "plain");
    assert_string_equal(m->template_parts.assistant, "Assistant: {text}\n");
    assert_null(m->response_format);
    assert_null(m->reasoning_effort);
    assert_null(m->extra);
    assert_null(m->proxy);
    assert_null(m->ca_file);
    assert_int_equal(m->context_tokens, 0);
    assert_null(m->vocabulary);
    assert_true(secret_empty(&m->api_key));
    assert_int_equal(m->seed, INT64_MIN);
    assert_int_equal(m->max_tokens, 0);
    assert_int_equal(m->max_tokens_field, MAX_TOKENS_OLD);
    assert_int_equal(m->system_role, SYSTEM_ROLE_SYSTEM);
    assert_int_equal(m->stop.n + m->drop.n + m->headers.n, 0);
    assert_int_equal(m->connect_timeout, 10000);
    assert_int_equal(m->first_byte_timeout, 120000);
    assert_int_equal(m->idle_timeout, 60000);
    assert_int_equal(m->retries, 2);
    assert_int_equal(m->retry_ceiling, 60000);
    assert_int_equal(m->retry_budget, 60000);
    assert_int_equal(m->keys.n + m->fallback.n, 0);
    assert_int_equal(m->hedge_after + m->max_concurrent + m->requests_per_minute + m->tokens_per_minute, 0);
    assert_ptr_equal(b->model_ref, m);
    assert_int_equal(b->triggers, TRIGGER_DIRECT | TRIGGER_MENTION | TRIGGER_REPLY);
    assert_null(b->language);
    assert_null(b->prefix);
    assert_int_equal(b->queue, QUEUE_EACH);
    assert_int_equal(b->history_messages, 40);
    assert_int_equal(b->history_tokens, 3000);
    assert_true(b->stream && !b->interrupt);
    assert_int_equal(b->answer_cache.ttl, 0);
    assert_int_equal(b->answer_cache.max_bytes, 1048576);
    assert_string_equal(b->command_prefix, "/");
    assert_true(c->accounts[0].enabled);
    assert_int_equal(c->accounts[0].on_doubt, ON_DOUBT_DROP);
    assert_int_equal(c->channels[0].triggers, b->triggers);
    assert_ptr_equal(c->channels[0].bot_ref, b);
    assert_ptr_equal(c->channels[0].model_ref, m);
    config_unref(&c);
    assert_null(c);
}

static void test_everything_model(void **state)
{
    (void)state;
    struct config *c = load_good(GOOD "/everything.conf");
    const struct model_conf *m = config_model(c, "main");
    assert_string_equal(m->base_url, "http://127.0.0.1:9/v1");
    assert_string_equal(m->model, "large");
    assert_string_equal(secret_reveal(&m->api_key), "value");
    assert_false(m->practice);
    assert_true(m->temperature == 1 && m->top_p == 0.5 && m->frequency_penalty == -2 && m->presence_penalty == 2);
    assert_int_equal(m->max_tokens, 512);
    assert_int_equal(m->max_tokens_field, MAX_TOKENS_COMPLETION);
    assert_int_equal(m->context_tokens, 8192);
    assert_true(strstr(m->vocabulary, GOOD "/included/head.vocab"));
    assert_int_equal(m->stop.n, 2);
    assert_string_equal(m->stop.v[1], "two");
    assert_true(m->seed == INT64_C(9007199254740993));
    assert_int_equal(m->system_role, SYSTEM_ROLE_DEVELOPER);
    assert_false(m->stream || m->stream_usage);
    assert_true(!m->include_obfuscation && m->store && m->prompt_cache_key && m->send_name && !m->merge_consecutive);
    assert_string_equal(m->response_format,
                        "{\"type\": \"json_schema\", \"json_schema\": {\"name\": \"n\", \"schema\": {}}}");
    assert_string_equal(m->reasoning_effort, "xhigh");
    assert_int_equal(m->show_reasoning, SHOW_REASONING_QUOTE);
    assert_string_equal(m->verbosity, "low");
    assert_string_equal(m->service_tier, "flex");
    assert_string_equal(m->metadata, "{\"team\": \"support\"}");
    assert_string_equal(m->logit_bias, "{\"50256\": -100}");
    assert_string_equal(m->prediction, "{\"type\": \"content\", \"content\": \"x\"}");
    assert_string_equal(m->web_search_options, "{}");
    assert_string_equal(m->moderation, "{\"model\": \"m\"}");
    assert_int_equal(m->user_field, USER_FIELD_SAFETY_IDENTIFIER);
    assert_string_equal(m->prompt_cache_retention, "24h");
    assert_string_equal(m->prompt_cache_options, "{\"ttl\": \"30m\"}");
    assert_string_equal(m->api_version, "preview");
    assert_string_equal(m->template, "custom");
    assert_string_equal(m->template_parts.begin, "<s>");
    assert_string_equal(m->template_parts.user, "U {text}\n");
    assert_string_equal(m->extra, "{\"top_k\": 40, \"nested\": {\"a\": []}}");
    assert_string_equal(m->drop.v[0], "stream_options");
    assert_string_equal(m->headers.v[1], "User-Agent: mine");
    assert_string_equal(m->proxy, "socks5h://127.0.0.1:1080");
    assert_true(strstr(m->ca_file, GOOD "/minimal.conf"));
    assert_int_equal(m->first_byte_timeout, 120000);
    assert_int_equal(m->idle_timeout, 3600000);
    assert_int_equal(m->retry_ceiling, 0);
    assert_int_equal(m->retry_budget, 300000);
    assert_int_equal(m->fallback.n, 2);
    assert_string_equal(m->fallback.v[1], "keyless");
    assert_int_equal(m->hedge_after, 1000);
    assert_int_equal(m->max_concurrent, 7);
    assert_int_equal(m->requests_per_minute, 60);
    assert_int_equal(m->tokens_per_minute, 30000000000);
    assert_int_equal(config_model(c, "spare")->keys.n, 2);
    assert_string_equal(secret_reveal(&config_model(c, "spare")->keys.v[1]), "value");
    assert_int_equal(m->practice_knobs.delay_ms, 1);
    assert_int_equal(m->practice_knobs.chunk_ms, 2);
    assert_int_equal(m->practice_knobs.chunk_chars, 3);
    assert_int_equal(m->practice_knobs.length_chars, 4);
    assert_true(m->practice_knobs.fail_rate == 0.5);
    assert_true(config_model(c, "spare")->practice && config_model(c, "keyless")->practice);
    assert_null(config_model(c, "none"));
    config_unref(&c);
}

static void test_presets(void **state)
{
    (void)state;
    struct config *c = load_good(GOOD "/everything.conf");
    const struct bot_conf *b = &c->bots[1];
    assert_int_equal(c->bots[0].wishes, 0);
    assert_int_equal(b->wishes, WISH_PRESET | WISH_ANSWER);
    assert_int_equal(b->n_presets, 2);
    const struct preset_conf *p = config_preset(b, "诗人 and more", strlen("诗人"));
    assert_ptr_equal(p, &b->presets[0]);
    assert_string_equal(p->help, "rhymes");
    assert_ptr_equal(p->model_ref, config_model(c, "spare"));
    assert_true(p->temperature == 1.5 && p->top_p == 0.1 && p->frequency_penalty == -2 && p->presence_penalty == 2);
    assert_int_equal(p->max_tokens, 10);
    p = config_preset(b, "TERSE", 5);
    assert_ptr_equal(p, &b->presets[1]);
    assert_null(p->system_prompt);
    assert_null(p->model_ref);
    assert_true(isnan(p->temperature));
    assert_null(config_preset(b, "terse", 4));
    config_unref(&c);
}

static bool was_read(const struct config *c, const char *file)
{
    for (size_t i = 0; i < c->files.n; i++)
        if (strstr(c->files.v[i], file))
            return true;
    return false;
}

/* What the running program may want to read again. */
static void test_files(void **state)
{
    (void)state;
    struct config *c = load_good(GOOD "/include.conf");
    assert_int_equal(c->files.n, 2);
    assert_true(was_read(c, GOOD "/include.conf") && was_read(c, GOOD "/included/models.inc"));
    config_unref(&c);

    c = load_good(GOOD "/everything.conf"); /* its ca_file and vocabulary; data_dir is none */
    assert_true(was_read(c, GOOD "/everything.conf") && was_read(c, GOOD "/minimal.conf") &&
                was_read(c, GOOD "/included/head.vocab"));
    assert_false(was_read(c, "/tests/data/somewhere/else"));
    config_unref(&c);
}

static void test_everything_else(void **state)
{
    (void)state;
    struct config *c = load_good(GOOD "/everything.conf");
    const struct bot_conf *b = config_bot(c, "莺");
    assert_true(strstr(c->data_dir, "/tests/data/somewhere/else"));
    assert_int_equal(c->shutdown_timeout, 1500);
    assert_int_equal(c->log.level, LOG_DEBUG);
    assert_int_equal(c->log.format, 1);
    assert_int_equal(c->listen.port, 0);
    assert_true(c->listen.public);
    assert_false(c->sandbox);
    assert_int_equal(b->triggers, TRIGGER_PREFIX | TRIGGER_KEYWORD | TRIGGER_CHANCE);
    assert_string_equal(b->system_prompt,
                        "You are {bot} in {channel}.\n{{braces}} { } {\"a\": 1} {date} {language}");
    assert_int_equal(b->queue, QUEUE_MERGE);
    assert_string_equal(b->command_prefix, "");
    assert_string_equal(b->keywords.v[1], "^退款");
    assert_true(b->interrupt && !b->stream && !b->context && !b->names);
    assert_int_equal(b->answer_cache.ttl, 90000);
    assert_int_equal(b->answer_cache.max_bytes, 4096);
    assert_int_equal(config_bot(c, "second")->queue, QUEUE_LATEST);

    const struct channel_rule *rule = config_rule(c, "web:room-7");
    assert_string_equal(rule->system_prompt, "In rooms, {bot} is brief.");
    assert_int_equal(rule->triggers, TRIGGER_ALWAYS | TRIGGER_DIRECT);
    assert_ptr_equal(rule->model_ref, config_model(c, "spare"));
    assert_ptr_equal(rule->bot_ref, b);
    assert_int_equal(rule->line, 121);
    rule = config_rule(c, "web:anything/thread");
    assert_ptr_equal(rule->model_ref, config_model(c, "main"));
    assert_int_equal(rule->triggers, b->triggers);
    assert_null(config_rule(c, "web:staff")->bot_ref);
    assert_null(config_rule(c, "web:staff/thread")->bot_ref);
    assert_null(config_rule(c, "web:lost")->bot_ref);
    assert_null(config_rule(c, "other:x"));
    config_unref(&c);
}

static void test_prices(void **state)
{
    (void)state;
    struct config *c = load_good(GOOD "/everything.conf");
    assert_int_equal(c->n_prices, 1);
    const struct price_conf *p = &c->prices[0];
    assert_string_equal(p->model, "gpt-4o*");
    assert_string_equal(p->currency, "EUR");
    assert_int_equal(p->unit, 1000);
    assert_string_equal(p->amounts.input, "2.50");
    assert_string_equal(p->amounts.reasoning, "12.00");
    assert_string_equal(p->request, "0.005");
    assert_string_equal(p->tiers.v[1], "priority=2");
    assert_int_equal(p->n_above, 2);
    assert_int_equal(p->above[0].tokens, 200000);
    assert_string_equal(p->above[0].amounts.input, "5.00");
    assert_null(p->above[0].amounts.output);
    assert_string_equal(p->above[1].amounts.output, "1");
    assert_string_equal(p->valid_from, "2026-08-01");
    assert_string_equal(p->hours.v[0], "00:30-08:30+08:00=0.5");
    config_unref(&c);
    c = load_good(GOOD "/minimal.conf");
    assert_int_equal(c->n_prices, 0);
    config_unref(&c);
}

static void test_limits(void **state)
{
    (void)state;
    struct config *c = load_good(GOOD "/everything.conf");
    assert_int_equal(c->n_limits, 2);
    const struct limit_conf *l = c->limits;
    assert_int_equal(l[0].per, LIMIT_CHANNEL);
    assert_int_equal(l[0].period, LIMIT_MONTH);
    assert_string_equal(l[0].match, "web:*");
    assert_int_equal(l[0].messages, 50);
    assert_int_equal(l[0].tokens, 100000);
    assert_string_equal(l[0].money, "0.50");
    assert_string_equal(l[0].currency, "EUR");
    assert_ptr_equal(l[0].degrade_ref, config_model(c, "spare"));
    assert_int_equal(l[1].per, LIMIT_PERSON);
    assert_int_equal(l[1].period, LIMIT_DAY);
    assert_string_equal(l[1].match, "*");
    assert_int_equal(l[1].tokens, 0);
    assert_null(l[1].money);
    assert_null(l[1].degrade_ref);
    config_unref(&c);
}

static void test_adapter_settings(void **state)
{
    (void)state;
    struct config *c = load_good(GOOD "/everything.conf");
    const struct account_conf *a = config_account(c, "web");
    const struct fake_settings *f = a->settings;
    assert_int_equal(a->on_doubt, ON_DOUBT_RESEND);
    assert_int_equal(a->line, 95);
    assert_string_equal(f->url, "https://example.org/");
    assert_true(strstr(f->key_file, GOOD "/keys/k.pem"));
    assert_string_equal(f->json, "{}");
    assert_string_equal(secret_reveal(&f->token), "value");
    assert_int_equal(f->tokens.n, 2);
    assert_string_equal(secret_reveal(&f->tokens.v[1]), "value");
    assert_true(f->open_rooms && f->ratio == -1 && f->weight == 1000);
    assert_int_equal(f->kind, 0);
    assert_int_equal(f->limit, -5);
    assert_int_equal(f->window, 3600000);
    assert_true(f->id == -INT64_MAX);
    assert_int_equal(f->invite.allow.n, 0);
    assert_int_equal(f->invite.max, 0);
    assert_false(config_account(c, "a-b_9")->enabled);
    assert_string_equal(*(char **)config_account(c, "a-b_9")->settings, "http://h");
    assert_null(config_account(c, "a"));
    config_unref(&c);
}

static void test_adapter_defaults(void **state)
{
    (void)state;
    struct config *c = load_good(GOOD "/minimal.conf");
    const struct fake_settings *f = c->accounts[0].settings;
    assert_null(f->url);
    assert_null(f->key_file);
    assert_string_equal(f->json, "{\"a\": [1, 2]}");
    assert_true(secret_empty(&f->token));
    assert_int_equal(f->tokens.n, 0);
    assert_int_equal(f->kind, 1);
    assert_int_equal(f->limit, 30);
    assert_int_equal(f->window, 60000);
    assert_true(f->id == INT64_MIN && isnan(f->weight) && f->ratio == 0.25);
    assert_string_equal(f->origins.v[0], "here");
    assert_string_equal(f->invite.allow.v[0], "@*:example.org");
    assert_int_equal(f->invite.max, 3);

    struct fake_settings same = { 0 };
    schema_defaults(fake_adapters[0].settings, &same);
    assert_string_equal(same.json, f->json);
    assert_int_equal(same.window, f->window);
    assert_string_equal(same.invite.allow.v[0], f->invite.allow.v[0]);
    schema_free(fake_adapters[0].settings, &same);
    assert_null(same.json);
    assert_int_equal(same.invite.allow.n, 0);
    schema_free(fake_adapters[0].settings, &same);
    config_unref(&c);
}

static void test_references(void **state)
{
    (void)state;
    struct config *c = load_good(GOOD "/minimal.conf"), *second = config_ref(c);
    assert_ptr_equal(second, c);
    config_unref(&c);
    assert_null(c);
    assert_string_equal(second->models[0].name, "m");
    config_unref(&second);
    config_unref(&second);
}

/* --- files made here --- */

#define PLAIN                                              \
    "models = ( { name = \"m\"; api = \"practice\"; } );\n" \
    "bots = ( { name = \"b\"; model = \"m\"; } );\n"          \
    "accounts = ( { name = \"web\"; adapter = \"fake\"; } );\n" \
    "channels = ( { match = \"*\"; bot = \"b\"; } );\n"

static char folder[] = "/tmp/test_config.XXXXXX";
static char path[sizeof folder + 64];

/* Writes a file of the test's own folder; `path` is its name then. */
static void write_file(const char *name, const char *text, size_t len, mode_t mode)
{
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    assert_int_equal(fwrite(text, 1, len, f), len);
    assert_int_equal(fclose(f), 0);
    assert_int_equal(chmod(path, mode), 0);
}

static void test_literal_secret(void **state)
{
    (void)state;
    static const char text[] = "models = ( { name = \"m\"; base_url = \"http://h\"; model = \"x\";\napi_key = \"sk-1\"; } );\n"
                               "bots = ( { name = \"b\"; model = \"m\"; } );\n"
                               "accounts = ( { name = \"web\"; adapter = \"fake\"; } );\n"
                               "channels = ( { match = \"*\"; bot = \"b\"; } );\n";
    static const struct {
        mode_t mode;
        size_t warnings;
    } cases[] = { { 0600, 0 }, { 0400, 0 }, { 0640, 1 }, { 0604, 1 }, { 0610, 1 } };
    for (size_t i = 0; i < COUNT(cases); i++) {
        write_file("literal.conf", text, strlen(text), cases[i].mode);
        struct config *c = load_good(path);
        assert_string_equal(secret_reveal(&c->models[0].api_key), "sk-1");
        assert_int_equal(report.n_warnings, cases[i].warnings);
        assert_null(strstr(buf_str(&report.warnings), "sk-1"));
        assert_true(cases[i].warnings == 0 || strstr(buf_str(&report.warnings), "literal.conf:2: api_key stands here"));
        config_unref(&c);
        unlink(path);
    }
}

/* Of the adapter's settings. */
static bool same_digest(const struct account_conf *a, const struct account_conf *b)
{
    char left[65], right[65];
    schema_digest(a->settings_table, a->settings, left);
    schema_digest(b->settings_table, b->settings, right);
    return strcmp(left, right) == 0;
}

static bool not_in_digest(const char *setting)
{
    static const char *const others[] = { "on_doubt", "enabled", "token =", "tokens =" };
    for (size_t i = 0; i < COUNT(others); i++)
        if (strncmp(setting, others[i], strlen(others[i])) == 0)
            return true;
    return !*setting;
}

/* Each setting of an account makes a difference, and nothing else does. */
static void test_account_equal(void **state)
{
    (void)state;
    static const char *const settings[] = {
        "",
        "on_doubt = \"resend\";",
        "enabled = false;",
        "url = \"http://h\";",
        "url = \"http://i\";",
        "key_file = \"/k\";",
        "json = \"{}\";",
        "token = \"env:WARBLER_TEST_SET\";",
        "tokens = ( \"env:WARBLER_TEST_SET\" );",
        "tokens = ( \"a\" );",
        "tokens = ( \"a\", \"b\" );",
        "open_rooms = true;",
        "kind = \"soft\";",
        "limit = 31;",
        "window = \"2m\";",
        "id = 1;",
        "ratio = 0.5;",
        "weight = 0.5;",
        "origins = ( \"there\" );",
        "origins = ( \"here\", \"there\" );",
        "invite = { max = 4; };",
        "invite = { allow = (); };",
    };
    struct config *made[COUNT(settings)], *again[COUNT(settings)];
    for (size_t i = 0; i < COUNT(settings); i++) {
        struct buf text;
        buf_init(&text, 4096);
        buf_addf(&text, "models = ( { name = \"m\"; api = \"practice\"; } ); bots = ( { name = \"b\"; model = \"m\"; } );\n"
                        "accounts = ( { name = \"web\"; adapter = \"fake\"; %s } );\n"
                        "channels = ( { match = \"*\"; bot = \"b\"; } );\n", settings[i]);
        write_file("account.conf", buf_str(&text), text.len, 0600);
        buf_free(&text);
        made[i] = load_good(path);
        again[i] = load_good(path);
    }
    for (size_t i = 0; i < COUNT(settings); i++)
        for (size_t j = 0; j < COUNT(settings); j++)
            if (config_account_equal(&made[i]->accounts[0], &again[j]->accounts[0]) != (i == j) ||
                same_digest(&made[i]->accounts[0], &again[j]->accounts[0]) !=
                    (i == j || (not_in_digest(settings[i]) && not_in_digest(settings[j]))))
                fail_msg("\"%s\" and \"%s\"", settings[i], settings[j]);
    for (size_t i = 0; i < COUNT(settings); i++) {
        config_unref(&made[i]);
        config_unref(&again[i]);
    }
}

static void test_lists_equal(void **state)
{
    (void)state;
    struct config *a = load_good(GOOD "/everything.conf"), *b = load_good(GOOD "/everything.conf");
    struct config *other = load_good(GOOD "/minimal.conf");
    assert_true(schema_equal(config_settings, a, b));
    assert_false(schema_equal(config_settings, a, other));
    for (size_t i = 0; i < a->n_models; i++) {
        assert_string_equal(a->models[i].digest, b->models[i].digest);
        assert_string_not_equal(a->models[i].digest, other->models[0].digest);
    }
    b->models[1].retries++;
    assert_false(schema_equal(config_settings, a, b));

    char before[65], after[65];
    schema_digest(config_settings, a, before);
    schema_digest(config_settings, b, after);
    assert_string_not_equal(before, after); /* what lists hold counts too */
    assert_true(config_bot_equal(&a->bots[0], &b->bots[0]));
    assert_false(config_bot_equal(&a->bots[0], &a->bots[1]));
    b->bots[0].answer_cache.ttl++;
    assert_false(config_bot_equal(&a->bots[0], &b->bots[0]));
    config_unref(&a);
    config_unref(&b);
    config_unref(&other);
}

static void test_relative_paths(void **state)
{
    (void)state;
    char expected[sizeof path];
    write_file("c.conf", "data_dir = \"store\";\n" PLAIN, strlen("data_dir = \"store\";\n" PLAIN), 0600);
    char *home = getcwd(NULL, 0);
    assert_int_equal(chdir(folder), 0);
    struct config *c = load("c.conf");
    assert_int_equal(chdir(home), 0);
    free(home);
    assert_non_null(c);
    snprintf(expected, sizeof expected, "%s/store", folder);
    assert_string_equal(c->data_dir, expected);
    assert_string_equal(c->file, "c.conf");
    config_unref(&c);
}

static void test_not_a_file(void **state)
{
    (void)state;
    assert_null(load("/nowhere/at/all.conf"));
    assert_string_equal(buf_str(&report.errors), "/nowhere/at/all.conf: cannot be read: No such file or directory\n");
    assert_null(load(folder));
    assert_true(strstr(buf_str(&report.errors), "cannot be read: Is a directory"));
}

static void test_file_size(void **state)
{
    (void)state;
    static const size_t max = (1u << 20) - 1; /* a line break is put behind it */
    char *text = mem_alloc(max + 2);
    memset(text, '#', max + 1);
    memcpy(text, PLAIN, strlen(PLAIN));
    write_file("large.conf", text, max, 0600);
    struct config *c = load_good(path);
    config_unref(&c);
    write_file("large.conf", text, max + 1, 0600);
    assert_null(load(path));
    assert_true(strstr(buf_str(&report.errors), "larger than a megabyte"));
    free(text);
}

/* Each of many mistakes is counted; only so many are shown. */
static void test_many_problems(void **state)
{
    (void)state;
    struct buf text;
    buf_init(&text, 65536);
    for (int i = 0; i < PROBLEMS_MAX + 7; i++)
        buf_addf(&text, "zz%d = 1;\n", i);
    buf_adds(&text, PLAIN);
    write_file("many.conf", buf_str(&text), text.len, 0600);
    buf_free(&text);
    assert_null(load(path));
    assert_int_equal(report.n_errors, PROBLEMS_MAX + 7);
    assert_true(strstr(buf_str(&report.errors), "many.conf:500: unknown setting \"zz499\"\n"));
    assert_null(strstr(buf_str(&report.errors), "zz500"));
    assert_true(strstr(buf_str(&report.errors), ": 7 more problems are not shown\n"));
}

static void write_entries(size_t n)
{
    struct buf text;
    buf_init(&text, 65536);
    buf_adds(&text, "models = ( { name = \"m\"; api = \"practice\"; } ); bots = ( { name = \"b\"; model = \"m\"; } );\n"
                    "channels = ( { match = \"*\"; bot = \"b\"; } );\n"
                    "accounts = ( { name = \"web\"; adapter = \"fake\"; invite = { allow = (");
    for (size_t i = 0; i < n; i++)
        buf_adds(&text, i ? ",\"x\"" : "\"x\"");
    buf_adds(&text, "); }; } );\n");
    write_file("entries.conf", buf_str(&text), text.len, 0600);
    buf_free(&text);
}

static void test_list_entries(void **state)
{
    (void)state;
    write_entries(LIST_ENTRIES_MAX);
    struct config *c = load_good(path);
    assert_int_equal(((struct fake_settings *)c->accounts[0].settings)->invite.allow.n, LIST_ENTRIES_MAX);
    config_unref(&c);
    write_entries(LIST_ENTRIES_MAX + 1);
    assert_null(load(path));
    assert_non_null(strstr(buf_str(&report.errors), ":3: allow has 4097 entries; at most 4096\n"));
}

static void test_default_file(void **state)
{
    (void)state;
    char *home = getcwd(NULL, 0);
    assert_string_equal(config_default_file("given"), "given");
    assert_int_equal(setenv("WARBLER_CONFIG", "/from/the/environment", 1), 0);
    assert_string_equal(config_default_file(NULL), "/from/the/environment");
    assert_string_equal(config_default_file("given"), "given");
    assert_int_equal(setenv("WARBLER_CONFIG", "", 1), 0);
    assert_int_equal(chdir(folder), 0);
    assert_string_equal(config_default_file(NULL), "/etc/warbler/warbler.conf");
    write_file("warbler.conf", "", 0, 0600);
    assert_string_equal(config_default_file(NULL), "./warbler.conf");
    assert_int_equal(chdir(home), 0);
    free(home);
    unsetenv("WARBLER_CONFIG");
}

/* A file cut anywhere, or with a byte changed anywhere, is loaded or refused
 * with a reason; the sanitizers look on. */
static void test_damaged_files(void **state)
{
    (void)state;
    static const char junk[] = "\"{}()[];,=#\\/*\x01\xff" "a1";
    char text[8192];
    FILE *f = fopen(GOOD "/everything.conf", "r");
    assert_non_null(f);
    size_t len = fread(text, 1, sizeof text, f);
    fclose(f);
    assert_true(len < sizeof text);
    for (size_t i = 0; i < 2 * len; i += 7) {
        size_t at = i / 2;
        char kept = text[at];
        text[at] = junk[i % (sizeof junk - 1)];
        write_file("damaged.conf", text, i % 2 ? at : len, 0600);
        text[at] = kept;
        struct config *c = load(path);
        assert_int_equal(c == NULL, report.n_errors > 0);
        assert_int_equal(report.errors.len > 0, report.n_errors > 0);
        config_unref(&c);
    }
}

static int setup(void **state)
{
    (void)state;
    setenv("WARBLER_TEST_SET", "value", 1);
    setenv("WARBLER_TEST_EMPTY", "", 1);
    unsetenv("WARBLER_TEST_UNSET");
    unsetenv("CREDENTIALS_DIRECTORY");
    config_report_init(&report);
    return mkdtemp(folder) ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    static const char *const files[] = { "literal.conf", "c.conf", "large.conf", "many.conf", "warbler.conf",
                                         "damaged.conf", "account.conf", "entries.conf" };
    for (size_t i = 0; i < COUNT(files); i++) {
        snprintf(path, sizeof path, "%s/%s", folder, files[i]);
        unlink(path);
    }
    config_report_fini(&report);
    return rmdir(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bad),
        cmocka_unit_test(test_good),
        cmocka_unit_test(test_defaults),
        cmocka_unit_test(test_everything_model),
        cmocka_unit_test(test_presets),
        cmocka_unit_test(test_everything_else),
        cmocka_unit_test(test_files),
        cmocka_unit_test(test_prices),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_adapter_settings),
        cmocka_unit_test(test_adapter_defaults),
        cmocka_unit_test(test_references),
        cmocka_unit_test(test_literal_secret),
        cmocka_unit_test(test_account_equal),
        cmocka_unit_test(test_lists_equal),
        cmocka_unit_test(test_relative_paths),
        cmocka_unit_test(test_not_a_file),
        cmocka_unit_test(test_file_size),
        cmocka_unit_test(test_many_problems),
        cmocka_unit_test(test_list_entries),
        cmocka_unit_test(test_default_file),
        cmocka_unit_test(test_damaged_files),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
