/* syntax.h: says in plain words where a text breaks libconfig's grammar, since
 * libconfig itself only says "syntax error", and that often many lines behind
 * the mistake. It finds mistakes and reads nothing. */
#ifndef WARBLER_CONFIG_SYNTAX_H
#define WARBLER_CONFIG_SYNTAX_H

#include <stdbool.h>

#define SYNTAX_BYTES 256

struct syntax_error {
    int line;
    char text[SYNTAX_BYTES];
};

/* The first mistake; false if there is none. What only some versions of
 * libconfig take, or each in its own way, is one: a comma behind the last entry
 * of a list, a whole number of more than 64 bits or with a 0 before it. */
bool syntax_find(const char *text, struct syntax_error *error_r);

/* The first thing behind *from that libconfig passes over without a word: a
 * whole number that it may cut to 32 bits, a comment that is never closed.
 * *from begins as the text, *line as 1; both move on. */
bool syntax_find_silent(const char **from, int *line, struct syntax_error *error_r);

/* The file that the next @include behind *from names, as it is written there;
 * NULL: there is none, or a broken one. *from begins as the text, *line as 1;
 * both move on, *line to the line of the @include. The caller frees. */
char *syntax_find_include(const char **from, int *line);

#endif
