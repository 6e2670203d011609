#include "plugin/store/store.h"

#include <assert.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "plugin/base/clock.h"
#include "plugin/base/log.h"
#include "plugin/base/mem.h"
#include "plugin/base/metric.h"
#include "plugin/store/db.h"
#include "plugin/store/job.h"

#define BATCH_JOBS_MAX 512
#define WORKER_STACK_BYTES (256U * 1024)
#define ISOLATE_MS 2000 /* for finding the jobs of a batch that fail: a dying disk makes each try slow */

/* What the loop holds while results wait for it. It may outlive the store. */
struct mailbox {
    struct post post;
    struct store *store; /* NULL: closed */
};

struct store {
    struct loop *loop;
    struct db *db; /* the worker's, while that runs */
    struct mailbox *mailbox;
    pthread_t worker;
    pthread_mutex_t mutex;
    pthread_cond_t wake;
    /* under the mutex */
    struct job *waiting, *results; /* utlist DL */
    bool closing;
    bool posted; /* the mailbox is with the loop */
    /* of the loop's thread */
    size_t queued; /* jobs whose callbacks are still to come */
    bool delivering;
    enum err_code failing; /* what the watcher was told last */
    void (*watcher)(void *arg, const struct err *e);
    void *watcher_arg;
    /* of the worker's */
    struct job *batch[BATCH_JOBS_MAX];
};

/* --- jobs --- */
struct pack {
    char *at; /* where the next piece goes; NULL: only count */
    size_t bytes;
};

static const void *pack_bytes(struct pack *p, const void *data, size_t bytes)
{
    p->bytes += bytes;
    if (!p->at || !bytes)
        return data;
    const void *copy = memcpy(p->at, data, bytes);
    p->at += bytes;
    return copy;
}

void pack_text(struct pack *p, const char **s)
{
    const char *text = *s ? pack_bytes(p, *s, strlen(*s) + 1) : NULL;
    if (p->at)
        *s = text;
}

const void *pack_array(struct pack *p, const void *array, size_t bytes)
{
    assert(bytes % sizeof(int64_t) == 0);
    return pack_bytes(p, array, bytes);
}

static struct job *job_copy(struct job *draft)
{
    const struct job_type *type = draft->type;
    struct pack p = { 0 };
    if (type->pack)
        type->pack(draft, &p);
    struct job *job = mem_alloc(type->size + p.bytes);
    memcpy(job, draft, type->size);
    p.at = (char *)job + type->size;
    if (type->pack)
        type->pack(job, &p);
    return job;
}

struct arena *job_arena(struct job *job)
{
    if (!job->arena)
        job->arena = arena_new();
    return job->arena;
}

void *job_row(struct job *job, size_t size)
{
    struct rows *r = &job->rows;
    if (r->n == r->cap) {
        r->cap = r->cap ? r->cap * 2 : 16;
        r->items = mem_resize(r->items, r->cap, size);
    }
    return memset((char *)r->items + r->n++ * size, 0, size);
}

int64_t job_limit(int limit)
{
    return limit < 0 ? 0 : limit > JOB_ROWS_MAX ? JOB_ROWS_MAX : limit;
}

void job_clear(struct job *job)
{
    free(job->err);
    job->err = NULL;
    arena_free(&job->arena);
    job->rows.n = 0;
    job->wrote = false;
}

static void job_free(struct job *job)
{
    job_clear(job);
    free(job->rows.items);
    free(job);
}

static void free_jobs(struct job **head)
{
    struct job *job, *next;
    DL_FOREACH_SAFE(*head, job, next) {
        DL_DELETE(*head, job);
        job_free(job);
    }
}

static void job_fail(struct job *job, const struct err *e)
{
    job_clear(job);
    job->err = mem_alloc(sizeof *e);
    *job->err = *e;
}

/* --- results, back to the loop --- */
static void count_queued(struct store *s, int by)
{
    s->queued += by;
    metric_set(METRIC_STORE_QUEUE, (int64_t)s->queued);
}

void store_watch(struct store *s, void (*changed)(void *arg, const struct err *e), void *arg)
{
    s->watcher = changed;
    s->watcher_arg = arg;
}

