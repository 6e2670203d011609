/* pages.h: the files of adapters/webchat/pages/, built into the program by
 * scripts/embed. All is static and read-only. */
#ifndef WARBLER_WEBCHAT_PAGES_H
#define WARBLER_WEBCHAT_PAGES_H

#include <stddef.h>

/* One form in which a page is sent. */
struct page_form {
    const char *etag; /* strong, with its quotes; changes with the bytes */
    const unsigned char *data;
    size_t len;
};

struct page {
    const char *name; /* file name: "index.html" */
    const char *type; /* for Content-Type */
    struct page_form plain;
    struct page_form gzip; /* all 0 where it would not be smaller */
};
extern const struct page webchat_pages[]; /* ends with a NULL name */

#endif
