#include "plugin/chat/notice.h"

#include <inttypes.h>
#include <stddef.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "plugin/base/utf8.h"

#define SECOND_MS INT64_C(1000)
#define MINUTE_MS (60 * SECOND_MS)
#define HOUR_MS (60 * MINUTE_MS)
#define DAY_MS (24 * HOUR_MS)

static const char *const NOTICES[NOTICE_COUNT][LANG_COUNT] = {
    [NOTICE_STOPPED] = { "Stopped.", "已停止。" },
    [NOTICE_STOP_DONE] = { "I have stopped.", "好的，已停止回答。" },
    [NOTICE_STOP_NOTHING] = { "I was not answering anything.", "当前没有正在进行的回答。" },
    [NOTICE_RESET] = { "Done. I have forgotten this conversation; the next message starts a new one.",
                       "好的，我已忘记之前的对话，下一条消息将开始新的对话。" },
    [NOTICE_RETRY_NOTHING] = { "There is no question that I could answer again.", "没有可以重新回答的问题。" },
    [NOTICE_NOT_ADMIN] = { "Only an administrator of this bot may do that.", "只有机器人的管理员可以这样做。" },
    [NOTICE_MUTED] = { "I am quiet in this conversation now. /unmute brings me back.",
                       "我在这个会话中将保持安静。发送 /unmute 可恢复。" },
    [NOTICE_UNMUTED] = { "I am listening again.", "我回来了。" },
    [NOTICE_MODEL_UNKNOWN] = { "There is no model \"%s\". Choose one of: %s.", "没有名为“%s”的模型。可选：%s。" },
    [NOTICE_MODEL_SET] = { "This conversation uses the model \"%s\" now.", "本会话现在使用模型“%s”。" },
    [NOTICE_MODEL_IS] = { "This conversation uses the model \"%s\". Choose with /model NAME, one of: %s.",
                          "本会话使用模型“%s”。用 /model 名称 切换，可选：%s。" },
    [NOTICE_PROMPT_SET] = { "This conversation has its own system prompt now. /prompt default restores the bot's.",
                            "本会话已使用自己的系统提示词。发送 /prompt default 可恢复默认。" },
    [NOTICE_PROMPT_CLEARED] = { "This conversation uses the bot's own system prompt again.",
                                "本会话已恢复机器人默认的系统提示词。" },
    [NOTICE_PROMPT_IS] = { "The system prompt here is:\n\n%s", "当前的系统提示词：\n\n%s" },
    [NOTICE_PRESET_SET] = { "From now on I answer as \"%s\"; /default goes back.", "从现在起我将以“%s”的设定回答，/默认 可恢复。" },
    [NOTICE_PRESET_CLEARED] = { "I am back to my usual manner.", "已恢复默认设定。" },
    [NOTICE_PRESET_HELP] = { "answers in another manner", "换一种设定回答" },
    [NOTICE_PINNED] = { "Pinned. I will keep this in mind however long we talk; /reset forgets it.",
                        "已钉住。无论聊多久我都会记得；发送 /reset 会清除。" },
    [NOTICE_PINS_ARE] = { "Pinned here:\n\n%s", "本会话钉住的内容：\n\n%s" },
    [NOTICE_PINS_NONE] = { "Nothing is pinned here. /pin TEXT pins something.", "还没有钉住任何内容。发送 /pin 内容 可以钉住。" },
    [NOTICE_PINS_FULL] = { "There is no room for more pins. /reset forgets them all, and the conversation.",
                           "钉住的内容已满。发送 /reset 会清除全部内容和对话。" },
    [NOTICE_DEAD] = { "I could not deal with this message, even after several tries. The operator has been told. "
                      "Please put it in another way.",
                      "这条消息多次尝试后仍无法处理，已通知管理员。请换一种说法再试。" },
    [NOTICE_INTERRUPTED] = { "(The answer was cut off here. /retry asks again.)",
                             "（回答在此中断。发送 /retry 可重新回答。）" },
    [NOTICE_HELP_HEAD] = { "I am %s. Just write to me; in a group, mention me with @%s. These commands work too:",
                           "我是 %s。直接给我发消息即可；在群里请 @%s。还可以使用这些命令：" },
};

