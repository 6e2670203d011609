/* Kills a process that writes to the store at random moments, and looks whether
 * all that it was told is there. */
#include "tests/unit/store_fixture.h"

#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "plugin/base/clock.h"

#define KILLS 50
#define WORDS_MAX 150          /* that the victim gets to say; none: it may still be opening the store */
#define LAST_MS_MAX 4          /* that it lives after them */
#define VICTIM_SILENT_MS 20000 /* with words to say: something hangs */
#define CHATS 3
#define UNDER_WAY 16           /* questions that the victim has in hand at a time */
#define ROUND_QUESTIONS_MAX 20000

/* What the victim tells: question n of the round was accepted, or answered. */
enum told { TOLD_OPEN, TOLD_ACCEPTED, TOLD_ANSWERED };
struct word {
    enum told told;
    int n;
};

/* Question n of a round stands in chat n % CHATS, at an odd seq; its answer behind it. */
static int64_t seq_of(int round, int n)
{
    return 2 * ((int64_t)round * ROUND_QUESTIONS_MAX + n) + 1;
}

/* --- the victim --- */
static struct {
    struct store *store;
    int pipe, round, next;
} victim;

static void tell(enum told told, int n)
{
    struct word word = { told, n };
    if (write(victim.pipe, &word, sizeof word) != sizeof word)
        _exit(1);
}

static void ask_next(void);

static void answered(void *arg, const struct err *e)
{
    if (e->code)
        _exit(2);
    tell(TOLD_ANSWERED, (int)(intptr_t)arg);
    ask_next();
}

static void accepted(void *arg, const struct store_accepted *r, const struct err *e)
{
    if (e->code || r->duplicate)
        _exit(3);
    tell(TOLD_ACCEPTED, (int)(intptr_t)arg);
    struct store_msg answer = { .seq = r->seq + 1, .kind = STORE_BOT, .id = "b", .text = "answer" };
    struct store_part part = { "txn", "answer" };
    struct store_finish f = { .channel_id = r->channel_id,
                              .lead = r->seq,
                              .outcome = STORE_ANSWERED,
                              .answer = &answer,
                              .parts = &part,
                              .n_parts = 1 };
    store_finish(victim.store, &f, answered, arg);
}

static void ask_next(void)
{
    char channel[32], id[32];
    int n = victim.next++;
    if (n >= ROUND_QUESTIONS_MAX)
        _exit(4);
    snprintf(channel, sizeof channel, "web:%d", n % CHATS);
    snprintf(id, sizeof id, "%d-%d", victim.round, n);
    struct store_accept a = { .account = "web",
                              .channel = channel,
                              .msg = fx_person(seq_of(victim.round, n), "ann", id),
                              .position = id };
    store_accept(victim.store, &a, accepted, (void *)(intptr_t)n);
}

static void live(const char *dir, int round, int fd)
{
    struct loop *loop;
    struct err e = ERR_INIT;
    victim.pipe = fd;
    victim.round = round;
    victim.next = 0;
    if (loop_new(0, &loop, &e) || store_open(loop, dir, true, &victim.store, &e)) {
        fprintf(stderr, "victim: %s\n", e.text);
        _exit(5);
    }
    tell(TOLD_OPEN, 0);
    for (int i = 0; i < UNDER_WAY; i++)
        ask_next();
    loop_run(loop);
    _exit(6);
}

/* --- what it said before its end --- */
static bool was_told[ROUND_QUESTIONS_MAX][TOLD_ANSWERED + 1];

static bool hear(int fd, int wait_ms)
{
    struct pollfd p = { .fd = fd, .events = POLLIN };
    if (poll(&p, 1, wait_ms) <= 0)
        return false;
    struct word word;
    ssize_t len = read(fd, &word, sizeof word);
    if (len == 0)
        return false;
    assert_int_equal(len, sizeof word); /* short writes to a pipe are whole */
    was_told[word.n][word.told] = true;
    return true;
}

static void run_and_kill(const char *dir, int round, unsigned *seed)
{
    int fds[2], status;
    memset(was_told, 0, sizeof was_told);
    assert_int_equal(pipe(fds), 0);
    pid_t pid = fork();
    if (pid == 0) {
        close(fds[0]);
        live(dir, round, fds[1]);
    }
    close(fds[1]);
    for (int words = rand_r(seed) % WORDS_MAX; words > 0; words--)
        assert_true(hear(fds[0], VICTIM_SILENT_MS));
    for (int64_t end = clock_mono_ms() + rand_r(seed) % LAST_MS_MAX, left; (left = end - clock_mono_ms()) > 0;)
        hear(fds[0], (int)left);
    assert_int_equal(kill(pid, SIGKILL), 0);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status)); /* else it found something wrong itself */
    while (hear(fds[0], 0))
        ;
    close(fds[0]);
}

/* --- what is left --- */
struct count {
    int accepted, answered;
};

static void check_question(const struct fixture *f, int round, int n, size_t at, struct count *c)
{
    bool here = at < f->n && f->msgs[at].seq == seq_of(round, n);
    bool answer = here && at + 1 < f->n && f->msgs[at + 1].seq == seq_of(round, n) + 1;
    if (was_told[n][TOLD_ACCEPTED])
        assert_true(here);
    if (was_told[n][TOLD_ANSWERED])
        assert_true(answer);
    if (here)
        assert_int_equal(f->msgs[at].outcome, answer ? STORE_ANSWERED : STORE_PENDING);
    c->accepted += here;
    c->answered += answer;
}

static struct count check_round(struct fixture *f, int round)
{
    struct count c = { 0 };
    for (int chat = 0; chat < CHATS; chat++) {
        char name[16];
        snprintf(name, sizeof name, "%d", chat);
        assert_int_equal(fx_load(f, name, 0), ERR_OK);
        int64_t channel = f->channel.id, last = seq_of(round, 0) - 1;
        size_t at = 0;
        assert_int_equal(fx_history(f, channel, last, 10000), ERR_OK);
        for (int n = chat; n < ROUND_QUESTIONS_MAX; n += CHATS) {
            check_question(f, round, n, at, &c);
            while (at < f->n && f->msgs[at].seq <= seq_of(round, n) + 1)
                at++;
        }
        assert_int_equal(at, f->n); /* and nothing else */
        if (f->n)
            assert_true(f->channel.seq_limit >= f->msgs[f->n - 1].seq);
    }
    return c;
}

static void test_killed_at_random_moments(void **state)
{
    struct fixture *f = *state;
    unsigned seed = 1;
    int accepted_all = 0, answered_all = 0;
    for (int round = 0; round < KILLS; round++) {
        run_and_kill(f->dir, round, &seed);
        fx_open(f);
        assert_string_equal(fx_sql(f, "PRAGMA integrity_check"), "ok");
        struct count c = check_round(f, round);
        accepted_all += c.accepted;
        answered_all += c.answered;
        store_close(&f->store);
    }
    char parts[16];
    snprintf(parts, sizeof parts, "%d", answered_all);
    assert_string_equal(fx_sql(f, "SELECT count(*) FROM outbox"), parts);
    print_message("%d kills: %d questions accepted, %d answered\n", KILLS, accepted_all, answered_all);
    assert_true(answered_all > KILLS && accepted_all > answered_all);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_killed_at_random_moments, fx_setup_shut, fx_teardown),
    };
    return cmocka_run_group_tests_name("store_crash", tests, NULL, NULL);
}
