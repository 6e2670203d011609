/* vocabularies.h: the vocabulary files that are in use, each read once and
 * shared by all models that name it. */
#ifndef WARBLER_MODEL_VOCABULARIES_H
#define WARBLER_MODEL_VOCABULARIES_H

#include "plugin/model/bpe.h"

struct vocabularies;

struct vocabularies *vocabularies_new(void);
void vocabularies_free(struct vocabularies **vs); /* NULL-safe; with all that it gave out */

/* Reads the file if it was not read yet, 10 ms; NULL if there is none (file
 * NULL) or it cannot be used, which is logged once. Valid until
 * vocabularies_free(), whatever becomes of the file. */
const struct vocabulary *vocabularies_get(struct vocabularies *vs, const char *file);

/* Files that changed, or could not be used, are read again when they are asked for next. */
void vocabularies_refresh(struct vocabularies *vs);

#endif
