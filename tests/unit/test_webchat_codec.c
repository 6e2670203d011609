/* The frames of the web chat: what is read, what is refused and why, and every
 * frame that the server writes, letter by letter. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "adapters/webchat/codec.h"
#include "plugin/base/json.h"

#define X16 "xxxxxxxxxxxxxxxx"
#define X64 X16 X16 X16 X16
#define HAN16 "鸟鸟鸟鸟鸟鸟鸟鸟鸟鸟鸟鸟鸟鸟鸟鸟"
#define HAN64 HAN16 HAN16 HAN16 HAN16
#define SAME(got, want) ((got) == (want) || ((got) && (want) && strcmp(got, want) == 0))

static enum err_code read_str(struct frame *f, const char *text)
{
    return frame_read(f, text, strlen(text));
}

static void accepted_frames(void **state)
{
    (void)state;
    const struct {
        const char *text;
        struct frame want;
    } cases[] = {
        { "{\"type\":\"hello\"}", { .type = FRAME_HELLO, .last = -1 } },
        { "{\"type\":\"hello\",\"visitor\":\"v1\",\"room\":\"tea\",\"name\":\"Ann\",\"lang\":\"zh-CN\",\"last\":0}",
          { .type = FRAME_HELLO, .visitor = "v1", .room = "tea", .name = "Ann", .lang = "zh-CN", .last = 0 } },
        { "{\"type\":\"hello\",\"visitor\":null,\"last\":null,\"more\":[1]}", { .type = FRAME_HELLO, .last = -1 } },
        { "{\"type\":\"hello\",\"last\":9007199254740991}", { .type = FRAME_HELLO, .last = INT64_C(9007199254740991) } },
        { "{\"type\":\"hello\",\"name\":\"" X64 "\"}", { .type = FRAME_HELLO, .name = X64, .last = -1 } },
        { "{\"type\":\"hello\",\"room\":\"" HAN64 "\"}", { .type = FRAME_HELLO, .room = HAN64, .last = -1 } },
        { "{\"type\":\"hello\",\"name\":\"robot\"}", { .type = FRAME_HELLO, .name = "robot", .last = -1 } },
        { "{\"type\":\"message\",\"id\":\"a\",\"text\":\"hi\"}",
          { .type = FRAME_MESSAGE, .id = "a", .text = "hi", .last = -1 } },
        { "{\"type\":\"message\",\"id\":\"" HAN64 "\",\"text\":\"\\u4f60\\n\",\"reply_to\":\"m1\"}",
          { .type = FRAME_MESSAGE, .id = HAN64, .text = "你\n", .reply_to = "m1", .last = -1 } },
        { " {\"type\":\"typing\"} ", { .type = FRAME_TYPING, .last = -1 } },
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const struct frame *want = &cases[i].want;
        struct frame f;

        if (read_str(&f, cases[i].text) != ERR_OK)
            fail_msg("%s: %s", cases[i].text, f.why);
        if (f.type != want->type || f.last != want->last || !SAME(f.visitor, want->visitor) ||
            !SAME(f.room, want->room) || !SAME(f.name, want->name) || !SAME(f.lang, want->lang) ||
            !SAME(f.id, want->id) || !SAME(f.text, want->text) || !SAME(f.reply_to, want->reply_to))
            fail_msg("%s: read wrongly", cases[i].text);
        frame_fini(&f);
    }
}

static void refused_frames(void **state)
{
    (void)state;
    const struct {
        const char *text;
        enum frame_type type;
        const char *id, *why;
    } cases[] = {
        { "", FRAME_NONE, NULL, "JSON" },
        { "hello", FRAME_NONE, NULL, "JSON" },
        { "{\"type\":\"hello\"", FRAME_NONE, NULL, "JSON" },
        { "[]", FRAME_NONE, NULL, "type" },
        { "{}", FRAME_NONE, NULL, "type" },
        { "{\"type\":7}", FRAME_NONE, NULL, "type" },
        { "{\"type\":\"Hello\"}", FRAME_NONE, NULL, "type" },
        { "{\"type\":\"hello\",\"visitor\":5}", FRAME_HELLO, NULL, "visitor" },
        { "{\"type\":\"hello\",\"room\":true}", FRAME_HELLO, NULL, "room" },
        { "{\"type\":\"hello\",\"room\":\"\"}", FRAME_HELLO, NULL, "room" },
        { "{\"type\":\"hello\",\"room\":\"" X64 "x\"}", FRAME_HELLO, NULL, "room" },
        { "{\"type\":\"hello\",\"room\":\"a\\nb\"}", FRAME_HELLO, NULL, "room" },
        { "{\"type\":\"hello\",\"room\":\"~0123456789abcdef0123456789abcdef\"}", FRAME_HELLO, NULL, "~" },
        { "{\"type\":\"hello\",\"name\":\"\"}", FRAME_HELLO, NULL, "name" },
        { "{\"type\":\"hello\",\"name\":\"  \"}", FRAME_HELLO, NULL, "name" },
        { "{\"type\":\"hello\",\"name\":\"" HAN64 "x\"}", FRAME_HELLO, NULL, "name" },
        { "{\"type\":\"hello\",\"name\":\"a\\u202eb\"}", FRAME_HELLO, NULL, "name" },
        { "{\"type\":\"hello\",\"name\":\"a\\ud800b\"}", FRAME_HELLO, NULL, "name" },
        { "{\"type\":\"hello\",\"name\":\"bot\"}", FRAME_HELLO, NULL, "server's own" },
        { "{\"type\":\"hello\",\"name\":\" BoT \"}", FRAME_HELLO, NULL, "server's own" },
        { "{\"type\":\"hello\",\"name\":\"YOU\"}", FRAME_HELLO, NULL, "server's own" },
        { "{\"type\":\"hello\",\"lang\":\"\"}", FRAME_HELLO, NULL, "lang" },
        { "{\"type\":\"hello\",\"lang\":\"en; q=1\"}", FRAME_HELLO, NULL, "lang" },
        { "{\"type\":\"hello\",\"lang\":\"" X16 X16 "xxxx\"}", FRAME_HELLO, NULL, "lang" },
        { "{\"type\":\"hello\",\"last\":-1}", FRAME_HELLO, NULL, "last" },
        { "{\"type\":\"hello\",\"last\":1.5}", FRAME_HELLO, NULL, "last" },
        { "{\"type\":\"hello\",\"last\":\"3\"}", FRAME_HELLO, NULL, "last" },
        { "{\"type\":\"message\"}", FRAME_MESSAGE, NULL, "id" },
        { "{\"type\":\"message\",\"id\":\"\",\"text\":\"x\"}", FRAME_MESSAGE, NULL, "id" },
        { "{\"type\":\"message\",\"id\":\"" X64 "x\",\"text\":\"x\"}", FRAME_MESSAGE, NULL, "id" },
        { "{\"type\":\"message\",\"id\":3,\"text\":\"x\"}", FRAME_MESSAGE, NULL, "id" },
        { "{\"type\":\"message\",\"id\":\"a\\udc00\",\"text\":\"x\"}", FRAME_MESSAGE, NULL, "id" },
        { "{\"type\":\"message\",\"id\":\"a\"}", FRAME_MESSAGE, "a", "text" },
        { "{\"type\":\"message\",\"id\":\"a\",\"text\":\"\"}", FRAME_MESSAGE, "a", "text" },
        { "{\"type\":\"message\",\"id\":\"a\",\"text\":[\"x\"]}", FRAME_MESSAGE, "a", "text" },
        { "{\"type\":\"message\",\"id\":\"a\",\"text\":\"x\",\"reply_to\":1}", FRAME_MESSAGE, "a", "reply_to" },
        { "{\"type\":\"message\",\"id\":\"a\",\"text\":\"x\",\"reply_to\":\"\"}", FRAME_MESSAGE, "a", "reply_to" },
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct frame f;

        if (read_str(&f, cases[i].text) != ERR_INVALID)
            fail_msg("%s: was not refused", cases[i].text);
        if (f.type != cases[i].type || !SAME(f.id, cases[i].id) || !strstr(f.why, cases[i].why))
            fail_msg("%s: %s (type %d, id %s)", cases[i].text, f.why, f.type, f.id ? f.id : "none");
        frame_fini(&f);
    }
}

static void questions(void **state)
{
    (void)state;
    const struct {
        const char *text, *message, *conversation, *name, *why;
    } cases[] = {
        { "{\"message\":\"hi\"}", "hi", NULL, NULL, NULL },
        { "{\"message\":\"hi\",\"conversation\":\"c1\",\"name\":\"Ann\"}", "hi", "c1", "Ann", NULL },
        { "message=hi", NULL, NULL, NULL, "JSON" },
        { "{}", NULL, NULL, NULL, "message" },
        { "{\"message\":\"\"}", "", NULL, NULL, "message" },
        { "{\"message\":\"hi\",\"conversation\":1}", "hi", NULL, NULL, "conversation" },
        { "{\"message\":\"hi\",\"name\":1}", "hi", NULL, NULL, "name" },
        { "{\"message\":\"hi\",\"name\":\"bot\"}", "hi", NULL, "bot", "server's own" },
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct question_body q;
        enum err_code code = question_read(&q, cases[i].text, strlen(cases[i].text));

        if ((code == ERR_OK) != !cases[i].why || (q.why && !strstr(q.why, cases[i].why)))
            fail_msg("%s: %s", cases[i].text, q.why ? q.why : "was not refused");
        if (!SAME(q.message, cases[i].message) || !SAME(q.conversation, cases[i].conversation) ||
            !SAME(q.name, cases[i].name))
            fail_msg("%s: read wrongly", cases[i].text);
        question_fini(&q);
    }
}

/* --- writing --- */

