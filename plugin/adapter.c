#include "plugin/adapter.h"

#include <string.h>

const struct adapter_ops *adapter_find(const char *name)
{
    for (const struct adapter_ops *const *ops = adapter_registry; *ops; ops++)
        if (strcmp((*ops)->name, name) == 0)
            return *ops;
    return NULL;
}

size_t adapter_text_limit(const struct adapter *a)
{
    return a->text_limit ? a->text_limit : a->ops->facts.text_limit;
}

void adapter_online(struct adapter *a)
{
    a->host->online(a->host_arg, a);
}

void adapter_down(struct adapter *a, const struct err *e, bool retry)
{
    a->host->down(a->host_arg, a, e, retry);
}

void adapter_stopped(struct adapter *a)
{
    a->host->stopped(a->host_arg, a);
}

void adapter_message(struct adapter *a, const struct msg_in *m)
{
    a->host->message(a->host_arg, a, m);
}

void adapter_withdrawn(struct adapter *a, const char *chat, const char *thread, const char *id, const char *sender)
{
    a->host->withdrawn(a->host_arg, a, chat, thread, id, sender);
}

void adapter_reaction(struct adapter *a, const char *chat, const char *thread, const char *platform_id,
                      const char *sender, enum reaction what)
{
    a->host->reaction(a->host_arg, a, chat, thread, platform_id, sender, what);
}

void adapter_remark(struct adapter *a, const char *what, const char *text)
{
    a->host->remark(a->host_arg, a, what, text);
}

void adapter_sent(struct adapter *a, int64_t handle, const char *platform_id)
{
    a->host->sent(a->host_arg, a, handle, platform_id);
}

void adapter_send_failed(struct adapter *a, int64_t handle, const struct err *e, bool retry, int64_t retry_after_ms)
{
    a->host->send_failed(a->host_arg, a, handle, e, retry, retry_after_ms);
}

void adapter_history(struct adapter *a, const char *chat, const char *thread, int64_t after, int limit,
                     adapter_page_fn *fn, void *arg)
{
    a->host->history(a->host_arg, a, chat, thread, after, limit, fn, arg);
}

void adapter_answer(struct adapter *a, const char *chat, const char *thread, int64_t seq, adapter_page_fn *fn, void *arg)
{
    a->host->answer(a->host_arg, a, chat, thread, seq, fn, arg);
}

void adapter_keep(struct adapter *a, const char *key, const char *value, int64_t expires_ms,
                  void (*done)(void *arg, const struct err *e), void *arg)
{
    a->host->keep(a->host_arg, a, key, value, expires_ms, done, arg);
}

void adapter_recall(struct adapter *a, const char *key,
                    void (*done)(void *arg, const char *value, int64_t expires_ms, const struct err *e), void *arg)
{
    a->host->recall(a->host_arg, a, key, done, arg);
}
