#include "tests/unit/config_fake.h"

#define FAKE(field) offsetof(struct fake_settings, field)

static const char *const kinds[] = { "soft", "hard", NULL };

static const struct setting invite_settings[] = {
    { "allow", SETTING_STRINGS, .offset = FAKE(invite.allow), .fallback = "(\"@*:example.org\")", .check = check_glob,
      .help = "Who may invite." },
    { "max", SETTING_INT, .offset = FAKE(invite.max), .max = 5, .fallback = "3", .help = "How many." },
    SETTING_END
};

static const struct setting settings[] = {
    { "url", SETTING_STRING, .offset = FAKE(url), .check = check_url, .example = "http://h", .help = "A place." },
    { "key_file", SETTING_PATH, .offset = FAKE(key_file), .help = "A file." },
    { "json", SETTING_JSON, .offset = FAKE(json), .fallback = "{\"a\": [1, 2]}", .help = "An object." },
    { "token", SETTING_SECRET, .offset = FAKE(token), .example = "env:WARBLER_TEST_SET", .help = "A secret." },
    { "tokens", SETTING_SECRETS, .offset = FAKE(tokens), .max = 3, .fallback = "()", .help = "Secrets." },
    { "open_rooms", SETTING_BOOL, .offset = FAKE(open_rooms), .fallback = "false", .help = "A switch." },
    { "kind", SETTING_ENUM, .offset = FAKE(kind), .choices = kinds, .fallback = "hard", .help = "A kind." },
    { "limit", SETTING_INT, .offset = FAKE(limit), .min = -5, .max = 100, .fallback = "30", .help = "A number." },
    { "window", SETTING_DURATION, .offset = FAKE(window), .min = 1000, .max = 3600e3, .fallback = "1m",
      .help = "A time." },
    { "id", SETTING_INT, .offset = FAKE(id), .help = "Any number." },
    { "ratio", SETTING_FLOAT, .offset = FAKE(ratio), .min = -1, .max = 1, .fallback = "0.25", .help = "A share." },
    { "weight", SETTING_FLOAT, .offset = FAKE(weight), .help = "Any share." },
    { "origins", SETTING_STRINGS, .offset = FAKE(origins), .min = 1, .max = 2, .fallback = "(\"here\")",
      .help = "Names." },
    { "invite", SETTING_GROUP, .group = invite_settings, .help = "Invitations." },
    SETTING_END
};

static const struct setting needy_settings[] = {
    { "homeserver", SETTING_STRING, .required = true, .check = check_url, .example = "https://example.org",
      .help = "The server." },
    SETTING_END
};

const struct config_adapter fake_adapters[] = {
    { "fake", settings, sizeof(struct fake_settings) },
    { "needy", needy_settings, sizeof(char *) },
    { .name = NULL },
};
