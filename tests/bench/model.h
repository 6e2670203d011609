/* model.h: the practice model's client side, as small as it gets: one request
 * at a time on a connection that is kept, the answer as server-sent events in
 * chunks (RFC 9112 section 7.1). */
#ifndef WARBLER_BENCH_MODEL_H
#define WARBLER_BENCH_MODEL_H

#include "tests/bench/wire.h"

/* What speaker.c says behind the word that it was asked for: an event for each. */
#define MODEL_TOKENS 20U /* with the word */
#define MODEL_TAIL_TOKENS                                                                                            \
    " is", " the", " word", " that", " you", " said", ",", " and", " nothing", " else", " comes", " to", " my",      \
        " mind", " at", " this", " time", " of", " day."
#define MODEL_TAIL " is the word that you said, and nothing else comes to my mind at this time of day."

/* The two kinds of message that a request holds after the system prompt; text as it stands in JSON. */
void model_add_user(struct bytes *messages, struct span text);
void model_add_assistant(struct bytes *messages, struct span text);
void model_ask(struct end *e, struct span messages);

/* Takes a whole answer off `in` and adds its text, as it stands in JSON. False:
 * not all there yet. Anything but status 200 ends the program. */
bool model_take_answer(struct bytes *in, struct bytes *text);

#endif
