#include "tests/unit/transcript.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define FILE_BYTES_MAX (256U * 1024)

static void read_file(struct buf *b, const char *path)
{
    char part[4096];
    size_t n;
    FILE *f = fopen(path, "rb");
    assert_non_null(f);
    while ((n = fread(part, 1, sizeof part, f)) > 0)
        buf_add(b, part, n);
    fclose(f);
}

void transcript_read(struct transcript *t, const char *name)
{
    char path[256];
    snprintf(path, sizeof path, "tests/data/transcripts/%s.txt", name);
    buf_init(&t->file, FILE_BYTES_MAX);
    read_file(&t->file, path);
    const char *head = strstr(buf_str(&t->file), "HTTP/1.1 ");
    const char *end = head ? strstr(head, "\r\n\r\n") : NULL;
    assert_non_null(end);
    t->status = strtol(head + strlen("HTTP/1.1 "), NULL, 10);
    t->body = end + strlen("\r\n\r\n");
    t->len = t->file.len - (size_t)(t->body - t->file.data);
}

void transcript_free(struct transcript *t)
{
    buf_free(&t->file);
}
