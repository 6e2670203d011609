/* output.h: what a function prints, as a string. */
#ifndef WARBLER_TESTS_OUTPUT_H
#define WARBLER_TESTS_OUTPUT_H

#include <stddef.h>
#include <stdio.h>

struct output {
    FILE *saved[2]; /* stdout and stderr meanwhile; private, as all below */
    FILE *file[2];
    char *text[2];
    size_t len[2];
};

void output_begin(struct output *o);
void output_end(struct output *o);
const char *output_out(const struct output *o); /* after output_end() */
const char *output_err(const struct output *o);
void output_free(struct output *o);

#endif
