/* Any bytes as amounts of money, as they stand in `prices` and in the answers
 * of servers that name a cost. The first byte chooses the places. */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "config/price_text.h"
#include "plugin/base/decimal.h"
#include "plugin/base/json.h"
#include "plugin/model/usage.h"

#define DAY_MINUTES 1440

/* What is printed reads as the same number, if nothing was rounded away. */
static void check_decimal(const char *text, size_t len, int places)
{
    int64_t n = -1, again = -1;
    struct buf out;

    enum decimal how = decimal_read(text, len, places, &n);
    assert(n >= 0 && (how != DECIMAL_TOO_LARGE || n == INT64_MAX) && (how != DECIMAL_NO_NUMBER || n == 0));
    buf_init(&out, 64);
    assert(decimal_print(&out, n, places, places < 2 ? places : 2) == ERR_OK);
    how = decimal_read(buf_str(&out), out.len, places, &again);
    assert(again == n && how == (n == INT64_MAX ? DECIMAL_TOO_LARGE : DECIMAL_EXACT));
    buf_free(&out);
    assert(decimal_add(n, n) >= n && decimal_mul(n, 3) >= n);
}

static void check_config(const char *text)
{
    struct price_hours hours;
    int64_t n;
    size_t name;

    if (price_text_amount(text, &n))
        assert(n >= 0);
    if (price_text_tier(text, &name, &n))
        assert(name > 0 && name < strlen(text) && n >= 0 && n <= FACTOR_MAX);
    if (price_text_hours(text, &hours)) {
        assert(hours.from >= 0 && hours.from <= DAY_MINUTES && hours.to >= 0 && hours.to <= DAY_MINUTES);
        assert(abs(hours.east) < DAY_MINUTES && hours.factor >= 0 && hours.factor <= FACTOR_MAX);
    }
    price_text_date(text, &n);
}

static void check_usage(const char *text, size_t len)
{
    struct usage u = { 0 };
    cJSON *tree = json_parse(text, len);

    if (usage_read(&u, tree, text, len))
        assert(u.known && u.total_tokens >= 0 && u.cost >= 0 && u.cache_write_tokens >= 0);
    else
        assert(!u.known && !u.cost_known);
    cJSON_Delete(tree);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1)
        return 0;
    char *text = malloc(size);
    memcpy(text, data + 1, size - 1);
    text[size - 1] = '\0';
    check_decimal(text, size - 1, data[0] % (DECIMAL_PLACES_MAX + 1));
    check_config(text);
    check_usage(text, size - 1);
    free(text);
    return 0;
}
