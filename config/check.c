#include "config/check.h"

#include <stdlib.h>
#include <string.h>

#include "config/checks.h"
#include "config/glob.h"
#include "config/nearest.h"
#include "config/price_text.h"
#include "config/read.h"
#include "config/tables.h"
#include "plugin/base/mem.h"

#define PROMPT_VARIABLE_MAX 32 /* letters; longer words in braces are none */

struct check {
    struct config *c;
    const config_setting_t *root;
    struct problems *problems;
};

static const config_setting_t *entry_of(const struct check *k, const char *list, size_t i)
{
    return config_setting_get_elem(config_setting_get_member(k->root, list), (unsigned)i);
}

/* Where setting `name` of the i-th entry of a list stands, or else the entry. */
static struct place at(const struct check *k, const char *list, size_t i, const char *name)
{
    const config_setting_t *entry = entry_of(k, list, i);

    return config_setting_is_group(entry) ? read_place_of(entry, name) : read_place(entry);
}

/* --- names ---------------------------------------------------------------- */

/* Entries of one list; each struct begins with its name. */
struct named {
    const char *list, *item;
    const void *v;
    size_t n, size;
};

static const char *name_of(const struct named *list, size_t i)
{
    const char *name;

    memcpy(&name, (const char *)list->v + i * list->size, sizeof name);
    return name;
}

_Static_assert(offsetof(struct model_conf, name) == 0 && offsetof(struct bot_conf, name) == 0 &&
               offsetof(struct account_conf, name) == 0, "struct named counts on it");

static struct named models_of(const struct config *c)
{
    return (struct named){ "models", "model", c->models, c->n_models, sizeof *c->models };
}

static struct named bots_of(const struct config *c)
{
    return (struct named){ "bots", "bot", c->bots, c->n_bots, sizeof *c->bots };
}

static struct named accounts_of(const struct config *c)
{
    return (struct named){ "accounts", "account", c->accounts, c->n_accounts, sizeof *c->accounts };
}

/* The first of that name, or list->n. */
static size_t find(const struct named *list, const char *name)
{
    size_t i = 0;

    while (i < list->n && !(name_of(list, i) && strcmp(name_of(list, i), name) == 0))
        i++;
    return i;
}

static void check_unique(const struct check *k, struct named list)
{
    for (size_t i = 0; i < list.n; i++) {
        const char *name = name_of(&list, i);
        size_t first = name ? find(&list, name) : i;

        if (first < i)
            problem_error(k->problems, at(k, list.list, i, "name"), "%s \"%s\" is already in line %d: names must differ",
                          list.item, name, at(k, list.list, first, "name").line);
    }
}

/* An entry without a name was reported, and may be the one that is meant. */
static bool is_complete(const struct named *list)
{
    for (size_t i = 0; i < list->n; i++)
        if (!name_of(list, i))
            return false;
    return list->n > 0;
}

/* The index of what `name` refers to, or list.n and an error. */
static size_t refer(const struct check *k, struct named list, const char *name, struct place where, const char *setting)
{
    char hint[NEAREST_BYTES], shown[SHOWN_BYTES];
    struct nearest near;
    size_t found = find(&list, name);

    if (found < list.n || !is_complete(&list))
        return found;
    nearest_init(&near, name);
    for (size_t i = 0; i < list.n; i++)
        nearest_try(&near, name_of(&list, i));
    problem_error(k->problems, where, "%s: there is no %s \"%s\"%s", setting, list.item, problem_show(shown, name),
                  nearest_hint(&near, hint));
    return list.n;
}

/* --- models --------------------------------------------------------------- */

/* Reports settings that only an entry's other settings make necessary. */
static void need(const struct check *k, const char *list, size_t i, const struct setting *table, const char *name)
{
    const config_setting_t *entry = entry_of(k, list, i);

    while (strcmp(table->name, name) != 0)
        table++;
    if (config_setting_is_group(entry) && !config_setting_get_member(entry, name))
        read_missing(k->problems, read_place(entry), table);
}

