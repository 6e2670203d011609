/* Any text as what people write: is it for the bot, is it a command, what does it
 * wish; and as the header by which a browser says what it can unpack. */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "plugin/adapter.h"
#include "plugin/base/json.h"
#include "plugin/base/utf8.h"
#include "plugin/chat/command.h"
#include "plugin/chat/trigger.h"
#include "plugin/chat/wish.h"
#include "plugin/web/coding.h"

#define INPUT_BYTES_MAX (16U * 1024) /* of a message, as accounts allow it */

static char *patterns[] = { (char[]){ "help\\b" }, (char[]){ "帮.?忙" }, (char[]){ "(a+)+$" } };
static char *more_names[] = { (char[]){ "help=帮助,hilfe" }, (char[]){ "retry=" } };
static struct preset_conf presets[] = { { .name = (char[]){ "translator" } }, { .name = (char[]){ "Échos" } } };
static struct bot_conf bot = { .name = (char[]){ "bo" }, .prefix = (char[]){ "!ai " }, .command_prefix = (char[]){ "/" },
                               .keywords = { patterns, 3 }, .commands = { more_names, 2 }, .wishes = ~0U,
                               .presets = presets, .n_presets = 2 };

static void check_command(const char *text, size_t len)
{
    const char *args = NULL, *preset;

    if (command_parse(&bot, text, &args) != COMMAND_NONE)
        assert(args >= text && args <= text + len && *args != ' ');
    preset = command_preset(&bot, text, &args);
    assert(!preset || (args >= text && args <= text + len));
}

static void check_trigger(const char *text, size_t len)
{
    static struct keywords *keywords;
    size_t skip = 0, end = 0;

    if (!keywords)
        keywords = keywords_new(&bot.keywords);
    const struct trigger_in in = { .bot = &bot, .keywords = keywords, .triggers = ~(unsigned)(TRIGGER_ALWAYS | TRIGGER_CHANCE),
                                   .text = text, .len = len, .dice = 1 };
    enum trigger_kind kind = trigger_match(&in, &skip);
    assert(skip <= len && (kind == 0 || trigger_name(kind)));
    assert(!trigger_mention(text, len, "bo", &end) || end <= len);
}

/* What is written reads as the same. */
static void check_wish(const char *text)
{
    const struct msg_wish said = { .preset = text, .prompt = text, .max_tokens = 7, .reset = true };
    struct wish w = { 0 };
    char *json = wish_write(&said, &bot, NULL);

    wish_read(&w, json);
    assert(!json || (w.max_tokens == 7 && w.reset));
    assert(!w.prompt || strcmp(w.prompt, text) == 0);
    wish_fini(&w);
    free(json);
    wish_read(&w, text);
    wish_fini(&w);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct buf clean;

    if (size > INPUT_BYTES_MAX)
        return 0;
    buf_init(&clean, 3 * size + 1);
    utf8_clean(&clean, (const char *)data, size);
    check_command(buf_str(&clean), clean.len);
    check_trigger(buf_str(&clean), clean.len);
    check_wish(buf_str(&clean));
    coding_accepted(buf_str(&clean), "gzip");
    buf_free(&clean);
    return 0;
}