/* %s: how long to wait. */
static const char *const ERRORS[ERR_COUNT][LANG_COUNT] = {
    [ERR_TIMEOUT] = { "The model took too long to answer. Please try again in a moment; /retry asks the same question.",
                      "模型响应超时，请稍后再试；发送 /retry 可重新提问。" },
    [ERR_NET] = { "I cannot reach the model at the moment. Please try again in a few minutes; /retry asks the same question.",
                  "暂时无法连接模型，请过几分钟再试；发送 /retry 可重新提问。" },
    [ERR_AUTH] = { "The model refused this bot's key. Only the operator can mend that.",
                   "模型拒绝了机器人的密钥，请联系管理员处理。" },
    [ERR_QUOTA] = { "The bot's account with the model is used up. Only the operator can mend that.",
                    "机器人的模型账户额度已用完，请联系管理员处理。" },
    [ERR_RATE] = { "The model is getting too many questions right now. Please wait %s, then send /retry.",
                   "当前提问过多，请等%s后发送 /retry 重试。" },
    [ERR_OVERLOAD] = { "The model is overloaded. Please wait %s, then send /retry.",
                       "模型当前过载，请等%s后发送 /retry 重试。" },
    [ERR_CONTEXT] = { "This conversation is too long for the model. /reset starts a new one.",
                      "对话太长，超出模型限制。发送 /reset 可开始新的对话。" },
    [ERR_CONTENT] = { "The model's content filter refused this. Please put it in another way.",
                      "内容被模型的安全过滤拦截，请换一种说法。" },
    [ERR_MODEL] = { "The model that is configured for this bot does not exist. Only the operator can mend that.",
                    "机器人配置的模型不存在，请联系管理员处理。" },
    [ERR_PARAM] = { "The model refused the request. Only the operator can mend that.",
                    "模型拒绝了请求，请联系管理员处理。" },
    [ERR_SERVER] = { "The model's server has a problem. Please try again in a few minutes; /retry asks the same question.",
                     "模型服务器出现故障，请过几分钟再试；发送 /retry 可重新提问。" },
    [ERR_PROTO] = { "The model gave an answer that I cannot use. Please try again in a few minutes; /retry asks the same "
                    "question.",
                    "模型的回答无法使用，请过几分钟再试；发送 /retry 可重新提问。" },
    [ERR_EMPTY] = { "The model gave no answer. Please put the question in another way.",
                    "模型没有给出回答，请换一种问法。" },
    [ERR_TOO_LARGE] = { "This is too long for me. Please send a shorter message.", "内容太长了，请发送短一些的消息。" },
};

static const char *const CLASSES[ERR_COUNT][LANG_COUNT] = {
    [ERR_NET] = { "cannot be reached", "无法连接" },
    [ERR_TIMEOUT] = { "took too long", "响应超时" },
    [ERR_AUTH] = { "key refused", "密钥被拒绝" },
    [ERR_QUOTA] = { "account used up", "额度已用完" },
    [ERR_RATE] = { "too many requests", "请求过多" },
    [ERR_OVERLOAD] = { "overloaded", "过载" },
    [ERR_CONTEXT] = { "conversation too long", "对话太长" },
    [ERR_CONTENT] = { "content filter", "内容被过滤" },
    [ERR_MODEL] = { "no such model", "模型不存在" },
    [ERR_PARAM] = { "request refused", "请求被拒绝" },
    [ERR_SERVER] = { "server fault", "服务器故障" },
    [ERR_PROTO] = { "unusable answer", "回答无法使用" },
    [ERR_EMPTY] = { "empty answer", "回答为空" },
};

enum language language_of(const char *tag, const char *text)
{
    if (tag && *tag)
        return strncasecmp(tag, "zh", 2) == 0 ? LANG_ZH : LANG_EN;
    size_t len = text ? strlen(text) : 0;
    for (size_t i = 0; i < len;) {
        uint32_t cp = utf8_next(text, len, &i);
        if (cp >= 0x4E00 && cp <= 0x9FFF)
            return LANG_ZH;
    }
    return LANG_EN;
}

const char *language_name(enum language lang)
{
    return lang == LANG_ZH ? "Chinese (简体中文)" : "English";
}

const char *notice_text(enum notice n, enum language lang)
{
    return NOTICES[n][lang];
}

/* "a minute", "about 2 hours". */
static void add_wait(struct buf *out, int64_t ms, enum language lang)
{
    static const struct {
        int64_t from_ms, unit_ms;
        const char *name[LANG_COUNT];
    } units[] = {
        { 3 * DAY_MS / 2, DAY_MS, { "days", "天" } },
        { 3 * HOUR_MS / 2, HOUR_MS, { "hours", "小时" } },
        { 3 * MINUTE_MS / 2, MINUTE_MS, { "minutes", "分钟" } },
    };
    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++)
        if (ms > units[i].from_ms) {
            buf_addf(out, "%s %" PRId64 " %s", lang == LANG_ZH ? "约" : "about",
                     (ms + units[i].unit_ms - 1) / units[i].unit_ms, units[i].name[lang]);
            return;
        }
    buf_adds(out, lang == LANG_ZH ? "一分钟" : "a minute");
}

