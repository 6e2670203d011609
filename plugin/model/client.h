/* client.h: what the parts of the model client share. Private to model/. */
#ifndef WARBLER_MODEL_CLIENT_H
#define WARBLER_MODEL_CLIENT_H

#include "plugin/model/completion.h"
#include "plugin/model/practice.h"

struct endpoint;
struct ping;

struct model_client {
    struct loop *loop;
    struct http_client *http;
    struct practice practice;
    struct endpoint *endpoints; /* by the model's name: endpoint.h */
    struct completion *completions;
    void (*learned)(void *arg, const struct model_conf *model, const char *lessons); /* NULL: nobody keeps them */
    void *learned_arg;
    struct ping *pings;
};

/* model_client_free() of the parts. */
void completion_end_all(struct model_client *client);
void ping_end_all(struct model_client *client);

#endif
