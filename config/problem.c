#include "config/problem.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config/config.h"
#include "config/source.h"
#include "plugin/base/mem.h"
#include "plugin/base/utf8.h"

#define REPORT_BYTES_MAX (4u << 20) /* PROBLEMS_MAX long texts behind long paths fit */

struct problem {
    bool error;
    char *file;
    int line;
    size_t order; /* of discovery: keeps the sort stable */
    char *text;
};

void problems_init(struct problems *p, const char *file, const char *folder)
{
    *p = (struct problems){ .file = file, .folder = folder };
}

void problems_fini(struct problems *p)
{
    for (size_t i = 0; i < p->n; i++) {
        free(p->v[i].file);
        free(p->v[i].text);
    }
    free(p->v);
    *p = (struct problems){ 0 };
}

/* Where vsnprintf cut, it may have cut a character in two. */
static void drop_last_character(char *text)
{
    size_t len = strlen(text);

    while (len > 0 && ((unsigned char)text[len - 1] & 0xC0) == 0x80)
        len--;
    text[len > 0 ? len - 1 : 0] = '\0';
}

static void add(struct problems *p, bool error, struct place at, const char *fmt, va_list args)
    __attribute__((format(printf, 4, 0)));

static void add(struct problems *p, bool error, struct place at, const char *fmt, va_list args)
{
    char text[PROBLEM_BYTES];
    struct problem *new;

    if (error)
        p->n_errors++;
    else
        p->n_warnings++;
    if (p->n == PROBLEMS_MAX)
        return;
    if (vsnprintf(text, sizeof text, fmt, args) >= (int)sizeof text)
        drop_last_character(text);
    p->v = mem_resize(p->v, p->n + 1, sizeof *p->v);
    new = &p->v[p->n];
    *new = (struct problem){ error, at.file ? source_included(at.file, p->folder) : mem_dup(p->file), at.line, p->n,
                             mem_dup(text) };
    p->n++;
}

void problem_error(struct problems *p, struct place at, const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    add(p, true, at, fmt, args);
    va_end(args);
}

void problem_warning(struct problems *p, struct place at, const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    add(p, false, at, fmt, args);
    va_end(args);
}

static int by_place(const void *left, const void *right, void *main_file)
{
    const struct problem *a = left, *b = right;
    bool a_main = strcmp(a->file, main_file) == 0, b_main = strcmp(b->file, main_file) == 0;

    if (a_main != b_main)
        return a_main ? -1 : 1;
    if (strcmp(a->file, b->file) != 0)
        return strcmp(a->file, b->file);
    if (a->line != b->line)
        return a->line < b->line ? -1 : 1;
    return a->order < b->order ? -1 : 1;
}

static void report_one(const struct problem *p, struct buf *out)
{
    if (p->line > 0)
        buf_addf(out, "%s:%d: %s\n", p->file, p->line, p->text);
    else
        buf_addf(out, "%s: %s\n", p->file, p->text);
}

void problems_report(struct problems *p, struct config_report *report)
{
    if (p->n > 0)
        qsort_r(p->v, p->n, sizeof *p->v, by_place, (void *)p->file);
    for (size_t i = 0; i < p->n; i++)
        report_one(&p->v[i], p->v[i].error ? &report->errors : &report->warnings);
    if (p->n_errors + p->n_warnings > p->n)
        buf_addf(&report->errors, "%s: %zu more problems are not shown\n", p->file,
                 p->n_errors + p->n_warnings - p->n);
    report->n_errors += p->n_errors;
    report->n_warnings += p->n_warnings;
}

void config_report_init(struct config_report *r)
{
    *r = (struct config_report){ 0 };
    buf_init(&r->errors, REPORT_BYTES_MAX);
    buf_init(&r->warnings, REPORT_BYTES_MAX);
}

void config_report_fini(struct config_report *r)
{
    buf_free(&r->errors);
    buf_free(&r->warnings);
    r->n_errors = r->n_warnings = 0;
}

const char *problem_show(char out[SHOWN_BYTES], const char *value)
{
    static const char cut[] = "…";
    struct buf clean;
    size_t len;

    buf_init(&clean, strlen(value) * 3 + 1); /* U+FFFD is three bytes */
    utf8_clean(&clean, value, strlen(value));
    len = utf8_cut(buf_str(&clean), clean.len, SHOWN_BYTES - sizeof cut);
    snprintf(out, SHOWN_BYTES, "%.*s%s", (int)len, buf_str(&clean), len < clean.len ? cut : "");
    for (char *c = out; *c; c++)
        if (*c == '\n' || *c == '\t')
            *c = ' ';
    buf_free(&clean);
    return out;
}
