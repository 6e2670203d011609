#include "adapters/lanying/lanying.h"

#include <string.h>

#include "adapters/lanying/notice.h"

#define SHOWN_BYTES_MAX 160U /* of a text of the server's in an error */

/* --- settings --- */

static const char *const modes[] = { "websocket", "webhook", "poll", NULL };
static const char *const transports[] = { "auto", "socketio", "raw", NULL };
static const char *const contexts[] = { "all", "mention", NULL };

#define LIST_AT(member) offsetof(struct address_list, member)
static const struct setting list_settings[] = {
    { .name = "allow", .type = SETTING_STRINGS, .offset = LIST_AT(allow), .fallback = "(\"*\")", .check = check_glob,
      .help = "Patterns over ids. What none of them matches is not heard." },
    { .name = "deny", .type = SETTING_STRINGS, .offset = LIST_AT(deny), .fallback = "()", .check = check_glob,
      .help = "Patterns over ids that are not heard though `allow` matches." },
    SETTING_END,
};

#define CATCH_UP_AT(member) (offsetof(struct lanying_conf, catch_up.member) - offsetof(struct lanying_conf, catch_up))
static const struct setting catch_up_settings[] = {
    { .name = "max_age", .type = SETTING_DURATION, .offset = CATCH_UP_AT(max_age), .fallback = "1h",
      .help = "Messages that came while the bot was away and are older only become context." },
    { .name = "max_messages", .type = SETTING_INT, .offset = CATCH_UP_AT(max_messages), .min = 1, .max = 1000,
      .fallback = "50", .help = "Of each conversation, so many of the newest are answered after a pause." },
    SETTING_END,
};

