#include "adapters/matrix/matrix.h"

#include <stdlib.h>
#include <string.h>

#include "adapters/matrix/content.h"
#include "adapters/matrix/invite.h"
#include "adapters/matrix/sign.h"
#include "plugin/base/clock.h"

#define EDIT_INTERVAL_MIN_MS 250 /* what the host paces itself by; the account's own pace is kept here */
#define START_PAUSE_MAX_MS 300000
#define STOP_MS 2000             /* for the server to hear that nobody types any more */
#define STOP_LOOK_MS 20          /* between two looks whether it has */

/* --- settings --- */

#define AT(member) offsetof(struct matrix_conf, member)

static const char *const modes[] = { "sync", "appservice", NULL };
static const char *const msgtypes[] = { "m.notice", "m.text", NULL };
static const char *const scopes[] = { "follow", "room", "thread", "person", NULL };

static const struct setting invite_settings[] = {
    { .name = "allow", .type = SETTING_STRINGS, .offset = AT(invite.allow), .fallback = "()", .check = check_glob,
      .example = "(\"@*:example.org\", \"!room:*\")",
      .help = "Patterns over who invites and over the room's id or alias; invitations that match none are declined." },
    { .name = "deny", .type = SETTING_STRINGS, .offset = AT(invite.deny), .fallback = "()", .check = check_glob,
      .help = "Patterns like those of allow; what matches is declined in any case." },
    SETTING_END,
};

static const struct setting catch_up_settings[] = {
    { .name = "max_age", .type = SETTING_DURATION, .offset = AT(catch_up.max_age), .fallback = "1h",
      .help = "Messages from while the bot was away are answered if they are not older; older ones are only context." },
    { .name = "max_messages", .type = SETTING_INT, .offset = AT(catch_up.max_messages), .max = 1000, .fallback = "50",
      .help = "So many of them are answered in each room, the newest; the ones before are only context." },
    SETTING_END,
};

static const struct setting appservice_settings[] = {
    { .name = "id", .type = SETTING_STRING, .offset = AT(appservice.id), .fallback = "warbler", .min = 1, .max = 255,
      .help = "Name of the application service, as its registration says." },
    { .name = "url", .type = SETTING_STRING, .offset = AT(appservice.url), .fallback = "http://127.0.0.1:8080",
      .check = check_url, .help = "Where the homeserver reaches the bot's own listener." },
    { .name = "hs_token", .type = SETTING_SECRET, .offset = AT(appservice.hs_token), .example = "env:MX_HS_TOKEN",
      .help = "Which the homeserver shows when it calls." },
    SETTING_END,
};

