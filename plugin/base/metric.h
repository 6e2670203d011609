/* metric.h: counters, gauges and histograms for GET /metrics, as one table.
 * Names and units follow the Prometheus conventions. Thread-safe (relaxed
 * atomics); cheap enough for every message. */
#ifndef WARBLER_BASE_METRIC_H
#define WARBLER_BASE_METRIC_H

#include <stdint.h>

#include "plugin/base/buf.h"

/* X(id, kind, name, help): counters end in _total. */
#define METRICS(X)                                                                                               \
    X(METRIC_MESSAGES_IN, COUNTER, "warbler_messages_received_total", "Messages accepted from people")          \
    X(METRIC_MESSAGES_DUP, COUNTER, "warbler_messages_duplicate_total", "Repeats that were dropped")            \
    X(METRIC_MESSAGES_REFUSED, COUNTER, "warbler_messages_refused_total", "Messages not accepted (limits, disk)") \
    X(METRIC_MESSAGES_OUT, COUNTER, "warbler_messages_sent_total", "Finished answers and notices")              \
    X(METRIC_TURNS_ANSWERED, COUNTER, "warbler_turns_answered_total", "Turns that ended with an answer")        \
    X(METRIC_TURNS_NOTICED, COUNTER, "warbler_turns_noticed_total", "Turns that ended with a notice")           \
    X(METRIC_TURNS_SILENT, COUNTER, "warbler_turns_silent_total", "Messages that were not to be answered")      \
    X(METRIC_TURNS_DEAD, COUNTER, "warbler_turns_dead_total", "Turns that ended as a dead letter")              \
    X(METRIC_TURNS_CANCELLED, COUNTER, "warbler_turns_cancelled_total", "Answers stopped by a person")          \
    X(METRIC_TURNS_LIMITED, COUNTER, "warbler_turns_limited_total", "Turns refused because a limit was used up") \
    X(METRIC_TURNS_RESUMED, COUNTER, "warbler_turns_resumed_total", "Turns asked again after a restart")        \
    X(METRIC_TURNS_RUNNING, GAUGE, "warbler_turns_running", "Answers being made now")                           \
    X(METRIC_TURNS_WAITING, GAUGE, "warbler_turns_waiting", "Messages that wait for their turn")                \
    X(METRIC_CACHE_HITS, COUNTER, "warbler_answer_cache_hits_total", "Questions answered without asking a model") \
    X(METRIC_CACHE_MISSES, COUNTER, "warbler_answer_cache_misses_total", "Questions looked up in vain")         \
    X(METRIC_CACHE_ENTRIES, GAUGE, "warbler_answer_cache_entries", "Answers kept to be given again")            \
    X(METRIC_CACHE_BYTES, GAUGE, "warbler_answer_cache_bytes", "Memory that they take")                         \
    X(METRIC_CHANNELS_LOADED, GAUGE, "warbler_channels_loaded", "Conversations held in memory")                 \
    X(METRIC_FIRST_TOKEN, HISTOGRAM, "warbler_first_token_seconds", "From acceptance to the first text of the answer") \
    X(METRIC_TURN_TIME, HISTOGRAM, "warbler_turn_seconds", "From acceptance to the finished answer")            \
    X(METRIC_MODEL_REQUESTS, COUNTER, "warbler_model_requests_total", "Requests sent to model servers")         \
    X(METRIC_MODEL_ERRORS, COUNTER, "warbler_model_errors_total", "Requests that failed")                       \
    X(METRIC_MODEL_RETRIES, COUNTER, "warbler_model_retries_total", "Requests asked again")                     \
    X(METRIC_TOKENS_PROMPT, COUNTER, "warbler_prompt_tokens_total", "Prompt tokens, as servers count them")     \
    X(METRIC_TOKENS_COMPLETION, COUNTER, "warbler_completion_tokens_total", "Completion tokens")                \
    X(METRIC_SUMMARIES, COUNTER, "warbler_summaries_total", "Summaries made of older turns")                    \
    X(METRIC_SUMMARY_ERRORS, COUNTER, "warbler_summary_errors_total", "Summaries that failed")                  \
    X(METRIC_TOKENS_CACHED, COUNTER, "warbler_cached_tokens_total", "Prompt tokens that servers had cached")     \
    X(METRIC_TOKENS_CACHE_WRITE, COUNTER, "warbler_cache_write_tokens_total", "Prompt tokens written to servers' caches") \
    X(METRIC_TOKENS_REASONING, COUNTER, "warbler_reasoning_tokens_total", "Completion tokens that were reasoning") \
    X(METRIC_STORE_JOBS, COUNTER, "warbler_store_jobs_total", "Store jobs done")                                \
    X(METRIC_STORE_COMMITS, COUNTER, "warbler_store_commits_total", "Transactions committed")                   \
    X(METRIC_STORE_ERRORS, COUNTER, "warbler_store_errors_total", "Store jobs that failed")                     \
    X(METRIC_STORE_COMMIT_TIME, HISTOGRAM, "warbler_store_commit_seconds", "Time of one commit")                \
    X(METRIC_STORE_QUEUE, GAUGE, "warbler_store_queue_jobs", "Jobs that wait for the store")                    \
    X(METRIC_ADAPTER_RECONNECTS, COUNTER, "warbler_adapter_reconnects_total", "Reconnects of platform accounts") \
    X(METRIC_ADAPTERS_ONLINE, GAUGE, "warbler_adapters_online", "Accounts that are online")                     \
    X(METRIC_WEBCHAT_CONNECTIONS, GAUGE, "warbler_webchat_connections", "Open web chats")                       \
    X(METRIC_HTTP_REQUESTS, COUNTER, "warbler_http_requests_total", "HTTP requests served")                     \
    X(METRIC_OUTBOX_PARTS, GAUGE, "warbler_outbox_parts", "Parts on their way to platforms")

