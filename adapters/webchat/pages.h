/* pages.h: the files of adapters/webchat/pages/, built into the program by
 * scripts/embed. All is static and read-only. */
#ifndef WARBLER_WEBCHAT_PAGES_H
#define WARBLER_WEBCHAT_PAGES_H

#include <stddef.h>

struct page {
    const char *name; /* file name: "index.html" */
    const char *type; /* for Content-Type */
    const char *etag; /* strong, with its quotes; changes with the content */
    const unsigned char *data;
    size_t len;
};
extern const struct page webchat_pages[]; /* ends with a NULL name */

#endif
