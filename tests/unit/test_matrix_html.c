/* matrix/html.c: Markdown as Matrix's HTML. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "adapters/matrix/html.h"
#include "plugin/base/buf.h"

#define COUNT(table) (sizeof(table) / sizeof *(table))
#define HTML_BYTES_MAX (1024U * 1024)
#define FFFD "\xEF\xBF\xBD"

struct html_case {
    const char *markdown, *html;
};

static void expect(const struct html_case *cases, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        struct buf out;
        bool plain;
        buf_init(&out, HTML_BYTES_MAX);
        assert_int_equal(html_write(&out, cases[i].markdown, strlen(cases[i].markdown), &plain), ERR_OK);
        if (strcmp(buf_str(&out), cases[i].html) != 0)
            fail_msg("%s\nis      %s\nand not %s", cases[i].markdown, buf_str(&out), cases[i].html);
        buf_free(&out);
    }
}

static void test_blocks(void **state)
{
    (void)state;
    static const struct html_case cases[] = {
        { "", "" },
        { " \n\t\n", "" },
        { "one\ntwo\n\nthree", "<p>one<br>two</p><p>three</p>" },
        { "one  \ntwo\\\nthree", "<p>one<br>two<br>three</p>" },
        { "one\r\ntwo", "<p>one<br>two</p>" },
        { "# a\n###### b\nc\n===", "<h1>a</h1><h6>b</h6><h1>c</h1>" },
        { "a\n\n---", "<p>a</p><hr>" },
        { "> a\n> > b", "<blockquote><p>a</p><blockquote><p>b</p></blockquote></blockquote>" },
        { "- a\n- b\n  1. c", "<ul><li>a</li><li>b<ol><li>c</li></ol></li></ul>" },
        { "- a\n\n- b", "<ul><li><p>a</p></li><li><p>b</p></li></ul>" },
        { "7. a\n8. b", "<ol start=\"7\"><li>a</li><li>b</li></ol>" },
        { "0. a", "<ol start=\"0\"><li>a</li></ol>" },
        { "- [ ] a\n- [x] b\n- [X] c", "<ul><li>☐ a</li><li>☑ b</li><li>☑ c</li></ul>" },
        { "| a | b |\n|:-:|---|\n| 1 | x<br>y |", "<table><thead><tr><th>a</th><th>b</th></tr></thead>"
          "<tbody><tr><td>1</td><td>x<br>y</td></tr></tbody></table>" },
        { "|a|\n|---|", "<table><thead><tr><th>a</th></tr></thead></table>" },
    };
    expect(cases, COUNT(cases));
}

static void test_code(void **state)
{
    (void)state;
    static const struct html_case cases[] = {
        { "```c\nint a = b < c && \"d\";\n\n*x*\n```", "<pre><code class=\"language-c\">int a = b &lt; c &amp;&amp; &quot;d&quot;;\n\n*x*\n</code></pre>" },
        { "```c++ title=\"x\"\na\n```", "<pre><code class=\"language-c++\">a\n</code></pre>" },
        { "```objective-c.2_x#\na\n```", "<pre><code class=\"language-objective-c.2_x#\">a\n</code></pre>" },
        { "```\na\n", "<pre><code>a\n</code></pre>" },
        { "```\"onx=\ny\n```", "<pre><code>y\n</code></pre>" },
        { "```a&quot;b\ny\n```", "<pre><code>y\n</code></pre>" },
        { "```语言\ny\n```", "<pre><code>y\n</code></pre>" },
        { "    indented", "<pre><code>indented\n</code></pre>" },
        { "~~~ x23456789012345678901234567890ab\na\n~~~", "<pre><code class=\"language-x23456789012345678901234567890ab\">a\n</code></pre>" },
        { "~~~ x23456789012345678901234567890abc\na\n~~~", "<pre><code>a\n</code></pre>" },
        { "`a<b>` ``c`d``", "<p><code>a&lt;b&gt;</code> <code>c`d</code></p>" },
    };
    expect(cases, COUNT(cases));
}

static void test_spans(void **state)
{
    (void)state;
    static const struct html_case cases[] = {
        { "*a* __b__ ***c*** ~~d~~", "<p><em>a</em> <strong>b</strong> <em><strong>c</strong></em> <del>d</del></p>" },
        { "snake_case_name 2 * 3 * 4", "<p>snake_case_name 2 * 3 * 4</p>" },
        { "\\*a\\* \\\\ \\<b>", "<p>*a* \\ &lt;b&gt;</p>" },
        { "$x^2$ and @ann:b.org and $5", "<p>$x^2$ and @ann:b.org and $5</p>" },
    };
    expect(cases, COUNT(cases));
}

static void test_marks_beside_chinese(void **state)
{
    (void)state;
    static const struct html_case cases[] = {
        { "**重点：**说明", "<p><strong>重点：</strong>说明</p>" },
        { "他说**“引用”**后走了", "<p>他说<strong>“引用”</strong>后走了</p>" },
        { "**该词（注意）**is it", "<p><strong>该词（注意）</strong>is it</p>" },
        { "**(abc)**的*斜体*字", "<p><strong>(abc)</strong>的<em>斜体</em>字</p>" },
        { "これは**「強調」**です", "<p>これは<strong>「強調」</strong>です</p>" },
        { "이것은 **강조(bold)**입니다", "<p>이것은 <strong>강조(bold)</strong>입니다</p>" },
        { "\\*中\\*文", "<p>*中*文</p>" },
        { "`a，**中`", "<p><code>a，**中</code></p>" },
        { "```\n中**文**\n```", "<pre><code>中**文**\n</code></pre>" },
        { "* 中文\n* 第二", "<ul><li>中文</li><li>第二</li></ul>" },
        { "** 中 **", "<p>** 中 **</p>" },
        { "中　**　文", "<p>中　**　文</p>" },
        { "[中*文](https://a.example/中*文)", "<p><a href=\"https://a.example/中*文\">中*文</a></p>" },
    };
    expect(cases, COUNT(cases));
}

static void test_links(void **state)
{
    (void)state;
    static const struct html_case cases[] = {
        { "[a](https://x.example/?a=1&b=2 \"title\")", "<p><a href=\"https://x.example/?a=1&amp;b=2\">a</a></p>" },
        { "[a](HTTP://x) [b](ftp://x) [c](mailto:a@b.c) [d](magnet:?x)", "<p><a href=\"HTTP://x\">a</a> <a href=\"ftp://x\">b</a> "
          "<a href=\"mailto:a@b.c\">c</a> <a href=\"magnet:?x\">d</a></p>" },
        { "[a](javascript:alert) [b](data:x) [c](/x) [d](x) [e]() [f](//x) [g](https:)", "<p>a b c d e f g</p>" },
        { "[a](java&#115;cript:x) [b](&#104;ttps://x) [c](https&colon;//x) [d](&#1;https://x)", "<p>a b c d</p>" },
        { "[a](https://x/&quot;&#34;&#10;&lt;)", "<p><a href=\"https://x/&quot;%22%0A&lt;\">a</a></p>" },
        { "[a](<https://x/a b\"c'd>)", "<p><a href=\"https://x/a%20b%22c%27d\">a</a></p>" },
        { "[**a** `b`](https://x)", "<p><a href=\"https://x\"><strong>a</strong> <code>b</code></a></p>" },
        { "[](https://x/?a&b)", "<p><a href=\"https://x/?a&amp;b\">https://x/?a&amp;b</a></p>" },
        { "![a *b*](https://x/i.png) ![](https://x/j.png) ![c](i.png)", "<p><a href=\"https://x/i.png\">a <em>b</em></a> "
          "<a href=\"https://x/j.png\">https://x/j.png</a> c</p>" },
        { "![x](mxc://b.org/abc)", "<p>x</p>" },
        { "[![a](https://x/i.png) b](https://y)", "<p><a href=\"https://y\">a b</a></p>" },
        { "![a [b](https://x) c](https://y)", "<p><a href=\"https://y\">a b c</a></p>" },
        { "[a][r] [r]\n\n[r]: https://x", "<p><a href=\"https://x\">a</a> <a href=\"https://x\">r</a></p>" },
        { "<https://x/?a&b> <a@b.c>", "<p><a href=\"https://x/?a&amp;b\">https://x/?a&amp;b</a> <a href=\"mailto:a@b.c\">a@b.c</a></p>" },
        { "https://x.example/a_b_c and www.x.example", "<p>https://x.example/a_b_c and www.x.example</p>" },
    };
    expect(cases, COUNT(cases));
}

static void test_raw_html(void **state)
{
    (void)state;
    static const struct html_case cases[] = {
        { "<b>a</b> <script>x</script>", "<p>&lt;b&gt;a&lt;/b&gt; &lt;script&gt;x&lt;/script&gt;</p>" },
        { "<div onclick=\"x\">\na\n</div>", "<p>&lt;div onclick=&quot;x&quot;&gt;<br>a<br>&lt;/div&gt;</p>" },
        { "<!-- a -->\n<?b?>\n<![CDATA[c]]>", "<p>&lt;!-- a --&gt;<br>&lt;?b?&gt;<br>&lt;![CDATA[c]]&gt;</p>" },
        { "a<br>b<BR/>c<br />d<br  x>e<br", "<p>a<br>b<br>c<br>d&lt;br  x&gt;e&lt;br</p>" },
        { "`a<br>b`", "<p><code>a&lt;br&gt;b</code></p>" },
        { "<mx-reply>a</mx-reply>", "<p>&lt;mx-reply&gt;a&lt;/mx-reply&gt;</p>" },
    };
    expect(cases, COUNT(cases));
}

static void test_entities(void **state)
{
    (void)state;
    static const struct html_case cases[] = {
        { "&lt;b&gt; &amp; &quot; &copy; &nosuch; & &; &#; &x", "<p>&lt;b&gt; &amp; &quot; &copy; &nosuch; &amp; &amp;; &amp;#; &amp;x</p>" },
        { "&#65;&#x42;&#X63;&#60;&#x1F426;", "<p>ABc&lt;🐦</p>" },
        { "&#0;&#7;&#x9f;&#xd800;&#x110000;&#9999999;", "<p>" FFFD FFFD FFFD FFFD FFFD FFFD "</p>" },
        { "`&lt;`", "<p><code>&amp;lt;</code></p>" },
    };
    expect(cases, COUNT(cases));
}

static void test_bytes(void **state)
{
    (void)state;
    static const struct html_case cases[] = {
        { "a\x01" "b\x1B[31mc\x7F", "<p>ab[31mc</p>" },
        { "a\xFF" "b\xC3", "<p>a" FFFD "b" FFFD "</p>" },
        { "\xC2\x85x", "<p>x</p>" },
        { "a\xEF\xB7\x90" "b\xEF\xB7\x91\xEF\xBC\x81", "<p>ab\xEF\xB7\x91\xEF\xBC\x81</p>" }, /* our own separator */
    };
    expect(cases, COUNT(cases));
    struct buf out;
    bool plain;
    buf_init(&out, HTML_BYTES_MAX);
    assert_int_equal(html_write(&out, "a\0b", 3, &plain), ERR_OK);
    assert_string_equal(buf_str(&out), "<p>ab</p>");
    buf_free(&out);
}

