#include <ctype.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config/describe.h"
#include "config/tables.h"
#include "plugin/base/mem.h"
#include "plugin/cli.h"
#include "plugin/daemon.h"
#include "plugin/model/practice_server.h"

#define HELP_BYTES_MAX 1024U
#define KNOBS_MAX 16U
#define N_OWN_OPTIONS 3U

/* The options that are not knobs. */
struct given {
    const char *address, *port, *seed;
};

/* The configuration's settings for the practice model are the options here. */
struct knobs {
    struct model_conf model;       /* filled with defaults */
    const struct setting *settings; /* of model.practice_knobs, but for their offset */
    size_t offset, n;
    struct knob {
        char *name, *help;
        const char *given; /* NULL: the default */
    } v[KNOBS_MAX];
};

static char *option_name(const char *setting)
{
    char *name = mem_dup(setting);
    for (char *c = name; *c; c++)
        if (*c == '_')
            *c = '-';
    return name;
}

/* The manual's sentence, as the other options have it, and the default. */
static char *option_help(const struct setting *s)
{
    struct buf help;
    buf_init(&help, HELP_BYTES_MAX);
    buf_addf(&help, "%c%.*s (%s)", tolower((unsigned char)s->help[0]), (int)strlen(s->help) - 2, s->help + 1,
             s->fallback);
    return buf_take(&help);
}

static void knobs_init(struct knobs *k)
{
    schema_defaults(model_settings, &k->model);
    for (const struct setting *s = model_settings; s->name; s++)
        if (strcmp(s->name, "practice") == 0) {
            k->settings = s->group;
            k->offset = s->offset;
        }
    for (const struct setting *s = k->settings; s->name && k->n < KNOBS_MAX; s++)
        k->v[k->n++] = (struct knob) { .name = option_name(s->name), .help = option_help(s) };
}

static void knobs_fini(struct knobs *k)
{
    for (size_t i = 0; i < k->n; i++) {
        free(k->v[i].name);
        free(k->v[i].help);
    }
    schema_free(model_settings, &k->model);
}

static bool take_int(const struct setting *s, const char *given, void *field)
{
    return cli_int(given, (int64_t)s->min, (int64_t)s->max, field);
}

static bool take_float(const struct setting *s, const char *given, void *field)
{
    char *end;
    double d = strtod(given, &end);
    if (end == given || *end || !(d >= s->min && d <= s->max))
        return false;
    memcpy(field, &d, sizeof(d));
    return true;
}

/* Returns the knob that has a wrong value, or NULL. */
static const struct knob *take_knobs(struct knobs *k, const struct setting **s_r)
{
    for (size_t i = 0; i < k->n; i++) {
        const struct setting *s = &k->settings[i];
        void *field = (char *)&k->model + k->offset + s->offset;
        *s_r = s;
        if (k->v[i].given && !(s->type == SETTING_INT ? take_int : take_float)(s, k->v[i].given, field))
            return &k->v[i];
    }
    return NULL;
}

/* --- the server --- */
static void on_signal(void *arg, int signo)
{
    (void)signo;
    loop_stop(arg);
}

static int failed(const struct cli_command *self, const struct err *e)
{
    fprintf(stderr, "warbler %s: %s\n", self->name, e->text);
    return EXIT_START;
}

static void print_address(const char *address, int port)
{
    bool six = strchr(address, ':') != NULL;
    printf("Practice model: http://%s%s%s:%d/v1\n", six ? "[" : "", address, six ? "]" : "", port);
    fflush(stdout);
}

static int serve(const struct cli_command *self, const struct practice_server_config *conf)
{
    static const int signals[] = { SIGTERM, SIGINT };
    struct err e = ERR_INIT;
    struct loop *loop = NULL;
    struct practice_server *server = NULL;
    int status = 0;
    if (loop_new(0, &loop, &e) || loop_signals(loop, signals, 2, on_signal, loop, &e) ||
        practice_server_new(loop, conf, &server, &e)) {
        status = failed(self, &e);
    } else {
        print_address(conf->address, practice_server_port(server));
        loop_run(loop);
    }
    practice_server_free(&server);
    loop_free(&loop);
    return status;
}

/* --- the command --- */
static int wrong_knob(const struct cli_command *self, const struct knob *k, const struct setting *s)
{
    struct buf range;
    buf_init(&range, DESCRIBE_BYTES_MAX);
    describe_range(&range, s);
    int status = cli_wrong(self, "--%s must be %s, not \"%s\"", k->name, buf_str(&range), k->given);
    buf_free(&range);
    return status;
}

static int run(const struct cli_command *self, struct knobs *k, const struct given *g)
{
    int64_t port, seed;
    const struct setting *s;
    const struct knob *wrong = take_knobs(k, &s);
    if (wrong)
        return wrong_knob(self, wrong, s);
    if (!cli_int(g->port, 0, 65535, &port))
        return cli_wrong(self, "--port must be 0 to 65535, not \"%s\"", g->port);
    if (!cli_int(g->seed, 0, INT64_MAX, &seed))
        return cli_wrong(self, "--seed must be a whole number, not \"%s\"", g->seed);
    struct practice_server_config conf = {
        .address = g->address,
        .port = (int)port,
        .knobs = k->model.practice_knobs,
        .seed = (uint64_t)seed,
    };
    return serve(self, &conf);
}

int cli_practice(const struct cli_command *self, int argc, char **argv)
{
    struct knobs k = { 0 };
    struct given g = { .address = "127.0.0.1", .port = "8081", .seed = "0" };
    struct cli_option options[N_OWN_OPTIONS + KNOBS_MAX] = {
        { "port", 'p', "N", "where it listens; 0 for any free port (8081)", &g.port },
        { "address", 'a', "ADDRESS", "on which address (127.0.0.1)", &g.address },
        { "seed", 0, "N", "decides which requests fail; with the same one the same requests do (0)", &g.seed },
    };
    knobs_init(&k);
    for (size_t i = 0; i < k.n; i++)
        options[N_OWN_OPTIONS + i] = (struct cli_option) { k.v[i].name, 0, "N", k.v[i].help, &k.v[i].given };
    int at = cli_options(self, options, N_OWN_OPTIONS + k.n, argc, argv);
    int status = at < 0 ? cli_status(at) : run(self, &k, &g);
    knobs_fini(&k);
    return status;
}