/* Whether a job's failure is the store's, not its own. */
static bool is_fault(enum err_code code)
{
    return code != ERR_EXISTS && code != ERR_NOT_FOUND && code != ERR_INVALID && code != ERR_TOO_LARGE;
}

/* That something can be read says nothing about writing. */
static void note_health(struct store *s, const struct job *job, const struct err *e)
{
    bool says = e->code ? is_fault(e->code) : job->wrote;
    if (!says || e->code == s->failing)
        return;
    s->failing = e->code;
    if (s->watcher)
        s->watcher(s->watcher_arg, e);
}

static void call_back(struct store *s, struct job *job)
{
    static const struct err fine = ERR_INIT;
    const struct err *e = job->err ? job->err : &fine;
    if (!job->refused)
        count_queued(s, -1);
    note_health(s, job, e);
    job->type->deliver(job, e);
    job_free(job);
}

static void deliver(struct post *post)
{
    struct mailbox *mailbox = (struct mailbox *)post;
    struct store *s = mailbox->store;
    if (!s) {
        free(mailbox);
        return;
    }
    pthread_mutex_lock(&s->mutex);
    struct job *results = s->results;
    s->results = NULL;
    s->posted = false;
    pthread_mutex_unlock(&s->mutex);

    struct job *job, *next;
    s->delivering = true;
    DL_FOREACH_SAFE(results, job, next)
        call_back(s, job);
    s->delivering = false;
}

/* With the mutex held. */
static void post_results(struct store *s)
{
    if (s->posted)
        return;
    s->posted = true;
    loop_post(s->loop, &s->mailbox->post);
}

/* --- the queue --- */
static void refuse(struct store *s, struct job *draft)
{
    struct job *job = mem_alloc(draft->type->size);
    memcpy(job, draft, draft->type->size);
    struct err e;
    err_set(&e, ERR_BUSY, "the store has %d jobs waiting: the disk is too slow or stuck", STORE_QUEUE_JOBS_MAX);
    job_fail(job, &e);
    job->refused = true;
    pthread_mutex_lock(&s->mutex);
    DL_APPEND(s->results, job);
    post_results(s);
    pthread_mutex_unlock(&s->mutex);
}

void job_submit(struct store *s, struct job *draft)
{
    if (s->queued >= STORE_QUEUE_JOBS_MAX) {
        refuse(s, draft);
        return;
    }
    struct job *job = job_copy(draft);
    count_queued(s, 1);
    pthread_mutex_lock(&s->mutex);
    bool idle = !s->waiting;
    DL_APPEND(s->waiting, job);
    pthread_mutex_unlock(&s->mutex);
    if (idle)
        pthread_cond_signal(&s->wake);
}

size_t store_queued(const struct store *s)
{
    return s->queued;
}

/* --- the worker --- */
/* All that wait, up to a batch; 0: closing, and nothing waits. */
static size_t take_jobs(struct store *s)
{
    size_t n = 0;
    pthread_mutex_lock(&s->mutex);
    while (!s->waiting && !s->closing)
        pthread_cond_wait(&s->wake, &s->mutex);
    while (s->waiting && n < BATCH_JOBS_MAX) {
        s->batch[n] = s->waiting;
        DL_DELETE(s->waiting, s->batch[n]);
        n++;
    }
    pthread_mutex_unlock(&s->mutex);
    return n;
}

static void give_results(struct store *s, size_t n)
{
    metric_add(METRIC_STORE_JOBS, (int64_t)n);
    pthread_mutex_lock(&s->mutex);
    for (size_t i = 0; i < n; i++)
        DL_APPEND(s->results, s->batch[i]);
    post_results(s);
    pthread_mutex_unlock(&s->mutex);
}

/* A job that found before it wrote anything that it must not: only it fails. */
static bool declined(struct db *db, enum err_code code, int64_t changes_before)
{
    return (code == ERR_EXISTS || code == ERR_NOT_FOUND || code == ERR_INVALID) && db_changes(db) == changes_before;
}

static enum err_code work_on(struct db *db, struct job *job, struct err *e)
{
    job_clear(job);
    int64_t changes = db_changes(db);
    enum err_code code = job->type->work(db, job, e);
    job->wrote = db_changes(db) != changes;
    if (!declined(db, code, changes))
        return code;
    job_fail(job, e);
    return ERR_OK;
}

