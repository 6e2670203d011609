/* delta.c: what is made of the events of streams and of whole answers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "plugin/base/utf8.h"
#include "plugin/model/delta.h"
#include "plugin/net/sse.h"
#include "tests/unit/transcript.h"

#define COUNT(table) (sizeof(table) / sizeof *(table))
#define EVENTS 10
#define TEXT_MAX 65536U

/* One answer, and what a receiver of delta_show() would hold. */
struct run {
    struct delta d;
    struct failure f;
    struct buf seen, thought;
    int restarts;
    enum err_code code;
};

static void run_init(struct run *r, size_t text_max)
{
    memset(r, 0, sizeof *r);
    delta_init(&r->d, text_max);
    r->d.thought.kept = true;
    buf_init(&r->seen, 4 * TEXT_MAX);
    buf_init(&r->thought, 4 * TEXT_MAX);
}

static void run_fini(struct run *r)
{
    delta_fini(&r->d);
    buf_free(&r->seen);
    buf_free(&r->thought);
}

static void show(struct run *r)
{
    size_t len;
    bool anew;
    const char *text = delta_show(&r->d, &len, &anew);
    assert_true(utf8_valid(text, len));
    if (anew) {
        buf_reset(&r->seen);
        r->restarts++;
    }
    buf_add(&r->seen, text, len);
    text = thought_show(&r->d.thought, &len);
    assert_true(utf8_valid(text, len));
    buf_add(&r->thought, text, len);
}

static void event(struct run *r, const char *type, const char *data, size_t len)
{
    if (r->code == ERR_OK)
        r->code = delta_event(&r->d, type, data, len, &r->f);
    show(r);
}

static void end(struct run *r)
{
    if (r->code == ERR_OK)
        r->code = delta_end(&r->d, &r->f);
    show(r);
    assert_int_equal(r->code, r->code == ERR_OK ? ERR_OK : r->f.err.code);
}

/* The events as they are, or with DELTA each as the delta of a chunk. */
static void feed(struct run *r, const char *const *events, bool as_delta)
{
    for (; *events; events++) {
        char chunk[4096];
        snprintf(chunk, sizeof chunk, as_delta && **events == '{' ? "{\"choices\":[{\"index\":0,\"delta\":%s}]}" : "%s",
                 *events);
        event(r, "", chunk, strlen(chunk));
    }
}

#define STOP "{\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}"
#define DONE "[DONE]"

/* --- text --- */

static void test_text(void **state)
{
    (void)state;
    static const struct {
        const char *what;
        const char *events[EVENTS]; /* deltas */
        const char *text;
        int restarts;
    } cases[] = {
        {"nothing", {DONE}, "", 0},
        {"pieces", {"{\"role\":\"assistant\",\"content\":\"\"}", "{\"content\":\"a\"}", "{\"content\":\"b\"}"}, "ab", 0},
        {"null content", {"{\"content\":null}", "{\"content\":\"a\"}", "{\"content\":null}"}, "a", 0},
        {"wrong types", {"{\"content\":5}", "{\"content\":{}}", "{\"content\":[5,null,{\"text\":5}]}"}, "", 0},
        {"parts",
         {"{\"content\":[{\"type\":\"thinking\",\"thinking\":[{\"type\":\"text\",\"text\":\"hm\"}]},"
          "{\"type\":\"text\",\"text\":\"a\"},{\"text\":\"b\"},{\"type\":\"image\",\"text\":\"x\"}]}"},
         "ab", 0},
        {"refusal", {"{\"refusal\":\"I \"}", "{\"refusal\":\"won't\",\"content\":null}"}, "I won't", 0},
        {"refusal part", {"{\"content\":[{\"type\":\"refusal\",\"refusal\":\"no\"}]}"}, "no", 0},
        {"reasoning fields",
         {"{\"reasoning_content\":\"hm\"}", "{\"reasoning\":\"hm\",\"content\":\"a\"}",
          "{\"reasoning_details\":[{\"text\":\"hm\"}]}"},
         "a", 0},
        /* think blocks */
        {"think", {"{\"content\":\"<think>hm</think>a\"}"}, "a", 0},
        {"think, blanks", {"{\"content\":\"\\n <think>\\nhm\\n</think>\\n\\n  a b\"}"}, "a b", 0},
        {"think in pieces",
         {"{\"content\":\"<\"}", "{\"content\":\"thi\"}", "{\"content\":\"nk>h<m</thin\"}", "{\"content\":\"k>\"}",
          "{\"content\":\"\\n\\n\"}", "{\"content\":\"a\"}"},
         "a", 0},
        {"two blocks", {"{\"content\":\"<think>a</think> <think>b</think> c\"}"}, "c", 0},
        {"false end", {"{\"content\":\"<think>a<</think</think>b\"}"}, "b", 0},
        {"empty block", {"{\"content\":\"<think></think>a\"}"}, "a", 0},
        {"unclosed", {"{\"content\":\"<think>a\"}"}, "", 0},
        {"not the beginning", {"{\"content\":\"a <think>b</think>\"}"}, "a <think>b</think>", 0},
        {"almost", {"{\"content\":\"<thin\"}", "{\"content\":\"g>a\"}"}, "<thing>a", 0},
        {"almost, at the end", {"{\"content\":\" <thi\"}"}, " <thi", 0},
        {"doubled", {"{\"content\":\"<<think>a</think>\"}"}, "<<think>a</think>", 0},
        {"leading blanks stay", {"{\"content\":\"  \"}", "{\"content\":\"  a\"}"}, "    a", 0},
        {"unopened, in one", {"{\"content\":\"hm\\n</think>\\n\\na\"}"}, "a", 0},
        {"unopened, in pieces",
         {"{\"content\":\"hm\"}", "{\"content\":\"\\n</th\"}", "{\"content\":\"ink>\"}", "{\"content\":\"\\n\"}",
          "{\"content\":\"\\na\"}"},
         "a", 1},
        {"unopened, first of all", {"{\"content\":\"</think>\"}", "{\"content\":\"\\na\"}"}, "a", 1},
        {"unopened, nothing behind", {"{\"content\":\"hm\\n</think>\"}"}, "", 1},
        {"unopened, within a line", {"{\"content\":\"write </think> so\"}"}, "write </think> so", 0},
        {"unopened, not at its end", {"{\"content\":\"x\\n</think>so\"}"}, "x\n</think>so", 0},
        {"unopened, in code",
         {"{\"content\":\"```\\n\"}", "{\"content\":\"</think>\\n```\\n\"}"},
         "```\n</think>\n```\n", 0},
        {"unopened, behind code", {"{\"content\":\"```\\n```\\n</think>\\na\"}"}, "a", 0},
        {"closed twice", {"{\"content\":\"<think>x</think>a\\n</think>\\nb\"}"}, "a\n</think>\nb", 0},
        /* characters */
        {"pair in one", {"{\"content\":\"\\ud83d\\ude00\"}"}, "😀", 0},
        {"pair split", {"{\"content\":\"a\\ud83d\"}", "{\"content\":\"\\ude00b\"}"}, "a😀b", 0},
        {"pair split around nothing",
         {"{\"content\":\"\\ud83d\"}", "{\"content\":\"\"}", "{}", "{\"content\":\"\\ude00\"}"},
         "😀", 0},
        {"half, then text", {"{\"content\":\"\\ud83d\"}", "{\"content\":\"a\"}"}, "\uFFFDa", 0},
        {"half at the end", {"{\"content\":\"a\\ud83d\"}"}, "a\uFFFD", 0},
        {"low half alone", {"{\"content\":\"\\ude00a\"}"}, "\uFFFDa", 0},
        {"NUL and controls", {"{\"content\":\"a\\u0000\\u0001\\u001b\\u007f\\u0085\\tb\\n\"}"}, "a\tb\n", 0},
        {"line ends", {"{\"content\":\"a\\r\\nb\\r\"}", "{\"content\":\"\\nc\\rd\"}"}, "a\nb\nc\nd", 0},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct run r;
        run_init(&r, TEXT_MAX);
        feed(&r, cases[i].events, true);
        event(&r, "", STOP, strlen(STOP));
        end(&r);
        if (strcmp(buf_str(&r.seen), cases[i].text) != 0 || r.restarts != cases[i].restarts ||
            strcmp(buf_str(&r.d.text), cases[i].text) != 0)
            fail_msg("%s: \"%s\", %d restarts", cases[i].what, buf_str(&r.seen), r.restarts);
        assert_int_equal(r.code, *cases[i].text ? ERR_OK : ERR_EMPTY);
        run_fini(&r);
    }
}

