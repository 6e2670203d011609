#include "plugin/model/practice_text.h"

#include <ctype.h>
#include <stddef.h>
#include <string.h>

struct pair {
    const char *english, *chinese;
};

static const struct pair texts[PRACTICE_KINDS] = {
    [PRACTICE_PLAIN] = {
        "You wrote: “%words”.\n"
        "\n"
        "I have no opinion about that, but it arrived safely. Ask me a **question**, ask for **code**, or for a "
        "**long** answer.",
        "你写的是：“%words”。\n"
        "\n"
        "我对此没有看法，不过消息已经安全送达。可以向我提一个**问题**，要一段**代码**，或者要一个**详细**的回答。",
    },
    [PRACTICE_GREETING] = {
        "Hello! 👋 Good to see you here.\n"
        "\n"
        "Things to try:\n"
        "\n"
        "- ask a *question*\n"
        "- ask for some *code*\n"
        "- ask for a *long* answer, with headings, lists and a table\n"
        "- write in Chinese: 你好",
        "你好！👋 很高兴在这里见到你。\n"
        "\n"
        "可以试试：\n"
        "\n"
        "- 提一个*问题*\n"
        "- 要一段*代码*\n"
        "- 要一个*详细*的回答，里面有标题、列表和表格\n"
        "- 用英语写：hello",
    },
    [PRACTICE_QUESTION] = {
        "You asked: “%words”. A real model would know. What I do know:\n"
        "\n"
        "1. Your message was on disk before anything else happened.\n"
        "2. It came to me with its conversation, %count messages in all.\n"
        "3. This answer comes back piece by piece, and the last piece is marked as done.",
        "你问的是：“%words”。真正的模型会知道答案。我所知道的是：\n"
        "\n"
        "1. 你的消息先写入了磁盘，然后才开始处理。\n"
        "2. 它和所在的对话一起交给了我，一共 %count 条消息。\n"
        "3. 这个回答一段一段地送回来，最后一段带有完成标记。",
    },
    [PRACTICE_CODE] = {
        "Here is a small program:\n"
        "\n"
        "```c\n"
        "#include <stdio.h>\n"
        "\n"
        "int main(void)\n"
        "{\n"
        "    puts(\"Hello from Warbler\");\n"
        "    return 0;\n"
        "}\n"
        "```\n"
        "\n"
        "Save it as `hello.c`, then `cc hello.c -o hello && ./hello`. A code block stays whole, also when a long "
        "answer is split.",
        "这是一个小程序：\n"
        "\n"
        "```c\n"
        "#include <stdio.h>\n"
        "\n"
        "int main(void)\n"
        "{\n"
        "    puts(\"你好，Warbler\");\n"
        "    return 0;\n"
        "}\n"
        "```\n"
        "\n"
        "保存为 `hello.c`，然后运行 `cc hello.c -o hello && ./hello`。即使长回答被拆开，代码块也保持完整。",
    },
    [PRACTICE_LONG] = {
        "# What Warbler does\n"
        "\n"
        "Warbler puts a language model into chat rooms. This is what happens to a message on its way:\n"
        "\n"
        "## On the way in\n"
        "\n"
        "1. An **adapter** reads the event of its platform.\n"
        "2. The message is written to disk, and only then acknowledged.\n"
        "3. A rule decides which bot answers, and whether it was asked at all:\n"
        "   - in a private conversation, always;\n"
        "   - in a group, when it is mentioned or replied to.\n"
        "\n"
        "## On the way out\n"
        "\n"
        "| Step | What it does | What can go wrong |\n"
        "|---|---|---|\n"
        "| prompt | lays out the history within a budget | too long: older turns go first |\n"
        "| model | streams the answer | broken off: asked again, once more from the start |\n"
        "| reply | cuts at words, never inside a character | nothing, it is tested with 你好 and 👩‍👩‍👧‍👦 |\n"
        "| outbox | sends under a stable id | a crash: sent again, shown once |\n"
        "\n"
        "> Every message ends in exactly one outcome: one answer, one plain notice, or a decision not to answer.\n"
        "\n"
        "## Try it\n"
        "\n"
        "```sh\n"
        "warbler check -c warbler.conf   # all mistakes at once\n"
        "warbler explain web:lobby       # which rule applies, and why\n"
        "warbler ping                    # is everybody there?\n"
        "```\n"
        "\n"
        "That is all there is to it: *small, and hard to break*.",
        "# Warbler 是做什么的\n"
        "\n"
        "Warbler（莺）把语言模型带进聊天室。一条消息会这样走完它的路：\n"
        "\n"
        "## 进来的时候\n"
        "\n"
        "1. **适配器**读取平台的事件。\n"
        "2. 消息先写入磁盘，然后才确认收到。\n"
        "3. 由规则决定哪个机器人回答，以及是否在问它：\n"
        "   - 私聊时，总是回答；\n"
        "   - 群聊时，被提到或被回复才回答。\n"
        "\n"
        "## 出去的时候\n"
        "\n"
        "| 步骤 | 做什么 | 可能出什么错 |\n"
        "|---|---|---|\n"
        "| 提示 | 在预算内排好历史 | 太长：先去掉较早的对话 |\n"
        "| 模型 | 流式给出回答 | 中断：从头再问一次 |\n"
        "| 回复 | 在词的边界拆分，从不拆开一个字 | 没有，已用 👩‍👩‍👧‍👦 测试过 |\n"
        "| 发件箱 | 用固定的编号发送 | 崩溃：再发一次，只显示一次 |\n"
        "\n"
        "> 每条消息只有一个结局：一个回答，一个简短的提示，或者决定不回答。\n"
        "\n"
        "## 试一试\n"
        "\n"
        "```sh\n"
        "warbler check -c warbler.conf   # 一次列出所有错误\n"
        "warbler explain web:lobby       # 用了哪条规则，为什么\n"
        "warbler ping                    # 大家都在吗？\n"
        "```\n"
        "\n"
        "就是这些：*小巧，而且不容易坏*。",
    },
    [PRACTICE_TOOL] = {
        "The tool answered: “%words”.",
        "工具的回答是：“%words”。",
    },
    [PRACTICE_HONEST] = {
        "> I am Warbler's **practice model**: I follow a few rules and understand nothing. To connect a real model, "
        "set `OPENAI_API_KEY` (and, for another server, `OPENAI_BASE_URL` and `OPENAI_MODEL`) and start again, or "
        "fill in `models` in the configuration.\n"
        "\n",
        "> 我是 Warbler 的**练习模型**：只会按几条规则回答，并不理解内容。要连接真正的模型，请设置环境变量 "
        "`OPENAI_API_KEY`（其他服务器再加上 `OPENAI_BASE_URL` 和 `OPENAI_MODEL`）后重新启动，或者填写配置文件里的 "
        "`models`。\n"
        "\n",
    },
    [PRACTICE_FILLER] = {
        " A small bird sings on the wire, and every note arrives in order.",
        "小小的莺站在枝头歌唱，每一个音符都按顺序到达。",
    },
};

