/* Any bytes as a configuration file: it is a complete configuration, or there is
 * at least one error that says where. */
#include <assert.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "config/config.h"
#include "plugin/adapter.h"

#define ADAPTERS_MAX 16

static const struct config_adapter *adapters(void)
{
    static struct config_adapter known[ADAPTERS_MAX];

    for (size_t i = 0; adapter_registry[i]; i++) {
        assert(i + 1 < ADAPTERS_MAX);
        known[i] = (struct config_adapter){ adapter_registry[i]->name, adapter_registry[i]->settings,
                                            adapter_registry[i]->settings_size };
    }
    return known;
}

static void check_complete(const struct config *c)
{
    assert(c->data_dir && c->listen.address);
    for (size_t i = 0; i < c->n_bots; i++)
        assert(c->bots[i].name && c->bots[i].model_ref);
    for (size_t i = 0; i < c->n_channels; i++)
        assert(c->channels[i].match && (!c->channels[i].bot_ref || c->channels[i].model_ref));
    config_rule(c, "web:lobby/thread");
}

static void check_report(const struct config_report *r, bool loaded)
{
    assert(loaded == (r->n_errors == 0));
    assert((r->errors.len > 0) == (r->n_errors > 0) && (r->warnings.len > 0) == (r->n_warnings > 0));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char path[] = "/tmp/fuzz-config-XXXXXX";
    struct config_report report;
    int fd = mkstemp(path);

    assert(fd >= 0 && write(fd, data, size) == (ssize_t)size);
    close(fd);
    config_report_init(&report);
    struct config *c = config_load(path, adapters(), &report);
    unlink(path);
    check_report(&report, c != NULL);
    if (c)
        check_complete(c);
    config_unref(&c);
    config_report_fini(&report);
    return 0;
}
