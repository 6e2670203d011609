/* Matrix: paths, rooms, recent events, sentences and the registration file. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "adapters/matrix/matrix.h"
#include "adapters/matrix/words.h"
#include "plugin/base/clock.h"
#include "plugin/base/json.h"
#include "plugin/base/mem.h"

#define ALL(cases) (sizeof(cases) / sizeof *(cases))

static char us[] = "@bot:example.org", account_name[] = "mx";

/* An account as far as these functions look at it. */
struct world {
    struct matrix_conf conf;
    struct account_conf account;
    struct adapter a;
    struct matrix m;
};

static int set_up(void **state)
{
    struct world *w = mem_alloc(sizeof *w);

    w->account = (struct account_conf){ .name = account_name, .settings = &w->conf };
    w->a.conf = &w->account;
    w->m.a = &w->a;
    w->m.user = us;
    *state = w;
    return 0;
}

static int tear_down(void **state)
{
    struct world *w = *state;

    room_free_all(&w->m);
    recent_fini(&w->m.recent);
    secret_clear(&w->conf.access_token);
    secret_clear(&w->conf.appservice.hs_token);
    free(w);
    return 0;
}

/* --- paths --- */

static void paths_are_encoded(void **state)
{
    static const struct {
        const char *pattern, *argument, *path;
    } cases[] = {
        { "/rooms/%/leave", "!abc:example.org", "/rooms/%21abc%3Aexample.org/leave" },
        { "/rooms/%", "-._~azAZ09", "/rooms/-._~azAZ09" },
        { "/x/%", "a/b?c#d e%f+g", "/x/a%2Fb%3Fc%23d%20e%25f%2Bg" },
        { "/x/%", "\xe4\xb8\xad\x01\xff", "/x/%E4%B8%AD%01%FF" },
        { "/x/%?y=1", "", "/x/?y=1" },
        { "/plain", "unused", "/plain" },
    };

    (void)state;
    for (size_t i = 0; i < ALL(cases); i++) {
        struct buf path;

        buf_init(&path, API_PATH_BYTES_MAX);
        api_path(&path, cases[i].pattern, cases[i].argument);
        assert_string_equal(buf_str(&path), cases[i].path);
        buf_free(&path);
    }
}

/* --- recent events --- */

static void the_oldest_event_makes_room(void **state)
{
    struct world *w = *state;
    struct recent *r = &w->m.recent;
    char id[32];

    for (unsigned i = 0; i <= RECENT_MAX; i++) {
        snprintf(id, sizeof id, "$%u", i);
        assert_non_null(recent_note(r, id, us, NULL, NULL, 0));
    }
    assert_null(recent_find(r, "$0"));
    assert_non_null(recent_find(r, "$1"));
    assert_null(recent_find(r, NULL));
}

static void what_is_known_of_an_event_grows(void **state)
{
    struct world *w = *state;
    struct recent *r = &w->m.recent;
    char text[RECENT_TEXT_BYTES_MAX + 8];

    memset(text, 'x', sizeof text);
    memcpy(text + RECENT_TEXT_BYTES_MAX - 1, "\xe4\xb8\xad", 3); /* a character across the limit */
    recent_note(r, "$a", us, "$root", NULL, 0);
    recent_note(r, "$a", NULL, NULL, text, sizeof text);
    assert_string_equal(recent_find(r, "$a")->sender, us);
    assert_string_equal(recent_find(r, "$a")->thread, "$root");
    assert_int_equal(strlen(recent_find(r, "$a")->text), RECENT_TEXT_BYTES_MAX - 1);
    recent_note(r, "$a", NULL, NULL, text, RECENT_TEXT_BYTES_MAX + 2);
    assert_int_equal(strlen(recent_find(r, "$a")->text), RECENT_TEXT_BYTES_MAX - 1);
    recent_note(r, "$a", NULL, NULL, "short", 5);
    assert_string_equal(recent_find(r, "$a")->text, "short");
}

/* --- rooms --- */

static void tell(struct room *r, const char *event)
{
    cJSON *json = json_parse(event, strlen(event));
    struct err e = ERR_INIT;
    struct event ev;

    assert_non_null(json);
    assert_int_equal(event_read(&ev, json, &e), ERR_OK);
    room_state(r, &ev);
    event_fini(&ev);
    cJSON_Delete(json);
}

#define STATE(type, key, content)                                                                          \
    "{\"type\":\"" type "\",\"event_id\":\"$e\",\"sender\":\"@alice:example.org\",\"state_key\":\"" key "\"," \
    "\"content\":" content "}"

