#include "plugin/chat/wish.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "plugin/base/json.h"
#include "plugin/base/mem.h"
#include "plugin/base/utf8.h"

#define WISH_BYTES_MAX (8U * WISH_PROMPT_BYTES_MAX)

/* --- with the message --- */
static void add_text(struct buf *out, const char *name, const char *text, size_t len)
{
    buf_addf(out, "%s\"%s\":", out->len > 1 ? "," : "", name);
    json_quoten(out, text, len);
}

static void add_prompt(struct buf *out, const char *prompt)
{
    struct buf clean;
    buf_init(&clean, 6U * WISH_PROMPT_BYTES_MAX); /* a bad byte becomes three */
    utf8_clean(&clean, prompt, strnlen(prompt, 2U * WISH_PROMPT_BYTES_MAX));
    add_text(out, "prompt", buf_str(&clean), utf8_cut(buf_str(&clean), clean.len, WISH_PROMPT_BYTES_MAX));
    buf_free(&clean);
}

static bool is_preset(const struct bot_conf *bot, const char *name)
{
    return config_preset(bot, name, strlen(name)) || strcasecmp(name, PRESET_DEFAULT) == 0;
}

char *wish_write(const struct msg_wish *m, const struct bot_conf *bot, const char *preset)
{
    static const struct msg_wish none;
    struct buf out;
    if (!m)
        m = &none;
    if (!preset && bot->wishes & WISH_PRESET)
        preset = m->preset;
    buf_init(&out, WISH_BYTES_MAX);
    buf_addc(&out, '{');
    if (preset && is_preset(bot, preset))
        add_text(&out, "preset", preset, strlen(preset));
    if (m->prompt && *m->prompt && bot->wishes & WISH_PROMPT)
        add_prompt(&out, m->prompt);
    if (m->max_tokens > 0 && bot->wishes & WISH_MAX_TOKENS)
        buf_addf(&out, "%s\"max_tokens\":%d", out.len > 1 ? "," : "", m->max_tokens);
    if (m->reset && bot->wishes & WISH_RESET)
        buf_addf(&out, "%s\"reset\":true", out.len > 1 ? "," : "");
    bool nothing = out.len == 1;
    buf_addc(&out, '}');
    char *json = nothing ? NULL : buf_take(&out);
    buf_free(&out);
    return json;
}

void wish_read(struct wish *w, const char *json)
{
    *w = (struct wish){ 0 };
    cJSON *tree = json ? json_parse(json, strlen(json)) : NULL;
    w->preset = mem_dup(json_str(tree, "preset"));
    w->prompt = mem_dup(json_str(tree, "prompt"));
    w->max_tokens = json_int(tree, "max_tokens", 0);
    w->reset = json_bool(tree, "reset", false);
    cJSON_Delete(tree);
}

void wish_fini(struct wish *w)
{
    free(w->preset);
    free(w->prompt);
    *w = (struct wish){ 0 };
}

/* --- what comes of it --- */
const struct preset_conf *wish_preset(const struct wish *w, const struct bot_conf *bot, const char *conversation)
{
    const char *name = w->preset ? w->preset : conversation;
    return name ? config_preset(bot, name, strlen(name)) : NULL;
}

bool wish_tuning(const struct wish *w, const struct preset_conf *preset, struct request_tuning *tuning_r)
{
    *tuning_r = (struct request_tuning){ NAN, NAN, NAN, NAN, 0, w->max_tokens };
    if (preset) {
        tuning_r->temperature = preset->temperature;
        tuning_r->top_p = preset->top_p;
        tuning_r->frequency_penalty = preset->frequency_penalty;
        tuning_r->presence_penalty = preset->presence_penalty;
        tuning_r->max_tokens = preset->max_tokens;
    }
    return !isnan(tuning_r->temperature) || !isnan(tuning_r->top_p) || !isnan(tuning_r->frequency_penalty) ||
           !isnan(tuning_r->presence_penalty) || tuning_r->max_tokens > 0 || tuning_r->most_tokens > 0;
}
