/* Any bytes as what people and models said, in prompts of one text: whatever
 * they write, no token of the template that marks who speaks comes from them. The
 * first byte chooses the template, lines are messages, by turns. */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "plugin/base/utf8.h"
#include "plugin/model/template.h"

#define PROMPT_BYTES_MAX (4U * 1024 * 1024)
#define INPUT_BYTES_MAX (64U * 1024)

static const struct {
    const char *name, *token; /* that begins or ends somebody's words */
} families[] = {
    { "plain", NULL },         { "chatml", "<|im_start|>" }, { "chatml", "<|im_end|>" }, { "llama2", "[INST]" },
    { "llama2", "[/INST]" },   { "llama3", "<|eot_id|>" },   { "mistral", "[/INST]" },   { "alpaca", NULL },
    { "vicuna", NULL },
};

static cJSON *messages_of(const char *text, size_t len, size_t *n_r)
{
    static const char *const roles[] = { "user", "assistant" };
    cJSON *messages = cJSON_CreateArray();
    struct buf clean;

    *n_r = 0;
    for (size_t at = 0; at < len; ++*n_r) {
        const char *eol = memchr(text + at, '\n', len - at);
        size_t n = eol ? (size_t)(eol - text) - at : len - at;
        cJSON *message = cJSON_CreateObject();
        buf_init(&clean, 3 * n + 1);
        utf8_clean(&clean, text + at, n);
        cJSON_AddStringToObject(message, "role", roles[*n_r % 2]);
        cJSON_AddStringToObject(message, "content", buf_str(&clean));
        cJSON_AddItemToArray(messages, message);
        buf_free(&clean);
        at += n + 1;
    }
    return messages;
}

static size_t times(const char *text, const char *token)
{
    size_t n = 0;
    for (const char *at = text; (at = strstr(at, token)) != NULL; at += strlen(token))
        n++;
    return n;
}

/* As many of the token as with harmless words in the same places. */
static void check_tokens(const struct model_conf *conf, const char *token, const cJSON *messages, const char *prompt)
{
    cJSON *harmless = cJSON_Duplicate(messages, true), *message;
    struct buf out;

    buf_init(&out, PROMPT_BYTES_MAX);
    cJSON_ArrayForEach(message, harmless)
        cJSON_ReplaceItemInObject(message, "content", cJSON_CreateString("x"));
    assert(template_render(&out, conf, "x", harmless) == ERR_OK);
    assert(times(prompt, token) == times(buf_str(&out), token));
    buf_free(&out);
    cJSON_Delete(harmless);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct buf out;
    size_t n;

    if (size < 2 || size > INPUT_BYTES_MAX)
        return 0;
    size_t family = data[0] % (sizeof families / sizeof *families);
    struct model_conf conf = { .template = (char *)(uintptr_t)families[family].name };
    cJSON *messages = messages_of((const char *)data + 1, size - 1, &n);

    buf_init(&out, PROMPT_BYTES_MAX);
    assert(template_render(&out, &conf, "x", messages) == ERR_OK);
    assert(utf8_valid(buf_str(&out), out.len));
    if (families[family].token)
        check_tokens(&conf, families[family].token, messages, buf_str(&out));
    buf_free(&out);
    buf_init(&out, size); /* what does not fit is an error, and nothing is written past it */
    enum err_code code = template_render(&out, &conf, "x", messages);
    assert(out.len <= size && (code == ERR_OK || code == ERR_TOO_LARGE));
    buf_free(&out);
    cJSON_Delete(messages);
    return 0;
}