/* Not a word that was reported and then replaced by the default. */
static bool api_is_fine(const struct check *k, size_t i)
{
    const config_setting_t *entry = entry_of(k, "models", i);
    const struct setting *api = model_settings;
    const char *text = NULL;

    while (strcmp(api->name, "api") != 0)
        api++;
    if (!config_setting_is_group(entry))
        return false;
    if (!config_setting_get_member(entry, "api"))
        return true;
    if (!config_setting_lookup_string(entry, "api", &text))
        return false;
    for (const char *const *choice = api->choices; *choice; choice++)
        if (strcmp(*choice, text) == 0)
            return true;
    return false;
}

/* Some addresses say which model is meant. */
static bool url_names_model(const struct model_conf *m)
{
    const char *part = m->api == MODEL_API_COMPLETIONS ? "/engines/" : m->api == MODEL_API_AZURE ? "/deployments/" : NULL;

    return part && m->base_url && strstr(m->base_url, part);
}

/* Does one of the fallbacks of model `from`, or of theirs, mean model `to`?
 * seen: which models were looked at. */
static bool leads(const struct config *c, size_t from, size_t to, bool *seen)
{
    const struct strings *names = &c->models[from].fallback;
    struct named models = models_of(c);

    for (size_t i = 0; i < names->n; i++) {
        size_t next = find(&models, names->v[i]);

        if (next == to)
            return true;
        if (next == models.n || seen[next])
            continue;
        seen[next] = true;
        if (leads(c, next, to, seen))
            return true;
    }
    return false;
}

static bool leads_to(const struct config *c, size_t from, size_t to)
{
    bool *seen = mem_array(c->n_models, sizeof *seen);
    bool found = leads(c, from, to, seen);

    free(seen);
    return found;
}

/* Of models that form a circle, the first is told of. */
static bool begins_circle(const struct config *c, size_t i)
{
    for (size_t earlier = 0; earlier < i; earlier++)
        if (leads_to(c, i, earlier) && leads_to(c, earlier, i))
            return false;
    return leads_to(c, i, i);
}

static void check_fallback(const struct check *k, size_t i)
{
    const struct model_conf *m = &k->c->models[i];
    struct place where = at(k, "models", i, "fallback");

    for (size_t n = 0; n < m->fallback.n; n++)
        refer(k, models_of(k->c), m->fallback.v[n], where, "fallback");
    if (m->hedge_after > 0 && m->fallback.n == 0)
        problem_warning(k->problems, at(k, "models", i, "hedge_after"), "hedge_after has no effect: there is no fallback");
    if (m->name && begins_circle(k->c, i))
        problem_error(k->problems, where, "fallback: leads back to \"%s\" itself", m->name);
}

static void check_model(const struct check *k, size_t i)
{
    struct model_conf *m = &k->c->models[i];

    m->practice = m->api == MODEL_API_PRACTICE || (m->practice_without_key && secret_empty(&m->api_key) && m->keys.n == 0);
    schema_digest(model_settings, m, m->digest);
    if (m->keys.n > 0 && config_setting_get_member(entry_of(k, "models", i), "api_key"))
        problem_error(k->problems, at(k, "models", i, "keys"), "keys and api_key: only one of them can be set");
    check_fallback(k, i);
    if (m->api == MODEL_API_PRACTICE || !api_is_fine(k, i))
        return;
    need(k, "models", i, model_settings, "base_url");
    if (!url_names_model(m))
        need(k, "models", i, model_settings, "model");
}

/* --- prompts -------------------------------------------------------------- */

static void warn_of_variable(const struct check *k, const char *word, struct place where)
{
    static const char *const known[] = { "date", "channel", "bot", "language", "room", "topic", NULL };
    char hint[NEAREST_BYTES];
    struct nearest near;

    for (const char *const *name = known; *name; name++)
        if (strcmp(*name, word) == 0)
            return;
    nearest_init(&near, word);
    nearest_try_all(&near, known);
    problem_warning(k->problems, where, "system_prompt: nothing is filled in for {%s}: only for {date}, {channel}, {bot}, "
                    "{language}, {room} and {topic}%s Write {{%s}} for braces", word, near.best ? nearest_hint(&near, hint) : ".", word);
}

