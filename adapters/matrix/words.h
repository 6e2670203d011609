/* words.h: the few sentences that the adapter itself says to people, in their
 * language: which the text that is nearest to them tells, because Matrix does not. */
#ifndef WARBLER_MATRIX_WORDS_H
#define WARBLER_MATRIX_WORDS_H

enum words { WORDS_ENCRYPTED, WORDS_BUSY, WORDS_NOT_INVITED, WORDS_COUNT };

/* like: something that they wrote or are called, or NULL. */
const char *words(enum words what, const char *like);

#endif