static struct buf out;

static void written(const char *want)
{
    assert_int_equal(buf_error(&out), ERR_OK);
    assert_string_equal(buf_str(&out), want);
    buf_reset(&out);
}

static void small_frames(void **state)
{
    (void)state;
    put_welcome(&out, "v1", "", "wa\"rbler", 42);
    written("{\"type\":\"welcome\",\"visitor\":\"v1\",\"room\":\"\",\"bot\":\"wa\\\"rbler\",\"last\":42}");
    put_ack(&out, "a\n", INT64_MAX);
    written("{\"type\":\"ack\",\"id\":\"a\\n\",\"seq\":9223372036854775807}");
    put_typing(&out, "Ann", true);
    written("{\"type\":\"typing\",\"from\":\"Ann\",\"on\":true}");
    put_error(&out, "rate", "slow", "a");
    written("{\"type\":\"error\",\"code\":\"rate\",\"text\":\"slow\",\"id\":\"a\"}");
    put_error(&out, "bad_frame", "no", NULL);
    written("{\"type\":\"error\",\"code\":\"bad_frame\",\"text\":\"no\"}");
}

static void bot_frames(void **state)
{
    (void)state;
    const char *both[] = { "a", "b", NULL };
    struct msg_out m = { .id = "m7", .text = "hi, more", .len = 2, .seq = 9, .reply_to = "a", .reply_seq = 8 };

    put_answer(&out, &m);
    written("{\"type\":\"message\",\"seq\":9,\"id\":\"m7\",\"from\":\"bot\",\"text\":\"hi\",\"done\":false,"
            "\"reply_to\":\"a\",\"reply_seq\":8}");
    put_edit(&out, &m);
    written("{\"type\":\"edit\",\"seq\":9,\"id\":\"m7\",\"text\":\"hi\",\"done\":false}");
    m.done = m.notice = true;
    m.answers = both;
    put_answer(&out, &m);
    written("{\"type\":\"message\",\"seq\":9,\"id\":\"m7\",\"from\":\"bot\",\"text\":\"hi\",\"done\":true,"
            "\"reply_to\":\"a\",\"reply_seq\":8,\"notice\":true,\"answers\":[\"a\",\"b\"]}");
    put_edit(&out, &m);
    written("{\"type\":\"edit\",\"seq\":9,\"id\":\"m7\",\"text\":\"hi\",\"done\":true,\"notice\":true}");
}

