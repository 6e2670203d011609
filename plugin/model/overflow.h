/* overflow.h: the numbers in what servers write when a conversation does not
 * fit their model. Pure. */
#ifndef WARBLER_MODEL_OVERFLOW_H
#define WARBLER_MODEL_OVERFLOW_H

#include <stdint.h>

/* max: tokens that the model takes; used: tokens that the prompt has, or where
 * only their sum is told, prompt and answer. Each -1 if message does not say. */
void overflow_read(const char *message, int64_t *max_r, int64_t *used_r);

#endif