#define AT(member) offsetof(struct lanying_conf, member)
static const struct setting settings[] = {
    { .name = "app_id", .type = SETTING_STRING, .required = true, .offset = AT(app_id), .min = 1, .max = 128,
      .example = "abcdefghijkl", .help = "The app's id, from the vendor's console." },
    { .name = "username", .type = SETTING_STRING, .offset = AT(username), .min = 1, .max = 128, .example = "warbler",
      .help = "The bot's user name in the app; or user_id instead." },
    { .name = "user_id", .type = SETTING_INT, .offset = AT(user_id), .max = 9007199254740991.0, .fallback = "0",
      .help = "The bot's user id, instead of a user name. Large numbers end in L: 6597450563888L." },
    { .name = "password", .type = SETTING_SECRET, .offset = AT(password), .example = "env:LY_PASSWORD",
      .help = "The bot's password. Mode \"webhook\" can do without." },
    { .name = "mode", .type = SETTING_ENUM, .offset = AT(mode), .choices = modes, .fallback = "websocket",
      .help = "How messages come: over a WebSocket that the bot opens, as callbacks to the bot's own listener, or by asking "
              "for them again and again." },
    { .name = "transport", .type = SETTING_ENUM, .offset = AT(transport), .choices = transports, .fallback = "auto",
      .help = "What is spoken over the WebSocket. \"auto\": Socket.IO, and raw frames where that is refused." },
    { .name = "dns_url", .type = SETTING_STRING, .offset = AT(dns_url), .example = "https://dns.lanyingim.com",
      .check = check_url, .help = "Discovery server of a private cloud; none: the vendor's." },
    { .name = "api_endpoint", .type = SETTING_STRING, .offset = AT(api_endpoint), .example = "https://s-1-3-api.maximtop.cn",
      .check = check_url, .help = "Base URL of the HTTP API, instead of discovery." },
    { .name = "ws_url", .type = SETTING_STRING, .offset = AT(ws_url), .example = "wss://webim.example.org",
      .help = "Base URL of the long connection, instead of discovery." },
    { .name = "admin_token", .type = SETTING_SECRET, .offset = AT(admin_token), .example = "env:LY_ADMIN_TOKEN",
      .help = "For mode \"webhook\": a token of the console's token management." },
    { .name = "callback_signature", .type = SETTING_SECRET, .offset = AT(callback_signature), .example = "env:LY_SIGNATURE",
      .help = "For mode \"webhook\": the secret that every callback must carry." },
    { .name = "webhook_path", .type = SETTING_STRING, .offset = AT(webhook_path), .min = 2, .max = 256,
      .fallback = "/lanying/messages", .help = "For mode \"webhook\": where the listener takes callbacks." },
    { .name = "poll_interval", .type = SETTING_DURATION, .offset = AT(poll_interval), .fallback = "3s",
      .help = "For mode \"poll\": between two questions for new messages." },
    { .name = "auto_accept_friend", .type = SETTING_BOOL, .offset = AT(auto_accept_friend), .fallback = "false",
      .help = "Whether friend requests are accepted, of those that `users` allows." },
    { .name = "auto_accept_invite", .type = SETTING_BOOL, .offset = AT(auto_accept_invite), .fallback = "false",
      .help = "Whether invitations to groups are accepted, to those that `groups` allows." },
    { .name = "stream_interval", .type = SETTING_INT, .offset = AT(stream_interval), .min = 1, .max = 60, .fallback = "3",
      .help = "Seconds between the parts of an answer that grows in sight." },
    { .name = "text_max", .type = SETTING_INT, .offset = AT(text_max), .min = 100, .max = 100000, .fallback = "4000",
      .help = "Characters of one message; a longer answer comes in several." },
    { .name = "mention_all", .type = SETTING_BOOL, .offset = AT(mention_all), .fallback = "false",
      .help = "Whether a message that mentions everybody mentions the bot." },
    { .name = "status_line", .type = SETTING_BOOL, .offset = AT(status_line), .fallback = "false",
      .help = "Whether a message of its own says that an answer is being made. It is taken back when the answer comes." },
    { .name = "group_context", .type = SETTING_ENUM, .offset = AT(group_context), .choices = contexts, .fallback = "all",
      .help = "\"all\": a group is one conversation, and the bot reads along. \"mention\": everybody in it has a "
              "conversation of their own with the bot, of the messages that mention it." },
    { .name = "users", .type = SETTING_GROUP, .offset = AT(users), .group = list_settings,
      .help = "Whom the bot listens to." },
    { .name = "groups", .type = SETTING_GROUP, .offset = AT(groups), .group = list_settings,
      .help = "The groups that the bot listens in." },
    { .name = "catch_up", .type = SETTING_GROUP, .offset = AT(catch_up), .group = catch_up_settings,
      .help = "What is answered of the messages that came while the bot was away." },
    SETTING_END,
};

/* --- shared by the files of this folder --- */

const struct carrier *lanying_carrier(const struct lanying *ly)
{
    static const struct carrier *const carriers[] = {
        [MODE_WEBSOCKET] = &carrier_websocket,
        [MODE_WEBHOOK] = &carrier_webhook,
        [MODE_POLL] = &carrier_poll,
    };

    return carriers[lanying_conf(ly)->mode];
}

static bool holds(const char *text, size_t len, const struct secret *s)
{
    const char *value = secret_reveal(s);

    return *value && memmem(text, len, value, strlen(value));
}

int lanying_shown(const struct lanying *ly, const char *text, size_t len)
{
    const struct lanying_conf *conf = lanying_conf(ly);

    if (!text || holds(text, len, &conf->password) || holds(text, len, &conf->admin_token) ||
        holds(text, len, &conf->callback_signature) || holds(text, len, &ly->session.token))
        return 0;
    return (int)(len < SHOWN_BYTES_MAX ? len : SHOWN_BYTES_MAX);
}

enum api_as lanying_as(const struct lanying *ly)
{
    return lanying_conf(ly)->mode == MODE_WEBHOOK ? API_ADMIN_FOR_BOT : API_BOT;
}

/* --- ops --- */

