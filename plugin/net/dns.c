#include "plugin/net/dns.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <utlist.h>

#include "plugin/base/mem.h"
#include "plugin/net/loop_private.h"

enum query_state {
    QUERY_WAITING,
    QUERY_BUSY,  /* the thread has it */
    QUERY_POSTED /* answered, on its way through the loop */
};

struct dns_query {
    struct post post; /* first: it comes back as this */
    struct dns *dns;
    void (*done)(void *arg, const struct dns_answer *answer); /* NULL: cancelled */
    void *arg;
    char *host;
    struct dns_answer answer;
    enum query_state state;
    struct dns_query *next, *prev;
};

/* A look-up may take half a minute, and nobody waits for it at the end: if the
 * thread is busy when the loop goes, it outlives it and cleans up behind itself. */
struct dns {
    struct loop *loop;
    pthread_t thread;
    bool started;

    pthread_mutex_t lock; /* guards what follows; the loop is there to post to while it is held and closed is false */
    pthread_cond_t more;
    struct dns_query *queries;
    bool busy, closed;
};

static void free_query(struct dns_query *q)
{
    DL_DELETE(q->dns->queries, q);
    free(q->host);
    free(q);
}

static void destroy(struct dns *dns)
{
    pthread_cond_destroy(&dns->more);
    pthread_mutex_destroy(&dns->lock);
    free(dns);
}

/* --- the thread --- */
static void take_addresses(struct dns_answer *answer, const struct addrinfo *ai)
{
    for (; ai && answer->count < DNS_ADDRESSES_MAX; ai = ai->ai_next)
        if (getnameinfo(ai->ai_addr, ai->ai_addrlen, answer->address[answer->count], INET6_ADDRSTRLEN, NULL, 0,
                        NI_NUMERICHOST) == 0)
            answer->count++;
}

static void look_up(const char *host, struct dns_answer *answer)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_ADDRCONFIG}, *ai = NULL;
    int rc = getaddrinfo(host, NULL, &hints, &ai);

    if (rc != 0) {
        err_set(&answer->e, ERR_NET, "%s: %s", host, gai_strerror(rc));
        return;
    }
    take_addresses(answer, ai);
    freeaddrinfo(ai);
    if (answer->count == 0)
        err_set(&answer->e, ERR_NET, "%s: no address", host);
}

static struct dns_query *first_waiting(struct dns *dns)
{
    struct dns_query *q;

    DL_SEARCH_SCALAR(dns->queries, q, state, QUERY_WAITING);
    return q;
}

/* Called and returns with the lock held. */
static void answer_one(struct dns *dns, struct dns_query *q)
{
    dns->busy = true;
    q->state = QUERY_BUSY;
    pthread_mutex_unlock(&dns->lock);
    look_up(q->host, &q->answer);
    pthread_mutex_lock(&dns->lock);
    dns->busy = false;
    if (dns->closed) {
        free_query(q);
        return;
    }
    q->state = QUERY_POSTED;
    loop_post(dns->loop, &q->post);
}

static void *run(void *arg)
{
    struct dns *dns = arg;

    pthread_mutex_lock(&dns->lock);
    while (!dns->closed) {
        struct dns_query *q = first_waiting(dns);

        if (q)
            answer_one(dns, q);
        else
            pthread_cond_wait(&dns->more, &dns->lock);
    }
    pthread_mutex_unlock(&dns->lock);
    destroy(dns);
    return NULL;
}

/* Signals are the loop's business. */
static bool start(struct dns *dns)
{
    sigset_t all, before;

    if (dns->started)
        return true;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    dns->started = pthread_create(&dns->thread, NULL, run, dns) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return dns->started;
}

/* --- the loop's side --- */
struct dns *dns_new(struct loop *loop)
{
    struct dns *dns = mem_alloc(sizeof *dns);

    dns->loop = loop;
    pthread_mutex_init(&dns->lock, NULL);
    pthread_cond_init(&dns->more, NULL);
    return dns;
}

void dns_free(struct dns **dns)
{
    struct dns *d = *dns;
    struct dns_query *q, *next;
    pthread_t thread;
    bool busy, started;

    if (!d)
        return;
    pthread_mutex_lock(&d->lock);
    d->closed = true;
    DL_FOREACH_SAFE(d->queries, q, next)
        if (q->state != QUERY_BUSY)
            free_query(q);
    busy = d->busy;
    started = d->started;
    thread = d->thread;
    pthread_cond_signal(&d->more);
    pthread_mutex_unlock(&d->lock); /* from here on a running thread frees d */
    if (started && busy)
        pthread_detach(thread);
    else if (started)
        pthread_join(thread, NULL);
    else
        destroy(d);
    *dns = NULL;
}

static void on_post(struct post *post)
{
    struct dns_query *q = (struct dns_query *)post;
    struct dns *dns = q->dns;

    if (q->done)
        q->done(q->arg, &q->answer);
    pthread_mutex_lock(&dns->lock);
    free_query(q);
    pthread_mutex_unlock(&dns->lock);
}

static bool is_numeric(const char *host)
{
    unsigned char addr[sizeof(struct in6_addr)];

    return inet_pton(AF_INET, host, addr) == 1 || inet_pton(AF_INET6, host, addr) == 1;
}

/* Answers without the thread. */
static void answer_now(struct dns_query *q)
{
    q->state = QUERY_POSTED;
    loop_post(q->dns->loop, &q->post);
}

struct dns_query *dns_resolve(struct loop *loop, const char *host,
                              void (*done)(void *arg, const struct dns_answer *answer), void *arg)
{
    struct dns *dns = loop_dns(loop);
    struct dns_query *q = mem_alloc(sizeof *q);

    q->post.fn = on_post;
    q->dns = dns;
    q->done = done;
    q->arg = arg;
    q->host = mem_dup(host);
    pthread_mutex_lock(&dns->lock);
    DL_APPEND(dns->queries, q);
    if (is_numeric(host)) {
        q->answer.count = 1;
        memcpy(q->answer.address[0], host, strlen(host) + 1);
        answer_now(q);
    } else if (!start(dns)) {
        err_set(&q->answer.e, ERR_NET, "%s: no thread for the look-up", host);
        answer_now(q);
    }
    pthread_cond_signal(&dns->more);
    pthread_mutex_unlock(&dns->lock);
    return q;
}

void dns_cancel(struct dns_query **query)
{
    struct dns_query *q = *query;
    pthread_mutex_t *lock;

    if (!q)
        return;
    lock = &q->dns->lock;
    pthread_mutex_lock(lock);
    q->done = NULL;
    if (q->state == QUERY_WAITING)
        free_query(q);
    pthread_mutex_unlock(lock);
    *query = NULL;
}
