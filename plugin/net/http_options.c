#include "plugin/net/http_options.h"

#include <string.h>

#include "plugin/base/mem.h"
#include "plugin/net/ca.h"

#define TRANSFER_BYTES 4096L /* libcurl's buffers, one each way and call: a stream comes in small pieces */

enum err_code http_check_url(const char *url, struct err *e)
{
    CURLU *u = curl_url();
    char *scheme = NULL;
    CURLUcode rc = curl_url_set(u, CURLUPART_URL, url, 0);
    enum err_code code = ERR_OK;

    if (rc == CURLUE_OK)
        rc = curl_url_get(u, CURLUPART_SCHEME, &scheme, 0);
    if (!u || rc == CURLUE_OUT_OF_MEMORY)
        mem_out("libcurl");
    if (rc != CURLUE_OK)
        code = err_set(e, ERR_INVALID, "URL: %s", curl_url_strerror(rc));
    else if (strcmp(scheme, "http") != 0 && strcmp(scheme, "https") != 0)
        code = err_set(e, ERR_INVALID, "URL: neither http nor https");
    curl_free(scheme);
    curl_url_cleanup(u);
    return code;
}

static struct curl_slist *add_header(struct curl_slist *headers, const char *line)
{
    headers = curl_slist_append(headers, line);
    if (!headers)
        mem_out("libcurl");
    return headers;
}

/* A request that lacks an option is another one: with the environment's proxy, say. */
static void check_set(CURLcode rc)
{
    if (rc == CURLE_OUT_OF_MEMORY)
        mem_out("libcurl");
}

#define SET(easy, option, value) check_set(curl_easy_setopt(easy, option, value))

static void set_method(CURL *easy, const struct http_request *req)
{
    if (strcmp(req->method, "HEAD") == 0) {
        SET(easy, CURLOPT_NOBODY, 1L);
        return;
    }
    if (req->body || strcmp(req->method, "POST") == 0) {
        SET(easy, CURLOPT_POST, 1L);
        SET(easy, CURLOPT_POSTFIELDS, req->body ? req->body : "");
        SET(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)(req->body ? req->body_len : 0));
    }
    SET(easy, CURLOPT_CUSTOMREQUEST, req->method);
}

static struct curl_slist *set_headers(CURL *easy, const struct http_request *req)
{
    struct curl_slist *headers = NULL;

    for (size_t i = 0; req->headers && req->headers[i]; i++)
        headers = add_header(headers, req->headers[i]);
    headers = add_header(headers, "Accept-Encoding: identity"); /* proxies hold back a compressed stream */
    headers = add_header(headers, "Expect:");                   /* no round trip before the body */
    SET(easy, CURLOPT_HTTPHEADER, headers);
    return headers;
}

static void set_trust(CURL *easy, const char *ca_file)
{
    if (!ca_file)
        ca_file = ca_bundle();
    if (ca_file[0]) {
        SET(easy, CURLOPT_CAINFO, ca_file);
        SET(easy, CURLOPT_PROXY_CAINFO, ca_file);
    }
    /* With a directory as well, libcurl would parse the bundle anew for each
     * connection: 20 ms in which nothing else happens. */
    SET(easy, CURLOPT_CAPATH, NULL);
    SET(easy, CURLOPT_PROXY_CAPATH, NULL);
}

static void set_connection(CURL *easy, const struct http_request *req)
{
    SET(easy, CURLOPT_URL, req->url);
    SET(easy, CURLOPT_PROTOCOLS_STR, "http,https");
    SET(easy, CURLOPT_PROXY, req->proxy ? req->proxy : ""); /* "": not the environment's either */
    SET(easy, CURLOPT_NOPROXY, "");
    SET(easy, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
    SET(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_2TLS);
    SET(easy, CURLOPT_PIPEWAIT, 1L); /* rather a stream of a connection being made than another one */
    SET(easy, CURLOPT_MAXAGE_CONN, HTTP_IDLE_S);
    SET(easy, CURLOPT_TCP_KEEPALIVE, 1L);
    SET(easy, CURLOPT_CONNECTTIMEOUT_MS, (long)req->connect_timeout_ms);
    SET(easy, CURLOPT_NOSIGNAL, 1L);
    SET(easy, CURLOPT_BUFFERSIZE, TRANSFER_BYTES);
    SET(easy, CURLOPT_UPLOAD_BUFFERSIZE, TRANSFER_BYTES);
    SET(easy, CURLOPT_USERAGENT, "warbler");
    set_trust(easy, req->ca_file);
}

struct curl_slist *http_set_options(CURL *easy, const struct http_request *req)
{
    set_connection(easy, req);
    set_method(easy, req);
    return set_headers(easy, req);
}
