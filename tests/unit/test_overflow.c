/* overflow.c: the numbers in what servers really write. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "plugin/model/overflow.h"

#define COUNT(table) (sizeof(table) / sizeof *(table))

static void test_messages(void **state)
{
    (void)state;
    static const struct {
        const char *message;
        int64_t max, used;
    } cases[] = {
        /* OpenAI */
        {"This model's maximum context length is 8192 tokens. However, you requested 9000 tokens (8000 in the messages, "
         "1000 in the completion). Please reduce the length of the messages or completion.",
         8192, 8000},
        {"This model's maximum context length is 8192 tokens. However, your messages resulted in 9001 tokens.", 8192, 9001},
        {"This model's maximum context length is 128,000 tokens. However, you requested 130,512 tokens.", 128000, 130512},
        {"Input tokens exceed the configured limit of 272000 tokens. Your messages resulted in 300001 tokens.", 272000, 300001},
        {"Request too large for gpt-4o in organization x on tokens per min (TPM): Limit 30000, Requested 45000.", 30000, 45000},
        /* OpenRouter */
        {"This endpoint's maximum context length is 8192 tokens. However, you requested about 9100 tokens (8100 of text "
         "input, 1000 in the output).",
         8192, 8100},
        /* vLLM, old and new; SGLang; TGI */
        {"This model's maximum context length is 4096 tokens. However, you requested 4196 tokens (4096 in the messages, 100 "
         "in the completion).",
         4096, 4096},
        {"You passed 8193 input tokens and requested 100 output tokens. However, the model's context length is only 8192 "
         "tokens, resulting in a maximum input length of 8092 tokens.",
         8192, 8193},
        {"The decoder prompt (length 9000) is longer than the maximum model length of 8192.", 8192, 9000},
        {"The input (9000 tokens) is longer than the model's context length (8192 tokens).", 8192, 9000},
        {"Requested token count exceeds the model's maximum context length of 8192 tokens. You requested a total of 9000 "
         "tokens: 8000 tokens from the input messages and 1000 tokens for the completion.",
         8192, 8000},
        {"Input validation error: `inputs` must have less than 1024 tokens. Given: 2000", 1024, 2000},
        {"Input validation error: `inputs` tokens + `max_new_tokens` must be <= 8193. Given: 9000 `inputs` tokens and 512 "
         "`max_new_tokens`",
         8193, 9000},
        /* llama.cpp, LM Studio */
        {"request (15017 tokens) exceeds the available context size (4096 tokens), try increasing it", 4096, 15017},
        {"Trying to keep the first 5000 tokens when context the overflows. However, the model is loaded with context length "
         "of only 4096 tokens",
         4096, -1},
        /* DeepSeek, Qwen, Moonshot */
        {"This model's maximum context length is 65536 tokens. However, you requested 70000 tokens (69000 in the messages, "
         "1000 in the completion).",
         65536, 69000},
        {"Range of input length should be [1, 30720]", 30720, -1},
        {"<400> InternalError.Algo.InvalidParameter: Range of input length should be [1, 129024]", 129024, -1},
        {"Invalid request: Your request exceeded model token limit: 8192", 8192, -1},
        /* Anthropic, Gemini, Mistral */
        {"prompt is too long: 214295 tokens > 200000 maximum", 200000, 214295},
        {"input length and `max_tokens` exceed context limit: 190000 + 20000 > 200000, decrease input length", 200000, 190000},
        {"The input token count (1048580) exceeds the maximum number of tokens allowed (1048576).", 1048576, 1048580},
        {"Prompt contains 40000 tokens and 0 draft tokens, too large for model with 32768 maximum context length", 32768, 40000},
        /* none, or none that can be */
        {"", -1, -1},
        {"context length exceeded", -1, -1},
        {"maximum context length is 0 tokens", -1, -1},
        {"maximum context length is -5 tokens", -1, -1},
        {"maximum context length is 999999999 tokens", 999999999, -1},
        {"maximum context length is 1000000000 tokens", -1, -1},
        {"maximum context length is unlimited, it was said in 1999", -1, -1},
        {"maximum", -1, -1},
        {",,, maximum ,5 maximum", -1, -1},
        {"context length is", -1, -1},
        {"context length is ", -1, -1},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        int64_t max, used;
        overflow_read(cases[i].message, &max, &used);
        if (max != cases[i].max || used != cases[i].used)
            fail_msg("%s: %lld %lld", cases[i].message, (long long)max, (long long)used);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_messages)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
