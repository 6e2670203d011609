/* careful.c: what must come out right or end the program, for whoever gets
 * another result goes on with it: who somebody is, what somebody said, whom a
 * request goes to. */
#include <stdlib.h>
#include <string.h>

#include "plugin/base/json.h"
#include "plugin/base/secret.h"
#include "plugin/base/table.h"
#include "plugin/net/http_options.h"

#define ITEMS 100

struct item {
    UT_hash_handle hh;
    int key;
};

static bool digest(void)
{
    char hex[65];

    sha256_hex(hex, "abc", 3);
    return strcmp(hex, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad") == 0;
}

static bool document(void)
{
    static const char text[] = "{\"text\":\"hello\",\"list\":[1,{\"a\":null}]}";
    cJSON *root = json_parse(text, sizeof text - 1);
    char *printed = cJSON_PrintUnformatted(root);
    bool fine = printed && strcmp(printed, text) == 0;

    free(printed);
    cJSON_Delete(root);
    return fine;
}

static bool table(void)
{
    struct item items[ITEMS] = { 0 }, *all = NULL, *found;
    int last = ITEMS - 1;

    for (int i = 0; i < ITEMS; i++) {
        items[i].key = i;
        HASH_ADD_INT(all, key, &items[i]);
    }
    HASH_FIND_INT(all, &last, found);
    HASH_CLEAR(hh, all);
    return found == &items[last];
}

static bool request(void)
{
    static const char *const headers[] = { "X-One: 1", NULL };
    struct http_request req = { .method = "PUT", .url = "http://127.0.0.1/a?b", .body = "x", .body_len = 1, .headers = headers };
    struct err e = ERR_INIT;
    CURL *easy = curl_easy_init();
    struct curl_slist *list;

    if (!easy)
        return true; /* its callers end the program */
    list = http_set_options(easy, &req);
    curl_slist_free_all(list);
    curl_easy_cleanup(easy);
    return http_check_url(req.url, &e) == ERR_OK;
}

int main(void)
{
    return digest() && document() && table() && request() ? 0 : 1;
}
