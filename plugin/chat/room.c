#include "plugin/chat/room.h"

#include <stdlib.h>
#include <string.h>

#include "plugin/base/buf.h"
#include "plugin/base/mem.h"
#include "plugin/base/utf8.h"
#include "plugin/chat/channel.h"

/* --- as the platform tells it --- */
/* One line of at most max bytes, without blanks around it. */
static void add_line(struct buf *out, const char *text, size_t max)
{
    struct buf clean;
    buf_init(&clean, 6 * max); /* a bad byte becomes three */
    utf8_clean(&clean, text, strnlen(text, 2 * max));
    for (size_t i = 0; i < clean.len; i++)
        if (clean.data[i] == '\n' || clean.data[i] == '\t')
            clean.data[i] = ' ';
    size_t blanks = strspn(buf_str(&clean), " ");
    size_t len = utf8_cut(buf_str(&clean) + blanks, clean.len - blanks, max);
    while (len && clean.data[blanks + len - 1] == ' ')
        len--;
    buf_add(out, buf_str(&clean) + blanks, len);
    buf_free(&clean);
}

static char *line(const char *text, size_t max)
{
    struct buf out;
    buf_init(&out, max);
    if (text)
        add_line(&out, text, max);
    char *s = out.len ? buf_take(&out) : NULL;
    buf_free(&out);
    return s;
}

void room_read(struct store_room *room, const struct chat_about *about)
{
    struct buf aliases;
    buf_init(&aliases, ROOM_ALIASES_MAX * (ROOM_NAME_BYTES_MAX + 1));
    for (size_t i = 0; about->aliases && about->aliases[i] && i < ROOM_ALIASES_MAX; i++) {
        size_t before = aliases.len;
        if (before)
            buf_addc(&aliases, '\n');
        size_t begin = aliases.len;
        add_line(&aliases, about->aliases[i], ROOM_NAME_BYTES_MAX);
        if (aliases.len == begin)
            buf_cut(&aliases, before);
    }
    *room = (struct store_room){
        .name = line(about->name, ROOM_NAME_BYTES_MAX),
        .topic = line(about->topic, ROOM_TOPIC_BYTES_MAX),
        .aliases = aliases.len ? buf_take(&aliases) : NULL,
    };
    buf_free(&aliases);
}

void room_copy(struct store_room *to, const struct store_room *from)
{
    *to = (struct store_room){ mem_dup(from->name), mem_dup(from->topic), mem_dup(from->aliases) };
}

static bool same(const char *a, const char *b)
{
    return a && b ? strcmp(a, b) == 0 : a == b;
}

bool room_equal(const struct store_room *a, const struct store_room *b)
{
    return same(a->name, b->name) && same(a->topic, b->topic) && same(a->aliases, b->aliases);
}

void room_fini(struct store_room *room)
{
    free((char *)room->name);
    free((char *)room->topic);
    free((char *)room->aliases);
    *room = (struct store_room){ 0 };
}

/* --- its names --- */
static char *full_name(const char *channel, const char *chat, size_t len)
{
    struct buf out;
    char *text = mem_dupn(chat, len);
    const char *thread = strchr(channel, '/');
    buf_init(&out, CHANNEL_NAME_BYTES_MAX + 3 * ROOM_NAME_BYTES_MAX);
    buf_add(&out, channel, strcspn(channel, ":") + 1);
    channel_add_escaped(&out, text);
    if (thread)
        buf_adds(&out, thread);
    free(text);
    return buf_take(&out);
}

char **room_names(const char *channel, const struct store_room *room)
{
    char **names = mem_array(ROOM_ALIASES_MAX + 3, sizeof(*names));
    size_t n = 0;
    names[n++] = mem_dup(channel);
    if (room->name)
        names[n++] = full_name(channel, room->name, strlen(room->name));
    for (const char *at = room->aliases; at && *at && n < ROOM_ALIASES_MAX + 2;) {
        size_t len = strcspn(at, "\n");
        names[n++] = full_name(channel, at, len);
        at += len + (at[len] == '\n');
    }
    return mem_resize(names, n + 1, sizeof(*names));
}

void room_names_free(char ***names)
{
    for (char **name = *names; name && *name; name++)
        free(*name);
    free(*names);
    *names = NULL;
}

char *room_title(const struct store_room *room)
{
    if (room->name)
        return mem_dup(room->name);
    return room->aliases ? mem_dupn(room->aliases, strcspn(room->aliases, "\n")) : NULL;
}
