"""The chat page's Markdown, rendered by a real browser.

markdown.js is served alone, under the policy that the daemon sends with its
pages, so this needs no daemon. The cases are in markdown_cases.json:
  cases    text, and the structure it becomes ("partial": the text goes on;
           "plain": a person wrote it)
  attacks  text that must not become anything but harmless nodes
  hostile  small pieces, repeated until a renderer that is not linear hangs
Every text of every kind is also rendered growing, character by character.
"""
import http.server
import json
import re
import shutil
import threading
from pathlib import Path

import pytest

webdriver = pytest.importorskip("selenium.webdriver")
service = pytest.importorskip("selenium.webdriver.chrome.service")

HERE = Path(__file__).resolve().parent
PAGES = HERE.parent.parent / "adapters" / "webchat" / "pages"
CASES = json.loads((HERE / "markdown_cases.json").read_text(encoding="utf-8"))
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
CHROMEDRIVER = shutil.which("chromedriver")
POLICY = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'"
HOSTILE_CHARS = 100_000
HOSTILE_SECONDS = 5  # a linear renderer takes some 100 ms, a quadratic one a minute
HOSTILE_TRIES = 3  # what else the machine does may make one of them slow
COUNTED_CHARS = 5_000
STEPS_GROWTH = 2.1  # for twice the text; of a quadratic renderer it is near 4
STEPS_MORE = 100  # where there are few at all

pytestmark = pytest.mark.skipif(not (CHROMIUM and CHROMEDRIVER), reason="chromium or chromedriver is missing")

# show() leaves out what is the same on every element, and writes a code block as
# <pre lang="…">; alien() names everything that no text may ever lead to.
HARNESS = """
const done = arguments[arguments.length - 1];
const argument = JSON.parse(arguments[0]); // JSON carries half surrogates, the driver's protocol does not
const TAGS = new Set(("P H3 H4 H5 H6 UL OL LI BLOCKQUOTE HR DIV SPAN PRE CODE BUTTON TABLE THEAD TBODY TR TH TD " +
                      "INPUT A EM STRONG DEL BR").split(" "));
const ATTRIBUTES = new Set(["dir", "class", "type", "disabled", "start", "tabindex", "href", "target", "rel"]);
const escape = (text) => text.replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/\\u00a0/g, "&nbsp;");

function show(node) {
  if (node.nodeType === Node.TEXT_NODE) return escape(node.data);
  const inner = Array.from(node.childNodes, show).join("");
  const tag = node.localName;
  if (tag === "div" && node.className === "table") return inner;
  if (tag === "div" && node.className === "code") {
    const language = node.querySelector(".code-language").textContent;
    return `<pre${language ? ` lang="${language}"` : ""}>${escape(node.querySelector("pre").textContent)}</pre>`;
  }
  let attributes = node.className ? ` class="${node.className}"` : "";
  if (tag === "a") attributes += ` href="${node.getAttribute("href")}"`;
  if (tag === "ol" && node.start !== 1) attributes += ` start="${node.start}"`;
  if (tag === "input") attributes += node.checked ? " checked" : "";
  return ["br", "hr", "input"].includes(tag) ? `<${tag}${attributes}>` : `<${tag}${attributes}>${inner}</${tag}>`;
}

function alien(root) {
  const found = [];
  for (const node of root.querySelectorAll("*")) {
    if (!TAGS.has(node.tagName)) found.push(node.tagName);
    for (const { name } of node.attributes) if (!ATTRIBUTES.has(name)) found.push(`${node.tagName} ${name}`);
    if (node.tagName !== "A") continue;
    if (!["http:", "https:", "mailto:"].includes(node.protocol)) found.push(node.href);
    if (node.rel !== "noopener noreferrer nofollow" || node.target !== "_blank") found.push(`unguarded ${node.href}`);
    if (node.parentElement.closest("a")) found.push("a link in a link");
  }
  return found;
}

import("/assets/markdown.js").then(({ render }) => {
  const box = () => document.createElement("div");
  const draw = (text, options, root = box()) => (render(root, text, options), root);
  const run = { show, alien, draw, box };
  return (async () => { /* body */ })();
}).then((value) => done({ value: JSON.stringify(value) }), (error) => done({ error: String(error.stack || error) }));
"""


def counted(script):
    """The script, counting in globalThis.steps the turns of its loops and the blocks and functions entered."""
    script = re.sub(r"\b(while \(|for \([^;()]*; )(?!;)", r"\1++globalThis.steps && ", script)
    return re.sub(r"(\) \{|=> \{)(?=\n)", r"\1 globalThis.steps++;", script)


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        is_module = self.path.endswith(".js")
        body = (PAGES / "markdown.js").read_bytes() if is_module else b"<!doctype html><title>Markdown</title>"
        if self.path == "/assets/counted.js":
            body = counted(body.decode()).encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/javascript" if is_module else "text/html")
        self.send_header("Content-Security-Policy", POLICY)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for flag in (
        "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
        "--disable-background-networking", "--disable-component-update",
        f"--user-data-dir={tmp_path_factory.mktemp('chromium')}",
    ):  # fmt: skip
        options.add_argument(flag)
    driver = webdriver.Chrome(options=options, service=service.Service(CHROMEDRIVER))
    driver.set_script_timeout(120)
    driver.get(f"http://127.0.0.1:{server.server_address[1]}/")
    yield driver
    driver.quit()
    server.shutdown()


