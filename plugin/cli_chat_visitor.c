#include "plugin/cli_chat_visitor.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "plugin/base/buf.h"
#include "plugin/base/mem.h"

#define PATH_BYTES_MAX 4096U

/* False: there is no place for it. */
static bool put_path(struct buf *path)
{
    const char *state = getenv("XDG_STATE_HOME"), *home = getenv("HOME");
    buf_init(path, PATH_BYTES_MAX);
    if (state && state[0] == '/')
        buf_adds(path, state);
    else if (home && home[0] == '/')
        buf_addf(path, "%s/.local/state", home);
    else
        return false;
    buf_adds(path, "/warbler/visitor");
    return !buf_error(path);
}

static void read_file(const char *path, struct buf *text)
{
    char chunk[4096];
    size_t n;
    buf_init(text, VISITORS_BYTES_MAX + 4096);
    FILE *f = fopen(path, "re");
    if (!f)
        return;
    while ((n = fread(chunk, 1, sizeof(chunk), f)) > 0)
        buf_add(text, chunk, n);
    fclose(f);
}

/* Of the line at `line` that says who we are at url; else NULL. */
static const char *visitor_of(const char *line, const char *url)
{
    size_t len = strlen(url);
    return strncmp(line, url, len) == 0 && line[len] == ' ' ? line + len + 1 : NULL;
}

static const char *next_line(const char *line)
{
    line += strcspn(line, "\n");
    return *line ? line + 1 : line;
}

char *visitor_load(const char *url)
{
    struct buf path, text;
    char *found = NULL;
    if (put_path(&path)) {
        read_file(buf_str(&path), &text);
        for (const char *line = buf_str(&text); *line && !found; line = next_line(line)) {
            const char *visitor = visitor_of(line, url);
            if (visitor && *visitor != '\n')
                found = mem_dupn(visitor, strcspn(visitor, "\n"));
        }
        buf_free(&text);
    }
    buf_free(&path);
    return found;
}

/* The file with this visitor as the newest. */
static void put_lines(struct buf *out, const char *old, const char *url, const char *visitor)
{
    buf_init(out, SIZE_MAX);
    for (const char *line = old, *next; *line; line = next) {
        next = next_line(line);
        if (!visitor_of(line, url))
            buf_add(out, line, (size_t)(next - line));
    }
    buf_addf(out, "%s %s\n", url, visitor);
    while (out->len > VISITORS_BYTES_MAX)
        buf_drop(out, (size_t)(next_line(out->data) - out->data));
}

static enum err_code failed(struct err *e, const char *path)
{
    return err_set(e, ERR_IO, "%s: %s", path, strerror(errno));
}

static enum err_code make_folders(char *path, struct err *e)
{
    for (char *slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        if (mkdir(path, 0700) != 0 && errno != EEXIST)
            return failed(e, path);
        *slash = '/';
    }
    return ERR_OK;
}

static bool write_all(int fd, const struct buf *text)
{
    FILE *f = fdopen(fd, "w");
    if (!f) {
        close(fd);
        return false;
    }
    bool ok = fwrite(text->data, 1, text->len, f) == text->len;
    return fclose(f) == 0 && ok;
}

/* By a new file that takes the old one's place: another chat may be reading it. */
static enum err_code replace_file(const char *path, const struct buf *text, struct err *e)
{
    struct buf fresh;
    buf_init(&fresh, PATH_BYTES_MAX + 8);
    buf_addf(&fresh, "%s.XXXXXX", path);
    int fd = mkstemp(fresh.data);
    if (fd < 0 || !write_all(fd, text) || rename(fresh.data, path) != 0) {
        failed(e, path);
        if (fd >= 0)
            unlink(fresh.data);
        buf_free(&fresh);
        return ERR_IO;
    }
    buf_free(&fresh);
    return ERR_OK;
}

enum err_code visitor_save(const char *url, const char *visitor, struct err *e)
{
    struct buf path, old, lines;
    if (!put_path(&path))
        return err_set(e, ERR_NOT_FOUND, "neither XDG_STATE_HOME nor HOME is set");
    enum err_code code = make_folders(path.data, e);
    if (code == ERR_OK) {
        read_file(path.data, &old);
        put_lines(&lines, buf_str(&old), url, visitor);
        code = replace_file(path.data, &lines, e);
        buf_free(&old);
        buf_free(&lines);
    }
    buf_free(&path);
    return code;
}