/* Reasoning in every spelling stays out of the text, and is kept apart. */
static void test_thoughts(void **state)
{
    (void)state;
    static const struct {
        const char *what;
        const char *events[EVENTS];
        const char *thought, *text;
    } cases[] = {
        {"reasoning_content", {"{\"reasoning_content\":\"h\"}", "{\"reasoning_content\":\"m\"}", "{\"content\":\"a\"}"}, "hm", "a"},
        {"reasoning", {"{\"reasoning\":\"hm\",\"content\":\"a\"}"}, "hm", "a"},
        {"both", {"{\"reasoning\":\"hm\",\"reasoning_content\":\"hm\",\"content\":\"a\"}"}, "hm", "a"},
        {"details",
         {"{\"reasoning_details\":[{\"type\":\"reasoning.text\",\"text\":\"h\"},{\"type\":\"reasoning.summary\",\"summary\":\"m\"},"
          "{\"type\":\"reasoning.encrypted\",\"data\":\"x\"},5]}",
          "{\"reasoning\":\"!\",\"reasoning_details\":[{\"text\":\"!\"}],\"content\":\"a\"}"},
         "hm!", "a"},
        {"parts",
         {"{\"content\":[{\"type\":\"thinking\",\"thinking\":[{\"type\":\"text\",\"text\":\"h\"},{}]},"
          "{\"type\":\"thinking\",\"thinking\":\"m\"},{\"type\":\"reasoning\",\"text\":\"!\"},{\"type\":\"text\",\"text\":\"a\"}]}"},
         "hm!", "a"},
        {"block", {"{\"content\":\"<think>hm</think>a\"}"}, "hm", "a"},
        {"block in pieces",
         {"{\"content\":\"<thi\"}", "{\"content\":\"nk>h<m</th\"}", "{\"content\":\"at></thi\"}", "{\"content\":\"nk\"}",
          "{\"content\":\">a\"}"},
         "h<m</that>", "a"},
        {"block with false ends", {"{\"content\":\"<think><<</thi</</think>a\"}"}, "<<</thi</", "a"},
        {"two blocks", {"{\"content\":\"<think>x</think><think>y</think>a\"}"}, "xy", "a"},
        {"unclosed", {"{\"content\":\"<think>hm</th\"}"}, "hm", ""},
        {"unopened", {"{\"content\":\"hm\\n</think>\\na\"}"}, "hm\n", "a"},
        {"unopened, in pieces", {"{\"content\":\"h\"}", "{\"content\":\"m\\n</think>\"}", "{\"content\":\"\\na\"}"}, "hm\n", "a"},
        {"pair split", {"{\"reasoning\":\"\\ud83d\"}", "{\"reasoning\":\"\\ude00\"}", "{\"content\":\"a\"}"}, "😀", "a"},
        {"controls", {"{\"reasoning\":\"h\\u0000\\u001bm\\r\"}", "{\"reasoning\":\"\\n\",\"content\":\"a\"}"}, "hm\n", "a"},
        {"wrong types", {"{\"reasoning\":5,\"reasoning_content\":{},\"reasoning_details\":\"x\",\"content\":\"a\"}"}, "", "a"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct run r;
        run_init(&r, TEXT_MAX);
        feed(&r, cases[i].events, true);
        event(&r, "", STOP, strlen(STOP));
        end(&r);
        if (strcmp(buf_str(&r.thought), cases[i].thought) != 0 || strcmp(buf_str(&r.seen), cases[i].text) != 0)
            fail_msg("%s: \"%s\", \"%s\"", cases[i].what, buf_str(&r.thought), buf_str(&r.seen));
        run_fini(&r);
    }
}

/* A block cut at every byte gives the same thoughts. */
static void test_thoughts_split(void **state)
{
    (void)state;
    static const char whole[] = "<think>a<b</thin</</thinkk></think> <think>c</think>\n\nanswer";
    for (size_t cut = 0; cut <= strlen(whole); cut++) {
        struct run r;
        run_init(&r, TEXT_MAX);
        for (int half = 0; half < 2; half++) {
            cJSON *chunk = cJSON_Parse("{\"choices\":[{\"delta\":{}}]}");
            char part[sizeof whole];
            snprintf(part, sizeof part, "%.*s", half ? (int)(strlen(whole) - cut) : (int)cut, whole + (half ? cut : 0));
            cJSON_AddStringToObject(cJSON_GetObjectItem(json_get(chunk, "choices")->child, "delta"), "content", part);
            char *text = cJSON_PrintUnformatted(chunk);
            event(&r, "", text, strlen(text));
            cJSON_free(text);
            cJSON_Delete(chunk);
        }
        event(&r, "", STOP, strlen(STOP));
        end(&r);
        assert_string_equal(buf_str(&r.thought), "a<b</thin</</thinkk>c");
        assert_string_equal(buf_str(&r.seen), "answer");
        run_fini(&r);
    }
}

static void test_thought_limits(void **state)
{
    (void)state;
    struct thought t;
    size_t len;
    char many[1000];
    memset(many, 'x', sizeof many);
    thought_init(&t);
    thought_add(&t, "a", 1); /* nobody wants it */
    assert_int_equal(t.text.len, 0);
    t.kept = true;
    for (size_t n = 0; n < THOUGHT_BYTES_MAX; n += 512)
        thought_add(&t, many, 512);
    assert_int_equal(t.text.len, THOUGHT_BYTES_MAX);
    thought_show(&t, &len);
    assert_int_equal(len, THOUGHT_BYTES_MAX);
    thought_add(&t, many, sizeof many);
    thought_show(&t, &len);
    assert_int_equal(len, 0);
    thought_fini(&t);
    thought_init(&t);
    t.kept = true;
    for (size_t n = 0; n < THOUGHT_BYTES_MAX - 1; n++)
        thought_add(&t, "x", 1);
    thought_add(&t, "\xE4\xBD\xA0", 3); /* is not cut in two */
    assert_int_equal(t.text.len, THOUGHT_BYTES_MAX - 1);
    assert_false(t.text.failed);
    thought_fini(&t);
    thought_fini(&t);
}

/* The older interface: choices[].text, of which the first blank goes. */
static void test_completions(void **state)
{
    (void)state;
    static const struct {
        const char *events[EVENTS];
        const char *text;
    } cases[] = {
        {{"{\"choices\":[{\"text\":\"a\"}]}", "{\"choices\":[{\"text\":\" b\",\"index\":0}]}"}, "a b"},
        {{"{\"choices\":[{\"text\":\" \"}]}", "{\"choices\":[{\"text\":\"\\n a\"}]}"}, "a"},
        {{"{\"choices\":[{\"text\":\"<think>x</think> a\"}]}"}, "a"},
        {{"{\"choices\":[{\"text\":\"hm\\n</think>\\n\\na\"}]}"}, "a"},
        {{"{\"choices\":[{\"text\":\"a\",\"index\":0},{\"text\":\"b\",\"index\":1},{\"text\":5}]}"}, "a"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct run r;
        run_init(&r, TEXT_MAX);
        feed(&r, cases[i].events, false);
        event(&r, "", "{\"choices\":[{\"text\":\"\",\"finish_reason\":\"length\"}]}", strlen("{\"choices\":[{\"text\":\"\",\"finish_reason\":\"length\"}]}"));
        end(&r);
        assert_int_equal(r.code, ERR_OK);
        assert_int_equal(r.d.finish, FINISH_LENGTH);
        assert_string_equal(buf_str(&r.seen), cases[i].text);
        run_fini(&r);
    }
}

/* Azure: a first chunk about the prompt only, verdicts of the filter in between. */
static void test_azure(void **state)
{
    (void)state;
    static const char *const events[] = {
        "{\"id\":\"\",\"object\":\"\",\"model\":\"\",\"created\":0,\"choices\":[],\"prompt_filter_results\":[{\"prompt_index\":0,"
        "\"content_filter_results\":{\"hate\":{\"filtered\":false,\"severity\":\"safe\"}}}]}",
        "{\"id\":\"c\",\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"a\"},\"content_filter_results\":{}}]}",
        "{\"id\":\"\",\"choices\":[{\"index\":0,\"finish_reason\":null,\"content_filter_results\":{\"hate\":{\"filtered\":false}},"
        "\"content_filter_offsets\":{\"check_offset\":44}}]}",
        NULL,
    };
    for (int filtered = 0; filtered < 2; filtered++) {
        struct run r;
        const char *last = filtered ? "{\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"content_filter\"}]}" : STOP;
        run_init(&r, TEXT_MAX);
        feed(&r, events, false);
        event(&r, "", last, strlen(last));
        event(&r, "", DONE, strlen(DONE));
        end(&r);
        assert_int_equal(r.code, ERR_OK);
        assert_string_equal(buf_str(&r.seen), "a");
        assert_int_equal(r.d.finish, filtered ? FINISH_CONTENT_FILTER : FINISH_STOP);
        run_fini(&r);
    }
}

static void test_refused(void **state)
{
    (void)state;
    static const struct {
        const char *events[EVENTS];
        bool refused;
    } cases[] = {
        {{"{\"content\":\"a\",\"refusal\":null}"}, false},
        {{"{\"content\":null,\"refusal\":\"no\"}"}, true},
        {{"{\"content\":\"a\",\"refusal\":\"\"}"}, false},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct run r;
        run_init(&r, TEXT_MAX);
        feed(&r, cases[i].events, true);
        assert_int_equal(r.d.refused, cases[i].refused);
        run_fini(&r);
    }
}

/* Servers that send the whole message again and again. */
static void test_messages_instead_of_deltas(void **state)
{
    (void)state;
    static const struct {
        const char *events[EVENTS];
        const char *text;
        int restarts;
    } cases[] = {
        {{"{\"content\":\"a\"}", "{\"content\":\"ab\"}", "{\"content\":\"ab\"}", "{\"content\":\"abc\"}"}, "abc", 0},
        {{"{\"content\":\"a\"}", "{\"role\":\"assistant\"}"}, "a", 0},
        {{"{\"content\":\"abc\"}", "{\"content\":\"abd\"}"}, "abd", 1},
        {{"{\"content\":\"abc\"}", "{\"content\":\"ab\"}"}, "ab", 1},
        {{"{\"content\":\"<think>x\"}", "{\"content\":\"<think>x</think>a\"}", "{\"content\":\"<think>x</think>ab\"}"},
         "ab", 0},
        {{"{\"content\":\"a\\r\"}", "{\"content\":\"a\\r\\nb\"}"}, "a\nb", 0},
        {{"{\"refusal\":\"no\"}", "{\"refusal\":\"no!\"}"}, "no!", 0},
        {{"{\"content\":\"\\ud83d\"}", "{\"content\":\"\\ud83d\\ude00\"}"}, "😀", 0},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct run r;
        run_init(&r, TEXT_MAX);
        for (const char *const *e = cases[i].events; *e; e++) {
            char chunk[512];
            snprintf(chunk, sizeof chunk, "{\"choices\":[{\"message\":%s}]}", *e);
            event(&r, "", chunk, strlen(chunk));
        }
        event(&r, "", DONE, strlen(DONE));
        end(&r);
        assert_int_equal(r.code, ERR_OK);
        assert_string_equal(buf_str(&r.seen), cases[i].text);
        assert_int_equal(r.restarts, cases[i].restarts);
        run_fini(&r);
    }
}

static void test_text_limit(void **state)
{
    (void)state;
    static const struct {
        size_t max;
        const char *events[3];
        const char *text;
        bool full;
    } cases[] = {
        {5, {"{\"content\":\"abcde\"}"}, "abcde", false},
        {5, {"{\"content\":\"abc\"}", "{\"content\":\"de\"}"}, "abcde", false},
        {5, {"{\"content\":\"abcdef\"}"}, "abcde", true},
        {5, {"{\"content\":\"abcde\"}", "{\"content\":\"f\"}"}, "abcde", true},
        {5, {"{\"content\":\"你好\"}"}, "你", true},
        {6, {"{\"content\":\"你好\"}"}, "你好", false},
        {5, {"{\"content\":\"ab\"}", "{\"content\":\"c👩‍👧\"}"}, "abc", true},
        {4, {"{\"content\":\"abce\"}", "{\"content\":\"\\u0301\"}"}, "abce", true}, /* e was shown already */
        {4, {"{\"content\":\"abce\\u0301\"}"}, "abc", true},
        {5, {"{\"content\":\"<think>long thoughts</think>abc\"}"}, "abc", false},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct run r;
        run_init(&r, cases[i].max);
        feed(&r, cases[i].events, true);
        assert_int_equal(r.d.full, cases[i].full);
        event(&r, "", STOP, strlen(STOP));
        end(&r);
        assert_int_equal(r.code, ERR_OK);
        assert_string_equal(buf_str(&r.seen), cases[i].text);
        assert_int_equal(r.d.finish, cases[i].full ? FINISH_LENGTH : FINISH_STOP);
        run_fini(&r);
    }
}

/* --- tool calls --- */

#define CALLS(list) "{\"tool_calls\":[" list "]}"
#define FN(name, args) "\"function\":{\"name\":\"" name "\",\"arguments\":\"" args "\"}"
#define ARGS(args) "\"function\":{\"arguments\":\"" args "\"}"

static void list_calls(struct buf *out, const struct delta *d)
{
    for (size_t i = 0; i < d->n_calls; i++) {
        const struct tool_call *c = &d->calls[i];
        char *extra = c->extra ? cJSON_PrintUnformatted(c->extra) : NULL;
        buf_addf(out, "%s%s %s %s", i ? "; " : "", c->id, c->name, buf_str(&c->arguments));
        if (extra)
            buf_addf(out, " %s", extra);
        cJSON_free(extra);
    }
}

static void test_tool_calls(void **state)
{
    (void)state;
    static const struct {
        const char *what;
        const char *events[EVENTS];
        const char *calls;
    } cases[] = {
        {"fragments",
         {CALLS("{\"index\":0,\"id\":\"a\",\"type\":\"function\"," FN("f", "") "}"), CALLS("{\"index\":0," ARGS("{\\\"x\\\"") "}"),
          CALLS("{\"index\":0," ARGS(":1}") "}")},
         "a f {\"x\":1}"},
        {"two, interleaved",
         {CALLS("{\"index\":0,\"id\":\"a\"," FN("f", "{") "},{\"index\":1,\"id\":\"b\"," FN("g", "{") "}"),
          CALLS("{\"index\":1," ARGS("}") "}"), CALLS("{\"index\":0," ARGS("}") "}")},
         "a f {}; b g {}"},
        {"whole, all with index 0",
         {CALLS("{\"index\":0,\"id\":\"a\"," FN("f", "{}") "}"), CALLS("{\"index\":0,\"id\":\"b\"," FN("g", "{}") "}")},
         "a f {}; b g {}"},
        {"all with index 0, then more for the last",
         {CALLS("{\"index\":0,\"id\":\"a\"," FN("f", "{}") "}"), CALLS("{\"index\":0,\"id\":\"b\"," FN("g", "{") "}"),
          CALLS("{\"index\":0," ARGS("}") "}")},
         "a f {}; b g {}"},
        {"index 0 and no ids",
         {CALLS("{\"index\":0," FN("f", "{\\\"x\\\":1}") "}"), CALLS("{\"index\":0," FN("f", "{\\\"x\\\":2}") "}")},
         "call_0 f {\"x\":1}; call_1 f {\"x\":2}"},
        {"no index, ids", {CALLS("{\"id\":\"a\"," FN("f", "{}") "}"), CALLS("{\"id\":\"b\"," FN("g", "{}") "}")}, "a f {}; b g {}"},
        {"no index, names", {CALLS("{" FN("f", "{}") "}"), CALLS("{" FN("g", "{}") "}")}, "call_0 f {}; call_1 g {}"},
        {"no index, fragments", {CALLS("{\"id\":\"a\"," FN("f", "{") "}"), CALLS("{" ARGS("}") "}")}, "a f {}"},
        {"id repeated", {CALLS("{\"id\":\"a\"," FN("f", "{") "}"), CALLS("{\"id\":\"a\"," ARGS("}") "}")}, "a f {}"},
        {"indexes from 1, sparse",
         {CALLS("{\"index\":1,\"id\":\"a\"," FN("f", "{") "}"), CALLS("{\"index\":7,\"id\":\"b\"," FN("g", "{}") "}"),
          CALLS("{\"index\":1," ARGS("}") "}")},
         "a f {}; b g {}"},
        {"name repeated", {CALLS("{\"index\":0,\"id\":\"a\"," FN("f", "{") "}"), CALLS("{\"index\":0," FN("f", "}") "}")}, "a f {}"},
        {"id late", {CALLS("{\"index\":0," FN("f", "{") "}"), CALLS("{\"index\":0,\"id\":\"a\"," ARGS("}") "}")}, "a f {}"},
        {"arguments as an object", {CALLS("{\"index\":0,\"id\":\"a\",\"function\":{\"name\":\"f\",\"arguments\":{\"x\":[1]}}}")},
         "a f {\"x\":[1]}"},
        {"arguments repeated whole",
         {CALLS("{\"index\":0,\"id\":\"a\"," FN("f", "{\\\"x\\\":1}") "}"), CALLS("{\"index\":0," ARGS("{\\\"x\\\":1}") "}")},
         "a f {\"x\":1}"},
        {"no arguments", {CALLS("{\"index\":0,\"id\":\"a\",\"function\":{\"name\":\"f\"}}")}, "a f {}"},
        {"blank arguments", {CALLS("{\"index\":0,\"id\":\"a\"," FN("f", " \\n") "}")}, "a f {}"},
        {"cut arguments go",
         {CALLS("{\"index\":0,\"id\":\"a\"," FN("f", "{}") "},{\"index\":1,\"id\":\"b\"," FN("g", "{") "}")},
         "a f {}"},
        {"arguments that are no object go", {CALLS("{\"index\":0,\"id\":\"a\"," FN("f", "[1]") "}")}, ""},
        {"no name", {CALLS("{\"index\":0,\"id\":\"a\"," ARGS("{}") "}")}, ""},
        {"pair split", {CALLS("{\"id\":\"a\"," FN("f", "{\\\"x\\\":\\\"\\ud83d") "}"), CALLS("{" ARGS("\\ude00\\\"}") "}")},
         "a f {\"x\":\"😀\"}"},
        {"extra members",
         {CALLS("{\"index\":0,\"id\":\"a\",\"extra_content\":{\"google\":{\"thought_signature\":\"s\"}}," FN("f", "{}") "}"),
          CALLS("{\"index\":0,\"new\":1}"), CALLS("{\"index\":0,\"new\":2}")},
         "a f {} {\"extra_content\":{\"google\":{\"thought_signature\":\"s\"}},\"new\":2}"},
        {"legacy", {"{\"function_call\":{\"name\":\"f\",\"arguments\":\"{\"}}", "{\"function_call\":{\"arguments\":\"}\"}}"}, "call_0 f {}"},
        {"nonsense", {CALLS("null,5,\"x\",[]"), "{\"tool_calls\":5}", "{\"tool_calls\":{}}", "{\"function_call\":\"x\"}"}, ""},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct run r;
        struct buf calls;
        run_init(&r, TEXT_MAX);
        buf_init(&calls, TEXT_MAX);
        feed(&r, cases[i].events, true);
        event(&r, "", STOP, strlen(STOP));
        end(&r);
        list_calls(&calls, &r.d);
        if (strcmp(buf_str(&calls), cases[i].calls) != 0)
            fail_msg("%s: %s", cases[i].what, buf_str(&calls));
        assert_int_equal(r.code, *cases[i].calls ? ERR_OK : ERR_EMPTY);
        if (r.code == ERR_OK)
            assert_int_equal(r.d.finish, FINISH_TOOL_CALLS);
        buf_free(&calls);
        run_fini(&r);
    }
}

static void test_tool_call_limits(void **state)
{
    (void)state;
    struct run r;
    struct buf chunk;
    run_init(&r, TEXT_MAX);
    buf_init(&chunk, 1024U * 1024);
    for (int i = 0; i < 130; i++) {
        buf_reset(&chunk);
        buf_addf(&chunk, "{\"choices\":[{\"delta\":" CALLS("{\"index\":%d,\"id\":\"c%d\"," FN("f", "{}") "}") "}]}", i, i);
        event(&r, "", chunk.data, chunk.len);
    }
    event(&r, "", STOP, strlen(STOP));
    end(&r);
    assert_int_equal(r.code, ERR_OK);
    assert_int_equal(r.d.n_calls, DELTA_TOOL_CALLS_MAX);
    assert_string_equal(r.d.calls[63].id, "c63");
    run_fini(&r);
    buf_free(&chunk);
}

/* One call whose arguments have that many bytes. */
static size_t calls_kept(size_t argument_bytes)
{
    struct run r;
    struct buf chunk;
    run_init(&r, TEXT_MAX);
    buf_init(&chunk, 1024U * 1024);
    buf_adds(&chunk, "{\"choices\":[{\"delta\":{\"tool_calls\":[{\"id\":\"a\",\"function\":{\"name\":\"f\",\"arguments\":\"{");
    for (size_t i = 2; i < argument_bytes; i++)
        buf_addc(&chunk, ' ');
    buf_adds(&chunk, "}\"}}]}}]}");
    event(&r, "", chunk.data, chunk.len);
    event(&r, "", STOP, strlen(STOP));
    end(&r);
    size_t kept = r.d.n_calls;
    run_fini(&r);
    buf_free(&chunk);
    return kept;
}

static void test_argument_limit(void **state)
{
    (void)state;
    assert_int_equal(calls_kept(DELTA_ARGUMENTS_BYTES_MAX), 1);
    assert_int_equal(calls_kept(DELTA_ARGUMENTS_BYTES_MAX + 1), 0);
}

static void test_extra_limit(void **state)
{
    (void)state;
    for (int over = 0; over < 2; over++) {
        struct run r;
        struct buf chunk;
        run_init(&r, TEXT_MAX);
        buf_init(&chunk, 1024U * 1024);
        buf_adds(&chunk, "{\"choices\":[{\"delta\":{\"tool_calls\":[{\"id\":\"a\",\"k\":\"");
        for (size_t i = 3; i < DELTA_EXTRA_BYTES_MAX + (size_t)over; i++) /* k and two quotes */
            buf_addc(&chunk, 'x');
        buf_adds(&chunk, "\",\"function\":{\"name\":\"f\"}}]}}]}");
        event(&r, "", chunk.data, chunk.len);
        assert_int_equal(r.d.calls[0].extra != NULL, !over);
        run_fini(&r);
        buf_free(&chunk);
    }
}

/* --- chunks and ends --- */

static void test_ends(void **state)
{
    (void)state;
    static const struct {
        const char *what;
        const char *events[EVENTS]; /* whole chunks */
        enum err_code code;
        enum finish_reason finish;
        const char *text;
    } cases[] = {
#define TEXT(t) "{\"choices\":[{\"index\":0,\"delta\":{\"content\":\"" t "\"}}]}"
#define FINISH(why) "{\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":" why "}]}"
        {"complete", {TEXT("a"), STOP, DONE}, ERR_OK, FINISH_STOP, "a"},
        {"no [DONE]", {TEXT("a"), STOP}, ERR_OK, FINISH_STOP, "a"},
        {"no reason", {TEXT("a"), DONE}, ERR_OK, FINISH_STOP, "a"},
        {"[DONE] with blanks", {TEXT("a"), " [DONE]  "}, ERR_OK, FINISH_STOP, "a"},
        {"truncated", {TEXT("a")}, ERR_NET, FINISH_STOP, "a"},
        {"nothing at all", {NULL}, ERR_NET, FINISH_STOP, ""},
        {"empty", {STOP, DONE}, ERR_EMPTY, FINISH_STOP, ""},
        {"blank", {TEXT(" \\n"), STOP}, ERR_EMPTY, FINISH_STOP, " \n"},
        {"empty reasons", {TEXT("a"), FINISH("\"\""), FINISH("null"), TEXT("b"), STOP}, ERR_OK, FINISH_STOP, "ab"},
        {"the first reason counts", {TEXT("a"), FINISH("\"length\""), STOP}, ERR_OK, FINISH_LENGTH, "a"},
        {"max_tokens", {TEXT("a"), FINISH("\"max_tokens\"")}, ERR_OK, FINISH_LENGTH, "a"},
        {"model_length", {TEXT("a"), FINISH("\"model_length\"")}, ERR_OK, FINISH_LENGTH, "a"},
        {"eos", {TEXT("a"), FINISH("\"eos\"")}, ERR_OK, FINISH_STOP, "a"},
        {"unknown reason", {TEXT("a"), FINISH("\"whatever\"")}, ERR_OK, FINISH_STOP, "a"},
        {"reason of the wrong type", {TEXT("a"), FINISH("5")}, ERR_NET, FINISH_STOP, "a"},
        {"filtered", {TEXT("a"), FINISH("\"content_filter\"")}, ERR_OK, FINISH_CONTENT_FILTER, "a"},
        {"filtered at once", {FINISH("\"content_filter\"")}, ERR_CONTENT, FINISH_CONTENT_FILTER, ""},
        {"sensitive", {FINISH("\"sensitive\"")}, ERR_CONTENT, FINISH_CONTENT_FILTER, ""},
        {"network_error", {TEXT("a"), FINISH("\"network_error\"")}, ERR_SERVER, FINISH_ERROR, "a"},
        {"length without an answer", {FINISH("\"length\"")}, ERR_EMPTY, FINISH_LENGTH, ""},
        {"error inside", {TEXT("a"), "{\"error\":{\"code\":429,\"message\":\"x\"}}"}, ERR_RATE, FINISH_STOP, "a"},
        {"error as text", {"{\"error\":\"out of memory\"}"}, ERR_SERVER, FINISH_STOP, ""},
        {"malformed", {TEXT("a"), "{\"choices\":[{"}, ERR_PROTO, FINISH_STOP, "a"},
        {"malformed array", {"[{]"}, ERR_PROTO, FINISH_STOP, ""},
        {"no JSON at all is passed over", {"keep-alive", "", " ", TEXT("a"), STOP}, ERR_OK, FINISH_STOP, "a"},
        {"malformed after the reason", {TEXT("a"), STOP, "{\"usage\":{"}, ERR_OK, FINISH_STOP, "a"},
        {"error after the reason", {TEXT("a"), STOP, "{\"error\":\"x\"}"}, ERR_OK, FINISH_STOP, "a"},
        {"error explained", {TEXT("a"), FINISH("\"error\""), "{\"error\":{\"code\":429}}"}, ERR_RATE, FINISH_ERROR, "a"},
        {"after [DONE]", {TEXT("a"), DONE, TEXT("b"), "{"}, ERR_OK, FINISH_STOP, "a"},
        {"other choices", {"{\"choices\":[{\"index\":1,\"delta\":{\"content\":\"x\"},\"finish_reason\":\"length\"}]}", TEXT("a"), STOP},
         ERR_OK, FINISH_STOP, "a"},
        {"empty choices first", {"{\"choices\":[],\"prompt_filter_results\":[{}]}", TEXT("a"), STOP}, ERR_OK, FINISH_STOP, "a"},
        {"odd shapes", {"{}", "[]", "{\"choices\":null}", "{\"choices\":{}}", "{\"choices\":[null,5,[]]}", TEXT("a"), STOP},
         ERR_OK, FINISH_STOP, "a"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct run r;
        run_init(&r, TEXT_MAX);
        feed(&r, cases[i].events, false);
        end(&r);
        if (r.code != cases[i].code || r.d.finish != cases[i].finish || strcmp(buf_str(&r.seen), cases[i].text) != 0)
            fail_msg("%s: %s, %s, \"%s\"", cases[i].what, err_name(r.code), finish_name(r.d.finish), buf_str(&r.seen));
        run_fini(&r);
    }
}

static void test_error_events(void **state)
{
    (void)state;
    static const struct {
        const char *data;
        enum err_code code;
        const char *text;
    } cases[] = {
        {"{\"error\":{\"message\":\"x\",\"code\":503}}", ERR_OVERLOAD, "503: x"},
        {"{\"message\":\"rate limit\"}", ERR_RATE, "rate limit"},
        {"{\"code\":1}", ERR_SERVER, "{\"code\":1}"},
        {"something broke", ERR_SERVER, "something broke"},
        {"", ERR_SERVER, "error without a reason"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct run r;
        run_init(&r, TEXT_MAX);
        event(&r, "error", cases[i].data, strlen(cases[i].data));
        end(&r);
        assert_int_equal(r.code, cases[i].code);
        assert_string_equal(r.f.err.text, cases[i].text);
        run_fini(&r);
    }
}

static void test_whole(void **state)
{
    (void)state;
    static const struct {
        const char *body;
        enum err_code code;
        enum finish_reason finish;
        const char *text;
    } cases[] = {
        {"{\"choices\":[{\"index\":0,\"message\":{\"content\":\"a\"},\"finish_reason\":\"stop\"}]}", ERR_OK, FINISH_STOP, "a"},
        {"{\"choices\":[{\"message\":{\"content\":\"a\"}}]}", ERR_OK, FINISH_STOP, "a"},
        {"\n\n {\"choices\":[{\"message\":{\"content\":\"a\"},\"finish_reason\":null}]}", ERR_OK, FINISH_STOP, "a"},
        {"{\"choices\":[{\"message\":{\"content\":null,\"refusal\":\"no\"}}]}", ERR_OK, FINISH_STOP, "no"},
        {"{\"choices\":[{\"message\":{\"content\":\"<think>x</think>\\n\\na\"},\"finish_reason\":\"length\"}]}", ERR_OK, FINISH_LENGTH, "a"},
        {"{\"choices\":[{\"message\":{\"content\":\"\"},\"finish_reason\":\"stop\"}]}", ERR_EMPTY, FINISH_STOP, ""},
        {"{\"choices\":[]}", ERR_EMPTY, FINISH_STOP, ""},
        {"{\"choices\":null}", ERR_EMPTY, FINISH_STOP, ""},
        {"{\"choices\":null,\"error\":{\"code\":429,\"message\":\"x\"}}", ERR_RATE, FINISH_STOP, ""},
        {"[{\"error\":{\"code\":400,\"message\":\"x\"}}]", ERR_PARAM, FINISH_STOP, ""},
        {"{\"object\":\"list\",\"data\":[]}", ERR_PROTO, FINISH_STOP, ""},
        {"[]", ERR_PROTO, FINISH_STOP, ""},
        {"{malformed", ERR_PROTO, FINISH_STOP, ""},
        {"", ERR_PROTO, FINISH_STOP, ""},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct run r;
        run_init(&r, TEXT_MAX);
        r.code = delta_whole(&r.d, cases[i].body, strlen(cases[i].body), &r.f);
        end(&r);
        if (r.code != cases[i].code || r.d.finish != cases[i].finish || strcmp(buf_str(&r.seen), cases[i].text) != 0)
            fail_msg("%s: %s, \"%s\"", cases[i].body, err_name(r.code), buf_str(&r.seen));
        run_fini(&r);
    }
}

static void test_usage(void **state)
{
    (void)state;
    static const struct {
        const char *events[EVENTS];
        struct usage usage;
    } cases[] = {
        {{STOP}, {0, 0, 0, 0, 0, false, 0, 0, false}},
        {{"{\"usage\":null}"}, {0, 0, 0, 0, 0, false, 0, 0, false}},
        {{"{\"usage\":{}}"}, {0, 0, 0, 0, 0, false, 0, 0, false}},
        {{"{\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":2,\"total_tokens\":5}}"}, {3, 2, 5, 0, 0, true, 0, 0, false}},
        {{"{\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":2}}"}, {3, 2, 5, 0, 0, true, 0, 0, false}},
        {{"{\"choices\":[],\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":1}}",
          "{\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":2}}", "{\"usage\":null}"},
         {3, 2, 5, 0, 0, true, 0, 0, false}},
        {{"{\"usage\":{\"prompt_tokens\":9,\"completion_tokens\":8,\"prompt_tokens_details\":{\"cached_tokens\":4},"
          "\"completion_tokens_details\":{\"reasoning_tokens\":5}}}"},
         {9, 8, 17, 4, 5, true, 0, 0, false}},
        {{"{\"usage\":{\"prompt_tokens\":9,\"completion_tokens\":8,\"prompt_tokens_details\":{\"cached_tokens\":4,"
          "\"cache_write_tokens\":3}}}"},
         {9, 8, 17, 4, 0, true, 3, 0, false}},
        {{"{\"usage\":{\"prompt_tokens\":9,\"completion_tokens\":8,\"cache_creation_input_tokens\":3}}"},
         {9, 8, 17, 0, 0, true, 3, 0, false}},
        {{"{\"usage\":{\"prompt_tokens\":9,\"completion_tokens\":8,\"total_tokens\":20,"
          "\"completion_tokens_details\":{\"reasoning_tokens\":3}}}"},
         {9, 11, 20, 0, 3, true, 0, 0, false}},
        {{"{\"usage\":{\"prompt_tokens\":9,\"completion_tokens\":8,\"cost\":0.00014250000000000002}}"},
         {9, 8, 17, 0, 0, true, 0, 142500000, true}},
        {{"{\"usage\":{\"prompt_tokens\":9,\"completion_tokens\":8,\"cost\":9.5e-05}}"},
         {9, 8, 17, 0, 0, true, 0, 95000000, true}},
        {{"{\"usage\":{\"prompt_tokens\":9,\"completion_tokens\":8,\"cost\":0}}"}, {9, 8, 17, 0, 0, true, 0, 0, true}},
        {{"{\"usage\":{\"prompt_tokens\":9,\"completion_tokens\":8,\"cost\":null}}"}, {9, 8, 17, 0, 0, true, 0, 0, false}},
        {{"{\"usage\":{\"prompt_tokens\":9,\"completion_tokens\":8,\"cost\":-1}}"}, {9, 8, 17, 0, 0, true, 0, 0, false}},
        {{"{\"usage\":{\"prompt_tokens\":9,\"completion_tokens\":8,\"cost\":\"1\"}}"}, {9, 8, 17, 0, 0, true, 0, 0, false}},
        {{"{\"usage\":{\"prompt_tokens\":9,\"completion_tokens\":8,\"cost\":1e30}}"}, {9, 8, 17, 0, 0, true, 0, 0, false}},
        {{"{\"usage\":{\"prompt_tokens\":9,\"completion_tokens\":8,\"cost\":0.5,\"is_byok\":true,"
          "\"cost_details\":{\"upstream_inference_cost\":1.5}}}"},
         {9, 8, 17, 0, 0, true, 0, 2000000000000, true}},
        {{"{\"usage\":{\"prompt_tokens\":9,\"completion_tokens\":8,\"cost\":0.5,\"is_byok\":false,"
          "\"cost_details\":{\"upstream_inference_cost\":1.5}}}"},
         {9, 8, 17, 0, 0, true, 0, 500000000000, true}},
        {{"{\"usage\":{\"prompt_tokens\":9,\"completion_tokens\":8,\"prompt_tokens_details\":null,\"prompt_cache_hit_tokens\":4}}"},
         {9, 8, 17, 4, 0, true, 0, 0, false}},
        {{"{\"usage\":{\"prompt_tokens\":9,\"completion_tokens\":8,\"cached_tokens\":4}}"}, {9, 8, 17, 4, 0, true, 0, 0, false}},
        {{"{\"usage\":{\"prompt_tokens\":9,\"completion_tokens\":8,\"total_tokens\":20}}"}, {9, 11, 20, 0, 0, true, 0, 0, false}},
        {{"{\"x_groq\":{\"usage\":{\"prompt_tokens\":9,\"completion_tokens\":8}}}"}, {9, 8, 17, 0, 0, true, 0, 0, false}},
        {{"{\"usage\":{\"prompt_tokens\":-9,\"completion_tokens\":1e300,\"total_tokens\":\"x\"}}"}, {0, 0, 0, 0, 0, true, 0, 0, false}},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct run r;
        run_init(&r, TEXT_MAX);
        feed(&r, cases[i].events, false);
        const struct usage *a = &r.d.usage, *b = &cases[i].usage;
        assert_int_equal(a->prompt_tokens, b->prompt_tokens);
        assert_int_equal(a->completion_tokens, b->completion_tokens);
        assert_int_equal(a->total_tokens, b->total_tokens);
        assert_int_equal(a->cached_tokens, b->cached_tokens);
        assert_int_equal(a->reasoning_tokens, b->reasoning_tokens);
        assert_int_equal(a->known, b->known);
        assert_int_equal(a->cache_write_tokens, b->cache_write_tokens);
        assert_int_equal(a->cost, b->cost);
        assert_int_equal(a->cost_known, b->cost_known);
        run_fini(&r);
    }
}

static void usage_text(struct run *r, size_t padding)
{
    struct buf text;
    buf_init(&text, 2 * DELTA_USAGE_BYTES_MAX);
    buf_adds(&text, "{\"usage\": {\"prompt_tokens\":3,\"x\":\"");
    for (size_t i = 0; i < padding; i++)
        buf_addc(&text, 'x');
    buf_adds(&text, "\"} }");
    event(r, "", buf_str(&text), text.len);
    buf_free(&text);
}

/* The usage is kept as it was written, if it is not too long. */
static void test_usage_json(void **state)
{
    (void)state;
    static const char shortest[] = "{\"prompt_tokens\":3,\"x\":\"\"}";
    size_t most = DELTA_USAGE_BYTES_MAX - strlen(shortest);
    struct run r;
    run_init(&r, TEXT_MAX);
    feed(&r, (const char *[EVENTS]){TEXT("a"), "{\"service_tier\":\"flex\"}"}, false);
    assert_int_equal(r.d.usage_json.len, 0);
    assert_string_equal(r.d.service_tier, "flex");
    usage_text(&r, 0);
    assert_string_equal(buf_str(&r.d.usage_json), shortest);
    usage_text(&r, most);
    assert_int_equal(r.d.usage_json.len, DELTA_USAGE_BYTES_MAX);
    usage_text(&r, most + 1);
    assert_int_equal(r.d.usage_json.len, 0);
    assert_int_equal(r.d.usage.prompt_tokens, 3);
    feed(&r, (const char *[EVENTS]){"{\"x_groq\":{\"usage\":{\"prompt_tokens\":4.0}}}", "{\"service_tier\":null}"}, false);
    assert_string_equal(buf_str(&r.d.usage_json), "{\"prompt_tokens\":4.0}");
    assert_string_equal(r.d.service_tier, "flex");
    run_fini(&r);
}

/* --- transcripts --- */

#define GREETING "Hello! I am a tiny scripted model. 你好,世界!\nこんにちは 👩‍👩‍👧‍👦 ünïcödé."
#define ZURICH "{\"city\": \"Zürich\", \"unit\": \"celsius\"}"

static const struct {
    const char *name;
    bool whole;
    enum err_code code;
    enum finish_reason finish;
    int64_t prompt_tokens, completion_tokens;
    const char *text, *calls;
} transcripts[] = {
    {"aimock-01-plain", true, ERR_OK, FINISH_STOP, 2, 9, "Hello from aimock 你好 👩‍👩‍👧‍👦!", ""},
    {"aimock-02-stream-usage", false, ERR_OK, FINISH_STOP, 2, 9, "Hello from aimock 你好 👩‍👩‍👧‍👦!", ""},
    {"aimock-03-think-stream", false, ERR_OK, FINISH_STOP, 0, 0, "4", ""},
    {"aimock-04-tools-stream", false, ERR_OK, FINISH_TOOL_CALLS, 0, 0, "",
     "call_k7XgwDr63TNVP4K8 get_weather {\"city\":\"Paris\"}; call_EQpYtnkTwi88n9fc get_time {\"tz\":\"UTC\"}"},
    {"aimock-09-chaos-malformed", true, ERR_PROTO, FINISH_STOP, 0, 0, "", ""},
    {"aimock-12-azure", true, ERR_OK, FINISH_STOP, 2, 9, "Hello from aimock 你好 👩‍👩‍👧‍👦!", ""},
    {"llamacpp-01-plain", true, ERR_OK, FINISH_STOP, 22, 24, GREETING, ""},
    {"llamacpp-02-plain-stream", false, ERR_OK, FINISH_STOP, 0, 0, GREETING, ""},
    {"llamacpp-03-stream-usage", false, ERR_OK, FINISH_STOP, 22, 24, GREETING, ""},
    {"llamacpp-04-tool", true, ERR_OK, FINISH_TOOL_CALLS, 726, 21, "",
     "ITyBUhNzL6EPJW8fr4TvuQfiMy3B2Z7P get_weather " ZURICH},
    {"llamacpp-05-tool-stream", false, ERR_OK, FINISH_TOOL_CALLS, 726, 21, "",
     "M7G7o1f58QW85CkBRXnQ0845QZU7cCaZ get_weather " ZURICH},
    {"llamacpp-07-tool-result", true, ERR_OK, FINISH_STOP, 857, 7, "It is 21 °C in Zürich right now.", ""},
    {"llamacpp-08-think", true, ERR_OK, FINISH_STOP, 21, 16, "The answer is **4**.", ""},
    {"llamacpp-09-think-stream", false, ERR_OK, FINISH_STOP, 0, 0, "The answer is **4**.", ""},
    {"llamacpp-10-length-stream", false, ERR_OK, FINISH_LENGTH, 0, 0, "word0 word1 word2 wo", ""},
    {"llamacpp-11-stop", true, ERR_OK, FINISH_STOP, 21, 11, "word0 word1 word2 word3 word4 word5 word6 ", ""},
    {"llamacpp-12-json-schema", true, ERR_OK, FINISH_STOP, 21, 8, "{\"lang\":\"zh\",\"text\":\"早上好\"}", ""},
    {"llamacpp-14-n2-logprobs", true, ERR_OK, FINISH_LENGTH, 22, 3, "Hello! I am a t", ""},
    {"llamacpp-24-err-badrole", true, ERR_OK, FINISH_STOP, 20, 24, GREETING, ""},
    {"llamacpp-30-completions", true, ERR_OK, FINISH_STOP, 7, 8, "{\"lang\":\"zh\",\"text\":\"早上好\"}", ""},
    {"llamacpp-31-completions-stream", false, ERR_OK, FINISH_STOP, 1, 8, "{\"lang\":\"zh\",\"text\":\"早上好\"}", ""},
};

static bool on_event(void *arg, const struct sse_event *ev)
{
    event(arg, ev->type, ev->data, ev->len);
    return true;
}

static void run_transcript(struct run *r, const struct transcript *t, bool whole, size_t split)
{
    run_init(r, TEXT_MAX);
    if (whole) {
        r->code = delta_whole(&r->d, t->body, t->len, &r->f);
    } else {
        struct sse sse;
        sse_init(&sse, on_event, r);
        sse_feed(&sse, t->body, split);
        sse_feed(&sse, t->body + split, t->len - split);
        sse_end(&sse);
        sse_fini(&sse);
    }
    end(r);
}

static void check_transcript(const struct run *r, size_t i)
{
    struct buf calls;
    buf_init(&calls, TEXT_MAX);
    list_calls(&calls, &r->d);
    if (r->code != transcripts[i].code)
        fail_msg("%s: %s, %s", transcripts[i].name, err_name(r->code), r->f.err.text);
    assert_int_equal(r->d.finish, transcripts[i].finish);
    assert_int_equal(r->d.usage.prompt_tokens, transcripts[i].prompt_tokens);
    assert_int_equal(r->d.usage.completion_tokens, transcripts[i].completion_tokens);
    assert_string_equal(buf_str(&r->seen), transcripts[i].text);
    assert_string_equal(buf_str(&calls), transcripts[i].calls);
    assert_int_equal(r->restarts, 0);
    buf_free(&calls);
}

static void test_transcripts(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(transcripts); i++) {
        struct transcript t;
        transcript_read(&t, transcripts[i].name);
        for (size_t split = 0; split <= (transcripts[i].whole ? 0 : t.len); split++) {
            struct run r;
            run_transcript(&r, &t, transcripts[i].whole, split);
            check_transcript(&r, i);
            run_fini(&r);
        }
        transcript_free(&t);
    }
}