/* Each {word} of a prompt must be a variable; other braces are just text. */
static void check_prompt(const struct check *k, const char *prompt, struct place where)
{
    const char *c = prompt;

    while (c && (c = strpbrk(c, "{}"))) {
        size_t len = strspn(c + 1, "abcdefghijklmnopqrstuvwxyz_");
        char word[PROMPT_VARIABLE_MAX + 1];

        if (c[0] == c[1]) { /* {{ or }} */
            c += 2;
        } else if (c[0] == '{' && c[1 + len] == '}' && len > 0 && len <= PROMPT_VARIABLE_MAX) {
            memcpy(word, c + 1, len);
            word[len] = '\0';
            warn_of_variable(k, word, where);
            c += len + 2;
        } else {
            c++;
        }
    }
}

/* --- triggers ------------------------------------------------------------- */

static unsigned bits_of(const struct strings *names, const char *const *known)
{
    unsigned bits = 0;

    for (size_t n = 0; n < names->n; n++)
        for (unsigned i = 0; known[i]; i++)
            if (strcmp(names->v[n], known[i]) == 0)
                bits |= 1u << i;
    return bits;
}

/* Triggers that need a setting of the bot. */
static const struct {
    enum trigger_kind bit;
    const char *trigger, *setting;
} trigger_settings[] = {
    { TRIGGER_PREFIX, "prefix", "prefix" },
    { TRIGGER_KEYWORD, "keyword", "keywords" },
    { TRIGGER_CHANCE, "chance", "chance" },
};
#define N_TRIGGER_SETTINGS (sizeof trigger_settings / sizeof *trigger_settings)

static void need_trigger_settings(const struct check *k, unsigned triggers, size_t bot, struct place where)
{
    const config_setting_t *entry = entry_of(k, "bots", bot);
    const char *name = k->c->bots[bot].name;
    char shown[SHOWN_BYTES];

    for (size_t i = 0; i < N_TRIGGER_SETTINGS && config_setting_is_group(entry); i++)
        if (triggers & trigger_settings[i].bit && !config_setting_get_member(entry, trigger_settings[i].setting))
            problem_error(k->problems, where, "the trigger \"%s\" needs the setting %s in bot \"%s\"",
                          trigger_settings[i].trigger, trigger_settings[i].setting, problem_show(shown, name ? name : ""));
}

static void warn_of_idle_settings(const struct check *k, size_t i)
{
    const struct bot_conf *b = &k->c->bots[i];
    unsigned used = b->triggers;

    for (size_t r = 0; r < k->c->n_channels; r++)
        if (k->c->channels[r].bot_ref == b)
            used |= k->c->channels[r].triggers;
    for (size_t t = 0; t < N_TRIGGER_SETTINGS; t++)
        if (!(used & trigger_settings[t].bit) && config_setting_get_member(entry_of(k, "bots", i), trigger_settings[t].setting))
            problem_warning(k->problems, at(k, "bots", i, trigger_settings[t].setting),
                            "%s has no effect: no trigger says \"%s\"", trigger_settings[t].setting,
                            trigger_settings[t].trigger);
}

/* --- bots ----------------------------------------------------------------- */

static void resolve_preset(const struct check *k, struct bot_conf *b, size_t i, const config_setting_t *entry)
{
    struct preset_conf *p = &b->presets[i];
    struct place where = config_setting_is_group(entry) ? read_place_of(entry, "name") : read_place(entry);
    char shown[SHOWN_BYTES];

    if (p->name && config_preset(b, p->name, strlen(p->name)) != p)
        problem_error(k->problems, where, "preset \"%s\" is there already: names must differ", problem_show(shown, p->name));
    if (config_setting_is_group(entry))
        check_prompt(k, p->system_prompt, read_place_of(entry, "system_prompt"));
    if (!p->model)
        return;
    struct named models = models_of(k->c);
    size_t model = refer(k, models, p->model, read_place_of(entry, "model"), "model");
    if (model < models.n)
        p->model_ref = &k->c->models[model];
}

