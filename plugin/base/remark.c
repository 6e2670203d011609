#include "plugin/base/remark.h"

#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "plugin/base/json.h"
#include "plugin/base/mem.h"
#include "plugin/base/utf8.h"

static void forget(struct remark **list, struct remark *r)
{
    DL_DELETE(*list, r);
    free(r->what);
    free(r->text);
    free(r);
}

static char *cleaned(const char *text)
{
    struct buf clean;
    buf_init(&clean, 6U * REMARK_BYTES_MAX); /* a bad byte becomes three */
    utf8_clean(&clean, text, strnlen(text, 2U * REMARK_BYTES_MAX));
    char *cut = mem_dupn(buf_str(&clean), utf8_cut(buf_str(&clean), clean.len, REMARK_BYTES_MAX));
    buf_free(&clean);
    return cut;
}

bool remark_set(struct remark **list, const char *what, const char *text)
{
    struct remark *r;
    size_t n = 0;
    DL_FOREACH(*list, r) {
        if (strcmp(r->what, what) == 0)
            break;
        n++;
    }
    if (!text) {
        if (r)
            forget(list, r);
        return r != NULL;
    }
    if (!r) {
        if (n == REMARKS_MAX)
            return false;
        r = mem_alloc(sizeof(*r));
        r->what = mem_dup(what);
        DL_APPEND(*list, r);
    }
    char *clean = cleaned(text);
    bool news = !r->text || strcmp(r->text, clean) != 0;
    free(r->text);
    r->text = clean;
    return news;
}

void remark_free_all(struct remark **list)
{
    while (*list)
        forget(list, *list);
}

const struct remark *remark_find(const struct remark *list, const char *text)
{
    const struct remark *r;
    DL_FOREACH(list, r)
        if (strcmp(r->text, text) == 0)
            break;
    return r;
}

void remark_report(const struct remark *list, struct buf *json)
{
    if (!list)
        return;
    buf_adds(json, ",\"remarks\":[");
    for (const struct remark *r = list; r; r = r->next) {
        if (r != list)
            buf_addc(json, ',');
        json_quote(json, r->text);
    }
    buf_addc(json, ']');
}