static void what_a_room_is_called_is_told_once(void **state)
{
    struct world *w = *state;
    struct room *r = room_get(&w->m, "!r:example.org");
    struct chat_about about;

    assert_false(room_about(r, &about));
    assert_string_equal(room_label(r), "!r:example.org");
    tell(r, STATE("m.room.name", "", "{\"name\":\"Tea\"}"));
    tell(r, STATE("m.room.topic", "", "{\"topic\":\"Leaves\"}"));
    tell(r, STATE("m.room.canonical_alias", "", "{\"alias\":\"#tea:example.org\"}"));
    assert_true(room_about(r, &about));
    assert_string_equal(about.name, "Tea");
    assert_string_equal(about.topic, "Leaves");
    assert_string_equal(about.aliases[0], "#tea:example.org");
    assert_null(about.aliases[1]);
    r->about_due = false;
    tell(r, STATE("m.room.name", "", "{\"name\":\"Tea\"}"));
    assert_false(room_about(r, &about));
    tell(r, STATE("m.room.name", "", "{\"name\":\"\"}"));
    assert_true(room_about(r, &about));
    assert_null(about.name);
}

static void two_people_are_a_private_conversation(void **state)
{
    static const struct {
        int64_t joined, invited;
        bool direct;
    } cases[] = { { -1, -1, false }, { 1, 1, true }, { 2, 0, true }, { 2, -1, true }, { 2, 1, false }, { 3, 0, false } };
    static const char direct[] = "{\"@alice:example.org\":[\"!r:example.org\",7]}";
    struct world *w = *state;
    struct room *r = room_get(&w->m, "!r:example.org");

    for (size_t i = 0; i < ALL(cases); i++) {
        r->joined = cases[i].joined;
        r->invited = cases[i].invited;
        assert_int_equal(room_direct(r), cases[i].direct);
    }
    cJSON *list = json_parse(direct, strlen(direct));
    room_direct_list(&w->m, list);
    assert_true(room_direct(r));
    cJSON_Delete(list);
    room_direct_list(&w->m, NULL);
    assert_false(room_direct(r));
}

static void names_are_remembered_of_so_many_people(void **state)
{
    struct world *w = *state;
    struct room *r = room_get(&w->m, "!r:example.org");
    char user[32];

    for (unsigned i = 0; i <= ROOM_NAMES_MAX; i++) {
        snprintf(user, sizeof user, "@u%u:example.org", i);
        room_note_person(r, user, "Name");
    }
    assert_null(room_person(r, "@u0:example.org"));
    assert_string_equal(room_person(r, "@u1:example.org"), "Name");
    tell(r, STATE("m.room.member", "@u1:example.org", "{\"membership\":\"join\",\"displayname\":\"Another\"}"));
    assert_string_equal(room_person(r, "@u1:example.org"), "Another");
}

static void power_decides_whether_we_may_speak(void **state)
{
    struct world *w = *state;
    struct room *r = room_get(&w->m, "!r:example.org");

    tell(r, STATE("m.room.power_levels", "", "{\"events_default\":50}"));
    assert_true(r->mute);
    tell(r, STATE("m.room.power_levels", "", "{\"events_default\":50,\"users\":{\"@bot:example.org\":50}}"));
    assert_false(r->mute);
}

static void our_membership_is_noted(void **state)
{
    struct world *w = *state;
    struct room *r = room_get(&w->m, "!r:example.org");

    tell(r, STATE("m.room.member", "@bot:example.org", "{\"membership\":\"join\"}"));
    assert_true(r->member);
    tell(r, STATE("m.room.member", "@alice:example.org", "{\"membership\":\"leave\"}"));
    assert_true(r->member);
    tell(r, STATE("m.room.member", "@bot:example.org", "{\"membership\":\"ban\"}"));
    assert_false(r->member);
}

/* --- what an event is worth --- */

static void messages_and_comings_are_known_by_their_type(void **state)
{
    static const struct {
        const char *event;
        bool message, coming;
    } cases[] = {
        { "{\"type\":\"m.room.message\",\"sender\":\"@alice:example.org\"}", true, false },
        { "{\"type\":\"m.room.encrypted\",\"sender\":\"@alice:example.org\"}", true, false },
        { "{\"type\":\"m.room.message\",\"sender\":\"@bot:example.org\"}", false, false },
        { "{\"type\":\"m.room.message\",\"sender\":1}", false, false },
        { "{\"type\":\"m.reaction\",\"sender\":\"@alice:example.org\"}", false, false },
        { "{}", false, false },
        { STATE("m.room.member", "@bot:example.org", "{\"membership\":\"invite\"}"), false, true },
        { STATE("m.room.member", "@bot:example.org", "{\"membership\":\"join\"}"), false, true },
        { STATE("m.room.member", "@bot:example.org",
                "{\"membership\":\"join\"},\"unsigned\":{\"prev_content\":{\"membership\":\"invite\"}}"), false, true },
        { STATE("m.room.member", "@bot:example.org", /* has a new name */
                "{\"membership\":\"join\"},\"unsigned\":{\"prev_content\":{\"membership\":\"join\"}}"), false, false },
        { STATE("m.room.member", "@bot:example.org", "{\"membership\":\"leave\"}"), false, false },
        { STATE("m.room.member", "@bot:example.org", "{}"), false, false },
        { STATE("m.room.member", "@alice:example.org", "{\"membership\":\"join\"}"), false, false },
    };

    (void)state;
    for (size_t i = 0; i < ALL(cases); i++) {
        cJSON *json = json_parse(cases[i].event, strlen(cases[i].event));

        assert_int_equal(intake_is_message(json, us), cases[i].message);
        assert_int_equal(intake_is_coming(json, us), cases[i].coming);
        cJSON_Delete(json);
    }
}

