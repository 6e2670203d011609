/* Counts tokens for tests: a vocabulary is named, samples come on standard
 * input, each a line with its length in bytes and then that many bytes; one
 * line comes back for each: exact count, estimate by script. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "plugin/base/mem.h"
#include "plugin/model/bpe.h"
#include "plugin/model/tokens.h"

#define SAMPLE_BYTES_MAX (1U << 24)

int main(int argc, char **argv)
{
    struct vocabulary *v = NULL;
    struct err e = ERR_INIT;
    unsigned len;
    if (argc != 2) {
        fprintf(stderr, "usage: count_tokens VOCABULARY < SAMPLES\n");
        return 1;
    }
    if (vocabulary_load(argv[1], &v, &e)) {
        fprintf(stderr, "%s\n", e.text);
        return 1;
    }
    while (scanf("%u", &len) == 1 && getchar() == '\n' && len <= SAMPLE_BYTES_MAX) {
        char *sample = mem_alloc(len + 1); /* of its size, so that a sanitizer sees who reads on */
        if (fread(sample, 1, len, stdin) == len)
            printf("%zu %zu\n", vocabulary_count(v, sample, len), tokens_estimate(sample, len));
        free(sample);
    }
    vocabulary_free(&v);
    return 0;
}
