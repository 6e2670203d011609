#include "config/tree.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "config/source.h"
#include "config/syntax.h"
#include "plugin/base/buf.h"
#include "plugin/base/mem.h"

#define INCLUDES_MAX 64      /* files that are checked */
#define INCLUDE_DEPTH_MAX 10 /* files inside each other, as many as libconfig takes */

static const char byte_order_mark[] = "\xEF\xBB\xBF"; /* some editors begin a file with it; libconfig refuses it */

static const char *read_all(FILE *f, struct buf *out)
{
    char piece[4096];
    size_t n;

    if (!f)
        return strerror(errno);
    while ((n = fread(piece, 1, sizeof piece, f)) > 0)
        buf_add(out, piece, n);
    if (ferror(f))
        return strerror(errno);
    buf_addc(out, '\n'); /* libconfig wants one behind a comment at the end */
    if (buf_error(out) != ERR_OK)
        return "it is larger than a megabyte";
    return strlen(buf_str(out)) == out->len ? NULL : "there is a zero byte in it: is it text in UTF-8?";
}

/* The file's text, or NULL and a problem. The caller frees. */
static char *read_text(const char *file, struct problems *problems)
{
    FILE *f = fopen(file, "re");
    const char *wrong, *start;
    struct buf text;
    char *copy;

    buf_init(&text, TREE_FILE_BYTES_MAX);
    wrong = read_all(f, &text);
    if (f)
        fclose(f);
    if (wrong)
        problem_error(problems, (struct place){ .file = file }, "cannot be read: %s", wrong);
    start = buf_str(&text);
    if (strncmp(start, byte_order_mark, strlen(byte_order_mark)) == 0)
        start += strlen(byte_order_mark);
    copy = wrong ? NULL : mem_dup(start);
    buf_free(&text);
    return copy;
}

/* What libconfig says in three words. */
static const char *in_plain_words(const char *libconfig_text)
{
    static const struct {
        const char *terse, *plain;
    } texts[] = {
        { "duplicate setting name", "the same setting stands twice in this group" },
        { "mismatched element type in array", "all entries of a list in [ ] must be of the same kind; ( ) takes any" },
        { "cannot open include file", "the file to @include cannot be read" },
        { "include file nesting too deep", "files @include each other too deeply" },
    };

    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        if (strcmp(libconfig_text, texts[i].terse) == 0)
            return texts[i].plain;
    return libconfig_text;
}

static void report(struct problems *problems, const char *file, const struct syntax_error *found)
{
    problem_error(problems, (struct place){ file, found->line }, "%s", found->text);
}

/* libconfig refused the main file, whose own grammar is fine, or one that it includes. */
static void explain(const config_t *tree, const char *folder, struct problems *problems)
{
    const char *file = config_error_file(tree), *said = config_error_text(tree);
    char *path = file ? source_included(file, folder) : NULL, *text = path ? read_text(path, problems) : NULL;
    struct syntax_error found;

    if (text && syntax_find(text, &found))
        report(problems, file, &found);
    else
        problem_error(problems, (struct place){ file, config_error_line(tree) }, "%s",
                      said ? in_plain_words(said) : "cannot be read");
    free(text);
    free(path);
}

static void check_silent(const char *file, const char *text, struct problems *problems)
{
    struct syntax_error found;
    int line = 1;

    while (syntax_find_silent(&text, &line, &found))
        report(problems, file, &found);
}

struct included {
    const char *files[INCLUDES_MAX]; /* libconfig keeps one string per file */
    size_t n;
};

static void find_included(const config_setting_t *s, struct included *in)
{
    const char *file = config_setting_source_file(s);
    size_t i = 0;

    while (i < in->n && in->files[i] != file)
        i++;
    if (file && i == in->n && i < INCLUDES_MAX)
        in->files[in->n++] = file;
    if (!config_setting_is_aggregate(s))
        return;
    for (int e = 0; e < config_setting_length(s); e++)
        find_included(config_setting_get_elem(s, (unsigned)e), in);
}

static void check_included(const config_t *tree, const char *folder, struct strings *files, struct problems *problems)
{
    struct included in = { .n = 0 };

    find_included(config_root_setting(tree), &in);
    for (size_t i = 0; i < in.n; i++) {
        char *path = source_included(in.files[i], folder), *text = read_text(path, problems);

        if (text)
            check_silent(in.files[i], text, problems);
        source_note(files, path);
        free(text);
        free(path);
    }
}

/* libconfig ends the whole process over a folder where it expects a file. Its own
 * word on files that are not there, or too deep in each other, stands. */
static bool includes_files(const char *file, const char *text, const char *folder, int depth, struct problems *problems)
{
    bool fine = true;
    int line = 1;
    char *name;

    while (fine && depth < INCLUDE_DEPTH_MAX && (name = syntax_find_include(&text, &line))) {
        char *path = source_included(name, folder), *inner = NULL;
        struct stat st;
        bool there = stat(path, &st) == 0;

        if (there && S_ISDIR(st.st_mode)) {
            problem_error(problems, (struct place){ file, line }, "what it is to @include is a folder");
            fine = false;
        } else if (there) {
            inner = read_text(path, problems);
            fine = inner && includes_files(path, inner, folder, depth + 1, problems);
        }
        free(inner);
        free(path);
        free(name);
    }
    return fine;
}

bool tree_read(config_t *tree, const char *file, const char *folder, struct strings *files, struct problems *problems)
{
    char *text = read_text(file, problems);
    struct syntax_error found;
    bool fine = false;

    config_set_include_dir(tree, folder);
    /* libconfig sees only texts of a sound grammar: its parser loses memory over others. */
    if (text && syntax_find(text, &found))
        report(problems, NULL, &found);
    else if (text && includes_files(NULL, text, folder, 0, problems) && !(fine = config_read_string(tree, text)))
        explain(tree, folder, problems);
    if (fine) {
        check_silent(NULL, text, problems);
        source_note(files, file);
        check_included(tree, folder, files, problems);
    }
    free(text);
    return fine;
}
