/* checks.h: the `check` functions of our own tables. Those that adapters may
 * use as well are in schema.h. */
#ifndef WARBLER_CONFIG_CHECKS_H
#define WARBLER_CONFIG_CHECKS_H

#include "config/schema.h"

#define ACCOUNT_NAME_MAX 32 /* letters */
#define NO_BOT "none"       /* in a channel's rule: nobody answers */

enum err_code check_base_url(const char *value, struct err *e);     /* check_url, and nothing behind the path */
enum err_code check_proxy(const char *value, struct err *e);        /* what libcurl takes as a proxy */
enum err_code check_match(const char *value, struct err *e);        /* can match a channel's name */
enum err_code check_account_name(const char *value, struct err *e); /* [a-z0-9_-]{1,32} */
enum err_code check_name(const char *value, struct err *e);         /* 1 to 64 printable characters */
enum err_code check_preset_name(const char *value, struct err *e);
enum err_code check_bot_name(const char *value, struct err *e);     /* check_name, and not NO_BOT */
enum err_code check_address(const char *value, struct err *e);      /* numeric IPv4 or IPv6 */
enum err_code check_vocabulary(const char *value, struct err *e);   /* check_file, and it begins like one of model/bpe.h */
bool check_loopback(const char *address);                           /* only this machine reaches it; of what check_address takes */
enum err_code check_command(const char *value, struct err *e);      /* "name=alias,alias" or "name=" */
enum err_code check_api_version(const char *value, struct err *e);  /* what may stand in a URL's query */
enum err_code check_template_part(const char *value, struct err *e); /* has {text}, once */
enum err_code check_amount(const char *value, struct err *e);       /* money: "2.50" */
enum err_code check_currency(const char *value, struct err *e);     /* [A-Z]{3,8} */
enum err_code check_tier(const char *value, struct err *e);         /* these three as price_text.h reads them */
enum err_code check_hours(const char *value, struct err *e);
enum err_code check_date(const char *value, struct err *e);

/* Members of a request as the chat-completions reference, section 2, has them. All but
 * the first are given JSON objects. */
enum err_code check_response_format(const char *value, struct err *e);
enum err_code check_logit_bias(const char *value, struct err *e);
enum err_code check_metadata(const char *value, struct err *e);
enum err_code check_prediction(const char *value, struct err *e);
enum err_code check_web_search(const char *value, struct err *e);
enum err_code check_moderation(const char *value, struct err *e);
enum err_code check_cache_options(const char *value, struct err *e);
enum err_code check_extra(const char *value, struct err *e);        /* a JSON object that sets nothing of ours */

#endif
