/* http_options.h: a request in libcurl's terms. Private to plugin/net. */
#ifndef WARBLER_NET_HTTP_OPTIONS_H
#define WARBLER_NET_HTTP_OPTIONS_H

#include <curl/curl.h>

#include "plugin/net/http.h"

#define HTTP_IDLE_S 60L /* a connection without a call is closed then */

/* ERR_INVALID for what is no http or https URL. */
enum err_code http_check_url(const char *url, struct err *e);

/* All of the request but its callbacks. The headers must live as long as easy
 * uses them; the caller frees them. */
struct curl_slist *http_set_options(CURL *easy, const struct http_request *req);

#endif