static enum err_code commit(struct db *db, struct err *e)
{
    int64_t start = clock_mono_us();
    enum err_code code = db_commit(db, e);
    if (!code) {
        metric_add(METRIC_STORE_COMMITS, 1);
        metric_seconds(METRIC_STORE_COMMIT_TIME, (double)(clock_mono_us() - start) / 1e6);
    }
    return code;
}

static void fail_jobs(struct job **jobs, size_t n, const struct err *e)
{
    for (size_t i = 0; i < n; i++)
        job_fail(jobs[i], e);
    metric_add(METRIC_STORE_ERRORS, (int64_t)n);
}

static enum err_code try_jobs(struct db *db, struct job **jobs, size_t n, struct err *e)
{
    enum err_code code = ERR_OK;
    for (size_t i = 0; i < n && !code; i++)
        code = work_on(db, jobs[i], e);
    if (!code)
        code = commit(db, e);
    if (code)
        db_rollback(db);
    return code;
}

/* One transaction, or, when that fails, one for each half, so that in the end
 * only the jobs fail that cannot work. That costs the good case nothing, as a
 * savepoint for each job would, and holds for a failed commit too. */
static void run_jobs(struct db *db, struct job **jobs, size_t n, int64_t deadline_ms)
{
    struct err e = ERR_INIT;
    if (db_begin(db, &e)) { /* no job's fault */
        fail_jobs(jobs, n, &e);
    } else if (try_jobs(db, jobs, n, &e)) {
        if (n == 1 || clock_mono_ms() > deadline_ms) {
            fail_jobs(jobs, n, &e);
        } else {
            run_jobs(db, jobs, n / 2, deadline_ms);
            run_jobs(db, jobs + n / 2, n - n / 2, deadline_ms);
        }
    }
}

static void *work(void *arg)
{
    struct store *s = arg;
    size_t n;
    while ((n = take_jobs(s)) > 0) {
        run_jobs(s->db, s->batch, n, clock_mono_ms() + ISOLATE_MS);
        give_results(s, n);
    }
    return NULL;
}

/* --- opening and closing --- */
/* Signals are for the loop's thread. */
static enum err_code start_worker(struct store *s, struct err *e)
{
    pthread_attr_t attr;
    pthread_attr_init(&attr);
    pthread_attr_setstacksize(&attr, WORKER_STACK_BYTES);
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int error = pthread_create(&s->worker, &attr, work, s);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attr);
    if (error)
        return err_set(e, ERR_INTERNAL, "cannot start the store's thread: %s", strerror(error));
    return ERR_OK;
}

static void free_store(struct store *s)
{
    db_close(&s->db);
    pthread_cond_destroy(&s->wake);
    pthread_mutex_destroy(&s->mutex);
    free(s);
}

enum err_code store_open(struct loop *loop, const char *dir, bool lock, struct store **store_r, struct err *e)
{
    *store_r = NULL;
    struct db *db;
    enum err_code code = db_open(dir, lock, &db, e);
    if (code)
        return code;
    struct store *s = mem_alloc(sizeof *s);
    s->loop = loop;
    s->db = db;
    pthread_mutex_init(&s->mutex, NULL);
    pthread_cond_init(&s->wake, NULL);
    code = start_worker(s, e);
    if (code) {
        free_store(s);
        return code;
    }
    s->mailbox = mem_alloc(sizeof *s->mailbox);
    s->mailbox->post.fn = deliver;
    s->mailbox->store = s;
    *store_r = s;
    return ERR_OK;
}

void store_close(struct store **store)
{
    struct store *s = *store;
    if (!s)
        return;
    assert(!s->delivering);
    pthread_mutex_lock(&s->mutex);
    s->closing = true;
    pthread_mutex_unlock(&s->mutex);
    pthread_cond_signal(&s->wake);
    pthread_join(s->worker, NULL);

    free_jobs(&s->results);
    s->mailbox->store = NULL;
    if (!s->posted)
        free(s->mailbox);
    count_queued(s, -(int)s->queued);
    free_store(s);
    *store = NULL;
}