/* Without its end a stream is truncated, and never a success. */
static void test_transcripts_cut(void **state)
{
    (void)state;
    struct transcript t;
    transcript_read(&t, "llamacpp-03-stream-usage");
    const char *finish = strstr(t.body, "\"finish_reason\":\"stop\"");
    assert_non_null(finish);
    size_t complete = (size_t)(strchr(finish, '\n') - t.body);
    for (size_t len = 0; len < t.len; len++) {
        struct transcript cut = t;
        struct run r;
        cut.len = len;
        run_transcript(&r, &cut, false, 0);
        if ((r.code == ERR_OK) != (len >= complete))
            fail_msg("cut at %zu of %zu: %s", len, complete, err_name(r.code));
        run_fini(&r);
    }
    transcript_free(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_text),
        cmocka_unit_test(test_thoughts),
        cmocka_unit_test(test_thoughts_split),
        cmocka_unit_test(test_thought_limits),
        cmocka_unit_test(test_completions),
        cmocka_unit_test(test_azure),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_messages_instead_of_deltas),
        cmocka_unit_test(test_text_limit),
        cmocka_unit_test(test_tool_calls),
        cmocka_unit_test(test_tool_call_limits),
        cmocka_unit_test(test_argument_limit),
        cmocka_unit_test(test_extra_limit),
        cmocka_unit_test(test_ends),
        cmocka_unit_test(test_error_events),
        cmocka_unit_test(test_whole),
        cmocka_unit_test(test_usage),
        cmocka_unit_test(test_usage_json),
        cmocka_unit_test(test_transcripts),
        cmocka_unit_test(test_transcripts_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
