#include "adapters/matrix/words.h"

#include <stdbool.h>
#include <string.h>

#include "plugin/base/utf8.h"

static const char *const english[] = {
    [WORDS_ENCRYPTED] = ("This room is encrypted, and I cannot read encrypted messages yet. "
                         "Please talk to me in a room without encryption."),
    [WORDS_BUSY] = "Too much is waiting here, so this message was not taken. Please send it again in a moment.",
    [WORDS_NOT_INVITED] = "This bot accepts invitations only from people and rooms that its operator has allowed.",
};
static const char *const chinese[] = {
    [WORDS_ENCRYPTED] = "这个房间是加密的，我还不能阅读加密消息。请在未加密的房间里和我聊天。",
    [WORDS_BUSY] = "这里等待处理的消息太多，这一条没有收下。请稍后再发一次。",
    [WORDS_NOT_INVITED] = "这个机器人只接受其管理员允许的用户和房间的邀请。",
};
_Static_assert(sizeof english / sizeof *english == WORDS_COUNT && sizeof chinese / sizeof *chinese == WORDS_COUNT,
               "every sentence in every language");

static bool has_han(const char *s)
{
    size_t len = strlen(s);

    for (size_t i = 0; i < len;) {
        uint32_t cp = utf8_next(s, len, &i);

        if (cp >= 0x4E00 && cp <= 0x9FFF)
            return true;
    }
    return false;
}

const char *words(enum words what, const char *like)
{
    return like && has_han(like) ? chinese[what] : english[what];
}
