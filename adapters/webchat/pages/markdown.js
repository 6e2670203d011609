/* markdown.js: Markdown to DOM nodes, for text that nobody vouches for and that
 * is still being written.
 *
 *   render(container, text, options)
 *     options.partial  the text goes on: what is unfinished at its end is shown
 *                      as what it will most likely become
 *     options.plain    a person's text: only fences, code spans and bare links
 *                      mean anything, everything else stays as it was typed
 *     options.copy     copy(text, button), what the button of a code block does
 *     options.label    the word on that button
 *
 * Calling it again for the same container changes only the blocks whose source
 * changed, so a growing text does not flicker and a selection survives.
 *
 * Nodes are made with createElement and text only. Time is linear in the length
 * of the text; nesting is capped. Left out on purpose: raw HTML (shown as
 * text), images (shown as links), indented code, underlined headings, and
 * reference links, which would let one block change another one. A line break
 * is a line break, as people and models mean it in a chat. */

const MAX_BLOCK_DEPTH = 12;
const MAX_INLINE_DEPTH = 16;
const MAX_COLUMNS = 64;
const MAX_URL_CHARS = 2048;
const MAX_PARENS = 8;
const PENDING_LINK_CHARS = 300;
const LINK_PROTOCOLS = ["http:", "https:", "mailto:"];

export function render(container, text, options = {}) {
  const lines = text.replace(/\r\n?/g, "\n").split("\n");
  const open = Boolean(options.partial);
  const blocks = options.plain ? parsePlain(lines) : parseBlocks(lines, 0, open);
  patch(container, blocks, { ...options, depth: 0 }, open);
  for (const block of container.children) if (!block.dir) block.dir = "auto"; // earlier, each addition would be judged
}

/* ------------------------------------------------------------------ blocks
 * A block is { kind, shape, end, src, … }. `shape` names the element it needs:
 * one of the same shape is updated, any other is replaced. `end` is the line
 * after it, `src` what it was made from. */

const FENCE = /^\s*(`{3,}|~{3,})(.*)$/s;
const HEADING = /^\s*(#{1,6})(?:[ \t]+|$)/;
const RULE = /^\s*([-*_])(?:[ \t]*\1){2,}[ \t]*$/;
const QUOTE = /^\s*> ?/;

const isBlank = (line) => !/\S/.test(line);
const indentOf = (line) => /^[ \t]*/.exec(line)[0].replace(/\t/g, "    ").length;

function skipBlank(lines, i) {
  while (i < lines.length && isBlank(lines[i])) i++;
  return i;
}

function outdent(line, columns) {
  let i = 0;
  for (let col = 0; col < columns && (line[i] === " " || line[i] === "\t"); i++) col += line[i] === " " ? 1 : 4;
  return line.slice(i);
}

function parseBlocks(lines, depth, open) {
  const takers = depth < MAX_BLOCK_DEPTH ? TAKERS : FLAT_TAKERS;
  const blocks = [];
  if (open) lines = holdBack(lines);
  for (let i = skipBlank(lines, 0); i < lines.length;) {
    let block = null;
    for (const take of takers) if ((block = take(lines, i, open))) break;
    block.src = lines.slice(i, block.end).join("\n");
    blocks.push(block);
    i = skipBlank(lines, block.end);
  }
  return blocks;
}

/* A person's text: fences, and what stands between them. */
function parsePlain(lines) {
  const blocks = [];
  for (let i = 0, end; i < lines.length; i = end) {
    const fence = takeFence(lines, i);
    end = fence ? fence.end : i + 1;
    while (!fence && end < lines.length && !FENCE.test(lines[end])) end++;
    const src = lines.slice(i, end).join("\n");
    if (fence) blocks.push({ ...fence, src });
    else if (!isBlank(src)) blocks.push({ kind: "text", shape: "p", src, text: src.trimEnd().replace(/^\n+/, "") });
  }
  return blocks;
}

/* While the last line is only a marker, nobody knows yet what it will be. */
function holdBack(lines) {
  const [before, last] = ["", ...lines].slice(-2);
  const marker = /^\s*(?:[-+]|[*_]{1,2}|--|\d{1,9}[.)]?|#{1,6}|>|`{1,2}|~{1,2}|\|.*|[-*+] \[[ xX]?\]?)\s*$/;
  const inTable = /^\s*\|/.test(last) && /^\s*\|/.test(before);
  return marker.test(last) && !inTable ? lines.slice(0, -1) : lines;
}

