#include "config/syntax.h"

#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "plugin/base/mem.h"

#define DEPTH_MAX 32   /* levels of brackets; our own files have 3 */
#define WORD_SHOWN 32  /* bytes of a word in a message */

enum token_kind {
    TOKEN_END,
    TOKEN_NAME,
    TOKEN_SCALAR,  /* number, true, false */
    TOKEN_STRING,
    TOKEN_SIGN,    /* one of = : ; , ( ) [ ] { } */
    TOKEN_INCLUDE, /* @include */
    TOKEN_STRAY,   /* anything else */
};

struct token {
    enum token_kind kind;
    const char *at;
    size_t len;
    int line;
    bool closed; /* a string that has its closing quote */
};

struct parser {
    const char *next; /* behind the current token */
    int line;         /* of next */
    struct token token, last;
    struct token suspect; /* a text whose closing quote may have been forgotten */
    int suspect_end;      /* the line where it ends */
    int depth;
    struct syntax_error *error;
};

static bool mistake(struct parser *p, int line, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* Bytes of a token that a message shows: one line of it, and not too much. */
static int shown(const struct token *t)
{
    size_t len = 0;

    while (len < t->len && len < WORD_SHOWN && t->at[len] != '\n' && t->at[len] != '\r')
        len++;
    while (len > 0 && len < t->len && ((unsigned char)t->at[len] & 0xC0) == 0x80)
        len--; /* not within a character */
    return (int)len;
}

/* Always false, so that a caller ends with `return mistake(…)`. */
static bool mistake(struct parser *p, int line, const char *fmt, ...)
{
    bool unclosed = p->suspect.kind == TOKEN_STRING && p->suspect_end == line;
    char *text = p->error->text;
    va_list args;

    if (unclosed)
        text += snprintf(text, SYNTAX_BYTES, "is the closing \" of the text %.*s missing? In line %d, ",
                         shown(&p->suspect), p->suspect.at, line);
    p->error->line = unclosed ? p->suspect.line : line;
    va_start(args, fmt);
    vsnprintf(text, SYNTAX_BYTES - (size_t)(text - p->error->text), fmt, args);
    va_end(args);
    return false;
}

/* --- tokens --------------------------------------------------------------- */

static const char *skip_comment(const char *c)
{
    const char *end;

    if (*c == '#' || (c[0] == '/' && c[1] == '/'))
        return c + strcspn(c, "\n");
    if (c[0] == '/' && c[1] == '*' && (end = strstr(c + 2, "*/")))
        return end + 2;
    return c;
}

static void count_lines(struct parser *p, const char *from)
{
    for (; from < p->next; from++)
        p->line += *from == '\n';
}

static void skip_blanks(struct parser *p)
{
    const char *from = p->next, *before;

    do {
        before = p->next;
        p->next += strspn(p->next, " \t\r\n\f\v");
        p->next = skip_comment(p->next);
    } while (p->next != before);
    count_lines(p, from);
}

static const char *skip_string(const char *c, bool *closed_r)
{
    for (c++; *c && *c != '"'; c++)
        if (*c == '\\' && c[1])
            c++;
    *closed_r = *c == '"';
    return c + *closed_r;
}

static const char *skip_digits(const char *c)
{
    return c + strspn(c, "0123456789");
}

static const char *skip_suffix(const char *c) /* of a 64-bit number */
{
    return c + (*c == 'L') + (c[0] == 'L' && c[1] == 'L');
}

static const char *skip_number(const char *c)
{
    const char *digits, *end, *exponent;

    if (c[0] == '0' && (c[1] == 'x' || c[1] == 'X'))
        return skip_suffix(c + 2 + strspn(c + 2, "0123456789abcdefABCDEF"));
    digits = c + (*c == '-' || *c == '+');
    end = skip_digits(digits);
    if (end == digits && *end != '.')
        return c;
    if (*end != '.' && *end != 'e' && *end != 'E')
        return skip_suffix(end);
    if (*end == '.')
        end = skip_digits(end + 1);
    if (*end != 'e' && *end != 'E')
        return end;
    exponent = end + 1 + (end[1] == '+' || end[1] == '-');
    return skip_digits(exponent) > exponent ? skip_digits(exponent) : end;
}

static bool is_scalar(const char *word, size_t len)
{
    return (len == 4 && strncasecmp(word, "true", 4) == 0) || (len == 5 && strncasecmp(word, "false", 5) == 0) ||
           skip_number(word) == word + len;
}

static bool is_name(const char *word, size_t len)
{
    if (!isalpha((unsigned char)*word) && *word != '*')
        return false;
    for (size_t i = 0; i < len; i++)
        if (!isalnum((unsigned char)word[i]) && !strchr("-_*", word[i]))
            return false;
    return true;
}

static enum token_kind kind_of(const char *word, size_t len)
{
    if (is_scalar(word, len))
        return TOKEN_SCALAR;
    return is_name(word, len) ? TOKEN_NAME : TOKEN_STRAY;
}

/* Where a closing quote was forgotten, the next text's opening quote closes it,
 * and what that text says is then in the way: right behind the quote, or behind
 * a text that goes over several lines. It is the likelier mistake on that line. */
static void suspect_open_quote(struct parser *p)
{
    const struct token *t = &p->token, *last = &p->last;
    bool glued = last->kind == TOKEN_STRING && last->at + last->len == t->at &&
                 (t->kind == TOKEN_NAME || t->kind == TOKEN_SCALAR || t->kind == TOKEN_STRAY);

    if (p->suspect_end == t->line)
        return; /* what follows on that line is in disorder */
    if (glued)
        p->suspect = *last;
    else if (t->kind == TOKEN_STRING && t->closed && p->line > t->line)
        p->suspect = *t;
    else
        return;
    p->suspect_end = p->line;
}

static void advance(struct parser *p)
{
    struct token *t = &p->token;

    p->last = *t;
    skip_blanks(p);
    *t = (struct token){ .at = p->next, .line = p->line };
    if (!*t->at) {
        t->kind = TOKEN_END;
    } else if (*t->at == '"') {
        t->kind = TOKEN_STRING;
        p->next = skip_string(t->at, &t->closed);
    } else if (strchr("=:;,()[]{}", *t->at)) {
        t->kind = TOKEN_SIGN;
        p->next++;
    } else if (strncmp(t->at, "@include", 8) == 0) {
        t->kind = TOKEN_INCLUDE;
        p->next += 8;
    } else {
        p->next += strcspn(t->at, " \t\r\n\f\v\"=:;,()[]{}#/");
        p->next += p->next == t->at; /* moves on whatever comes */
        t->kind = kind_of(t->at, (size_t)(p->next - t->at));
    }
    t->len = (size_t)(p->next - t->at);
    count_lines(p, t->at);
    suspect_open_quote(p);
}

static bool at_sign(const struct parser *p, char sign)
{
    return p->token.kind == TOKEN_SIGN && *p->token.at == sign;
}

/* --- mistakes that can stand anywhere ------------------------------------- */

static bool is_open_comment(const struct token *t)
{
    return t->kind == TOKEN_STRAY && t->at[0] == '/' && t->at[1] == '*';
}

static bool open_comment(struct parser *p)
{
    return mistake(p, p->token.line, "the comment that begins here has no closing */");
}

static char opening_of(char closing)
{
    return closing == ')' ? '(' : closing == ']' ? '[' : closing == '}' ? '{' : '\0';
}

/* What is wrong with the current token wherever it stands. open is the
 * bracket it is in, or NULL. True: none of this is. */
static bool sane(struct parser *p, const struct token *open)
{
    const struct token *t = &p->token;

    if (t->kind == TOKEN_STRING && !t->closed)
        return mistake(p, t->line, "the text that begins here has no closing \"");
    if (is_open_comment(t))
        return open_comment(p);
    if (t->kind == TOKEN_END && open)
        return mistake(p, open->line, "this %c is never closed", *open->at);
    if (t->kind != TOKEN_SIGN || !opening_of(*t->at))
        return true;
    if (!open)
        return mistake(p, t->line, "nothing is open that this %c could close", *t->at);
    if (opening_of(*t->at) != *open->at)
        return mistake(p, t->line, "this %c does not close the %c of line %d", *t->at, *open->at, open->line);
    return true;
}

/* The general "not here". */
static bool unexpected(struct parser *p, const struct token *open, const char *wanted)
{
    const struct token *t = &p->token;

    if (!sane(p, open))
        return false;
    if (t->kind == TOKEN_END)
        return mistake(p, t->line, "the file ends where %s is expected", wanted);
    return mistake(p, t->line, "expected %s here, not %.*s", wanted, shown(t), t->at);
}

/* --- whole numbers -------------------------------------------------------- */

static bool is_whole(const struct token *t)
{
    bool hex = t->len > 2 && t->at[0] == '0' && (t->at[1] == 'x' || t->at[1] == 'X');

    return t->kind == TOKEN_SCALAR && strcspn(t->at, hex ? "." : ".eEtTfF") >= t->len;
}

/* libconfig 1.5 reads 010 as ten and cuts what has more than 64 bits; 1.7 reads
 * 010 as eight, and calls 09 and what is too large syntax errors. */
static bool read_alike(struct parser *p)
{
    const struct token *t = &p->token;
    const char *digits = t->at + (*t->at == '-' || *t->at == '+');

    if (*digits == '0' && isdigit((unsigned char)digits[1]))
        return mistake(p, t->line, "a whole number must not begin with a 0: %.*s", shown(t), t->at);
    errno = 0;
    (void)strtoll(t->at, NULL, 0);
    return errno != ERANGE || mistake(p, t->line, "%.*s is larger than any number can be", shown(t), t->at);
}

/* --- grammar -------------------------------------------------------------- */

static bool parse_value(struct parser *p, const struct token *open);

static bool is_quote_of_another_kind(const struct token *t)
{
    return *t->at == '\'' || strncmp(t->at, "“", 3) == 0 || strncmp(t->at, "”", 3) == 0 || strncmp(t->at, "„", 3) == 0;
}

static bool not_a_value(struct parser *p, const struct token *open)
{
    const struct token *t = &p->token;
    const char *behind = p->next + strspn(p->next, " \t");

    if (t->kind == TOKEN_STRAY && is_quote_of_another_kind(t))
        return mistake(p, t->line, "texts stand in straight double quotes: \"…\"");
    if (t->kind == TOKEN_NAME && open && *open->at == '(' && (*behind == '=' || *behind == ':'))
        return mistake(p, t->line, "settings in a list stand in braces: ( { %.*s = …; } )", shown(t), t->at);
    if ((t->kind == TOKEN_NAME || t->kind == TOKEN_STRAY) && t->at[0] != '/')
        return mistake(p, t->line, "%.*s must stand in quotes: \"%.*s\"", shown(t), t->at, shown(t), t->at);
    if (at_sign(p, ',') || at_sign(p, ';'))
        return mistake(p, t->line, "a value is missing before this %c", *t->at);
    return unexpected(p, open, "a value");
}

static bool parse_next_entry(struct parser *p, const struct token *open)
{
    if (at_sign(p, ';'))
        return mistake(p, p->token.line, "the entries of a list are separated by commas, not by ;");
    if (!at_sign(p, ',')) {
        if (!sane(p, open))
            return false;
        return mistake(p, p->token.line, "a comma is missing before this entry of the list");
    }
    advance(p);
    if (p->token.kind == TOKEN_SIGN && opening_of(*p->token.at) == *open->at)
        return mistake(p, p->last.line, "there must be no comma behind the last entry of a list");
    return true;
}

static bool parse_list(struct parser *p)
{
    struct token open = p->token;
    char closing = *open.at == '(' ? ')' : ']';

    advance(p);
    while (!at_sign(p, closing)) {
        if (closing == ']' && p->token.kind == TOKEN_SIGN && strchr("([{", *p->token.at))
            return mistake(p, p->token.line, "only texts or numbers may stand in [ ]; use ( )");
        if (!parse_value(p, &open))
            return false;
        if (!at_sign(p, closing) && !parse_next_entry(p, &open))
            return false;
    }
    advance(p);
    return true;
}

static bool parse_include(struct parser *p, const struct token *open)
{
    advance(p);
    if (p->token.kind != TOKEN_STRING)
        return unexpected(p, open, "a file's name in quotes");
    advance(p);
    return true;
}

static bool parse_setting(struct parser *p, const struct token *open)
{
    if (p->token.kind == TOKEN_INCLUDE)
        return parse_include(p, open);
    if (p->token.kind != TOKEN_NAME)
        return unexpected(p, open, "the name of a setting");
    advance(p);
    if (!at_sign(p, '=') && !at_sign(p, ':'))
        return mistake(p, p->last.line, "a = is missing behind %.*s", shown(&p->last), p->last.at);
    advance(p);
    if (!parse_value(p, open))
        return false;
    if (at_sign(p, ';') || at_sign(p, ','))
        advance(p);
    return true;
}

static bool parse_group(struct parser *p)
{
    struct token open = p->token;

    advance(p);
    while (!at_sign(p, '}'))
        if (!parse_setting(p, &open))
            return false;
    advance(p);
    return true;
}

static bool parse_nested(struct parser *p)
{
    bool fine;

    if (p->depth == DEPTH_MAX)
        return mistake(p, p->token.line, "more than %d brackets inside each other", DEPTH_MAX);
    p->depth++;
    fine = at_sign(p, '{') ? parse_group(p) : parse_list(p);
    p->depth--;
    return fine;
}

static bool parse_value(struct parser *p, const struct token *open)
{
    if (at_sign(p, '{') || at_sign(p, '(') || at_sign(p, '['))
        return parse_nested(p);
    if (p->token.kind == TOKEN_SCALAR) {
        if (is_whole(&p->token) && !read_alike(p))
            return false;
        advance(p);
        return true;
    }
    if (p->token.kind != TOKEN_STRING)
        return not_a_value(p, open);
    while (p->token.kind == TOKEN_STRING) { /* side by side: joined */
        if (!sane(p, open))
            return false;
        advance(p);
    }
    return true;
}

bool syntax_find(const char *text, struct syntax_error *error_r)
{
    struct parser p = { .next = text, .line = 1, .error = error_r };

    *error_r = (struct syntax_error){ 0 };
    advance(&p);
    while (p.token.kind != TOKEN_END)
        if (!parse_setting(&p, NULL))
            return true;
    return false;
}

/* --- what libconfig passes over -------------------------------------------- */

static void check_number(struct parser *p)
{
    const struct token *t = &p->token;
    bool has_suffix = t->at[t->len - 1] == 'L';
    long long value = strtoll(t->at, NULL, 0);

    if (!has_suffix && (value > INT32_MAX || value < INT32_MIN))
        mistake(p, t->line, "so large a number needs an L behind it: %.*sL", shown(t), t->at);
}

bool syntax_find_silent(const char **from, int *line, struct syntax_error *error_r)
{
    struct parser p = { .next = *from, .line = *line, .error = error_r };

    *error_r = (struct syntax_error){ 0 };
    do {
        advance(&p);
        if (is_whole(&p.token))
            check_number(&p);
        if (is_open_comment(&p.token)) {
            open_comment(&p);
            p.next += strlen(p.next); /* the rest is in it */
        }
    } while (p.token.kind != TOKEN_END && error_r->line == 0);
    *from = p.next;
    *line = p.line;
    return error_r->line > 0;
}

/* --- other files ----------------------------------------------------------- */

char *syntax_find_include(const char **from, int *line)
{
    struct syntax_error ignored = { 0 };
    struct parser p = { .next = *from, .line = *line, .error = &ignored };
    char *path = NULL;

    do
        advance(&p);
    while (p.token.kind != TOKEN_END && p.token.kind != TOKEN_INCLUDE);
    *line = p.line;
    if (p.token.kind == TOKEN_INCLUDE)
        advance(&p);
    if (p.token.kind == TOKEN_STRING && p.token.closed) {
        size_t n = 0;
        path = mem_dupn(p.token.at + 1, p.token.len - 2);
        for (const char *at = path; *at; at++) {
            at += *at == '\\' && (at[1] == '\\' || at[1] == '"');
            path[n++] = *at;
        }
        path[n] = '\0';
    }
    *from = p.next;
    return path;
}