static void peoples_frames(void **state)
{
    (void)state;
    struct msg_in said = { .id = "a", .sender = "s1", .sender_name = "Ann", .text = "hi", .len = 2 };
    struct msg_past past = { .seq = 5, .id = "a", .sender = "s1", .name = "Ann", .text = "hi" };
    struct msg_past answer = { .seq = 6, .id = "m1", .from_bot = true, .text = "yes", .reply_to = "a", .reply_seq = 5 };

    put_said(&out, &said, 5);
    written("{\"type\":\"message\",\"seq\":5,\"id\":\"m5p\",\"from\":\"Ann\",\"text\":\"hi\",\"done\":true}");
    put_past(&out, &past, "s2");
    written("{\"type\":\"message\",\"seq\":5,\"id\":\"m5p\",\"from\":\"Ann\",\"text\":\"hi\",\"done\":true}");
    put_past(&out, &past, "s1");
    written("{\"type\":\"message\",\"seq\":5,\"id\":\"m5p\",\"from\":\"you\",\"client_id\":\"a\",\"text\":\"hi\","
            "\"done\":true}");
    put_past(&out, &answer, "s1");
    written("{\"type\":\"message\",\"seq\":6,\"id\":\"m1\",\"from\":\"bot\",\"text\":\"yes\",\"done\":true,"
            "\"reply_to\":\"a\",\"reply_seq\":5}");
    answer.notice = true;
    put_past(&out, &answer, "s1");
    written("{\"type\":\"message\",\"seq\":6,\"id\":\"m1\",\"from\":\"bot\",\"text\":\"yes\",\"done\":true,"
            "\"reply_to\":\"a\",\"reply_seq\":5,\"notice\":true}");
    answer.answers = (const char *const[]){ "z\n", "a", NULL };
    put_past(&out, &answer, "s1");
    written("{\"type\":\"message\",\"seq\":6,\"id\":\"m1\",\"from\":\"bot\",\"text\":\"yes\",\"done\":true,"
            "\"reply_to\":\"a\",\"reply_seq\":5,\"notice\":true,\"answers\":[\"z\\n\",\"a\"]}");
}

