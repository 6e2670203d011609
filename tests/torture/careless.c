/* careless.c: a program that does wrong what one can do wrong without memory,
 * to prove that it is seen. Its argument says which. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "plugin/base/mem.h"

#define BYTES 100

static char *volatile last; /* that the compiler drops nothing */

static char *get(void)
{
    last = malloc(BYTES);
    return last;
}

static int unchecked(void)
{
    volatile char *p = get();

    p[BYTES / 2] = 'x';
    free(last);
    return 0;
}

/* Many: the sanitizer forgives what a register happens to point to. */
static void forget_some(void)
{
    for (int i = 0; i < BYTES; i++)
        get();
}

static int leaks(void)
{
    char *p = get();

    if (!p)
        forget_some();
    free(p);
    return 0;
}

static int freed_twice(void)
{
    char *first = get(), *second = get();

    last = first;
    if (!second)
        free(last);
    free(first);
    free(second);
    return 0;
}

static int without_a_word(void)
{
    char *p = get();

    if (!p)
        abort();
    free(p);
    return 0;
}

static int fails_without_a_word(void)
{
    char *p = get();
    int status = p ? 0 : 1;

    free(p);
    return status;
}

static int hangs(void)
{
    char *p = get();

    while (!p)
        last = p;
    free(p);
    return 0;
}

static int careful(void)
{
    free(mem_alloc(BYTES));
    return 0;
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        int (*fn)(void);
    } ways[] = {
        { "unchecked", unchecked },
        { "leaks", leaks },
        { "freed-twice", freed_twice },
        { "without-a-word", without_a_word },
        { "fails-without-a-word", fails_without_a_word },
        { "hangs", hangs },
        { "careful", careful },
    };

    for (size_t i = 0; argc == 2 && i < sizeof ways / sizeof *ways; i++)
        if (strcmp(argv[1], ways[i].name) == 0)
            return ways[i].fn();
    fprintf(stderr, "usage: careless WAY\n");
    return 2;
}