static enum err_code check(const struct lanying_conf *conf, struct err *e)
{
    if (!conf->username && conf->user_id <= 0)
        return err_set(e, ERR_INVALID, "username or user_id is missing");
    if (conf->mode == MODE_WEBHOOK && secret_empty(&conf->admin_token))
        return err_set(e, ERR_INVALID, "mode \"webhook\" needs admin_token");
    if (conf->mode == MODE_WEBHOOK && secret_empty(&conf->callback_signature))
        return err_set(e, ERR_INVALID, "mode \"webhook\" needs callback_signature: without, anybody could speak as anyone");
    if (conf->mode != MODE_WEBHOOK && secret_empty(&conf->password))
        return err_set(e, ERR_INVALID, "password is missing");
    return ERR_OK;
}

static enum err_code lanying_init(struct adapter *a, struct err *e)
{
    struct lanying *ly = a->priv;

    if (check(a->conf->settings, e) != ERR_OK)
        return e->code;
    ly->a = a;
    a->text_limit = (size_t)lanying_conf(ly)->text_max;
    session_init(ly);
    chats_init(ly);
    ly_sync_init(ly);
    ly_intake_init(ly);
    roster_init(ly);
    posting_init(ly);
    answers_init(ly);
    websocket_init(ly);
    rest_init(ly);
    return webhook_init(ly, e);
}

static void lanying_start(struct adapter *a)
{
    session_start(a->priv, false);
}

static void lanying_ping(struct adapter *a)
{
    session_start(a->priv, true);
}

static void lanying_accepted(struct adapter *a, const struct msg_in *m, const struct msg_accepted *r, const struct err *e)
{
    ly_intake_accepted(a->priv, m, r, e);
}

static void lanying_send(struct adapter *a, const struct msg_out *m)
{
    answer_say(a->priv, m);
}

static void lanying_edit(struct adapter *a, const struct msg_out *m)
{
    answer_edit(a->priv, m);
}

static void lanying_remove(struct adapter *a, const struct msg_out *m)
{
    answer_remove(a->priv, m);
}

/* People see it in private conversations only, and over HTTP there is no form for it. */
static void lanying_typing(struct adapter *a, const char *chat, const char *thread, bool on)
{
    struct lanying *ly = a->priv;
    struct outgoing o = { .deed = DEED_TYPING, .ext = ly_bytes_of(on ? EXT_TYPING : EXT_TYPED) };

    (void)thread;
    if (lanying_conf(ly)->status_line && ly_id_parse(chat, &o.chat))
        status_work(ly, o.chat, on);
    if (lanying_conf(ly)->mode != MODE_WEBSOCKET || !session_online(&ly->session) || !posting_is_free(ly))
        return;
    if (ly_id_parse(chat, &o.chat) && !chats_is_group(ly, o.chat))
        posting_add(ly, &o, NULL, NULL);
}

static void lanying_stop(struct adapter *a)
{
    session_stop(a->priv);
}

static void lanying_fini(struct adapter *a)
{
    struct lanying *ly = a->priv;

    if (!ly->a)
        return;
    webhook_fini(ly);
    rest_fini(ly);
    websocket_fini(ly);
    answers_fini(ly);
    statuses_fini(ly);
    posting_fini(ly);
    roster_fini(ly);
    ly_intake_fini(ly);
    ly_sync_fini(ly);
    chats_fini(ly);
    session_fini(ly);
}

const struct adapter_ops adapter_lanying = {
    .abi = ADAPTER_ABI,
    .name = "lanying",
    .size = sizeof(struct lanying),
    .settings = settings,
    .settings_size = sizeof(struct lanying_conf),
    .facts = {
        .caps = ADAPTER_EDIT | ADAPTER_TYPING | ADAPTER_IDEMPOTENT | ADAPTER_REMOVE,
        .markup = MARKUP_PLAIN,
        .text_unit = UNIT_POINTS,
        .edit_interval_ms = ANSWER_STEP_MS,
    },
    .init = lanying_init,
    .start = lanying_start,
    .accepted = lanying_accepted,
    .send = lanying_send,
    .edit = lanying_edit,
    .typing = lanying_typing,
    .remove = lanying_remove,
    .ping = lanying_ping,
    .stop = lanying_stop,
    .fini = lanying_fini,
};
