#include "plugin/base/err.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "plugin/base/utf8.h"

/* Text is formatted into more room than it may take, so that the cut sees the
 * whole of the character that crosses the limit. */
#define DRAFT_BYTES (ERR_TEXT_BYTES + 128)

static void store_line(struct err *e, const char *draft)
{
    size_t len = utf8_cut(draft, strlen(draft), sizeof e->text - 1);
    for (size_t i = 0; i < len; i++)
        e->text[i] = (unsigned char)draft[i] < ' ' || draft[i] == 0x7F ? ' ' : draft[i];
    e->text[len] = '\0';
}

enum err_code err_set(struct err *e, enum err_code code, const char *fmt, ...)
{
    if (!e)
        return code;
    char draft[DRAFT_BYTES]; /* the old text may be among the arguments */
    va_list args;
    va_start(args, fmt);
    vsnprintf(draft, sizeof draft, fmt, args);
    va_end(args);
    store_line(e, draft);
    return e->code = code;
}

enum err_code err_prefix(struct err *e, const char *fmt, ...)
{
    if (!e)
        return ERR_INTERNAL;
    char prefix[DRAFT_BYTES], draft[sizeof prefix + sizeof e->text + 2];
    va_list args;
    va_start(args, fmt);
    vsnprintf(prefix, sizeof prefix, fmt, args);
    va_end(args);
    snprintf(draft, sizeof draft, "%s: %s", prefix, e->text);
    store_line(e, draft);
    return e->code;
}

const char *err_name(enum err_code code)
{
    static const char *const names[ERR_COUNT] = {
        [ERR_OK] = "ok",
        [ERR_INVALID] = "invalid",
        [ERR_TOO_LARGE] = "too_large",
        [ERR_NOT_FOUND] = "not_found",
        [ERR_EXISTS] = "exists",
        [ERR_BUSY] = "busy",
        [ERR_IO] = "io",
        [ERR_FULL] = "full",
        [ERR_VERSION] = "version",
        [ERR_NET] = "net",
        [ERR_TIMEOUT] = "timeout",
        [ERR_CANCELLED] = "cancelled",
        [ERR_AUTH] = "auth",
        [ERR_QUOTA] = "quota",
        [ERR_RATE] = "rate",
        [ERR_OVERLOAD] = "overload",
        [ERR_CONTEXT] = "context",
        [ERR_CONTENT] = "content",
        [ERR_MODEL] = "model",
        [ERR_PARAM] = "param",
        [ERR_SERVER] = "server",
        [ERR_PROTO] = "proto",
        [ERR_EMPTY] = "empty",
        [ERR_INTERNAL] = "internal",
    };
    return (unsigned)code < ERR_COUNT ? names[code] : "unknown";
}
