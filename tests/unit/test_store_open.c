/* Opening a store: what is made, refused, upgraded, and said about it. */
#include "tests/unit/store_fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "plugin/store/db.h"
#include "plugin/store/schema.h"

/* Tries to open DIR; the reason must be one line that holds each of the words. */
static void assert_refused(struct fixture *f, const char *dir, bool lock, enum err_code code, const char *const *words)
{
    struct store *store;
    struct err e = ERR_INIT;
    if (store_open(f->loop, dir, lock, &store, &e) == ERR_OK) {
        store_close(&store);
        fail_msg("opened %s", dir);
    }
    assert_null(store);
    assert_int_equal(e.code, code);
    assert_null(strchr(e.text, '\n'));
    for (; *words; words++)
        if (!strstr(e.text, *words))
            fail_msg("'%s' does not say '%s'", e.text, *words);
}
#define WORDS(...) ((const char *const[]){ __VA_ARGS__, NULL })

static unsigned mode_of(const char *path)
{
    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    return st.st_mode & 07777;
}

static void write_file(const char *path, const char *data, size_t len)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, data, len), len);
    close(fd);
}

/* --- what is made --- */
static void test_makes_private_files(void **state)
{
    struct fixture *f = *state;
    mode_t before = umask(0);
    fx_open(f);
    umask(before);
    fx_accept_ok(f, "x", 1);
    assert_int_equal(mode_of(f->dir), 0700);
    static const char *const names[] = { "warbler.db", "warbler.db-wal", "warbler.db-shm", "warbler.lock" };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        assert_int_equal(mode_of(fx_path(f, names[i])), 0600);
    store_close(&f->store);
    assert_int_equal(access(fx_path(f, "warbler.db-wal"), F_OK), -1); /* all is in the one file */
}