static void test_plain(void **state)
{
    (void)state;
    static const struct {
        const char *markdown;
        bool plain;
    } cases[] = {
        { "", true },
        { "one", true },
        { "one & <two> \"three\"\n\n四，5 * 6.", true },
        { "  one  \n two", true },
        { "**one**", false },
        { "中**（一）**二", false },
        { "a ** b，**c", true },
        { "\\*one\\*", false },
        { "&copy;", false },
        { "one<br>two", false },
        { "# one", false },
        { "- one", false },
        { "`one`", false },
        { "    one", false },
        { "---", false },
        { "[a](x)", false },
        { "[a]: https://x\n\none", false }, /* what defines a link is not shown */
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct buf out;
        bool plain;
        buf_init(&out, HTML_BYTES_MAX);
        assert_int_equal(html_write(&out, cases[i].markdown, strlen(cases[i].markdown), &plain), ERR_OK);
        if (plain != cases[i].plain)
            fail_msg("%s", cases[i].markdown);
        buf_free(&out);
    }
}

static size_t count(const char *text, const char *what)
{
    size_t n = 0;
    for (; (text = strstr(text, what)); text++)
        n++;
    return n;
}

/* md4c 0.4.8 takes a mark in an address for one that opens or closes. */
static void test_marks_in_addresses(void **state)
{
    (void)state;
    static const char *const cases[] = { "- *[a](*)\n  - b", "[a](b**c) d**", "**[a](**) b", "[a](`c) d`" };
    static const char *const tags[][2] = { { "<em>", "</em>" }, { "<strong>", "</strong>" }, { "<code>", "</code>" } };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct buf out;
        bool plain;
        buf_init(&out, HTML_BYTES_MAX);
        assert_int_equal(html_write(&out, cases[i], strlen(cases[i]), &plain), ERR_OK);
        for (size_t k = 0; k < COUNT(tags); k++)
            if (count(buf_str(&out), tags[k][0]) != count(buf_str(&out), tags[k][1]))
                fail_msg("%s", buf_str(&out));
        buf_free(&out);
    }
}

