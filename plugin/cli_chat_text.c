#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "plugin/cli_chat.h"

#define TEXT_BYTES_MAX (64U * 1024)

static const char *const TEXTS[CHAT_TEXT_COUNT][LANG_COUNT] = {
    [CHAT_HELLO] = { "Connected to %s. Ctrl-D leaves.", "已连接 %s，按 Ctrl-D 退出。" },
    [CHAT_HELLO_BOT] = { "Connected to %s. Write to %s; /help tells more, Ctrl-D leaves.",
                         "已连接 %s。直接给 %s 发消息即可，/help 查看帮助，Ctrl-D 退出。" },
    [CHAT_NO_BOT] = { "No bot speaks here: no rule of the server's configuration gives one to this channel.",
                      "这里没有机器人：服务器的配置没有为本频道指定机器人。" },
    [CHAT_NEW_VISITOR] = { "The server does not know this visitor any more; a new conversation begins.",
                           "服务器已不认识此访客，将开始新的对话。" },
    [CHAT_NOT_REMEMBERED] = { "The next chat will not continue this conversation: %s.", "下次将无法继续本次对话：%s。" },
    [CHAT_LOST] = { "Disconnected (%s). Trying to get back…", "连接已断开（%s），正在重新连接……" },
    [CHAT_RESTARTING] = { "The server is stopping. Waiting for it to come back…", "服务器正在停止，等待其恢复……" },
    [CHAT_AGAIN] = { "Connected again.", "已重新连接。" },
    [CHAT_REFUSED] = { "no web chat at %s: %s. Start the bot with `warbler run`, or give its address with --url.",
                       "无法连接 %s：%s。请先用 `warbler run` 启动机器人，或用 --url 指定地址。" },
    [CHAT_REFUSED_WAIT] = { "No web chat at %s yet: %s. Is `warbler run` running? Trying again…",
                            "暂时无法连接 %s：%s。`warbler run` 启动了吗？正在重试……" },
    [CHAT_GONE] = { "lost the connection to %s: %s; what was asked may still be answered there",
                    "与 %s 的连接已断开：%s；已发出的问题可能仍会得到回答" },
    [CHAT_DENIED] = { "the server refuses: %s", "服务器拒绝：%s" },
    [CHAT_TOO_LONG] = { "not sent: the message is too long", "未发送：消息太长" },
    [CHAT_NOT_SENT] = { "not sent: %s", "未发送：%s" },
    [CHAT_RATE] = { "not sent: too many messages in a minute; wait a little, then send it again",
                    "未发送：发送过于频繁，请稍候再发" },
    [CHAT_BUSY] = { "not sent: too much is waiting for an answer; send it again in a moment",
                    "未发送：等待回答的消息太多，请稍后再发" },
    [CHAT_FULL] = { "not sent: the server cannot store anything now; send it again later",
                    "未发送：服务器暂时无法保存消息，请稍后再发" },
    [CHAT_TOO_MANY] = { "not sent: too many messages wait for the server", "未发送：等待服务器的消息太多" },
    [CHAT_NO_ANSWER] = { "no answer to: %s", "没有收到回答：%s" },
    [CHAT_WRITING] = { "%s is writing…", "%s 正在输入……" },
    [CHAT_STARTS_OVER] = { "(the answer starts over)", "（重新回答）" },
    [CHAT_YOU] = { "you", "你" },
    [CHAT_BOT] = { "bot", "机器人" },
};

void chat_text(struct buf *out, enum chat_text id, enum language lang, const char *a, const char *b)
{
    for (const char *at = TEXTS[id][lang]; *at; at++)
        if (at[0] == '%' && at[1] == 's') {
            buf_adds(out, a ? a : "");
            a = b;
            at++;
        } else {
            buf_addc(out, *at);
        }
}

void chat_complain(const struct chat_conf *conf, enum chat_text id, const char *a, const char *b)
{
    struct buf text;
    buf_init(&text, TEXT_BYTES_MAX);
    chat_text(&text, id, conf->lang, a, b);
    fprintf(stderr, "warbler chat: %s\n", buf_str(&text));
    buf_free(&text);
}

enum chat_text chat_refusal(const char *code)
{
    static const struct {
        const char *code;
        enum chat_text text;
    } known[] = { { "too_long", CHAT_TOO_LONG }, { "rate", CHAT_RATE }, { "busy", CHAT_BUSY }, { "full", CHAT_FULL } };
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
        if (strcmp(known[i].code, code) == 0)
            return known[i].text;
    return CHAT_NOT_SENT;
}

enum language chat_language(void)
{
    static const char *const names[] = { "LC_ALL", "LC_MESSAGES", "LANG" };
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        const char *value = getenv(names[i]);
        if (value && *value)
            return language_of(value, NULL);
    }
    return LANG_EN;
}