static const struct setting settings[] = {
    { .name = "homeserver", .type = SETTING_STRING, .offset = AT(homeserver), .required = true, .check = check_url,
      .example = "https://matrix.example.org", .help = "URL of the homeserver, as clients use it." },
    { .name = "access_token", .type = SETTING_SECRET, .offset = AT(access_token), .example = "env:MX_TOKEN",
      .help = "The bot's access token; with mode = \"appservice\" the as_token. Without one: user and password." },
    { .name = "user", .type = SETTING_STRING, .offset = AT(user), .example = "bot", .min = 1, .max = 255,
      .help = "The bot's user name, for the password or the application service." },
    { .name = "password", .type = SETTING_SECRET, .offset = AT(password), .example = "env:MX_PASSWORD",
      .help = "The bot logs in with it once; the token that it gets is kept in data_dir." },
    { .name = "mode", .type = SETTING_ENUM, .offset = AT(mode), .choices = modes, .fallback = "sync",
      .help = "How events come: asked for (sync), or sent by the homeserver (appservice)." },
    { .name = "invite", .type = SETTING_GROUP, .group = invite_settings, .help = "Which invitations are accepted." },
    { .name = "catch_up", .type = SETTING_GROUP, .group = catch_up_settings,
      .help = "What becomes of the messages from while the bot was away." },
    { .name = "thread", .type = SETTING_ENUM, .offset = AT(thread), .choices = scopes, .fallback = "follow",
      .help = "What is one conversation: a thread, and the rest of the room (follow); the room with its threads "
              "(room); every question, answered in a thread of its own (thread); each person (person)." },
    { .name = "msgtype", .type = SETTING_ENUM, .offset = AT(msgtype), .choices = msgtypes, .fallback = "m.notice",
      .help = "Type of the bot's messages. Bots do not answer to m.notice." },
    { .name = "notices", .type = SETTING_BOOL, .offset = AT(notices), .fallback = "false",
      .help = "Whether messages of type m.notice are read too. Mostly bots send those." },
    { .name = "reactions", .type = SETTING_BOOL, .offset = AT(reactions), .fallback = "true",
      .help = "Whether 🔁 and 🗑 on one of the bot's messages are commands: again, and away with it." },
    { .name = "edit_interval_ms", .type = SETTING_INT, .offset = AT(edit_interval_ms), .min = EDIT_INTERVAL_MIN_MS,
      .max = EDIT_INTERVAL_MAX_MS, .fallback = "1000",
      .help = "A growing answer is edited no more often. A server that limits the bot makes it rarer." },
    { .name = "greeting", .type = SETTING_STRING, .offset = AT(greeting), .max = 4000,
      .example = "Hello! Ask me anything.", .help = "What the bot says in a room to which it was invited." },
    { .name = "leave_empty", .type = SETTING_BOOL, .offset = AT(leave_empty), .fallback = "false",
      .help = "Whether the bot leaves rooms in which nobody else is." },
    { .name = "ca_file", .type = SETTING_PATH, .offset = AT(ca_file), .check = check_file,
      .help = "Certificates to trust, instead of the system's." },
    { .name = "proxy", .type = SETTING_STRING, .offset = AT(proxy), .example = "http://127.0.0.1:3128",
      .help = "Proxy on the way to the homeserver." },
    { .name = "appservice", .type = SETTING_GROUP, .group = appservice_settings,
      .help = "With mode = \"appservice\"; `warbler matrix-registration` prints what the homeserver needs." },
    SETTING_END,
};

/* --- up-calls that a down-call asks for, from the loop --- */

static void on_later(void *arg)
{
    struct matrix *m = arg;
    bool down = m->down_due, stopped = m->stopped_due;

    m->down_due = m->stopped_due = false;
    if (down)
        adapter_down(m->a, &m->down_why, m->down_retry);
    if (stopped)
        adapter_stopped(m->a);
}

static void disconnect(struct matrix *m)
{
    m->running = false;
    timer_cancel(&m->start_timer);
    login_stop(m);
    sync_stop(m);
    appservice_stop(m);
}

void matrix_down(struct matrix *m, const struct err *e, bool retry)
{
    if (!m->running)
        return;
    disconnect(m);
    m->down_why = *e;
    /* A homeserver knows an application service's tokens when it has read the registration, at its next start. */
    m->down_retry = retry || matrix_conf(m)->mode == MODE_APPSERVICE;
    m->down_due = true;
    defer_set(&m->later);
}

/* A session that was made only to ping must not stay among the account's devices. */
static void on_logged_out(void *arg, struct api_reply *r)
{
    struct matrix *m = arg;

    (void)r;
    adapter_online(m->a);
}

void matrix_unauthorized(struct matrix *m, struct api_reply *r)
{
    if (!r->outdated && m->login.state == LOGIN_IDLE) {
        bool again = login_again(m, r->soft_logout, &r->err);

        matrix_down(m, &r->err, again);
    }
}

void matrix_online(struct matrix *m)
{
    struct api_request logout = { .method = "POST", .path = "/_matrix/client/v3/logout" };

    if (!m->running)
        return;
    if (m->pinging && m->login.device)
        api_start(&m->api, &logout, on_logged_out, m);
    else
        adapter_online(m->a);
}

static void on_reached(struct matrix *m, const struct err *e)
{
    if (e->code)
        matrix_down(m, e, true);
    else
        sync_start(m); /* only a snapshot, for what the rooms are like */
}

void matrix_logged_in(struct matrix *m)
{
    if (matrix_conf(m)->mode == MODE_SYNC)
        sync_start(m);
    else if (m->pinging)
        appservice_ping(m, on_reached);
    else
        appservice_start(m);
}

/* --- ops --- */

static void on_start_timer(void *arg);
static void on_stop_timer(void *arg);

static enum err_code matrix_init(struct adapter *a, struct err *e)
{
    struct matrix *m = a->priv;
    const struct matrix_conf *conf = a->conf->settings;
    bool password = conf->user && !secret_empty(&conf->password);