static void http_answers(void **state)
{
    (void)state;
    struct answer_body a = { .conversation = "c1", .reply = "yes!", .reply_len = 3 };

    put_answer_body(&out, &a);
    written("{\"conversation\":\"c1\",\"reply\":\"yes\",\"finish_reason\":\"stop\",\"usage\":{\"prompt_tokens\":0,"
            "\"completion_tokens\":0,\"total_tokens\":0}}");
    a.finish = "length";
    a.usage = "{\"total_tokens\":3}";
    a.notice = true;
    put_event_done(&out, &a);
    written("data: {\"done\":true,\"conversation\":\"c1\",\"reply\":\"yes\",\"finish_reason\":\"length\","
            "\"usage\":{\"total_tokens\":3},\"notice\":true}\n\n");
    put_event_delta(&out, "a\nb", 2);
    written("data: {\"delta\":\"a\\n\"}\n\n");
    put_event_replace(&out, "a", 1);
    written("data: {\"replace\":\"a\"}\n\n");
}

#define LOW16 "\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1"
#define QUEUE_MAX 1000 /* what a bot's queue_max may be at most */

/* The longest answer, to as many messages as there can be, of what JSON makes
 * longest, still is a frame; also when it is shown again. */
static void longest_frame(void **state)
{
    (void)state;
    static char text[256 * 1024 + 1];
    static const char *ids[QUEUE_MAX + 1];
    const char *longest = LOW16 LOW16 LOW16 LOW16;
    struct msg_out m = { .id = "m1", .text = text, .len = sizeof text - 1, .reply_to = longest, .reply_seq = INT64_MAX,
                         .answers = ids };
    struct msg_past past = { .from_bot = true, .id = "m1", .text = text, .reply_to = longest, .reply_seq = INT64_MAX,
                             .answers = ids };

    memset(text, 1, sizeof text - 1);
    for (int i = 0; i < QUEUE_MAX; i++)
        ids[i] = longest;
    put_answer(&out, &m);
    assert_int_equal(buf_error(&out), ERR_OK);
    assert_true(out.len > 6 * (sizeof text - 1 + QUEUE_MAX * NAME_POINTS_MAX));
    buf_reset(&out);
    put_past(&out, &past, "s1");
    assert_int_equal(buf_error(&out), ERR_OK);
    assert_true(out.len > 6 * (sizeof text - 1 + QUEUE_MAX * NAME_POINTS_MAX));
    buf_reset(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(accepted_frames), cmocka_unit_test(refused_frames), cmocka_unit_test(questions),
        cmocka_unit_test(small_frames),    cmocka_unit_test(bot_frames),     cmocka_unit_test(peoples_frames),
        cmocka_unit_test(http_answers),    cmocka_unit_test(longest_frame),
    };
    int failed;

    buf_init(&out, FRAME_OUT_BYTES_MAX);
    failed = cmocka_run_group_tests(tests, NULL, NULL);
    buf_free(&out);
    return failed;
}