void notice_error(struct buf *out, enum err_code code, int64_t again_ms, enum language lang)
{
    const char *text = ERRORS[code][lang], *wait;
    if (!text)
        text = lang == LANG_ZH ? "出了点问题，请稍后再试；发送 /retry 可重新提问。"
                               : "Something went wrong. Please try again; /retry asks the same question.";
    wait = strstr(text, "%s");
    buf_add(out, text, wait ? (size_t)(wait - text) : strlen(text));
    if (wait) {
        add_wait(out, again_ms, lang);
        buf_adds(out, wait + strlen("%s"));
    }
}

const char *notice_class(enum err_code code, enum language lang)
{
    const char *text = CLASSES[code][lang];
    return text ? text : lang == LANG_ZH ? "内部错误" : "internal error";
}

/* --- limits --- */
static const char *const PERIODS[][LANG_COUNT] = {
    [LIMIT_MINUTE] = { "this minute", "这一分钟" },
    [LIMIT_HOUR] = { "this hour", "这一小时" },
    [LIMIT_DAY] = { "today", "今天" },
    [LIMIT_MONTH] = { "this month", "这个月" },
};

static const char *const WHO[][LANG_COUNT] = {
    [LIMIT_PERSON] = { "You have", "您" },
    [LIMIT_CHANNEL] = { "This conversation has", "本会话" },
    [LIMIT_ACCOUNT] = { "The bot has", "机器人" },
    [LIMIT_ALL] = { "The bot has", "机器人" },
};

const char *notice_period(enum limit_period period, enum language lang)
{
    return PERIODS[period][lang];
}

static struct tm local(int64_t ms)
{
    time_t t = (time_t)(ms / SECOND_MS);
    struct tm tm;
    localtime_r(&t, &tm);
    return tm;
}

static bool same_day(const struct tm *a, const struct tm *b)
{
    return a->tm_year == b->tm_year && a->tm_yday == b->tm_yday;
}

static struct tm day_after(struct tm tm)
{
    tm = (struct tm){ .tm_year = tm.tm_year, .tm_mon = tm.tm_mon, .tm_mday = tm.tm_mday + 1, .tm_hour = 12, .tm_isdst = -1 };
    mktime(&tm);
    return tm;
}

/* "tomorrow at 00:00", "at 14:35", "in 40 seconds", "on 1 December". */
static void add_again(struct buf *out, const struct notice_limit *n, bool zh)
{
    static const char *const months[] = { "January", "February", "March", "April", "May", "June", "July",
                                          "August", "September", "October", "November", "December" };
    struct tm now = local(n->now_ms), tomorrow = day_after(now), again = local(n->again_ms);
    int64_t seconds = (n->again_ms - n->now_ms + SECOND_MS - 1) / SECOND_MS;
    if (n->period == LIMIT_MINUTE)
        buf_addf(out, zh ? "%" PRId64 " 秒后" : "in %" PRId64 " second%s", seconds, seconds == 1 ? "" : "s");
    else if (same_day(&again, &now))
        buf_addf(out, zh ? "%02d:%02d " : "at %02d:%02d", again.tm_hour, again.tm_min);
    else if (same_day(&again, &tomorrow))
        buf_addf(out, zh ? "明天 %02d:%02d " : "tomorrow at %02d:%02d", again.tm_hour, again.tm_min);
    else if (zh)
        buf_addf(out, "%d 月 %d 日", again.tm_mon + 1, again.tm_mday);
    else
        buf_addf(out, "again on %d %s", again.tm_mday, months[again.tm_mon]);
}

static void add_used_up(struct buf *out, const struct notice_limit *n, bool zh)
{
    const char *who = WHO[n->per][zh ? LANG_ZH : LANG_EN], *period = PERIODS[n->period][zh ? LANG_ZH : LANG_EN];
    if (n->messages && zh)
        buf_addf(out, "%s%s的 %" PRId64 " 条消息已用完", who, period, n->messages);
    else if (n->messages)
        buf_addf(out, "%s used up %s's %" PRId64 " message%s.", who, period, n->messages, n->messages == 1 ? "" : "s");
    else if (zh)
        buf_addf(out, "%s%s的额度已用完", who, period);
    else
        buf_addf(out, "%s used up the share for %s.", who, period);
}

void notice_limit(struct buf *out, const struct notice_limit *n, enum language lang)
{
    bool zh = lang == LANG_ZH;
    if (!n->again_ms) {
        buf_adds(out, zh ? "剩余的额度正被其他回答占用，请等它们完成后发送 /retry。"
                         : "The answers that are being written take up what is left for now. Please wait for them, then send "
                           "/retry.");
        return;
    }
    add_used_up(out, n, zh);
    buf_adds(out, zh ? "，" : " It goes on ");
    add_again(out, n, zh);
    buf_adds(out, zh ? "恢复。" : ".");
}