static void resolve_presets(const struct check *k, size_t bot)
{
    struct bot_conf *b = &k->c->bots[bot];
    const config_setting_t *entry = entry_of(k, "bots", bot), *presets = NULL;

    if (config_setting_is_group(entry))
        presets = config_setting_get_member(entry, "presets");
    for (size_t i = 0; i < b->n_presets; i++)
        resolve_preset(k, b, i, config_setting_get_elem(presets, (unsigned)i));
}

static void resolve_bot(const struct check *k, size_t i)
{
    struct bot_conf *b = &k->c->bots[i];
    struct named models = models_of(k->c);
    size_t model;

    b->triggers = bits_of(&b->trigger_names, trigger_names);
    need_trigger_settings(k, b->triggers, i, at(k, "bots", i, "trigger"));
    check_prompt(k, b->system_prompt, at(k, "bots", i, "system_prompt"));
    b->wishes = bits_of(&b->wish_names, wish_names);
    resolve_presets(k, i);
    if (b->summary_model) {
        model = refer(k, models, b->summary_model, at(k, "bots", i, "summary_model"), "summary_model");
        if (model < models.n)
            b->summary_ref = &k->c->models[model];
    }
    if (!b->model)
        return;
    model = refer(k, models, b->model, at(k, "bots", i, "model"), "model");
    if (model < models.n)
        b->model_ref = &k->c->models[model];
}

static bool bot_is_used(const struct config *c, const struct bot_conf *b)
{
    for (size_t i = 0; i < c->n_channels; i++)
        if (c->channels[i].bot_ref == b)
            return true;
    return false;
}

/* --- channels ------------------------------------------------------------- */

static void resolve_rule_bot(const struct check *k, size_t i)
{
    struct channel_rule *rule = &k->c->channels[i];
    struct named bots = bots_of(k->c);
    size_t bot;

    need(k, "channels", i, channel_settings, "bot");
    if (!rule->bot || !*rule->bot || strcmp(rule->bot, NO_BOT) == 0)
        return;
    bot = refer(k, bots, rule->bot, at(k, "channels", i, "bot"), "bot");
    if (bot < bots.n)
        rule->bot_ref = &k->c->bots[bot];
}

static void resolve_rule_model(const struct check *k, size_t i)
{
    struct channel_rule *rule = &k->c->channels[i];
    struct named models = models_of(k->c);
    size_t model;

    if (!rule->model) {
        rule->model_ref = rule->bot_ref ? rule->bot_ref->model_ref : NULL;
        return;
    }
    model = refer(k, models, rule->model, at(k, "channels", i, "model"), "model");
    if (model < models.n)
        rule->model_ref = &k->c->models[model];
}

static void resolve_rule(const struct check *k, size_t i)
{
    struct channel_rule *rule = &k->c->channels[i];

    rule->line = at(k, "channels", i, "match").line;
    resolve_rule_bot(k, i);
    resolve_rule_model(k, i);
    check_prompt(k, rule->system_prompt, at(k, "channels", i, "system_prompt"));
    if (rule->trigger_names.n == 0) {
        rule->triggers = rule->bot_ref ? rule->bot_ref->triggers : 0;
        return;
    }
    rule->triggers = bits_of(&rule->trigger_names, trigger_names);
    if (rule->bot_ref)
        need_trigger_settings(k, rule->triggers, (size_t)(rule->bot_ref - k->c->bots), at(k, "channels", i, "trigger"));
}