#define METRIC_ENUM(id, kind, name, help) id,
enum metric { METRICS(METRIC_ENUM) METRIC_COUNT };
#undef METRIC_ENUM

void metric_add(enum metric m, int64_t n);       /* counters; gauges may go down */
void metric_set(enum metric m, int64_t value);   /* gauges */
void metric_seconds(enum metric m, double secs); /* histograms: 1 ms to 120 s in fixed steps */
/* warbler_cost_total, by currency. amount: of 10^-12. At most
 * METRIC_CURRENCIES_MAX currencies are counted, and this one call is for the
 * loop's thread only, as is metric_print(). */
#define METRIC_CURRENCIES_MAX 16
void metric_money(const char *currency, int64_t amount);
int64_t metric_get(enum metric m);               /* counter or gauge; a histogram's count */

/* --- figures per model, with its name as a label. The loop's thread only. The
 * first METRIC_MODELS_MAX names have figures of their own, more share "other". --- */
#define METRIC_MODELS_MAX 64

#define MODEL_METRICS(X)                                                                                            \
    X(METRIC_MODEL_ASKED, COUNTER, "warbler_model_attempts_total", "Requests sent, by model")                       \
    X(METRIC_MODEL_AGAIN, COUNTER, "warbler_model_repeats_total", "Requests made again after a failure, by model")  \
    X(METRIC_MODEL_FALLBACKS, COUNTER, "warbler_model_fallbacks_total", "Answers passed on to the next model")      \
    X(METRIC_MODEL_HEDGES, COUNTER, "warbler_model_hedges_total", "Answers that another model was asked for too")   \
    X(METRIC_MODEL_HEDGES_LOST, COUNTER, "warbler_model_hedges_lost_total", "Answers that another model began first") \
    X(METRIC_MODEL_BREAKER, GAUGE, "warbler_model_breaker", "0 asked, 1 not asked for failing, 2 tried again")      \
    X(METRIC_MODEL_RUNNING, GAUGE, "warbler_model_running", "Requests that run now")                                \
    X(METRIC_MODEL_WAITING, GAUGE, "warbler_model_waiting", "Requests that wait for a limit")                       \
    X(METRIC_MODEL_KEYS_RESTING, GAUGE, "warbler_model_keys_resting", "Keys over their limit")                      \
    X(METRIC_MODEL_KEYS_DEAD, GAUGE, "warbler_model_keys_dead", "Keys that the server refuses")

#define METRIC_ENUM(id, kind, name, help) id,
enum metric_model { MODEL_METRICS(METRIC_ENUM) METRIC_MODEL_COUNT };
#undef METRIC_ENUM

void metric_model_add(enum metric_model m, const char *model, int64_t n);
void metric_model_set(enum metric_model m, const char *model, int64_t value);
void metric_model_error(const char *model, enum err_code code); /* warbler_model_failures_total, by class too */
int64_t metric_model_get(enum metric_model m, const char *model);

/* Prometheus text format 0.0.4, with process_resident_memory_bytes,
 * process_open_fds, process_cpu_seconds_total and warbler_build_info where the
 * system tells them. */
void metric_print(struct buf *out);

#endif