static void test_depth(void **state)
{
    (void)state;
    static const struct {
        const char *piece, *tag, *closing;
    } cases[] = {
        { "> ", "<blockquote>", "</blockquote>" },
        { "- ", "<ul>", "</ul>" },
        { "1. ", "<ol>", "</ol>" },
        { "*a **b ", "<em>", "</em>" },
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct buf text, out;
        bool plain;
        buf_init(&text, HTML_BYTES_MAX);
        buf_init(&out, HTML_BYTES_MAX);
        for (int n = 0; n < 500; n++)
            buf_adds(&text, cases[i].piece);
        buf_adds(&text, "word ");
        for (int n = 0; n < 500; n++)
            buf_adds(&text, "b** a*");
        assert_int_equal(html_write(&out, buf_str(&text), text.len, &plain), ERR_OK);
        size_t opened = count(buf_str(&out), cases[i].tag);
        assert_in_range(opened, HTML_DEPTH_MAX / 4, HTML_DEPTH_MAX);
        assert_int_equal(opened, count(buf_str(&out), cases[i].closing));
        assert_non_null(strstr(buf_str(&out), "word"));
        buf_free(&text);
        buf_free(&out);
    }
}

static void test_a_table_stays_whole_or_goes(void **state)
{
    (void)state;
    static const char *const rows[] = { "|a|x|\n", "|---|---|\n", "|b|y|\n" };
    size_t whole = 0, gone = 0;
    for (size_t quotes = HTML_DEPTH_MAX - 8; quotes < HTML_DEPTH_MAX; quotes++) {
        struct buf text, out;
        bool plain;
        buf_init(&text, HTML_BYTES_MAX);
        buf_init(&out, HTML_BYTES_MAX);
        for (size_t row = 0; row < COUNT(rows); row++) {
            for (size_t n = 0; n < quotes; n++)
                buf_addc(&text, '>');
            buf_adds(&text, rows[row]);
        }
        assert_int_equal(html_write(&out, buf_str(&text), text.len, &plain), ERR_OK);
        bool there = count(buf_str(&out), "<table>") == 1;
        assert_int_equal(count(buf_str(&out), "<t"), there ? 9 : 0); /* table, head and body, two rows, four cells */
        *(there ? &whole : &gone) += 1;
        buf_free(&text);
        buf_free(&out);
    }
    assert_true(whole > 0 && gone > 0);
}

static void test_too_large(void **state)
{
    (void)state;
    static const char text[] = "**bold**";
    size_t exact = strlen("<p><strong>bold</strong></p>");
    for (size_t missing = 0; missing < 2; missing++) {
        struct buf out;
        bool plain;
        buf_init(&out, exact - missing);
        assert_int_equal(html_write(&out, text, strlen(text), &plain), missing ? ERR_TOO_LARGE : ERR_OK);
        buf_free(&out);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_blocks),
        cmocka_unit_test(test_code),
        cmocka_unit_test(test_spans),
        cmocka_unit_test(test_marks_beside_chinese),
        cmocka_unit_test(test_links),
        cmocka_unit_test(test_raw_html),
        cmocka_unit_test(test_entities),
        cmocka_unit_test(test_bytes),
        cmocka_unit_test(test_plain),
        cmocka_unit_test(test_marks_in_addresses),
        cmocka_unit_test(test_depth),
        cmocka_unit_test(test_a_table_stays_whole_or_goes),
        cmocka_unit_test(test_too_large),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