function takeFence(lines, i) {
  const [, fence, info] = FENCE.exec(lines[i]) ?? [];
  if (!fence || (fence[0] === "`" && info.includes("`"))) return null;
  const indent = indentOf(lines[i]);
  const body = [];
  let end = i + 1;
  while (end < lines.length && !closesFence(lines[end], fence)) body.push(outdent(lines[end++], indent));
  /* The language is known once its line has ended. */
  const language = end > i + 1 ? info.trim().split(/\s/)[0].slice(0, 32) : "";
  return { kind: "code", shape: "code", language, body, closed: end < lines.length, fence, end: end + 1 };
}

function closesFence(line, fence) {
  const text = line.trim();
  return text.length >= fence.length && trailing(text, fence[0]) === 0;
}

/* Where the run of these characters at the end of the text begins. */
function trailing(text, chars) {
  let start = text.length;
  while (start > 0 && chars.includes(text[start - 1])) start--;
  return start;
}

function takeHeading(lines, i) {
  const open = HEADING.exec(lines[i]);
  if (!open) return null;
  const text = lines[i].slice(open[0].length).trimEnd();
  const bare = text.slice(0, trailing(text, "#"));
  const closed = bare === "" || /\s$/.test(bare);
  return {
    kind: "text",
    shape: `h${Math.min(6, open[1].length + 2)}`,
    text: closed ? bare.trimEnd() : text,
    end: i + 1,
  };
}

function takeRule(lines, i) {
  return RULE.test(lines[i]) ? { kind: "rule", shape: "hr", end: i + 1 } : null;
}

function takeQuote(lines, i) {
  if (!QUOTE.test(lines[i])) return null;
  const body = [];
  let end = i;
  for (; end < lines.length; end++) {
    const line = lines[end].replace(QUOTE, "");
    const lazy = line === lines[end];
    if (lazy && (isBlank(line) || isBlank(body[body.length - 1]) || startsBlock(lines, end))) break;
    body.push(line);
  }
  return { kind: "quote", shape: "blockquote", body, end };
}

function listMarker(line) {
  const m = /^([ \t]*)([-*+]|(\d{1,9})[.)])([ \t]+|$)/.exec(line);
  if (!m || RULE.test(line)) return null;
  const indent = indentOf(m[1]);
  const gap = m[4].length >= 1 && m[4].length <= 4 ? m[4].length : 1;
  const type = m[2][m[2].length - 1];
  return {
    indent,
    content: indent + m[2].length + gap,
    type,
    number: m[3] && Number(m[3]),
    text: line.slice(m[0].length),
  };
}

function takeList(lines, i) {
  const first = listMarker(lines[i]);
  const items = [];
  let loose = false;
  let end = i;
  let next = i;
  for (let marker = first; marker && marker.type === first.type;) {
    if (next > end) loose = true;
    const item = takeItem(lines, next, marker);
    items.push(item);
    loose ||= item.loose;
    end = item.end;
    next = skipBlank(lines, end);
    marker = next < lines.length ? listMarker(lines[next]) : null;
  }
  return (
    first && { kind: "list", shape: first.number === undefined ? "ul" : "ol", items, loose, start: first.number, end }
  );
}

/* Two columns suffice to belong to an item, even below "10. ": models indent
 * that way, whatever the width of the marker. */
function takeItem(lines, i, marker) {
  const inside = Math.min(marker.content, marker.indent + 2);
  const body = [marker.text];
  let loose = false;
  let end = i + 1;
  while (end < lines.length) {
    const after = skipBlank(lines, end);
    const indented = after < lines.length && indentOf(lines[after]) >= inside;
    if (!indented && (after > end || listMarker(lines[end]) || startsBlock(lines, end))) break;
    if (after > end && !listMarker(lines[after])) loose = true;
    while (end < after) body.push(lines[end++]);
    body.push(indented ? outdent(lines[end], marker.content) : lines[end].trimStart());
    end++;
  }
  const task = /^\[([ xX])\](?:\s+|$)/.exec(body[0]);
  if (task) body[0] = body[0].slice(task[0].length);
  const src = lines.slice(i, end).join("\n");
  return { kind: "item", shape: task ? "task" : "li", src, body, loose, checked: task && task[1] !== " ", end };
}

