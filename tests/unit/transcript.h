/* transcript.h: a recorded answer of a real server, from tests/data/transcripts. */
#ifndef WARBLER_TESTS_TRANSCRIPT_H
#define WARBLER_TESTS_TRANSCRIPT_H

#include "plugin/base/buf.h"

struct transcript {
    struct buf file;
    long status;
    const char *body; /* into file */
    size_t len;
};

/* Ends the program if there is no such file. */
void transcript_read(struct transcript *t, const char *name);
void transcript_free(struct transcript *t);

#endif
