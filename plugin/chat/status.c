#include "plugin/chat/status.h"

#include <inttypes.h>
#include <string.h>

#include "plugin/base/clock.h"
#include "plugin/base/remark.h"
#include "plugin/chat/command.h"
#include "plugin/chat/core.h"
#include "plugin/chat/limit.h"

#define SECOND_MS 1000
#define MINUTE_MS (60 * SECOND_MS)
#define HOUR_MS (60 * MINUTE_MS)
#define DAY_MS (24 * HOUR_MS)

/* "12 s", "3 min", "5 h", "2 d". */
static void add_span(struct buf *out, int64_t ms, enum language lang)
{
    static const struct {
        int64_t from_ms, unit_ms;
        const char *name[LANG_COUNT];
    } units[] = {
        { DAY_MS, DAY_MS, { "d", "天" } },
        { HOUR_MS, HOUR_MS, { "h", "小时" } },
        { 2 * MINUTE_MS, MINUTE_MS, { "min", "分钟" } },
        { INT64_MIN, SECOND_MS, { "s", "秒" } },
    };
    size_t i = 0;
    while (ms < units[i].from_ms)
        i++;
    buf_addf(out, "%" PRId64 " %s", ms > 0 ? ms / units[i].unit_ms : 0, units[i].name[lang]);
}

/* Of the model's fallbacks the first that would be asked; NULL: none. */
static const struct model_conf *stand_in(const struct chat *core, const struct model_conf *model)
{
    struct model_state s;
    for (size_t i = 0; i < model->fallback.n; i++) {
        const struct model_conf *m = config_model(core->config, model->fallback.v[i]);
        model_state(core->env.models, model->fallback.v[i], &s);
        if (m && !s.avoided)
            return m;
    }
    return NULL;
}

static void add_health(struct buf *out, const struct chat *core, const struct model_conf *model,
                       const struct model_state *s, bool zh)
{
    enum language lang = zh ? LANG_ZH : LANG_EN;
    const struct model_conf *other = stand_in(core, model);
    if (!s->avoided) {
        buf_adds(out, zh ? "- 模型状态：正常\n" : "- state of the model: in order\n");
        return;
    }
    buf_adds(out, zh ? "- 模型状态：连续失败" : "- state of the model: keeps failing");
    if (other)
        buf_addf(out, zh ? "，改用 %s" : "; %s answers instead", other->name);
    if (s->avoided_ms == 0) {
        buf_adds(out, zh ? "；正在重试\n" : "; being tried again now\n");
        return;
    }
    buf_adds(out, zh ? "；" : "; tried again in ");
    add_span(out, s->avoided_ms, lang);
    buf_adds(out, zh ? "后重试\n" : "\n");
}

static void add_keys(struct buf *out, const struct model_state *s, bool zh)
{
    if (s->keys == 1 && s->keys_resting + s->keys_dead == 0)
        return;
    buf_addf(out, zh ? "- 密钥：共 %d 个，可用 %d 个" : "- keys: %d, of which %d can be used", s->keys,
             s->keys - s->keys_resting - s->keys_dead);
    if (s->keys_resting)
        buf_addf(out, zh ? "，超出限额 %d 个" : ", %d over the limit", s->keys_resting);
    if (s->keys_dead)
        buf_addf(out, zh ? "，被拒绝 %d 个" : ", %d refused", s->keys_dead);
    buf_addc(out, '\n');
}

static void add_model(struct buf *out, const struct chat *core, const struct model_conf *model, bool zh)
{
    enum language lang = zh ? LANG_ZH : LANG_EN;
    struct model_state s;
    buf_addf(out, zh ? "- 模型：%s\n" : "- model: %s\n", model->name);
    if (!model_state(core->env.models, model->name, &s))
        return;
    add_health(out, core, model, &s, zh);
    add_keys(out, &s, zh);
    if (s.running + s.waiting > 0)
        buf_addf(out, zh ? "- 模型请求：进行中 %" PRId64 "，等待 %" PRId64 "\n"
                         : "- requests to the model: %" PRId64 " running, %" PRId64 " waiting\n", s.running, s.waiting);
    if (s.last_error == ERR_OK)
        return;
    buf_addf(out, zh ? "- 最近的问题：%s，" : "- last problem: %s, ", notice_class(s.last_error, lang));
    add_span(out, s.last_error_ms, lang);
    buf_adds(out, zh ? "前\n" : " ago\n");
}

/* --- what is left of the person's limits --- */
struct left {
    struct buf *out;
    enum language lang;
};

static void add_left(void *arg, const struct limit_left *left)
{
    const struct left *l = arg;
    const struct limit_conf *limit = left->limit;
    const char *period = notice_period((enum limit_period)limit->period, l->lang);
    bool zh = l->lang == LANG_ZH;
    if (limit->messages)
        buf_addf(l->out, zh ? "- %s剩余消息：%" PRId64 "/%" PRId64 "\n" : "- messages left %s: %" PRId64 " of %" PRId64 "\n",
                 period, left->messages, limit->messages);
    if (limit->tokens)
        buf_addf(l->out, zh ? "- %s剩余 token：%" PRId64 "/%" PRId64 "\n" : "- tokens left %s: %" PRId64 " of %" PRId64 "\n",
                 period, left->tokens, limit->tokens);
    if (limit->money)
        buf_addf(l->out, zh ? "- %s剩余额度：%d%%\n" : "- share left %s: %d %%\n", period, left->money_percent);
}

static void add_limits(struct buf *out, const struct channel *ch, const char *person, enum language lang)
{
    const struct limit_ask ask = {
        .config = ch->core->config,
        .account = ch->account,
        .channel = ch->name,
        .names = channel_names(ch),
        .person = person,
        .now_ms = clock_wall_ms(),
    };
    struct left left = { out, lang };
    limit_each_left(ch->core->limits, &ask, add_left, &left);
}

/* They are the operator's, and may tell of other channels. */
static void add_remarks(struct buf *out, const struct channel *ch, const struct bot_conf *bot, const struct question *q)
{
    const struct chat_env *env = &ch->core->env;
    if (!env->remarks || !ch->adapter || !command_is_allowed(ch, bot, q->sender))
        return;
    for (const struct remark *r = env->remarks(env->arg, ch->adapter); r; r = r->next)
        buf_addf(out, "- %s: %s\n", ch->account, r->text);
}

void status_write(struct buf *out, const struct channel *ch, const struct bot_conf *bot, const struct model_conf *model,
                  const struct question *q)
{
    enum language lang = channel_language(ch, q);
    bool zh = lang == LANG_ZH;
    buf_addf(out, zh ? "- 机器人：%s（Warbler %s）\n" : "- bot: %s (Warbler %s)\n", bot->name, WARBLER_VERSION);
    if (ch->row.preset && config_preset(bot, ch->row.preset, strlen(ch->row.preset)))
        buf_addf(out, zh ? "- 设定：%s\n" : "- preset: %s\n", ch->row.preset);
    add_model(out, ch->core, model, zh);
    buf_addf(out, zh ? "- 记忆：%zu 条消息，约 %zu 个 token\n" : "- remembers: %zu messages, about %zu tokens\n",
             ch->history.count, ch->history.tokens);
    buf_addf(out, zh ? "- 等待回答的消息：%zu\n" : "- messages that wait for an answer: %zu\n", ch->n_queue);
    add_limits(out, ch, q->sender, lang);
    if (ch->row.muted)
        buf_adds(out, zh ? "- 静音中\n" : "- muted\n");
    add_remarks(out, ch, bot, q);
}