/* Does this line end the paragraph before it? A number does so only when it is
 * 1, because "in\n2019. Then …" is no list. */
function startsBlock(lines, i) {
  if ([FENCE, HEADING, RULE, QUOTE].some((start) => start.test(lines[i]))) return true;
  const marker = listMarker(lines[i]);
  return (marker?.text && (marker.number ?? 1) === 1) || isTable(lines, i);
}

function splitRow(line) {
  const cells = [""];
  const row = line.trim().replace(/^\|/, "");
  for (const [part] of row.matchAll(/\\\||\||[^\\|]+|\\/g)) {
    if (part === "|") cells.push("");
    else cells[cells.length - 1] += part === "\\|" ? "|" : part;
  }
  if (isBlank(cells[cells.length - 1])) cells.pop();
  return cells.map((cell) => cell.trim());
}

function isTable(lines, i) {
  const below = lines[i + 1] ?? "";
  if (!lines[i].includes("|") || !/^[\s|:-]+$/.test(below) || !below.includes("|")) return false;
  const columns = splitRow(below);
  const aligned = columns.length <= MAX_COLUMNS && columns.every((cell) => /^:?-+:?$/.test(cell));
  return aligned && columns.length === splitRow(lines[i]).length;
}

/* Of a table in the making there is the head, and no or half a second line. */
function isTableToBe(lines, i) {
  return (
    i + 2 === lines.length &&
    /^[\s|:-]*$/.test(lines[i + 1]) &&
    /^\|.*\|$/.test(lines[i].trim()) &&
    splitRow(lines[i]).length <= MAX_COLUMNS
  );
}

function takeTable(lines, i, open) {
  const whole = isTable(lines, i);
  if (!whole && !(open && isTableToBe(lines, i))) return null;
  const align = whole ? splitRow(lines[i + 1]).map(alignOf) : [];
  const row = (shape, src, cells) => ({ kind: "row", shape, src: src + align, cells, align });
  const rows = [row("head", lines[i], splitRow(lines[i]))];
  let end = i + 2;
  for (; whole && lines[end]?.includes("|"); end++) {
    rows.push(row("tr", lines[end], splitRow(lines[end]).slice(0, align.length)));
  }
  return { kind: "table", shape: "table", rows, end };
}

function alignOf(cell) {
  if (!cell.endsWith(":")) return "";
  return cell.startsWith(":") ? "center" : "right";
}

function takeParagraph(lines, i) {
  let end = i + 1;
  while (end < lines.length && !isBlank(lines[end]) && !startsBlock(lines, end)) end++;
  const text = lines.slice(i, end).map((line) => line.trim());
  return { kind: "text", shape: "p", text: text.join("\n"), end };
}

const TAKERS = [takeFence, takeHeading, takeRule, takeQuote, takeList, takeTable, takeParagraph];
const FLAT_TAKERS = TAKERS.filter((take) => take !== takeQuote && take !== takeList);

/* ------------------------------------------------------------------ inline
 * Nodes are strings, or { type: em | strong | del | a | code | br, … }. What is
 * still undecided is a "run" (emphasis marks) or a "bracket"; both become text
 * again when nothing matches them. */

/* What a token looks like, and what takes it: a function of the scan and the
 * match that returns where to go on, or -1 when it is only a character. */
