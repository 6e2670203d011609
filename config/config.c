#include "config/config.h"

#include <libconfig.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "config/check.h"
#include "config/describe.h"
#include "config/glob.h"
#include "config/nearest.h"
#include "config/problem.h"
#include "config/read.h"
#include "config/tables.h"
#include "config/tree.h"
#include "plugin/base/mem.h"

/* --- accounts: common settings from our table, the rest from the adapter's -- */

static const struct config_adapter *find_adapter(const struct config_adapter *adapters, const char *name)
{
    for (; adapters->name; adapters++)
        if (strcmp(adapters->name, name) == 0)
            return adapters;
    return NULL;
}

static void unknown_adapter(struct reader *r, struct place at, const char *name, const struct config_adapter *adapters)
{
    char hint[NEAREST_BYTES], shown[SHOWN_BYTES];
    struct nearest near;
    struct buf known;

    nearest_init(&near, name);
    buf_init(&known, DESCRIBE_BYTES_MAX);
    for (; adapters->name; adapters++) {
        nearest_try(&near, adapters->name);
        buf_addf(&known, "%s\"%s\"", known.len > 0 ? ", " : "", adapters->name);
    }
    problem_error(r->problems, at, "adapter: there is none named \"%s\"%s There are: %s", problem_show(shown, name),
                  near.best ? nearest_hint(&near, hint) : ".", buf_str(&known));
    buf_free(&known);
}

static void read_account(struct reader *r, const config_setting_t *entry, const struct config_adapter *adapters,
                         struct account_conf *account)
{
    const struct config_adapter *adapter;

    account->line = read_place(entry).line;
    if (!config_setting_is_group(entry) || !account->adapter)
        return;
    adapter = find_adapter(adapters, account->adapter);
    if (!adapter) {
        unknown_adapter(r, read_place_of(entry, "adapter"), account->adapter, adapters);
        return;
    }
    account->settings = mem_alloc(adapter->settings_size + 1); /* never 0 bytes */
    account->settings_table = adapter->settings;
    read_group(r, entry, adapter->settings, account->settings);
    read_unknown(r, entry, account_settings, adapter->settings);
}

static void free_account(struct account_conf *account)
{
    if (account->settings)
        schema_free(account->settings_table, account->settings);
    free(account->settings);
}

/* --- loading -------------------------------------------------------------- */

/* Absolute and without "..", so that paths can be made from it. The caller frees. */
static char *folder_of(const char *file)
{
    const char *slash = strrchr(file, '/');
    char *folder = slash ? mem_dupn(file, (size_t)(slash - file) + 1) : mem_dup(".");
    char *real = realpath(folder, NULL);

    if (!real)
        return folder; /* then the file cannot be opened either */
    free(folder);
    return real;
}

static struct config *make(const char *file)
{
    struct config *c = mem_alloc(sizeof *c);

    c->refs = 1;
    c->file = mem_dup(file);
    return c;
}

static void build(struct config *c, const config_t *tree, const char *folder, const struct config_adapter *adapters,
                  struct problems *problems)
{
    const config_setting_t *root = config_root_setting(tree);
    struct reader r = { .problems = problems, .folder = folder, .files = &c->files, .root = config_settings };

    read_group(&r, root, config_settings, c);
    read_unknown(&r, root, config_settings, NULL);
    for (size_t i = 0; i < c->n_accounts; i++)
        read_account(&r, config_setting_get_elem(config_setting_get_member(root, "accounts"), (unsigned)i), adapters,
                     &c->accounts[i]);
    check_config(c, root, problems);
}

struct config *config_load(const char *file, const struct config_adapter *adapters, struct config_report *report)
{
    char *folder = folder_of(file);
    struct config *c = make(file);
    struct problems problems;
    config_t tree;

    problems_init(&problems, file, folder);
    config_init(&tree);
    if (tree_read(&tree, file, folder, &c->files, &problems))
        build(c, &tree, folder, adapters, &problems);
    if (problems.n_errors > 0)
        config_unref(&c);
    config_destroy(&tree);
    problems_report(&problems, report);
    problems_fini(&problems);
    free(folder);
    return c;
}

struct config *config_ref(struct config *c)
{
    c->refs++;
    return c;
}

void config_unref(struct config **c)
{
    struct config *old = *c;

    *c = NULL;
    if (!old || --old->refs > 0)
        return;
    for (size_t i = 0; i < old->n_accounts; i++)
        free_account(&old->accounts[i]);
    schema_free(config_settings, old);
    for (size_t i = 0; i < old->files.n; i++)
        free(old->files.v[i]);
    free(old->files.v);
    free(old->file);
    free(old);
}

const char *config_default_file(const char *given)
{
    const char *variable = getenv("WARBLER_CONFIG");

    if (given)
        return given;
    if (variable && *variable)
        return variable;
    return access("./warbler.conf", F_OK) == 0 ? "./warbler.conf" : "/etc/warbler/warbler.conf";
}

/* --- looking up ----------------------------------------------------------- */

const struct model_conf *config_model(const struct config *c, const char *name)
{
    for (size_t i = 0; i < c->n_models; i++)
        if (strcmp(c->models[i].name, name) == 0)
            return &c->models[i];
    return NULL;
}

const struct bot_conf *config_bot(const struct config *c, const char *name)
{
    for (size_t i = 0; i < c->n_bots; i++)
        if (strcmp(c->bots[i].name, name) == 0)
            return &c->bots[i];
    return NULL;
}

const struct preset_conf *config_preset(const struct bot_conf *bot, const char *name, size_t len)
{
    for (size_t i = 0; i < bot->n_presets; i++) {
        const char *its = bot->presets[i].name; /* NULL: of a file with mistakes */
        if (its && strlen(its) == len && strncasecmp(its, name, len) == 0)
            return &bot->presets[i];
    }
    return NULL;
}

const struct account_conf *config_account(const struct config *c, const char *name)
{
    for (size_t i = 0; i < c->n_accounts; i++)
        if (strcmp(c->accounts[i].name, name) == 0)
            return &c->accounts[i];
    return NULL;
}

/* What the host looks at counts too: an adapter keeps the configuration that it was made from. */
bool config_account_equal(const struct account_conf *a, const struct account_conf *b)
{
    return schema_equal(account_settings, a, b) && a->settings_table == b->settings_table &&
           schema_equal(a->settings_table, a->settings, b->settings);
}

bool config_bot_equal(const struct bot_conf *a, const struct bot_conf *b)
{
    return schema_equal(bot_settings, a, b);
}

const struct channel_rule *config_rule_of(const struct config *c, const char *const *names)
{
    for (size_t i = 0; i < c->n_channels; i++)
        if (glob_matches_any(c->channels[i].match, names))
            return &c->channels[i];
    return NULL;
}

const struct channel_rule *config_rule(const struct config *c, const char *channel)
{
    return config_rule_of(c, (const char *const[]){ channel, NULL });
}
