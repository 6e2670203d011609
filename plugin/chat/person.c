#include "plugin/chat/person.h"

#include <string.h>

#include "plugin/base/log.h"
#include "plugin/base/secret.h"
#include "plugin/chat/core.h"

#define SALT_ACCOUNT "" /* the salt is nobody's fact */
#define SALT_KEY "person_salt"
#define TEXT_BYTES_MAX 4096U

static void on_written(void *arg, const struct err *e)
{
    struct chat *core = arg;
    if (!e->code)
        return;
    log_warn("chat", "cannot keep the salt of people's pseudonyms: %s", e->text);
    core->person_salt[0] = '\0';
}

static void on_read(void *arg, const char *value, int64_t expires_ms, const struct err *e)
{
    struct chat *core = arg;
    (void)expires_ms;
    if (e->code) {
        log_warn("chat", "cannot read the salt of people's pseudonyms: %s", e->text);
    } else if (value && strlen(value) == PERSON_SALT_DIGITS) {
        memcpy(core->person_salt, value, PERSON_SALT_DIGITS + 1);
    } else {
        random_hex(core->person_salt, PERSON_SALT_DIGITS / 2);
        store_kv_put(core->env.store, SALT_ACCOUNT, SALT_KEY, core->person_salt, 0, on_written, core);
    }
}

void person_begin(struct chat *core)
{
    store_kv_get(core->env.store, SALT_ACCOUNT, SALT_KEY, on_read, core);
}

bool person_of(char out[PERSON_DIGITS + 1], const struct chat *core, const char *account, const char *sender)
{
    struct buf text;
    char hash[65];
    if (!core->person_salt[0])
        return false;
    buf_init(&text, TEXT_BYTES_MAX);
    buf_adds(&text, core->person_salt);
    buf_add(&text, account, strlen(account) + 1); /* the NUL parts the two */
    bool fits = buf_adds(&text, sender) == ERR_OK;
    sha256_hex(hash, buf_str(&text), text.len);
    buf_free(&text);
    memcpy(out, hash, PERSON_DIGITS);
    out[PERSON_DIGITS] = '\0';
    return fits;
}