const char *practice_text(enum practice_kind kind, bool chinese)
{
    return chinese ? texts[kind].chinese : texts[kind].english;
}

/* --- which answer --- */

static const char *const code_words[] = {"code", "function", "program", "script", "代码", "程序", "函数", "编程", NULL};
static const char *const long_words[] = {"long",  "detail", "details", "detailed", "essay", "story", "table",
                                         "explain", "详细", "长", "文章", "故事", "表格", "介绍", NULL};
static const char *const greeting_words[] = {"hello", "hi",   "hey",  "good morning", "good evening", "你好",
                                             "您好",  "嗨",   "早上好", "晚上好",       "大家好",       NULL};
static const char *const question_words[] = {"?",    "？",   "what", "how",  "why",  "who", "where", "when", "吗",
                                             "什么", "怎么", "如何", "为什么", "谁", "哪", NULL};

static bool ascii_letter_at(const char *s)
{
    return isalpha((unsigned char)*s);
}

/* English words stand alone ("hi" is not in "this"); Chinese has no borders. */
static bool has_word(const char *text, const char *word)
{
    size_t len = strlen(word);
    for (const char *at = text; (at = strcasestr(at, word)) != NULL; at++) {
        bool begins = at == text || !ascii_letter_at(at - 1);
        if (!ascii_letter_at(word) || (begins && !ascii_letter_at(at + len)))
            return true;
    }
    return false;
}

static bool has_any_word(const char *text, const char *const *words)
{
    for (; *words; words++)
        if (has_word(text, *words))
            return true;
    return false;
}

enum practice_kind practice_kind_of(const char *words)
{
    if (has_any_word(words, code_words))
        return PRACTICE_CODE;
    if (has_any_word(words, long_words))
        return PRACTICE_LONG;
    if (has_any_word(words, greeting_words))
        return PRACTICE_GREETING;
    return has_any_word(words, question_words) ? PRACTICE_QUESTION : PRACTICE_PLAIN;
}
