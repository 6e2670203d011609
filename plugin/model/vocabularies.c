#include "plugin/model/vocabularies.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <utlist.h>

#include "plugin/base/log.h"
#include "plugin/base/mem.h"

/* One state of a file: it stays when a newer one takes its place, because
 * histories still know it by its address. */
struct item {
    struct item *next;
    char *file; /* NULL: there is a newer one */
    struct stat stat;
    struct vocabulary *vocabulary; /* NULL: cannot be used */
};

struct vocabularies {
    struct item *items;
};

struct vocabularies *vocabularies_new(void)
{
    return mem_alloc(sizeof(struct vocabularies));
}

static void forget_file(struct item *i)
{
    free(i->file);
    i->file = NULL;
}

void vocabularies_free(struct vocabularies **vs)
{
    struct item *i, *tmp;
    if (!*vs)
        return;
    LL_FOREACH_SAFE((*vs)->items, i, tmp) {
        forget_file(i);
        vocabulary_free(&i->vocabulary);
        free(i);
    }
    free(*vs);
    *vs = NULL;
}

static struct item *read_item(const char *file)
{
    struct item *i = mem_alloc(sizeof *i);
    struct err e = ERR_INIT;
    i->file = mem_dup(file);
    if (stat(file, &i->stat) != 0)
        memset(&i->stat, 0, sizeof i->stat);
    if (vocabulary_load(file, &i->vocabulary, &e))
        log_error("model", "tokens are estimated, not counted: %s", e.text);
    return i;
}

const struct vocabulary *vocabularies_get(struct vocabularies *vs, const char *file)
{
    struct item *i;
    if (!file)
        return NULL;
    LL_FOREACH(vs->items, i)
        if (i->file && strcmp(i->file, file) == 0)
            return i->vocabulary;
    i = read_item(file);
    LL_PREPEND(vs->items, i);
    return i->vocabulary;
}

static bool same_file(const struct stat *a, const struct stat *b)
{
    return a->st_dev == b->st_dev && a->st_ino == b->st_ino && a->st_size == b->st_size &&
           a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

void vocabularies_refresh(struct vocabularies *vs)
{
    struct item *i;
    struct stat now;
    LL_FOREACH(vs->items, i)
        if (i->file && (!i->vocabulary || stat(i->file, &now) != 0 || !same_file(&now, &i->stat)))
            forget_file(i);
}
