#include "plugin/model/client.h"

#include <stdlib.h>
#include <string.h>

#include "plugin/base/clock.h"
#include "plugin/base/mem.h"
#include "plugin/model/endpoint.h"

enum err_code model_client_new(struct loop *loop, struct http_client *http, struct model_client **client_r, struct err *e)
{
    struct model_client *client = mem_alloc(sizeof *client);
    (void)e;
    *client = (struct model_client){.loop = loop, .http = http};
    practice_init(&client->practice, 0);
    *client_r = client;
    return ERR_OK;
}

void model_client_free(struct model_client **client)
{
    struct model_client *m = *client;
    if (!m)
        return;
    completion_end_all(m);
    ping_end_all(m);
    endpoint_free_all(m);
    free(m);
    *client = NULL;
}

void model_client_watch(struct model_client *client,
                        void (*learned)(void *arg, const struct model_conf *model, const char *lessons), void *arg)
{
    client->learned = learned;
    client->learned_arg = arg;
}

void model_recall(struct model_client *client, const struct model_conf *model, const char *lessons)
{
    struct endpoint *ep = endpoint_get(client, model);
    endpoint_recall(ep, model, lessons);
    endpoint_put(&ep);
}

size_t model_budget(const struct model_client *client, const struct model_conf *model, const struct calibration *own)
{
    static const struct calibration nothing = {.ratio = 0};
    struct endpoint *ep;
    HASH_FIND_STR(client->endpoints, model->name, ep);
    struct calibration known = calibrate_joined(ep ? &ep->calibration : &nothing, own);
    return calibrate_budget(&known, model->context_tokens, model->max_tokens);
}

bool model_state(const struct model_client *client, const char *name, struct model_state *s)
{
    int64_t now = clock_mono_ms();
    struct endpoint *ep;
    *s = (struct model_state){.keys = 0};
    HASH_FIND_STR(client->endpoints, name, ep);
    if (!ep)
        return false;
    s->avoided = !breaker_allows(&ep->breaker, now);
    s->avoided_ms = s->avoided && ep->breaker.state == BREAKER_OPEN ? breaker_wait_ms(&ep->breaker, now) : 0;
    s->keys = ep->keys.n;
    s->keys_resting = (int)endpoint_keys_resting(ep);
    s->keys_dead = (int)endpoint_keys_dead(ep);
    s->running = ep->running;
    s->waiting = (int64_t)ep->line.n;
    s->last_error = ep->last_error;
    s->last_error_ms = clock_wall_ms() - ep->last_error_ms;
    return true;
}
