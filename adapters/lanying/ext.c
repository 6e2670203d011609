#include "adapters/lanying/ext.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "plugin/base/json.h"
#include "plugin/base/mem.h"
#include "plugin/base/utf8.h"

/* --- reading --- */

static cJSON *parse(const char *json, size_t len)
{
    return len > 0 && len <= EXT_BYTES_MAX ? ly_json_parse(json, len) : NULL;
}

/* A copy of at most max bytes; NULL for nothing and for what is longer. */
static char *short_text(const cJSON *obj, const char *key, size_t max)
{
    const char *s = json_str(obj, key);

    return s && *s && strlen(s) <= max ? mem_dup(s) : NULL;
}

/* [{"role":"user","content":"…"}] as lines that a system prompt can hold. */
static char *prompt_text(const cJSON *list)
{
    const cJSON *item;
    struct buf text;

    buf_init(&text, EXT_PROMPT_BYTES_MAX);
    cJSON_ArrayForEach(item, list) {
        const char *role = json_str(item, "role"), *content = json_str(item, "content");
        if (!content || !*content)
            continue;
        if (text.len > 0)
            buf_addc(&text, '\n');
        if (role && strcmp(role, "system") != 0)
            buf_addf(&text, "%s: ", role);
        buf_adds(&text, content);
    }
    if (text.len > 0 && !buf_error(&text))
        return buf_take(&text);
    buf_free(&text);
    return NULL;
}

/* Whatever it is, as JSON. */
static char *feedback_text(const cJSON *item)
{
    char *json = item ? cJSON_PrintUnformatted(item) : NULL;
    char *text = json && strlen(json) <= EXT_FEEDBACK_BYTES_MAX ? mem_dup(json) : NULL;

    cJSON_free(json);
    return text;
}

static void read_wish(struct ext *x, const cJSON *ai)
{
    const cJSON *generate = json_get(ai, "ai_generate");
    int64_t tokens = json_int(ai, "max_tokens", 0);

    x->wish.preset = short_text(ai, "preset_name", EXT_NAME_BYTES_MAX);
    x->wish.prompt = prompt_text(json_get(ai, "prompt_ext"));
    x->wish.max_tokens = tokens > 0 && tokens <= INT_MAX ? (int)tokens : 0;
    x->wish.reset = json_bool(ai, "reset_prompt", false);
    x->wish.silent = cJSON_IsFalse(generate);
    x->wish.answer = cJSON_IsTrue(generate);
    x->wishes = x->wish.preset || x->wish.prompt || x->wish.max_tokens > 0 || x->wish.reset || x->wish.silent ||
                x->wish.answer;
}

void ext_read(struct ext *x, const char *json, size_t len)
{
    cJSON *tree = parse(json, len);
    const cJSON *ai = json_get(tree, "ai");
    const char *role;
    int64_t seq;

    memset(x, 0, sizeof *x);
    if (!ai)
        ai = json_get(tree, "lanying_connector"); /* its older name */
    role = json_str(ai, "role");
    seq = json_int(ai, "seq", 0);
    x->by_ai = role && strcmp(role, "ai") == 0;
    x->finish = json_bool(ai, "finish", false);
    x->seq = seq > 0 && seq < INT_MAX / 2 ? (int)seq : 0;
    x->feedback = feedback_text(json_get(ai, "feedback"));
    x->typing = json_get(tree, "input_status") != NULL;
    x->control = json_get(tree, "openclaw") != NULL;
    x->status = json_bool(json_get(tree, "warbler"), "status", false);
    x->client_id = ly_json_get_id(json_get(tree, "warbler"), "client_id");
    read_wish(x, ai);
    cJSON_Delete(tree);
}

void ext_fini(struct ext *x)
{
    free((char *)x->wish.preset);
    free((char *)x->wish.prompt);
    free(x->feedback);
    memset(x, 0, sizeof *x);
}

/* Members have two spellings; the platform's own comes first. */
static const cJSON *either(const cJSON *obj, const char *key, const char *other)
{
    const cJSON *found = json_get(obj, key);

    return found ? found : json_get(obj, other);
}

static bool holds(const cJSON *list, uint64_t id)
{
    const cJSON *item;

    cJSON_ArrayForEach(item, list)
        if (ly_json_id(item) == id)
            return true;
    return false;
}

static char *nickname(const cJSON *tree)
{
    char *name = short_text(tree, "senderNickname", EXT_NAME_BYTES_MAX);

    return name ? name : short_text(tree, "sender_nickname", EXT_NAME_BYTES_MAX);
}

void config_said_read(struct config_said *c, const char *json, size_t len, uint64_t bot)
{
    cJSON *tree = parse(json, len);

    c->mentions_bot = bot != 0 && holds(either(tree, "mentionList", "mention_list"), bot);
    c->mentions_all = cJSON_IsTrue(either(tree, "mentionAll", "mention_all"));
    c->wants_ack = cJSON_GetArraySize(json_get(tree, "groupMemberList")) > 0;
    c->nickname = nickname(tree);
    cJSON_Delete(tree);
}

void config_said_fini(struct config_said *c)
{
    free(c->nickname);
    memset(c, 0, sizeof *c);
}

/* --- writing --- */

static void put_member(struct buf *out, const char *key, const char *value)
{
    if (!value)
        return;
    buf_addf(out, ",\"%s\":", key);
    json_quote(out, value);
}

static void put_stream(struct buf *out, const struct ext_out *x)
{
    buf_addf(out, ",\"stream\":%s", x->stream ? "true" : "false");
    if (x->stream)
        buf_addf(out, ",\"stream_interval\":%lld,\"seq\":%d", (long long)x->interval_s, x->seq);
    buf_addf(out, ",\"finish\":%s", x->finish ? "true" : "false");
    if (x->finish)
        put_member(out, "finish_reason", x->reason);
}

void ext_write(struct buf *out, const struct ext_out *x)
{
    char id[LY_ID_BYTES];

    buf_adds(out, "{\"ai\":{\"role\":\"ai\"");
    put_stream(out, x);
    put_member(out, "request_msg_id", x->question);
    if (x->error) {
        put_member(out, "result", "error");
        put_member(out, "error_code", x->error);
        put_member(out, "error_message", x->error_text);
    }
    if (x->feedback)
        buf_addf(out, ",\"feedback\":%s", x->feedback);
    buf_addc(out, '}');
    if (x->client_id != 0) {
        ly_id_print(id, x->client_id);
        buf_addf(out, ",\"warbler\":{\"client_id\":\"%s\"}", id);
    }
    buf_addc(out, '}');
}
