/* problem.h: what is wrong with a configuration, collected while it is read
 * and reported in the order of the file. */
#ifndef WARBLER_CONFIG_PROBLEM_H
#define WARBLER_CONFIG_PROBLEM_H

#include <stdbool.h>
#include <stddef.h>

struct config_report;

#define PROBLEM_BYTES 1024 /* of one problem's text; the rest is cut */
#define PROBLEMS_MAX 500   /* kept; more are only counted */

struct place {
    const char *file; /* NULL: the file that was asked for */
    int line;         /* 1 is the first; 0: the file as a whole */
};

struct problem;

struct problems {
    const char *file, *folder; /* borrowed */
    struct problem *v;
    size_t n, n_errors, n_warnings; /* the counts go on where v is full */
};

/* file: what is asked for; folder: where it is, absolute. */
void problems_init(struct problems *p, const char *file, const char *folder);
void problems_fini(struct problems *p);

void problem_error(struct problems *p, struct place at, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
void problem_warning(struct problems *p, struct place at, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* Appends all to the report, the file's own first, each file by line. */
void problems_report(struct problems *p, struct config_report *report);

#define SHOWN_BYTES 64

/* A value of the file as it may stand in a message: one line, valid UTF-8,
 * cut with "…". Returns out. Never call it with a secret. */
const char *problem_show(char out[SHOWN_BYTES], const char *value);

#endif
