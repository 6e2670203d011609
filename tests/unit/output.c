#include "tests/unit/output.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

/* glibc lets stdout and stderr be assigned. */
void output_begin(struct output *o)
{
    o->saved[0] = stdout;
    o->saved[1] = stderr;
    for (int i = 0; i < 2; i++) {
        o->file[i] = open_memstream(&o->text[i], &o->len[i]);
        assert_non_null(o->file[i]);
    }
    stdout = o->file[0];
    stderr = o->file[1];
}

void output_end(struct output *o)
{
    stdout = o->saved[0];
    stderr = o->saved[1];
    for (int i = 0; i < 2; i++)
        assert_int_equal(fclose(o->file[i]), 0);
}

const char *output_out(const struct output *o)
{
    return o->text[0];
}

const char *output_err(const struct output *o)
{
    return o->text[1];
}

void output_free(struct output *o)
{
    free(o->text[0]);
    free(o->text[1]);
}
