/* Any text as a model's answer that should be JSON of a form. The first line is
 * the form, a JSON Schema, the rest is the answer: what the schema says is
 * bounded, and what is taken for good is one JSON value. */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "plugin/base/utf8.h"
#include "plugin/model/schema_check.h"
#include "plugin/model/structured.h"

#define INPUT_BYTES_MAX (64U * 1024)
#define FORMAT_BYTES_MAX (1024U * 1024)
#define STRUCTURED_ASKED_MAX 6 /* twice in each of three ways */

static void check_fit(const char *schema_text, size_t schema_len, const char *text, size_t len)
{
    cJSON *schema = json_parse(schema_text, schema_len), *value = json_parse(text, len);
    struct buf complaint;

    buf_init(&complaint, SCHEMA_COMPLAINT_BYTES);
    bool fits = !schema || !value || schema_fits(schema, value, &complaint);
    assert(!buf_error(&complaint) && (!fits || complaint.len == 0)); /* a check that took too much says nothing */
    assert(utf8_valid(buf_str(&complaint), complaint.len));
    buf_free(&complaint);
    cJSON_Delete(schema);
    cJSON_Delete(value);
}

static void check_extract(const char *text, size_t len)
{
    const char *begin = NULL;
    size_t n = 0;
    cJSON *value = structured_extract(text, len, &begin, &n);

    if (!value)
        return;
    assert(begin >= text && n > 0 && begin + n <= text + len);
    cJSON *again = json_parse(begin, n);
    assert(again && cJSON_Compare(value, again, true));
    cJSON_Delete(again);
    cJSON_Delete(value);
}

/* As the answer comes again and again, asking for it ends. */
static void check_judge(char *format, const char *text, size_t len)
{
    struct model_conf conf = { .response_format = format };
    struct structured s = { 0 };
    enum structured_verdict verdict = STRUCTURED_AGAIN;
    int asked = 0;

    if (!structured_wanted(&conf))
        return;
    structured_init(&s, &conf, FORMAT_CONFIGURED);
    while (verdict == STRUCTURED_AGAIN && asked++ < STRUCTURED_ASKED_MAX)
        verdict = structured_judge(&s, text, len);
    assert(verdict != STRUCTURED_AGAIN);
    if (verdict == STRUCTURED_GOOD) {
        cJSON *value = json_parse(buf_str(&s.text), s.text.len);
        assert(value);
        cJSON_Delete(value);
    }
    structured_fini(&s);
}

static void check_format(const char *schema, size_t schema_len, const char *text, size_t len)
{
    struct buf format;
    cJSON *tree = json_parse(schema, schema_len);

    if (!cJSON_IsObject(tree)) { /* the configuration takes nothing else */
        cJSON_Delete(tree);
        return;
    }
    cJSON_Delete(tree);
    buf_init(&format, FORMAT_BYTES_MAX);
    buf_adds(&format, "{\"type\":\"json_schema\",\"json_schema\":{\"name\":\"n\",\"schema\":");
    buf_add(&format, schema, schema_len);
    buf_adds(&format, "}}");
    char *word = buf_take(&format);
    check_judge(word, text, len);
    free(word);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char object[] = "json_object";
    struct buf clean; /* as answers come out of delta.c */

    if (size > INPUT_BYTES_MAX)
        return 0;
    buf_init(&clean, 3 * size);
    utf8_clean(&clean, (const char *)data, size);
    const char *schema = buf_str(&clean), *eol = strchr(schema, '\n'), *text = eol ? eol + 1 : schema;
    size_t schema_len = eol ? (size_t)(eol - schema) : 0, len = clean.len - (size_t)(text - schema);
    check_fit(schema, schema_len, text, len);
    check_format(schema, schema_len, text, len);
    check_judge(object, text, len);
    check_extract(text, len);
    buf_free(&clean);
    return 0;
}