const CODE = [/`+/y, takeCode];
const BARE_LINK = [/(?<![A-Za-z0-9])https?:\/\/[A-Za-z0-9][\w\-.~:/?#@!$&'()*+,;=%]*/iy, takeBareLink];
const PLAIN_TOKENS = [[/[^`hH]+/y, takeText], CODE, BARE_LINK];
const TOKENS = [
  [/[^\\`*_~[\]!<&\nhH]+/y, takeText],
  [/\*+|_+|(?<!~)~~(?!~)/y, takeRun],
  [/\\?\n|<br {0,3}\/?>/iy, takeLineBreak],
  [/\\([!-/:-@[-`{-~])/y, takeText],
  [/!?\[/y, openBracket],
  [/\]/y, closeBracket],
  [/&(?:#(\d{1,7})|#x([\da-f]{1,6})|(amp|lt|gt|quot|apos|nbsp));/iy, takeEntity],
  [/<(https?:\/\/[^\s<>]{1,2048}|mailto:[^\s<>]{1,320}|[\w.+-]{1,64}@[\w.-]{1,255})>/iy, takeAngleLink],
  CODE,
  BARE_LINK,
];
const ENTITIES = { amp: "&", lt: "<", gt: ">", quot: '"', apos: "'", nbsp: "\u00a0" };

function parseInline(text, open, plain) {
  const scan = {
    text: open && !plain ? cutUnfinished(text) : text,
    open: open && !plain,
    out: [],
    brackets: [],
    at: 0,
  };
  const tokens = plain ? PLAIN_TOKENS : TOKENS;
  while (scan.at < scan.text.length) step(scan, tokens);
  return finish(scan);
}

function step(scan, tokens) {
  for (const [pattern, take] of tokens) {
    pattern.lastIndex = scan.at;
    const m = pattern.exec(scan.text);
    if (!m) continue;
    const next = take(scan, m);
    if (next < 0) break;
    scan.at = next;
    return;
  }
  push(scan.out, scan.text[scan.at++]);
}

/* Marks at the very end are half of something. Without them, what they close is
 * closed by the end of the text, so nothing changes when they are complete. */
function cutUnfinished(text) {
  let end = trailing(text, "*_~`\\");
  if (text[end - 1] === "[") end -= text[end - 2] === "!" ? 2 : 1;
  const half = /<(?:b(?:r *\/?)?)?$/i.exec(text.slice(Math.max(0, end - 6), end));
  return text.slice(0, half ? end - half[0].length : end);
}

function push(out, node) {
  const last = out.length - 1;
  if (typeof node === "string" && typeof out[last] === "string") out[last] += node;
  else out.push(node);
}

function takeText(scan, m) {
  push(scan.out, m[1] ?? m[0]);
  return scan.at + m[0].length;
}

function takeLineBreak({ out, at }, m) {
  const last = out.length - 1;
  if (typeof out[last] === "string") out[last] = out[last].trimEnd();
  out.push({ type: "br" });
  return at + m[0].length;
}

function takeEntity({ out, at }, [source, decimal, hex, name]) {
  const code = decimal ? parseInt(decimal, 10) : parseInt(hex, 16);
  const valid = code >= 32 && code <= 0x10ffff && (code < 0xd800 || code > 0xdfff);
  push(out, name ? ENTITIES[name.toLowerCase()] : valid ? String.fromCodePoint(code) : "\ufffd");
  return at + source.length;
}

function takeCode(scan, m) {
  const { length } = m[0];
  const start = scan.at + length;
  const end = codeEnd(scan, length, start);
  if (end < 0 && !scan.open) return takeText(scan, m);
  let value = scan.text.slice(start, end < 0 ? undefined : end).replace(/\n/g, " ");
  if (value.startsWith(" ") && value.endsWith(" ") && !isBlank(value)) value = value.slice(1, -1);
  scan.out.push({ type: "code", value });
  return end < 0 ? scan.text.length : end + length;
}

/* Where a run of so many ticks comes next. All runs are found once, so that many
 * unmatched ones do not each search to the end of the text. */
function codeEnd(scan, length, from) {
  if (!scan.ticks) {
    scan.ticks = new Map(); // length -> { ends, next }
    for (const { 0: run, index } of scan.text.matchAll(/`+/g)) {
      if (!scan.ticks.has(run.length)) scan.ticks.set(run.length, { ends: [], next: 0 });
      scan.ticks.get(run.length).ends.push(index);
    }
  }
  const same = scan.ticks.get(length);
  while (same.next < same.ends.length && same.ends[same.next] < from) same.next++;
  return same.ends[same.next] ?? -1;
}

function takeBareLink(scan, m) {
  const url = trimUrl(m[0].slice(0, MAX_URL_CHARS));
  return pushLink(scan, url, url) ? scan.at + url.length : -1;
}

function takeAngleLink(scan, [source, url]) {
  const address = /^(?:https?|mailto):/i.test(url) ? url : `mailto:${url}`;
  return pushLink(scan, address, url) ? scan.at + source.length : -1;
}

function pushLink({ out }, url, text) {
  const href = safeHref(url);
  if (href) out.push({ type: "a", href, children: [text] });
  return href;
}

/* Punctuation that ends the sentence does not belong to the address, and a
 * closing parenthesis only if it was opened in it. */
function trimUrl(url) {
  let open = 0;
  for (const c of url) open += c === "(" ? 1 : c === ")" ? -1 : 0;
  let end = url.length;
  for (; end > 0; end--) {
    if (url[end - 1] === ")" && open < 0) open++;
    else if (!"?!.,:;*_~'".includes(url[end - 1])) break;
  }
  return url.slice(0, end);
}

function safeHref(raw) {
  try {
    const { protocol, href } = new URL(raw);
    return LINK_PROTOCOLS.includes(protocol) ? href : null;
  } catch {
    return null;
  }
}

function openBracket({ out, brackets, at }, [text]) {
  brackets.push(out.length);
  out.push({ type: "bracket", text, at });
  return at + text.length;
}

function closeBracket(scan) {
  const { text, at, out, brackets } = scan;
  if (brackets.length === 0) return -1;
  const opener = brackets.pop();
  const target = text[at + 1] === "(" ? linkTarget(text, at + 2) : null;
  const href = target?.end > 0 ? safeHref(target.url) : null;
  if (href) return closeLink(scan, opener, href, target.end);
  if (!scan.open || !(at + 1 === text.length || target?.end === -1)) return -1;
  out.splice(opener, 1); // its words are shown while its address is being written
  return text.length;
}

/* A link holds no other link, so nothing that opened before it can be one. An
 * image is only its description here, and may stand in a link. */
function closeLink({ out, brackets }, opener, href, end) {
  const deep = depthOf(out, opener + 1) >= MAX_INLINE_DEPTH;
  if (deep || out[opener].text === "[") brackets.length = 0;
  if (deep) return -1;
  const children = emphasise(out.splice(opener + 1), false);
  const depth = depthOf(children, 0) + 1;
  out[opener] = { type: "a", href, children: children.length ? children : [href], depth };
  return end;
}

/* What stands after "](": the address, an optional title, and ")". end is -1
 * when the text ended before that. null: it is no link. */
function linkTarget(text, at) {
  const window = text.slice(at, at + MAX_URL_CHARS);
  const angle = /^\s*<([^<>\n]*)>/.exec(window);
  const start = angle ? 0 : /^\s*/.exec(window)[0].length;
  const end = angle ? angle[0].length : plainUrlEnd(window, start);
  if (end < 0) return null;
  const url = (angle ? angle[1] : window.slice(start, end)).replace(/\\([!-/:-@[-`{-~])/g, "$1").replace(/&amp;/g, "&");
  const rest = /^(?:\s+(?:"[^"]*"|'[^']*'|\([^()]*\)))?\s*\)/.exec(window.slice(end));
  if (rest) return { url, end: at + end + rest[0].length };
  const ended = window.length < MAX_URL_CHARS && /^(?:\s+(?:["'(][^"')]*)?)?$/.test(window.slice(end));
  return ended ? { url, end: -1 } : null;
}

function plainUrlEnd(text, i) {
  for (let depth = 0; i < text.length; i++) {
    if (/[\s<]/.test(text[i]) || (text[i] === ")" && depth === 0)) break;
    if (text[i] === "\\") i++;
    else if (text[i] === "(") depth++;
    else if (text[i] === ")") depth--;
    if (depth > MAX_PARENS) return -1;
  }
  return Math.min(i, text.length);
}

function finish({ text, out, brackets, open }) {
  const opener = brackets.pop();
  if (open && opener !== undefined && text.length - out[opener].at < PENDING_LINK_CHARS) out.splice(opener, 1);
  return emphasise(out, open);
}

/* Marks beside Chinese, Japanese or Korean follow no spaces. There, a mark next
 * to punctuation may open and close as if a space stood on its other side. */
const [SPACE, WORD, PUNCT, CJK] = [0, 1, 2, 3];
const CJK_CHAR =
  /[\u1100-\u11ff\u2e80-\u9fff\ua960-\ua97f\uac00-\ud7ff\uf900-\ufaff\ufe30-\ufe4f\uff00-\uffef\u{20000}-\u{3ffff}]/u;

function kindOf(char) {
  if (!char || /\s/.test(char)) return SPACE;
  if (CJK_CHAR.test(char)) return CJK;
  return /[\p{P}\p{S}]/u.test(char) ? PUNCT : WORD;
}

function takeRun({ text, out, at }, [{ 0: mark, length }]) {
  const before = kindOf(Array.from(text.slice(Math.max(0, at - 2), at)).pop());
  const after = kindOf(Array.from(text.slice(at + length, at + length + 2))[0]);
  const left = after !== SPACE && (after !== PUNCT || before !== WORD);
  const right = before !== SPACE && (before !== PUNCT || after !== WORD);
  const word = mark === "_"; // and so not within one
  const open = left && (!word || !right || before === PUNCT);
  const close = right && (!word || !left || after === PUNCT);
  out.push({ type: "run", mark, count: length, length, open, close, inWord: before === WORD });
  return at + length;
}

/* Pairs the runs of one list of nodes, as CommonMark does it: a closing run
 * takes the nearest opening one that fits. `floor` keeps where a search for the
 * same kind of run has failed before, so that it is not searched again. */
function emphasise(nodes, open) {
  const out = [];
  const openers = []; // { run, at: index in out }
  const floor = new Map();
  for (const node of nodes) {
    if (node.close) closeRun(node, out, openers, floor);
    if (node.open && node.count > 0) openers.push({ run: node, at: out.length });
    if (node.count !== 0) push(out, node);
  }
  if (open) closeOpenRuns(out, openers);
  return out;
}

function closeRun(run, out, openers, floor) {
  const key = `${run.mark}${run.open}${run.length % 3}`;
  while (run.count > 0) {
    const lowest = floor.get(key) ?? 0;
    let i = openers.length - 1;
    while (i >= lowest && !fits(openers[i].run, run)) i--;
    if (i < lowest) {
      floor.set(key, openers.length);
      return;
    }
    const used = Math.min(2, openers[i].run.count, run.count);
    const fitted = wrap(out, openers[i], used);
    /* Too deep for this one is too deep for all around it. */
    openers.length = !fitted ? 0 : openers[i].run.count > 0 ? i + 1 : i;
    for (const [kind, height] of floor) floor.set(kind, Math.min(height, openers.length));
    if (!fitted) return;
    run.count -= used;
  }
}

function fits(opener, closer) {
  if (opener.mark !== closer.mark) return false;
  if (opener.mark === "~" || !(opener.close || closer.open)) return true;
  return (opener.length + closer.length) % 3 !== 0 || (opener.length % 3 === 0 && closer.length % 3 === 0);
}

function depthOf(nodes, from) {
  let depth = 0;
  for (let i = from; i < nodes.length; i++) depth = Math.max(depth, nodes[i].depth ?? 0);
  return depth;
}

/* Everything after the opener becomes the content of one element. */
function wrap(out, { run, at }, used) {
  const depth = depthOf(out, at + 1);
  if (depth >= MAX_INLINE_DEPTH) return false;
  const children = out.splice(at + 1);
  run.count -= used;
  if (run.count === 0) out.pop();
  out.push({ type: run.mark === "~" ? "del" : used === 2 ? "strong" : "em", children, depth: depth + 1 });
  return true;
}

/* A mark inside a word is more often a product, a power or a file name. */
function closeOpenRuns(out, openers) {
  for (let opener; (opener = openers.pop());) {
    while (!opener.run.inWord && opener.run.count > 0) {
      if (!wrap(out, opener, Math.min(2, opener.run.count))) return;
    }
  }
}

/* --------------------------------------------------------------------- DOM */

const states = new WeakMap(); // element -> { shape, key, kids }

function stateOf(element) {
  if (!states.has(element)) states.set(element, { shape: "", key: null, kids: [] });
  return states.get(element);
}

/* Makes the children of parent show these blocks, and leaves alone what did not
 * change. Only the last block of a text that goes on can be unfinished. */
function patch(parent, blocks, options, open) {
  const { kids } = stateOf(parent);
  blocks.forEach((block, i) => {
    const unfinished = open && i === blocks.length - 1;
    const key = (unfinished ? "…" : ".") + block.src;
    if (!kids[i] || stateOf(kids[i]).shape !== block.shape) {
      const made = MAKE[block.shape]?.(options) ?? element(block.shape);
      stateOf(made).shape = block.shape;
      if (kids[i]) kids[i].replaceWith(made);
      else parent.append(made);
      kids[i] = made;
    }
    const state = stateOf(kids[i]);
    if (state.key === key) return;
    state.key = key;
    FILL[block.kind](kids[i], block, options, unfinished);
  });
  for (const kid of kids.splice(blocks.length)) kid.remove();
}

function element(tag, className, ...children) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  made.append(...children);
  return made;
}

const MAKE = {
  table: () => element("div", "table", element("table", "", element("thead"), element("tbody"))),
  head: () => element("tr"),
  task() {
    const box = Object.assign(element("input"), { type: "checkbox", disabled: true });
    return element("li", "task", box);
  },
  code({ copy, label }) {
    const code = element("code", "", document.createTextNode(""));
    const pre = Object.assign(element("pre", "", code), { dir: "ltr", tabIndex: 0 });
    const bar = element("div", "code-bar", element("span", "code-language"));
    const button = Object.assign(element("button", "code-copy", label ?? ""), { type: "button" });
    button.addEventListener("click", () => copy(code.textContent, button));
    if (copy) bar.append(button);
    return element("div", "code", bar, pre);
  },
};

const FILL = {
  rule() {},
  text(node, block, options, open) {
    node.replaceChildren();
    appendInline(node, parseInline(block.text, open, options.plain));
  },
  quote(node, block, options, open) {
    const depth = options.depth + 1;
    patch(node, parseBlocks(block.body, depth, open), { ...options, depth }, open);
  },
  item(node, block, options, open) {
    if (block.shape === "task") node.firstElementChild.checked = block.checked;
    FILL.quote(node, block, options, open);
  },
  list(node, block, options, open) {
    node.classList.toggle("loose", block.loose);
    if (block.shape === "ol") node.start = block.start;
    patch(node, block.items, options, open);
  },
  table(node, { rows }, options, open) {
    const [head, body] = node.firstElementChild.children;
    patch(head, rows.slice(0, 1), options, open && rows.length === 1);
    patch(body, rows.slice(1), options, open);
  },
  row(node, { shape, cells, align }, options, open) {
    const tag = shape === "head" ? "th" : "td";
    const cell = (text, i) => {
      const unfinished = open && i === cells.length - 1;
      return appendInline(element(tag, align[i]), parseInline(text, unfinished, false));
    };
    node.replaceChildren(...cells.map(cell));
  },
  /* Code grows by what was added, so that a selection in it survives too. */
  code(node, { language, body, closed, fence }, options, open) {
    const [bar, pre] = node.children;
    const last = body[body.length - 1]?.trim();
    const closing = open && !closed && last && trailing(last, fence[0]) === 0;
    const text = (closing ? body.slice(0, -1) : body).join("\n");
    const shown = pre.firstElementChild.firstChild;
    bar.firstElementChild.textContent = language;
    if (text.startsWith(shown.data)) shown.appendData(text.slice(shown.data.length));
    else shown.data = text;
  },
};

/* One by one: a hostile text has more nodes than a call can have arguments. */
function appendInline(parent, nodes, inLink = false) {
  for (const node of nodes) parent.append(nodeOf(node, inLink));
  return parent;
}

function nodeOf(node, inLink) {
  if (typeof node === "string") return node;
  if (node.type === "run") return node.mark.repeat(node.count);
  if (node.type === "bracket") return node.text;
  if (node.type === "code") return element("code", "", node.value);
  if (node.type !== "a") return appendInline(element(node.type), node.children ?? [], inLink);
  const link = appendInline(element(inLink ? "span" : "a"), node.children, true);
  if (inLink) return link;
  return Object.assign(link, { href: node.href, target: "_blank", rel: "noopener noreferrer nofollow" });
}