static void warn_if_covered(const struct check *k, size_t i)
{
    const struct channel_rule *rules = k->c->channels;
    char shown[SHOWN_BYTES];

    for (size_t earlier = 0; earlier < i; earlier++)
        if (glob_covers(rules[earlier].match, rules[i].match)) {
            problem_warning(k->problems, at(k, "channels", i, "match"),
                            "this rule never applies: the rule \"%s\" of line %d comes first",
                            problem_show(shown, rules[earlier].match), rules[earlier].line);
            return;
        }
}

/* The account that a pattern seems to mean: what stands before the colon. */
static void warn_of_no_account(const struct check *k, size_t i, const char *match)
{
    char head[ACCOUNT_NAME_MAX + 1] = "", hint[NEAREST_BYTES], shown[SHOWN_BYTES];
    struct nearest near;
    size_t len = strcspn(match, ":");

    if (len <= ACCOUNT_NAME_MAX)
        memcpy(head, match, len);
    nearest_init(&near, head);
    for (size_t a = 0; a < k->c->n_accounts; a++)
        nearest_try(&near, k->c->accounts[a].name);
    problem_warning(k->problems, at(k, "channels", i, "match"), "no account has channels that match \"%s\"%s",
                    problem_show(shown, match), nearest_hint(&near, hint));
}

static bool reaches_any_account(const struct config *c, const char *match)
{
    for (size_t a = 0; a < c->n_accounts; a++)
        if (glob_reaches_account(match, c->accounts[a].name))
            return true;
    return false;
}

static bool is_reached(const struct config *c, const char *account)
{
    for (size_t i = 0; i < c->n_channels; i++)
        if (glob_reaches_account(c->channels[i].match, account))
            return true;
    return false;
}

/* --- accounts ------------------------------------------------------------- */

static void warn_if_all_disabled(const struct check *k)
{
    for (size_t i = 0; i < k->c->n_accounts; i++)
        if (k->c->accounts[i].enabled)
            return;
    problem_warning(k->problems, read_place_of(k->root, "accounts"), "all accounts are switched off: enabled = false");
}

/* --- prices --------------------------------------------------------------- */

/* A token's price must be a whole number of 10^-12: nothing is lost by rounding. */
static void check_exact(const struct check *k, struct place where, const char *name, const char *text, int64_t unit)
{
    int64_t amount;

    if (text && price_text_amount(text, &amount) && amount % unit != 0)
        problem_error(k->problems, where, "%s is too fine: for one token it comes to more than %d places; write it for "
                      "another unit", name, MONEY_PLACES);
}

static void check_amounts(const struct check *k, const config_setting_t *entry, const struct price_amounts *a,
                          int64_t unit)
{
    const struct {
        const char *name, *text;
    } all[] = { { "input", a->input }, { "cached_input", a->cached_input }, { "cache_write", a->cache_write },
                { "output", a->output }, { "reasoning", a->reasoning } };

    for (size_t i = 0; i < sizeof all / sizeof *all && config_setting_is_group(entry); i++)
        check_exact(k, read_place_of(entry, all[i].name), all[i].name, all[i].text, unit);
}

static void check_price(const struct check *k, size_t i)
{
    const struct price_conf *p = &k->c->prices[i];
    const config_setting_t *entry = entry_of(k, "prices", i), *above = NULL;

    check_amounts(k, entry, &p->amounts, p->unit);
    if (config_setting_is_group(entry))
        above = config_setting_get_member(entry, "above");
    for (size_t s = 0; s < p->n_above; s++)
        check_amounts(k, config_setting_get_elem(above, (unsigned)s), &p->above[s].amounts, p->unit);
}

/* --- limits --------------------------------------------------------------- */

static void check_limit(const struct check *k, size_t i)
{
    struct limit_conf *limit = &k->c->limits[i];
    struct named models = models_of(k->c);
    int64_t money = 0;
    size_t model;

    if (limit->money && price_text_amount(limit->money, &money) && money == 0)
        problem_error(k->problems, at(k, "limits", i, "money"), "money must be more than 0; without it there is no limit");
    else if (!limit->money && limit->messages == 0 && limit->tokens == 0)
        problem_error(k->problems, read_place(entry_of(k, "limits", i)),
                      "this entry of limits limits nothing: set messages, tokens or money");
    if (!limit->degrade_to)
        return;
    model = refer(k, models, limit->degrade_to, at(k, "limits", i, "degrade_to"), "degrade_to");
    if (model < models.n)
        limit->degrade_ref = &k->c->models[model];
}

