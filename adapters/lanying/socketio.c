#include "adapters/lanying/socketio.h"

#include <string.h>

#include "plugin/base/json.h"

#define ATTACHMENTS_MAX 64

static int64_t time_of(const cJSON *open, const char *key, int64_t fallback)
{
    int64_t ms = json_int(open, key, fallback);

    return ms > 0 && ms <= SOCKETIO_TIME_MAX_MS ? ms : fallback;
}

static void read_open(struct socketio *s, const char *text, size_t len)
{
    cJSON *open = json_parse(text, len);

    s->ping_ms = time_of(open, "pingInterval", SOCKETIO_PING_MS);
    s->timeout_ms = time_of(open, "pingTimeout", SOCKETIO_TIMEOUT_MS);
    cJSON_Delete(open);
}

/* "5N-[NAME,…]" with an optional namespace and id before the array. */
static void read_binary_event(struct socketio *s, const char *text, size_t len)
{
    static const char frame[] = "[\"frame\"";
    const char *end = text + len, *array;

    s->expected = 0;
    while (text < end && *text >= '0' && *text <= '9' && s->expected <= ATTACHMENTS_MAX)
        s->expected = s->expected * 10 + (unsigned)(*text++ - '0');
    array = memchr(text, '[', (size_t)(end - text));
    s->frame = s->expected == 1 && array && (size_t)(end - array) >= sizeof frame - 1 &&
               memcmp(array, frame, sizeof frame - 1) == 0;
}

static enum socketio_event read_message(struct socketio *s, const char *text, size_t len)
{
    switch (len > 0 ? text[0] : '\0') {
    case '0':
        return SOCKETIO_CONNECTED;
    case '1':
        return SOCKETIO_LEFT;
    case '4':
        return SOCKETIO_REFUSED;
    case '5':
        read_binary_event(s, text + 1, len - 1);
        return SOCKETIO_NOTHING;
    default:
        return SOCKETIO_NOTHING;
    }
}

enum socketio_event socketio_text(struct socketio *s, const char *text, size_t len)
{
    switch (len > 0 ? text[0] : '\0') {
    case '0':
        read_open(s, text + 1, len - 1);
        return SOCKETIO_OPENED;
    case '1':
        return SOCKETIO_LEFT;
    case '2':
        return SOCKETIO_PINGED;
    case '3':
        return SOCKETIO_PONGED;
    case '4':
        return read_message(s, text + 1, len - 1);
    default:
        return SOCKETIO_NOTHING;
    }
}

enum err_code socketio_binary(struct socketio *s, const char *data, size_t len, struct ly_bytes *frame_r)
{
    bool announced = s->expected > 0;

    if (announced)
        s->expected--;
    if (announced && !s->frame)
        return ERR_NOT_FOUND;
    if (!announced || len == 0 || data[0] != SOCKETIO_MARK)
        return ERR_PROTO;
    *frame_r = (struct ly_bytes){ data + 1, len - 1 };
    return ERR_OK;
}
