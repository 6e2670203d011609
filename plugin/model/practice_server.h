/* practice_server.h: the practice model as an OpenAI-compatible server:
 * POST /v1/chat/completions with and without streaming, GET /v1/models. Takes
 * any key. Behind `warbler practice-model`, and in tests and benchmarks. */
#ifndef WARBLER_MODEL_PRACTICE_SERVER_H
#define WARBLER_MODEL_PRACTICE_SERVER_H

#include <stdint.h>

#include "config/config.h"
#include "plugin/base/err.h"
#include "plugin/net/loop.h"

#define PRACTICE_BODY_BYTES_MAX (16U * 1024 * 1024)

struct practice_server;

struct practice_server_config {
    const char *address;
    int port;                   /* 0: any free one */
    struct practice_conf knobs;
    uint64_t seed;              /* the same one lets the same requests fail */
};

enum err_code practice_server_new(struct loop *loop, const struct practice_server_config *conf,
                                  struct practice_server **server_r, struct err *e);
void practice_server_free(struct practice_server **server); /* NULL-safe; breaks off what is being answered */
int practice_server_port(const struct practice_server *server);

#endif
