#include "plugin/net/sse.h"

#include <string.h>

#include "plugin/base/json.h"

#define SSE_TYPE_BYTES_MAX 256U

static const char bom[] = "\xEF\xBB\xBF";

void sse_init(struct sse *s, bool (*event)(void *arg, const struct sse_event *ev), void *arg)
{
    *s = (struct sse){.event = event, .arg = arg};
    buf_init(&s->line, SSE_LINE_BYTES_MAX);
    buf_init(&s->data, SSE_LINE_BYTES_MAX);
    buf_init(&s->type, SSE_TYPE_BYTES_MAX);
}

void sse_fini(struct sse *s)
{
    buf_free(&s->line);
    buf_free(&s->data);
    buf_free(&s->type);
}

static enum err_code dispatch(struct sse *s)
{
    struct sse_event ev = {buf_str(&s->type), buf_str(&s->data), s->data.len};
    bool go_on = true;

    if (s->data_lines > 0)
        go_on = s->event(s->arg, &ev);
    s->data_lines = 0;
    buf_reset(&s->data);
    buf_reset(&s->type);
    return go_on ? ERR_OK : ERR_CANCELLED;
}

static bool is_json(const char *text, size_t len)
{
    cJSON *tree;

    if (len == 0 || text[0] != '{') /* every chunk is an object; spares parsing most lines */
        return false;
    tree = json_parse(text, len);
    cJSON_Delete(tree);
    return tree != NULL;
}

/* Some servers leave out the empty line between events. Only a first line is
 * tried, so that an event of many lines is not parsed over and over. */
static bool starts_new_event(const struct sse *s, const char *value, size_t len)
{
    bool marker = len >= 6 && memcmp(value, "[DONE]", 6) == 0;

    return s->data_lines == 1 && (marker || is_json(value, len)) && is_json(s->data.data, s->data.len);
}

static enum err_code add_data(struct sse *s, const char *value, size_t len)
{
    if (starts_new_event(s, value, len)) {
        enum err_code code = dispatch(s);

        if (code != ERR_OK)
            return code;
    }
    if (s->data_lines++ > 0)
        buf_addc(&s->data, '\n');
    buf_add(&s->data, value, len);
    return buf_error(&s->data);
}

static enum err_code set_type(struct sse *s, const char *value, size_t len)
{
    buf_reset(&s->type);
    return buf_add(&s->type, value, len);
}

static bool field_is(const char *name, const char *line, size_t len)
{
    return strlen(name) == len && memcmp(name, line, len) == 0;
}

static enum err_code take_field(struct sse *s, const char *line, size_t len)
{
    const char *colon = memchr(line, ':', len);
    size_t name_len = colon ? (size_t)(colon - line) : len;
    const char *value = colon ? colon + 1 : line + len;
    size_t value_len = (size_t)(line + len - value);

    if (value_len > 0 && value[0] == ' ') {
        value++;
        value_len--;
    }
    if (field_is("data", line, name_len))
        return add_data(s, value, value_len);
    if (field_is("event", line, name_len))
        return set_type(s, value, value_len);
    return ERR_OK; /* id, retry and unknown fields mean nothing here */
}

static enum err_code take_line(struct sse *s, const char *line, size_t len)
{
    enum err_code code;

    if (!s->started && len >= 3 && memcmp(line, bom, 3) == 0) {
        line += 3;
        len -= 3;
    }
    s->started = true;
    if (len == 0)
        return dispatch(s);
    if (line[0] == ':')
        return ERR_OK;
    if (line[0] != '{')
        return take_field(s, line, len);
    code = dispatch(s);
    if (code == ERR_OK)
        code = add_data(s, line, len);
    return code == ERR_OK ? dispatch(s) : code;
}

/* The line is finished by the len bytes; what came before is in s->line. */
static enum err_code end_line(struct sse *s, const char *data, size_t len)
{
    enum err_code code;

    if (s->line.len == 0) {
        if (len > SSE_LINE_BYTES_MAX)
            return ERR_TOO_LARGE;
        return take_line(s, data, len);
    }
    if (buf_add(&s->line, data, len) != ERR_OK)
        return ERR_TOO_LARGE;
    code = take_line(s, s->line.data, s->line.len);
    buf_reset(&s->line);
    return code;
}

static size_t line_length(const char *data, size_t len)
{
    const char *lf = memchr(data, '\n', len);
    size_t n = lf ? (size_t)(lf - data) : len;
    const char *cr = memchr(data, '\r', n);

    return cr ? (size_t)(cr - data) : n;
}

enum err_code sse_feed(struct sse *s, const char *data, size_t len)
{
    while (len > 0) {
        enum err_code code;
        size_t n;

        if (s->skip_lf) { /* the second half of a CRLF */
            s->skip_lf = false;
            if (data[0] == '\n') {
                data++;
                len--;
                continue;
            }
        }
        n = line_length(data, len);
        if (n == len)
            return buf_add(&s->line, data, len);
        s->skip_lf = data[n] == '\r';
        code = end_line(s, data, n);
        if (code != ERR_OK)
            return code;
        data += n + 1;
        len -= n + 1;
    }
    return ERR_OK;
}

enum err_code sse_end(struct sse *s)
{
    enum err_code code = ERR_OK;

    if (s->line.len > 0)
        code = end_line(s, "", 0);
    return code == ERR_OK ? dispatch(s) : code;
}
