/* Where the app lives: discovery, and what was kept of an earlier one. */
#include "adapters/lanying/session_steps.h"

#include <stdio.h>
#include <string.h>

#include "adapters/lanying/lanying.h"
#include "plugin/base/log.h"

#define KEY_BYTES 192
#define FOUND_BYTES_MAX 65536U

static const char *const default_dns[] = { "https://dns.lanyingim.com", "https://dns.maximtop.com" };

/* --- servers --- */

/* After all of them failed: perhaps the app has moved. */
void session_forget_servers(struct lanying *ly)
{
    const struct lanying_conf *conf = lanying_conf(ly);

    if (!conf->api_endpoint || (!conf->ws_url && session_over_websocket(ly)))
        places_fini(&ly->places);
}

static bool servers_known(const struct lanying *ly)
{
    return places_api(&ly->places) && (places_ws(&ly->places) || !session_over_websocket(ly));
}

static size_t dns_count(const struct lanying *ly)
{
    return lanying_conf(ly)->dns_url ? 1 : sizeof default_dns / sizeof *default_dns + ly->places.dns.n;
}

static const char *dns_server(const struct lanying *ly, size_t i)
{
    const size_t n = sizeof default_dns / sizeof *default_dns;

    if (lanying_conf(ly)->dns_url)
        return lanying_conf(ly)->dns_url;
    return i < n ? default_dns[i] : ly->places.dns.v[i - n];
}

static void ask_dns(struct lanying *ly);

static void found_key(const struct lanying *ly, char key[KEY_BYTES])
{
    snprintf(key, KEY_BYTES, "places/%s", lanying_conf(ly)->app_id);
}

/* What is configured counts more than what discovery says. */
static void use_places(struct lanying *ly, struct places *found)
{
    const struct lanying_conf *conf = lanying_conf(ly);

    if (conf->api_endpoint || conf->ws_url) {
        struct places fixed;
        const char *ws = conf->ws_url ? conf->ws_url : places_ws(found);
        places_set(&fixed, conf->api_endpoint ? conf->api_endpoint : places_api(found), ws);
        places_fini(found);
        *found = fixed;
    }
    places_fini(&ly->places);
    ly->places = *found;
    session_enter(ly);
}

static void keep_found(struct lanying *ly, const cJSON *data)
{
    char *text = cJSON_PrintUnformatted(data), key[KEY_BYTES];

    found_key(ly, key);
    if (text && strlen(text) <= FOUND_BYTES_MAX && !ly->session.pinging)
        adapter_keep(ly->a, key, text, 0, session_on_written, ly);
    cJSON_free(text);
}

static void on_found_recalled(void *arg, const char *value, int64_t expires_ms, const struct err *e)
{
    struct lanying *ly = arg;
    struct places found;
    cJSON *data;

    (void)expires_ms;
    if (ly->session.state != SESSION_FINDING)
        return;
    data = failed(e) || !value ? NULL : ly_json_parse(value, strlen(value));
    if (data && places_read(&found, data, NULL) == ERR_OK) {
        log_warn("lanying", "%s: %s; using the servers of an earlier time", lanying_name(ly), ly->session.why.text);
        use_places(ly, &found);
    } else {
        session_down(ly, &ly->session.why, true);
    }
    cJSON_Delete(data);
}

static void dns_failed(struct lanying *ly, const struct err *e)
{
    struct session *s = &ly->session;
    char key[KEY_BYTES];

    s->why = *e;
    if (++s->dns_tried < dns_count(ly)) {
        ask_dns(ly);
    } else if (s->pinging) {
        session_down(ly, e, true);
    } else {
        found_key(ly, key);
        adapter_recall(ly->a, key, on_found_recalled, ly);
    }
}

static void on_found(void *arg, const struct api_answer *r)
{
    struct lanying *ly = arg;
    struct places found;
    struct err e = r->e;

    ly->session.call = NULL;
    if (ly_api_unreachable(r)) {
        err_prefix(&e, "discovery at %s", dns_server(ly, ly->session.dns_tried));
        dns_failed(ly, &e);
    } else if (failed(&e)) {
        err_prefix(&e, "discovery for app_id \"%s\"", lanying_conf(ly)->app_id);
        session_down(ly, &e, e.code == ERR_RATE);
    } else if (places_read(&found, r->data, &e) != ERR_OK) {
        if (e.code == ERR_AUTH)
            session_down(ly, &e, false);
        else
            dns_failed(ly, &e);
    } else {
        keep_found(ly, r->data);
        use_places(ly, &found);
    }
}

static void ask_dns(struct lanying *ly)
{
    const char *server = dns_server(ly, ly->session.dns_tried);
    struct buf url;

    buf_init(&url, API_PATH_BYTES_MAX);
    places_url(&url, server, lanying_conf(ly)->app_id);
    ly->session.call =
        ly_api_start(&ly->api, &(struct api_ask){ .method = "GET", .base = buf_str(&url), .path = "" }, on_found, ly);
    buf_free(&url);
}

void session_find(struct lanying *ly)
{
    const struct lanying_conf *conf = lanying_conf(ly);
    struct places fixed;

    session_set_state(ly, SESSION_FINDING);
    ly->session.dns_tried = 0;
    if (servers_known(ly)) {
        session_enter(ly);
    } else if (conf->api_endpoint && (conf->ws_url || !session_over_websocket(ly))) {
        places_set(&fixed, conf->api_endpoint, conf->ws_url);
        use_places(ly, &fixed);
    } else {
        ask_dns(ly);
    }
}