static void test_keeps_durable_settings(void **state)
{
    struct fixture *f = *state;
    struct db *db;
    struct err e = ERR_INIT;
    assert_int_equal(db_open(f->dir, true, &db, &e), ERR_OK);
    static const struct {
        const char *sql, *value;
    } cases[] = {
        { "PRAGMA journal_mode", "wal" }, { "PRAGMA synchronous", "2" },        { "PRAGMA cache_size", "-4096" },
        { "PRAGMA mmap_size", "0" },      { "PRAGMA temp_store", "2" },         { "PRAGMA wal_autocheckpoint", "4000" },
        { "PRAGMA secure_delete", "2" },  { "PRAGMA journal_size_limit", "18874368" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct query q = query_new(db, cases[i].sql);
        assert_true(query_step(&q));
        assert_string_equal(column_text(&q, 0, f->arena), cases[i].value);
        assert_int_equal(query_end(&q, &e), ERR_OK);
    }
    db_close(&db);
    db_close(&db);
}

/* --- the lock --- */
static void test_second_daemon_is_refused(void **state)
{
    struct fixture *f = *state;
    char pid[32];
    snprintf(pid, sizeof pid, "process %ld)", (long)getpid());
    fx_open(f);
    assert_refused(f, f->dir, true, ERR_BUSY, WORDS(f->dir, pid, "stop that one"));
    fx_accept_ok(f, "x", 1); /* the first one goes on */
    fx_reopen(f);    /* and its end frees the place */
}

static void test_lock_ends_with_its_process(void **state)
{
    struct fixture *f = *state;
    int ready[2];
    char byte;
    assert_int_equal(pipe(ready), 0);
    pid_t child = fork();
    if (child == 0) {
        struct db *db;
        struct err e = ERR_INIT;
        if (db_open(f->dir, true, &db, &e) == ERR_OK && write(ready[1], "x", 1) == 1)
            pause();
        _exit(1);
    }
    close(ready[1]);
    assert_int_equal(read(ready[0], &byte, 1), 1);
    close(ready[0]);
    char pid[32];
    snprintf(pid, sizeof pid, "process %ld)", (long)child);
    assert_refused(f, f->dir, true, ERR_BUSY, WORDS(pid));
    kill(child, SIGKILL);
    assert_int_equal(waitpid(child, NULL, 0), child);
    fx_open(f);
}

/* --- versions --- */
static void test_empty_file_becomes_a_store(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(mkdir(f->dir, 0700), 0);
    write_file(fx_path(f, "warbler.db"), "", 0);
    fx_open(f);
    fx_accept_ok(f, "x", 1);
    char version[16];
    snprintf(version, sizeof version, "%zu", schema_n_steps);
    assert_string_equal(fx_sql(f, "PRAGMA user_version"), version);
    char application[16];
    snprintf(application, sizeof application, "%d", SCHEMA_APPLICATION_ID);
    assert_string_equal(fx_sql(f, "PRAGMA application_id"), application);
}

static void test_newer_store_is_refused(void **state)
{
    struct fixture *f = *state;
    fx_open(f);
    store_close(&f->store);
    fx_sql(f, "PRAGMA user_version = 1000");
    assert_refused(f, f->dir, true, ERR_VERSION, WORDS("warbler.db", "version 1000", "upgrade warbler"));
    assert_refused(f, f->dir, false, ERR_VERSION, WORDS("upgrade warbler"));
    assert_string_equal(fx_sql(f, "PRAGMA user_version"), "1000");
}

static void test_other_programs_file_is_left_alone(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(mkdir(f->dir, 0700), 0);
    fx_sql(f, "CREATE TABLE message (id)");
    assert_refused(f, f->dir, true, ERR_IO, WORDS("warbler.db", "another program", "data_dir"));
    assert_string_equal(fx_sql(f, "SELECT group_concat(name) FROM sqlite_schema"), "message");
}

static void test_steps_are_taken_one_by_one(void **state)
{
    struct fixture *f = *state;
    struct db *db;
    struct err e = ERR_INIT;
    static const char *const more[] = {
        "CREATE TABLE one (a)",
        "CREATE TABLE two (a); INSERT INTO one VALUES (2)",
        "CREATE TABLE three (a); INSERT INTO nowhere VALUES (3)",
    };
    const char *steps[32] = { NULL }; /* first those that the file has seen already */
    const size_t n = schema_n_steps;
    char version[8];
    assert_true(n + 3 <= sizeof steps / sizeof *steps);
    memcpy(steps + n, more, sizeof more);
    snprintf(version, sizeof version, "%zu", n + 2);
    assert_int_equal(db_open(f->dir, true, &db, &e), ERR_OK);
    assert_int_equal(schema_upgrade(db, steps, n + 2, &e), ERR_OK);
    assert_int_equal(schema_upgrade(db, steps, n + 2, &e), ERR_OK); /* nothing left to do */
    assert_string_equal(fx_sql(f, "SELECT group_concat(a) FROM one"), "2");
    assert_string_equal(fx_sql(f, "PRAGMA user_version"), version);

    /* A step that fails leaves nothing of itself. */
    assert_int_not_equal(schema_upgrade(db, steps, n + 3, &e), ERR_OK);
    assert_non_null(strstr(e.text, "nowhere"));
    assert_string_equal(fx_sql(f, "PRAGMA user_version"), version);
    assert_string_equal(fx_sql(f, "SELECT count(*) FROM sqlite_schema WHERE name = 'three'"), "0");
    size_t now;
    assert_int_equal(schema_check(db, n + 1, &now, &e), ERR_VERSION);
    db_close(&db);
}

/* Written by the last program that knew version 1 only: in web:tea, message b,
 * c and d were answered at once, e alone, w waits; in web:dead, k is a dead letter. */
#define VERSION_1 "tests/data/store-1.db"

static void copy_file(const char *from, const char *to)
{
    static char data[128 * 1024];
    int fd = open(from, O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    ssize_t n = read(fd, data, sizeof data);
    assert_true(n > 0 && (size_t)n < sizeof data);
    close(fd);
    write_file(to, data, (size_t)n);
}

static void test_version_1_is_upgraded(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(mkdir(f->dir, 0700), 0);
    copy_file(VERSION_1, fx_path(f, "warbler.db"));
    assert_string_equal(fx_sql(f, "PRAGMA user_version"), "1");
    const char *rows = "SELECT count(*) || ',' || sum(length(text)) FROM message";
    const char *before = fx_sql(f, rows);
    for (int i = 0; i < 2; i++) { /* the second time there is nothing to do */
        fx_open(f);
        assert_int_equal(strtoll(fx_sql(f, "PRAGMA user_version"), NULL, 10), schema_n_steps);
        assert_string_equal(fx_sql(f, "PRAGMA integrity_check"), "ok");
        assert_string_equal(fx_sql(f, rows), before);

        assert_int_equal(fx_load(f, "tea", 100), ERR_OK);
        assert_int_equal(fx_history(f, f->channel.id, 0, 100), ERR_OK);
        const char *answered = "";
        for (size_t k = 0; k < f->n; k++)
            if (f->msgs[k].answers) {
                assert_string_equal(answered, "");
                answered = f->msgs[k].reply_to;
                for (size_t j = 0; j < 3; j++)
                    assert_string_equal(f->msgs[k].answers[j], ((const char *const[]){ "b", "c", "d" })[j]);
                assert_null(f->msgs[k].answers[3]);
            }
        assert_string_equal(answered, "d");

        assert_int_equal(fx_queue_list(f, 10), ERR_OK);
        assert_int_equal(f->n, 2);
        assert_string_equal(f->items[0].channel, "web:dead");
        assert_true(f->items[0].dead);
        assert_string_equal(f->items[0].reason,
                            "unanswered at 11 starts in a row: look into the log, then retry or drop it");
        assert_string_equal(f->items[1].channel, "web:tea");
        store_close(&f->store);
    }
    fx_open(f);
}

/* A newer tool must not change the tables under an older daemon. */
static void test_tool_upgrades_only_what_nobody_uses(void **state)
{
    struct fixture *f = *state;
    struct store *tool;
    struct err e = ERR_INIT;
    fx_open(f);
    const char *version = fx_sql(f, "PRAGMA user_version");
    char restore[48];
    snprintf(restore, sizeof restore, "PRAGMA user_version = %s", version);
    fx_sql(f, "PRAGMA user_version = 0");
    assert_refused(f, f->dir, false, ERR_BUSY, WORDS("in use by another warbler"));
    fx_sql(f, restore);
    assert_int_equal(store_open(f->loop, f->dir, false, &tool, &e), ERR_OK);
    store_close(&tool);
    store_close(&f->store);

    assert_int_equal(unlink(fx_path(f, "warbler.db")), 0);
    assert_int_equal(store_open(f->loop, f->dir, false, &tool, &e), ERR_OK);
    fx_open(f); /* the tool's lock was only for the upgrade */
    store_close(&tool);
}

/* --- what cannot be opened --- */
static void test_directory_cannot_be_made(void **state)
{
    struct fixture *f = *state;
    char file[80], below[96], deep[128];
    snprintf(file, sizeof file, "%s/file", f->top);
    snprintf(below, sizeof below, "%s/data", file);
    snprintf(deep, sizeof deep, "%s/no/such/data", f->top);
    write_file(file, "x", 1);
    assert_refused(f, below, true, ERR_IO, WORDS("cannot write", below, "Not a directory"));
    assert_refused(f, file, true, ERR_IO, WORDS("cannot write", file, "Not a directory"));
    assert_refused(f, deep, true, ERR_IO, WORDS("cannot make", deep, "directory above"));
}

static void test_file_is_a_directory(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(mkdir(f->dir, 0700), 0);
    assert_int_equal(mkdir(fx_path(f, "warbler.db"), 0700), 0);
    assert_refused(f, f->dir, true, ERR_IO, WORDS("cannot write", "warbler.db"));
}

/* Permissions mean nothing to root, so the file is read as another user. */
static void test_not_ours_to_write(void **state)
{
    struct fixture *f = *state;
    if (geteuid() != 0) {
        fx_open(f);
        store_close(&f->store);
        assert_int_equal(chmod(fx_path(f, "warbler.db"), 0400), 0);
        assert_refused(f, f->dir, true, ERR_IO, WORDS("cannot write", "warbler.db", "Permission denied"));
        return;
    }
    fx_open(f);
    store_close(&f->store);
    assert_int_equal(chmod(f->top, 0755), 0);
    assert_int_equal(chmod(f->dir, 0755), 0);
    assert_int_equal(chmod(fx_path(f, "warbler.db"), 0644), 0);
    assert_int_equal(seteuid(65534), 0);
    const char *const words[] = { "cannot write", f->dir, "Permission denied", "belongs to user 0", "runs as user 65534",
                                  NULL };
    struct store *store;
    struct err locked = ERR_INIT, unlocked = ERR_INIT;
    enum err_code with = store_open(f->loop, f->dir, true, &store, &locked);
    enum err_code without = store_open(f->loop, f->dir, false, &store, &unlocked);
    assert_int_equal(seteuid(0), 0);
    assert_int_equal(with, ERR_IO);
    assert_int_equal(without, ERR_IO);
    for (size_t i = 0; words[i]; i++) {
        assert_non_null(strstr(locked.text, words[i]));
        assert_non_null(strstr(unlocked.text, words[i]));
    }
}

static void test_read_only_file_system(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(mkdir(f->dir, 0700), 0);
    if (mount("none", f->dir, "tmpfs", MS_RDONLY, NULL) < 0) {
        print_message("cannot mount here: %s\n", strerror(errno));
        skip();
    }
    struct store *store;
    struct err e = ERR_INIT;
    store_open(f->loop, f->dir, true, &store, &e);
    umount(f->dir);
    assert_int_equal(e.code, ERR_IO);
    assert_non_null(strstr(e.text, "Read-only file system"));
}

static void test_damaged_files(void **state)
{
    struct fixture *f = *state;
    fx_open(f);
    for (int64_t seq = 1; seq <= 200; seq++)
        fx_accept_ok(f, "x", seq);
    store_close(&f->store);
    const char *path = fx_path(f, "warbler.db");

    /* A page in the middle: the rest can be used, and who reads it is told. */
    char noise[4096];
    memset(noise, 0x5A, sizeof noise);
    int64_t root = atoll(fx_sql(f, "SELECT rootpage FROM sqlite_schema WHERE name = 'message'"));
    int fd = open(path, O_RDWR | O_CLOEXEC);
    assert_int_equal(pwrite(fd, noise, sizeof noise, (root - 1) * 4096), sizeof noise);
    close(fd);
    fx_open(f);
    assert_int_equal(fx_kv_put(f, "k", "v", 0), ERR_OK);
    assert_int_equal(fx_load(f, "x", 10), ERR_IO);
    assert_non_null(strstr(f->err.text, "damaged"));
    assert_non_null(strstr(f->err.text, "backup"));
    assert_int_equal(f->n, 0);
    struct store_msg m = fx_person(201, "ann", "m201");
    assert_int_equal(fx_accept_msg(f, "x", &m), ERR_IO);
    assert_int_equal(fx_kv_get(f, "k"), ERR_OK);
    assert_string_equal(f->value, "v");
    store_close(&f->store);

    /* Not a database at all. */
    write_file(path, noise, sizeof noise);
    assert_refused(f, f->dir, true, ERR_IO, WORDS(path, "damaged", "backup"));
    write_file(path, "SQLite format 3", 16);
    assert_refused(f, f->dir, true, ERR_IO, WORDS(path, "damaged"));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, fx_setup_shut, fx_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_makes_private_files),
        TEST(test_keeps_durable_settings),
        TEST(test_second_daemon_is_refused),
        TEST(test_lock_ends_with_its_process),
        TEST(test_empty_file_becomes_a_store),
        TEST(test_newer_store_is_refused),
        TEST(test_other_programs_file_is_left_alone),
        TEST(test_steps_are_taken_one_by_one),
        TEST(test_version_1_is_upgraded),
        TEST(test_tool_upgrades_only_what_nobody_uses),
        TEST(test_directory_cannot_be_made),
        TEST(test_file_is_a_directory),
        TEST(test_not_ours_to_write),
        TEST(test_read_only_file_system),
        TEST(test_damaged_files),
    };
    return cmocka_run_group_tests_name("store_open", tests, NULL, NULL);
}
