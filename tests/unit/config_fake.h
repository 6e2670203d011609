/* config_fake.h: two adapters that exist only for the tests of config/. */
#ifndef WARBLER_TESTS_CONFIG_FAKE_H
#define WARBLER_TESTS_CONFIG_FAKE_H

#include "config/config.h"

struct fake_settings { /* of adapter "fake": one setting of each type */
    char *url, *key_file, *json;
    struct secret token;
    struct secrets tokens;
    bool open_rooms;
    int kind; /* index into "soft", "hard" */
    int64_t limit, window, id;
    double ratio, weight;
    struct strings origins;
    struct {
        struct strings allow;
        int64_t max;
    } invite;
};

extern const struct config_adapter fake_adapters[]; /* "fake", and "needy" that requires a homeserver */

#endif
