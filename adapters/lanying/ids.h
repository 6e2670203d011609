/* ids.h: Lanying's numbers. User and group ids are around 2^43, message ids
 * use all 64 bits, so none of them passes through a double: JSON is read with
 * its long integers as strings. Pure. */
#ifndef WARBLER_LANYING_IDS_H
#define WARBLER_LANYING_IDS_H

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LY_ID_BYTES 21 /* 20 digits and a NUL */

bool ly_id_parse(const char *s, uint64_t *id_r); /* all of s: decimal digits, below 2^64; NULL-safe */
void ly_id_print(char out[LY_ID_BYTES], uint64_t id);

/* As json_parse(), but integers of more than 15 digits become strings. */
cJSON *ly_json_parse(const char *text, size_t len);
uint64_t ly_json_id(const cJSON *item);                     /* a number or a string of digits; 0 if it is neither */
uint64_t ly_json_get_id(const cJSON *obj, const char *key); /* of a member; 0 if there is none */

#endif