def run(browser, body, argument=None):
    result = browser.execute_async_script(HARNESS.replace("/* body */", body), json.dumps(argument))
    assert "error" not in result, result["error"]
    return json.loads(result["value"])


def name_of(case):
    return case["name"]


def options_of(case):
    return {key: True for key in ("partial", "plain") if case.get(key)}


@pytest.mark.parametrize("case", CASES["cases"], ids=name_of)
def test_structure(browser, case):
    body = "return Array.from(draw(argument[0], argument[1]).childNodes, show).join('')"
    assert run(browser, body, [case["text"], options_of(case)]) == case["html"]


@pytest.mark.parametrize("case", CASES["cases"] + CASES["attacks"], ids=name_of)
def test_nothing_foreign(browser, case):
    body = """
      const found = [];
      for (const partial of [false, true]) {
        for (const plain of [false, true]) found.push(...alien(draw(argument, { partial, plain })));
      }
      return found;
    """
    assert run(browser, body, case["text"]) == []


@pytest.mark.parametrize("case", CASES["cases"] + CASES["attacks"], ids=name_of)
def test_growing_text_ends_like_whole_text(browser, case):
    body = """
      const [text, plain] = argument;
      const root = box();
      for (let end = 1; end <= text.length; end++) {
        draw(text.slice(0, end), { partial: true, plain }, root);
        if (alien(root).length) return alien(root);
      }
      draw(text, { plain }, root);
      return [show(root), show(draw(text, { plain }))];
    """
    grown, whole = run(browser, body, [case["text"], bool(case.get("plain"))])
    assert grown == whole


def hostile(case, chars):
    piece = case["text"]
    return piece * (chars // len(piece)) + case.get("after", "") * (chars // len(piece))


@pytest.mark.parametrize("case", CASES["hostile"], ids=name_of)
def test_steps_are_linear(browser, case):
    """Exact, whatever else the machine does; blind for what one built-in function does."""
    body = """
      const { render } = await import("/assets/counted.js");
      const counts = [];
      for (const partial of [false, true]) {
        for (const plain of [false, true]) {
          counts.push(argument.map((text) => {
            globalThis.steps = 0;
            render(box(), text, { partial, plain });
            return globalThis.steps;
          }));
        }
      }
      return counts;
    """
    counts = run(browser, body, [hostile(case, COUNTED_CHARS), hostile(case, 2 * COUNTED_CHARS)])
    assert all(0 < half and whole <= half * STEPS_GROWTH + STEPS_MORE for half, whole in counts), counts


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES["hostile"], ids=name_of)
def test_time_is_linear(browser, case):
    body = """
      const [text, limit, tries] = argument;
      const slow = [];
      for (const partial of [false, true]) {
        for (const plain of [false, true]) {
          let root;
          const times = [];
          while (times.length < tries && !(times.at(-1) <= limit)) {
            const start = performance.now();
            root = draw(text, { partial, plain });
            times.push((performance.now() - start) / 1000);
          }
          if (times.at(-1) > limit) slow.push(times);
          if (alien(root).length) return alien(root);
          let depth = 0;
          for (let node = root.querySelector("*"); node; node = node.firstElementChild) depth++;
          if (depth > 100) return [`nested ${depth} deep`];
        }
      }
      return slow;
    """
    assert run(browser, body, [hostile(case, HOSTILE_CHARS), HOSTILE_SECONDS, HOSTILE_TRIES]) == []


def test_streaming_leaves_finished_blocks_alone(browser):
    body = """
      const text = "# Title\\n\\nfirst\\n\\n- a\\n- b\\n\\n```js\\nlet a;\\nlet b;\\n```\\n\\n| x |\\n|---|\\n| 1 |\\n| 2 |\\n\\nlast";
      const root = box();
      const nodes = new Map(); // a finished piece -> the node that showed it first
      const replaced = [];
      const pieces = { title: "h3", first: "h3 + p", item: "li", code: "pre code", row: "tbody tr" };
      const ended = { title: "first", first: "- a", item: "\\n- b", code: "let a;", row: "| 2" };
      for (let end = 1; end <= text.length; end++) {
        draw(text.slice(0, end), { partial: true }, root);
        for (const [piece, selector] of Object.entries(pieces)) {
          if (!text.slice(0, end).includes(ended[piece])) continue;
          const node = root.querySelector(selector).firstChild;
          if (nodes.has(piece) && nodes.get(piece) !== node) replaced.push(`${piece} at ${end}`);
          nodes.set(piece, node);
        }
      }
      return [nodes.size, replaced];
    """
    assert run(browser, body) == [5, []]


def test_copy_button_gives_the_code(browser):
    body = """
      const copied = [];
      const copy = (text, button) => copied.push(text, button.textContent);
      const root = draw("```sh\\nls -l\\n```", { label: "Kopie", copy });
      root.querySelector("button").click();
      return copied;
    """
    assert run(browser, body) == ["ls -l", "Kopie"]
