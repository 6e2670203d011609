#include "tests/unit/webchat_calls.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "plugin/base/json.h"
#include "plugin/base/mem.h"

void calls_tokens(struct webchat_conf *conf)
{
    conf->tokens = (struct secrets){ mem_array(2, sizeof(struct secret)), 2 };
    secret_set(&conf->tokens.v[0], "one", 3);
    secret_set(&conf->tokens.v[1], "two", 3);
}

void calls_world_free(struct world **w)
{
    struct secrets tokens = (*w)->conf.tokens;

    world_free(w);
    for (size_t i = 0; i < tokens.n; i++)
        secret_clear(&tokens.v[i]);
    free(tokens.v);
}

struct peer *post(struct world *w, const char *headers, const char *body)
{
    char head[2048];

    snprintf(head, sizeof head, "POST /chat HTTP/1.1\r\n%s", headers);
    return peer_open(w, head, body);
}

struct peer *post_in(struct world *w, const char *conversation, const char *headers, const char *text)
{
    char body[256];

    snprintf(body, sizeof body, "{\"message\":\"%s\",\"conversation\":\"%s\"}", text, conversation);
    return post(w, headers, body);
}

struct expected {
    const struct world *w;
    size_t n;
};

static bool are_stored(void *arg)
{
    const struct expected *expected = arg;

    return expected->w->n_messages >= expected->n;
}

void until_messages(struct world *w, size_t n)
{
    world_until(w, are_stored, &(struct expected){ w, n }, "a message");
    world_turns(w, 2);
}

void answer(struct world *w, const char *text)
{
    world_bot(w, &(struct world_event){ .chat = w->last.chat, .id = "m1", .text = text, .done = true,
                                        .finish = "stop", .usage = "{\"total_tokens\":3}" });
}

char *begin_conversation(struct world *w)
{
    struct peer *r = post(w, AUTH, "{\"message\":\"first\"}");
    char *conversation;

    until_messages(w, 1);
    answer(w, "begun");
    conversation = peer_member(r, "conversation");
    peer_free(&r);
    return conversation;
}

void peer_expect_error(struct peer *r, int status, const char *code)
{
    cJSON *body;

    assert_int_equal(peer_status(r), status);
    body = json_parse(peer_body(r), strlen(peer_body(r)));
    assert_non_null(body);
    assert_string_equal(json_str(json_get(body, "error"), "code"), code);
    assert_non_null(json_str(json_get(body, "error"), "message"));
    cJSON_Delete(body);
    peer_free(&r);
}

char *peer_member(struct peer *r, const char *name)
{
    cJSON *body = json_parse(peer_body(r), strlen(peer_body(r)));
    char *value = mem_dup(json_str(body, name));

    cJSON_Delete(body);
    return value;
}