static void too_old_is_what_was_said_before_we_came(void **state)
{
    static const struct {
        int64_t max_age, age;
        bool missed, old;
    } cases[] = {
        { 3600000, 3600000, true, false }, { 3600000, 3600001, true, true }, { 0, 10000, true, false },
        { 0, 10001, true, true },          { 0, LIVE_AGE_MS, false, false }, { 0, LIVE_AGE_MS + 1, false, true },
        { 3600000, 3600000, false, false },
    };
    struct world *w = *state;
    char event[256];

    clock_test_freeze(1700000000000);
    w->m.started_ms = clock_mono_ms();
    clock_test_advance(10000);
    for (size_t i = 0; i < ALL(cases); i++) {
        int64_t sent = clock_wall_ms() - cases[i].age;

        w->conf.catch_up.max_age = cases[i].max_age;
        for (int own_measure = 0; own_measure < 2; own_measure++) { /* by the server's clock, or by ours */
            snprintf(event, sizeof event, own_measure ? "{\"origin_server_ts\":%lld,\"unsigned\":{\"age\":%lld}}"
                     : "{\"origin_server_ts\":%lld}", own_measure ? 5LL : (long long)sent, (long long)cases[i].age);
            cJSON *json = json_parse(event, strlen(event));
            assert_int_equal(intake_too_old(&w->m, json, cases[i].missed), cases[i].old);
            cJSON_Delete(json);
        }
    }
}

/* --- sentences and files --- */

static void people_are_spoken_to_in_their_language(void **state)
{
    (void)state;
    for (enum words what = 0; what < WORDS_COUNT; what++) {
        assert_string_equal(words(what, NULL), words(what, "Tea"));
        assert_string_not_equal(words(what, "茶 room"), words(what, "Tea"));
    }
}

static void registration_is_what_a_homeserver_reads(void **state)
{
    struct world *w = *state;
    struct err e = ERR_INIT;
    struct buf out;

    buf_init(&out, 4096);
    assert_int_equal(appservice_registration(&w->account, &out, &e), ERR_INVALID);
    w->conf.mode = MODE_APPSERVICE;
    w->conf.user = (char[]){ "b.ot" };
    w->conf.appservice.id = (char[]){ "warbler" };
    w->conf.appservice.url = (char[]){ "http://127.0.0.1:8080" };
    secret_set(&w->conf.access_token, "as\"1", 4);
    assert_int_equal(appservice_registration(&w->account, &out, &e), ERR_INVALID);
    secret_set(&w->conf.appservice.hs_token, "hs1", 3);
    assert_int_equal(appservice_registration(&w->account, &out, &e), ERR_OK);
    assert_string_equal(buf_str(&out), "id: \"warbler\"\nurl: \"http://127.0.0.1:8080\"\nas_token: \"as\\\"1\"\n"
                        "hs_token: \"hs1\"\nsender_localpart: \"b.ot\"\nrate_limited: false\nnamespaces:\n  users:\n"
                        "    - exclusive: true\n      regex: \"@b\\\\.ot:.*\"\n  aliases: []\n  rooms: []\n");
    buf_free(&out);
}

#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(paths_are_encoded),
        T(the_oldest_event_makes_room),
        T(what_is_known_of_an_event_grows),
        T(what_a_room_is_called_is_told_once),
        T(two_people_are_a_private_conversation),
        T(names_are_remembered_of_so_many_people),
        T(power_decides_whether_we_may_speak),
        T(our_membership_is_noted),
        T(messages_and_comings_are_known_by_their_type),
        T(people_are_spoken_to_in_their_language),
        T(registration_is_what_a_homeserver_reads),
        T(too_old_is_what_was_said_before_we_came), /* the last: it stops the clock */
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