    m->a = a;
    api_init(&m->api, a->loop, a->http, conf->homeserver);
    m->api.ca_file = conf->ca_file;
    m->api.proxy = conf->proxy;
    defer_init(&m->later, a->loop, on_later, m);
    timer_init(&m->start_timer, a->loop, on_start_timer, m);
    timer_init(&m->stop_timer, a->loop, on_stop_timer, m);
    sync_init(m);
    intake_init(m);
    sender_init(&m->sender, m);
    if (conf->mode == MODE_APPSERVICE)
        return appservice_init(m, e);
    if (secret_empty(&conf->access_token) && !password)
        return err_set(e, ERR_INVALID, "it needs an access_token, or a user and a password");
    return ERR_OK;
}

static void on_start_timer(void *arg)
{
    login_start(arg);
}

static void matrix_start(struct adapter *a)
{
    struct matrix *m = a->priv;
    int64_t wait = m->api.limited_until_ms - clock_mono_ms();

    m->running = true;
    m->started_ms = clock_mono_ms();
    if (wait > 0)
        timer_set(&m->start_timer, wait < START_PAUSE_MAX_MS ? wait : START_PAUSE_MAX_MS);
    else
        login_start(m);
}

static void matrix_accepted(struct adapter *a, const struct msg_in *in, const struct msg_accepted *r,
                            const struct err *e)
{
    intake_accepted(a->priv, in->token, r, e);
}

static void matrix_say(struct adapter *a, const struct msg_out *out)
{
    struct matrix *m = a->priv;

    sender_say(&m->sender, out);
}

static void matrix_remove(struct adapter *a, const struct msg_out *out)
{
    struct matrix *m = a->priv;

    sender_remove(&m->sender, out);
}

static void matrix_typing(struct adapter *a, const char *chat, const char *thread, bool on)
{
    struct matrix *m = a->priv;
    struct room *r = room_find(m, chat);

    (void)thread;
    if (r)
        sign_typing(m, r, on);
}

static void matrix_ping(struct adapter *a)
{
    struct matrix *m = a->priv;

    m->pinging = true;
    matrix_start(a);
}

/* Sends that are on their way are looked after until then. */
static void on_stop_timer(void *arg)
{
    struct matrix *m = arg;

    if (sign_busy(m) && clock_mono_ms() < m->stop_by_ms) {
        timer_set(&m->stop_timer, STOP_LOOK_MS);
        return;
    }
    m->stopped_due = true;
    defer_set(&m->later);
}

static void matrix_stop(struct adapter *a)
{
    struct matrix *m = a->priv;

    disconnect(m);
    intake_keep(m);
    sign_leave(m);
    m->stop_by_ms = clock_mono_ms() + STOP_MS;
    timer_set(&m->stop_timer, 0);
}

static void matrix_fini(struct adapter *a)
{
    struct matrix *m = a->priv;

    if (!m->a)
        return;
    login_fini(m);
    sync_fini(m);
    appservice_fini(m);
    intake_fini(m);
    sender_fini(&m->sender);
    sign_free_all(m);
    invite_free_all(m);
    room_free_all(m);
    recent_fini(&m->recent);
    api_fini(&m->api);
    defer_cancel(&m->later);
    timer_cancel(&m->start_timer);
    timer_cancel(&m->stop_timer);
    free(m->user);
    free(m->name);
    free(m->salt);
}

const struct adapter_ops adapter_matrix = {
    .abi = ADAPTER_ABI,
    .name = "matrix",
    .size = sizeof(struct matrix),
    .settings = settings,
    .settings_size = sizeof(struct matrix_conf),
    .facts = {
        .caps = ADAPTER_EDIT | ADAPTER_TYPING | ADAPTER_IDEMPOTENT | ADAPTER_REMOVE,
        .markup = MARKUP_MARKDOWN,
        .text_limit = CONTENT_TEXT_BYTES_MAX,
        .text_unit = UNIT_BYTES,
        .edit_interval_ms = EDIT_INTERVAL_MIN_MS,
    },
    .init = matrix_init,
    .start = matrix_start,
    .accepted = matrix_accepted,
    .send = matrix_say,
    .edit = matrix_say,
    .typing = matrix_typing,
    .remove = matrix_remove,
    .ping = matrix_ping,
    .registration = appservice_registration,
    .stop = matrix_stop,
    .fini = matrix_fini,
};
