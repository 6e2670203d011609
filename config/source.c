#include "config/source.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "plugin/base/buf.h"
#include "plugin/base/mem.h"

static const char *after(const char *text, const char *prefix)
{
    size_t len = strlen(prefix);

    return strncmp(text, prefix, len) == 0 ? text + len : NULL;
}

/* An exported but empty variable is what `X= make run` leaves behind: it counts as unset. */
static const char *environment(const char *name, struct err *e)
{
    const char *value = getenv(name);

    if (!value)
        err_set(e, ERR_NOT_FOUND, "the environment variable %s is not set", name);
    else if (!*value)
        err_set(e, ERR_NOT_FOUND, "the environment variable %s is empty", name);
    return value && *value ? value : NULL;
}

/* Keys end up in HTTP headers, so a second line or a control character is
 * never part of one. */
static enum err_code take_line(const char *value, size_t len, struct secret *out, struct err *e)
{
    while (len > 0 && (value[len - 1] == '\n' || value[len - 1] == '\r'))
        len--;
    if (len == 0)
        return err_set(e, ERR_INVALID, "the secret is empty");
    if (len > SECRET_BYTES_MAX)
        return err_set(e, ERR_TOO_LARGE, "the secret is longer than %d bytes", SECRET_BYTES_MAX);
    for (size_t i = 0; i < len; i++)
        if ((unsigned char)value[i] < ' ' || value[i] == 0x7F)
            return err_set(e, ERR_INVALID, "the secret has a control character or more than one line");
    secret_set(out, value, len);
    return ERR_OK;
}

static enum err_code read_secret_file(const char *path, struct secret *out, struct err *e)
{
    char data[SECRET_BYTES_MAX + 3]; /* one byte more than a legal secret with CR LF behind it */
    FILE *f = fopen(path, "re");
    enum err_code code;
    size_t len;

    if (!f)
        return err_set(e, ERR_IO, "cannot read %s: %s", path, strerror(errno));
    setvbuf(f, NULL, _IONBF, 0); /* no second copy of the key in a buffer of stdio */
    len = fread(data, 1, sizeof data, f);
    if (ferror(f))
        code = err_set(e, ERR_IO, "cannot read %s: %s", path, strerror(errno));
    else if ((code = take_line(data, len, out, e)) != ERR_OK)
        err_prefix(e, "%s", path);
    fclose(f);
    OPENSSL_cleanse(data, sizeof data);
    return code;
}

static enum err_code read_credential(const char *name, struct secret *out, struct err *e)
{
    const char *folder = getenv("CREDENTIALS_DIRECTORY");
    enum err_code code;
    char *path;

    if (!*name || strchr(name, '/') || strcmp(name, "..") == 0 || strcmp(name, ".") == 0)
        return err_set(e, ERR_INVALID, "behind cred: stands the name of a systemd credential, without a slash");
    if (!folder || !*folder)
        return err_set(e, ERR_IO, "cred:%s needs a systemd unit with LoadCredential=%s:… "
                                  "(CREDENTIALS_DIRECTORY is not set)", name, name);
    path = source_path(name, folder);
    code = read_secret_file(path, out, e);
    free(path);
    return code;
}

char *source_secret_file(const char *text, const char *folder)
{
    const char *path = after(text, "file:");

    return path ? source_path(path, folder) : NULL;
}

bool source_is_literal(const char *secret_text)
{
    return !after(secret_text, "env:") && !after(secret_text, "file:") && !after(secret_text, "cred:");
}

enum err_code source_secret(const char *text, const char *folder, struct secret *out, struct err *e)
{
    const char *rest, *value;
    enum err_code code;
    char *path;

    if ((rest = after(text, "env:"))) {
        value = environment(rest, e);
        return value ? take_line(value, strlen(value), out, e) : ERR_NOT_FOUND;
    }
    if ((rest = after(text, "cred:")))
        return read_credential(rest, out, e);
    if ((path = source_secret_file(text, folder))) {
        code = read_secret_file(path, out, e);
        free(path);
        return code;
    }
    return take_line(text, strlen(text), out, e);
}

char *source_string(const char *text, struct err *e)
{
    const char *rest = after(text, "env:"), *bar, *value;
    char *name;

    if (!rest)
        return mem_dup(text);
    bar = strchr(rest, '|');
    name = mem_dupn(rest, bar ? (size_t)(bar - rest) : strlen(rest));
    value = environment(name, e);
    free(name);
    if (!value && bar)
        value = bar + 1;
    return mem_dup(value);
}

char *source_path(const char *path, const char *folder)
{
    size_t len = strlen(folder);
    struct buf out;

    if (path[0] == '/')
        return mem_dup(path);
    /* Without this, logs and messages say /srv/warbler/config/../data. */
    for (;;) {
        if (after(path, "./")) {
            path += 2;
        } else if (after(path, "../")) {
            path += 3;
            while (len > 0 && folder[--len] != '/')
                ;
        } else {
            break;
        }
    }
    buf_init(&out, len + strlen(path) + 1);
    buf_add(&out, folder, len);
    if (len == 0 || folder[len - 1] != '/')
        buf_addc(&out, '/');
    buf_adds(&out, path);
    return buf_take(&out);
}

char *source_included(const char *file, const char *folder)
{
    return access(file, F_OK) == 0 ? mem_dup(file) : source_path(file, folder);
}

void source_note(struct strings *files, const char *path)
{
    if (!files)
        return;
    files->v = mem_resize(files->v, files->n + 1, sizeof *files->v);
    files->v[files->n++] = mem_dup(path);
}
