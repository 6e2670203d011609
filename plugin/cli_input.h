/* cli_input.h: lines from a terminal, a pipe or a file, on the loop. One line
 * comes for each that is asked for, so that a long file waits for whoever reads
 * it. The descriptor stays the caller's, and blocking. */
#ifndef WARBLER_CLI_INPUT_H
#define WARBLER_CLI_INPUT_H

#include <stddef.h>

#include "plugin/net/loop.h"

#define INPUT_LINE_BYTES_MAX (256U * 1024)

struct input;

struct input_handler {
    void (*line)(void *arg, const char *text, size_t len); /* without its line break; NUL-terminated; borrowed */
    void (*too_long)(void *arg);                           /* a line over the limit was skipped */
    void (*end)(void *arg);                                /* there are no more */
};

struct input *input_new(struct loop *loop, int fd, const struct input_handler *handler, void *arg);
void input_next(struct input *in); /* one of the handler's functions is called from the loop; asking twice is once */
void input_free(struct input **in); /* NULL-safe; not from inside a callback */

#endif
