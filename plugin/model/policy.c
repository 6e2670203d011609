#include "plugin/model/policy.h"

/* A code that is not here says that something of ours went wrong: no server's
 * doing, no repetition helps, and LOG_ERROR. */
static const struct policy policies[ERR_COUNT] = {
    /*                 again  next_key next_model trips  key       log */
    [ERR_NET]       = {true,  false,   true,      true,  KEY_KEEP, LOG_WARN},
    [ERR_TIMEOUT]   = {true,  false,   true,      true,  KEY_KEEP, LOG_WARN},
    [ERR_OVERLOAD]  = {true,  false,   true,      true,  KEY_KEEP, LOG_WARN},
    [ERR_SERVER]    = {true,  false,   true,      true,  KEY_KEEP, LOG_WARN},
    [ERR_PROTO]     = {true,  false,   true,      true,  KEY_KEEP, LOG_WARN},
    [ERR_EMPTY]     = {true,  false,   true,      false, KEY_KEEP, LOG_WARN},
    [ERR_RATE]      = {true,  true,    true,      false, KEY_COOL, LOG_WARN},
    [ERR_AUTH]      = {false, true,    true,      false, KEY_KILL, LOG_ERROR},
    [ERR_QUOTA]     = {false, true,    true,      false, KEY_KILL, LOG_ERROR},
    [ERR_MODEL]     = {false, false,   true,      false, KEY_KEEP, LOG_ERROR},
    [ERR_PARAM]     = {false, false,   true,      false, KEY_KEEP, LOG_ERROR},
    [ERR_INVALID]   = {false, false,   true,      false, KEY_KEEP, LOG_ERROR}, /* a URL that cannot work */
    [ERR_CONTEXT]   = {false, false,   true,      false, KEY_KEEP, LOG_INFO},  /* others may take more */
    [ERR_CONTENT]   = {false, false,   false,     false, KEY_KEEP, LOG_INFO},  /* nobody shops for a laxer one */
    [ERR_TOO_LARGE] = {false, false,   false,     false, KEY_KEEP, LOG_WARN},
    [ERR_CANCELLED] = {false, false,   false,     false, KEY_KEEP, LOG_DEBUG},
    [ERR_OK]        = {false, false,   false,     false, KEY_KEEP, LOG_DEBUG},
};

const struct policy *policy_of(enum err_code code)
{
    return &policies[(unsigned)code < ERR_COUNT ? code : ERR_INTERNAL];
}