static void warn_of_unpriced_limit(const struct check *k, size_t i)
{
    const struct limit_conf *limit = &k->c->limits[i];

    for (size_t p = 0; p < k->c->n_prices; p++)
        if (strcmp(k->c->prices[p].currency, limit->currency) == 0)
            return;
    if (limit->money)
        problem_warning(k->problems, at(k, "limits", i, "money"), "no entry of prices is in %s: only costs that servers "
                        "name count for this limit", limit->currency);
}

/* --- the listener --------------------------------------------------------- */

static bool wants_tokens(const struct account_conf *a)
{
    for (const struct setting *s = a->settings_table; a->settings && s && s->name; s++)
        if (s->type == SETTING_SECRETS && strcmp(s->name, "tokens") == 0)
            return ((const struct secrets *)((const char *)a->settings + s->offset))->n > 0;
    return false;
}

static void check_listen(const struct check *k)
{
    const config_setting_t *listen = config_setting_get_member(k->root, "listen");
    const struct config *c = k->c;

    if (!c->listen.address || c->listen.public || check_loopback(c->listen.address))
        return;
    for (size_t i = 0; i < c->n_accounts; i++)
        if (c->accounts[i].enabled && wants_tokens(&c->accounts[i]))
            return;
    problem_error(k->problems, read_place_of(listen, "address"), "address: other machines can reach %s, and nobody needs a "
                  "token there; if that is meant, set public = true beside it, else listen on 127.0.0.1", c->listen.address);
}

/* --- all ------------------------------------------------------------------ */

static void check_references(const struct check *k)
{
    const struct config *c = k->c;

    check_unique(k, models_of(c));
    check_unique(k, bots_of(c));
    check_unique(k, accounts_of(c));
    for (size_t i = 0; i < c->n_models; i++)
        check_model(k, i);
    for (size_t i = 0; i < c->n_bots; i++)
        resolve_bot(k, i);
    for (size_t i = 0; i < c->n_channels; i++)
        resolve_rule(k, i);
    for (size_t i = 0; i < c->n_prices; i++)
        check_price(k, i);
    for (size_t i = 0; i < c->n_limits; i++)
        check_limit(k, i);
    check_listen(k);
}

/* Only of a configuration without errors: every name and reference is there. */
static void warn_of_what_has_no_effect(const struct check *k)
{
    const struct config *c = k->c;

    for (size_t i = 0; i < c->n_channels; i++) {
        warn_if_covered(k, i);
        if (!reaches_any_account(c, c->channels[i].match))
            warn_of_no_account(k, i, c->channels[i].match);
    }
    for (size_t i = 0; i < c->n_accounts; i++)
        if (c->accounts[i].enabled && !is_reached(c, c->accounts[i].name))
            problem_warning(k->problems, at(k, "accounts", i, "name"),
                            "no rule of channels matches account \"%s\": nobody answers there", c->accounts[i].name);
    for (size_t i = 0; i < c->n_limits; i++)
        warn_of_unpriced_limit(k, i);
    warn_if_all_disabled(k);
    for (size_t i = 0; i < c->n_bots; i++)
        if (bot_is_used(c, &c->bots[i]))
            warn_of_idle_settings(k, i);
        else
            problem_warning(k->problems, at(k, "bots", i, "name"), "no rule of channels uses bot \"%s\"", c->bots[i].name);
}

void check_config(struct config *c, const config_setting_t *root, struct problems *problems)
{
    const struct check k = { c, root, problems };

    check_references(&k);
    if (problems->n_errors == 0)
        warn_of_what_has_no_effect(&k);
}
