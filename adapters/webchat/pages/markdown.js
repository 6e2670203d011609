/* markdown.js: Markdown to DOM nodes, for text that nobody vouches for and that
 * is still being written.
 *
 *   render(container, text, options)
 *     options.partial  the text goes on: what is unfinished at its end is shown
 *                      as what it will most likely become
 *     options.plain    a person's text: only fences, code spans and bare links
 *                      mean anything, everything else stays as it was typed
 *     options.labels   { copy: "…" }, the words on the page
 *     options.copy     copy(text, button), what the button of a code block does
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
const LINK_PROTOCOLS = new Set(["http:", "https:", "mailto:"]);

export function render(container, text, options = {}) {
    const lines = text.replace(/\r\n?/g, "\n").split("\n");
    const blocks = options.plain ? parsePlain(lines) : parseBlocks(lines, 0, Boolean(options.partial));
    patch(container, blocks, { ...options, depth: 0 }, Boolean(options.partial));
}

/* ------------------------------------------------------------------ blocks
 * A block is { kind, shape, src, … }. `shape` names the element it needs: an
 * element of the same shape is updated, any other is replaced. */

const isBlank = (line) => !/\S/.test(line);
const indentOf = (line) => /^[ \t]*/.exec(line)[0].replace(/\t/g, "    ").length;

function outdent(line, columns) {
    let i = 0;
    for (let col = 0; i < line.length && col < columns; i++) {
        if (line[i] === " ") col += 1;
        else if (line[i] === "\t") col += 4;
        else break;
    }
    return line.slice(i);
}

function parseBlocks(lines, depth, partial) {
    const blocks = [];
    if (partial) lines = holdBack(lines);
    for (let i = 0; i < lines.length; ) {
        if (isBlank(lines[i])) {
            i++;
            continue;
        }
        const [block, next] = takeBlock(lines, i, depth, partial);
        block.src = lines.slice(i, next).join("\n");
        blocks.push(block);
        i = next;
    }
    return blocks;
}

function takeBlock(lines, i, depth, partial) {
    const nested = depth < MAX_BLOCK_DEPTH;
    return (
        takeFence(lines, i) ||
        takeHeading(lines, i) ||
        takeRule(lines, i) ||
        (nested && takeQuote(lines, i)) ||
        (nested && takeList(lines, i)) ||
        takeTable(lines, i, partial) ||
        takeParagraph(lines, i)
    );
}

/* A person's text: fences, and between them paragraphs with their blank lines. */
function parsePlain(lines) {
    const blocks = [];
    for (let i = 0; i < lines.length; ) {
        let next = i;
        const fence = takeFence(lines, i);
        if (fence) next = fence[1];
        else while (next < lines.length && !(next > i && FENCE.test(lines[next]))) next++;
        const src = lines.slice(i, next).join("\n");
        if (fence) blocks.push({ ...fence[0], src });
        else if (!isBlank(src)) blocks.push({ kind: "text", shape: "p", src, text: src.trimEnd().replace(/^\n+/, "") });
        i = next;
    }
    return blocks;
}

/* While the last line is only a marker, nobody knows yet what it will be. */
function holdBack(lines) {
    const last = lines[lines.length - 1];
    const marker = /^\s*(?:[-+]|[*_]{1,2}|--|\d{1,9}[.)]?|#{1,6}|>|`{1,2}|~{1,2}|\|.*|[-*+] \[[ xX]?\]?)\s*$/;
    const inTable = /^\s*\|/.test(last) && /^\s*\|/.test(lines[lines.length - 2] ?? "");
    return marker.test(last) && !inTable ? lines.slice(0, -1) : lines;
}

const FENCE = /^\s*(`{3,}|~{3,})([^]*)$/;

function takeFence(lines, i) {
    const open = FENCE.exec(lines[i]);
    if (!open || (open[1][0] === "`" && open[2].includes("`"))) return null;
    const indent = indentOf(lines[i]);
    const body = [];
    let next = i + 1;
    let closed = false;
    while (next < lines.length && !closed) {
        closed = closesFence(lines[next], open[1]);
        if (!closed) body.push(outdent(lines[next], indent));
        next++;
    }
    /* The language is known once its line has ended. */
    const language = next > i + 1 ? open[2].trim().split(/\s/)[0].slice(0, 32) : "";
    return [{ kind: "code", shape: "code", language, body, closed, marker: open[1][0] }, next];
}

function closesFence(line, marker) {
    const close = /^\s*(`{3,}|~{3,})\s*$/.exec(line);
    return close !== null && close[1][0] === marker[0] && close[1].length >= marker.length;
}

const HEADING = /^\s*(#{1,6})(?:[ \t]+|$)/;

function takeHeading(lines, i) {
    const open = HEADING.exec(lines[i]);
    if (!open) return null;
    let text = lines[i].slice(open[0].length).trimEnd();
    const bare = text.slice(0, trailing(text, "#"));
    if (bare === "" || /\s$/.test(bare)) text = bare.trimEnd();
    return [{ kind: "heading", shape: `h${Math.min(6, open[1].length + 2)}`, text }, i + 1];
}

/* Where the run of these characters at the end of the text begins. */
function trailing(text, chars) {
    let end = text.length;
    while (end > 0 && chars.includes(text[end - 1])) end--;
    return end;
}

const RULE = /^\s*([-*_])(?:[ \t]*\1){2,}[ \t]*$/;

function takeRule(lines, i) {
    return RULE.test(lines[i]) ? [{ kind: "rule", shape: "hr" }, i + 1] : null;
}

function takeQuote(lines, i) {
    if (!/^\s*>/.test(lines[i])) return null;
    const body = [];
    let next = i;
    while (next < lines.length) {
        const quoted = /^\s*> ?/.exec(lines[next]);
        if (!quoted && (isBlank(lines[next]) || isBlank(body[body.length - 1]) || startsBlock(lines, next))) break;
        body.push(lines[next].slice(quoted ? quoted[0].length : 0));
        next++;
    }
    return [{ kind: "quote", shape: "blockquote", body }, next];
}

function listMarker(line) {
    const m = /^([ \t]*)([-*+]|\d{1,9}[.)])([ \t]+|$)/.exec(line);
    if (!m || RULE.test(line)) return null;
    const indent = indentOf(m[1]);
    const gap = m[3].length >= 1 && m[3].length <= 4 ? m[3].length : 1;
    return {
        indent,
        content: indent + m[2].length + gap,
        ordered: m[2].length > 1,
        type: m[2][m[2].length - 1],
        number: parseInt(m[2], 10),
        text: line.slice(m[0].length),
    };
}

function takeList(lines, i) {
    const first = listMarker(lines[i]);
    if (!first) return null;
    const items = [];
    let loose = false;
    let next = i;
    let end = i;
    for (;;) {
        const marker = next < lines.length ? listMarker(lines[next]) : null;
        if (!marker || marker.type !== first.type) break;
        if (next > end && items.length > 0) loose = true;
        const [item, after] = takeItem(lines, next, marker);
        items.push(item);
        loose = loose || item.loose;
        end = after;
        next = skipBlank(lines, after);
    }
    const shape = first.ordered ? "ol" : "ul";
    return [{ kind: "list", shape, items, loose, start: first.number }, end];
}

function skipBlank(lines, i) {
    while (i < lines.length && isBlank(lines[i])) i++;
    return i;
}

/* Two columns suffice to belong to an item, even below "10. ": models indent
 * that way, whatever the width of the marker. */
function takeItem(lines, i, marker) {
    const inside = Math.min(marker.content, marker.indent + 2);
    const body = [marker.text];
    let loose = false;
    let next = i + 1;
    while (next < lines.length) {
        if (isBlank(lines[next])) {
            const after = skipBlank(lines, next);
            if (after === lines.length || indentOf(lines[after]) < inside) break;
            loose = loose || !listMarker(lines[after]);
            while (next < after) body.push(lines[next++]);
        } else if (indentOf(lines[next]) >= inside) {
            body.push(outdent(lines[next++], marker.content));
        } else if (listMarker(lines[next]) || startsBlock(lines, next)) {
            break;
        } else {
            body.push(lines[next++].trimStart());
        }
    }
    const task = /^\[([ xX])\](?:\s+|$)/.exec(body[0]);
    if (task) body[0] = body[0].slice(task[0].length);
    const checked = task ? task[1] !== " " : null;
    const src = lines.slice(i, next).join("\n");
    return [{ kind: "item", shape: task ? "task" : "li", src, body, loose, checked }, next];
}

/* Does this line end the paragraph before it? A number does so only when it is
 * 1, because "in\n2019. Then …" is no list. */
function startsBlock(lines, i) {
    const line = lines[i];
    if (FENCE.test(line) || HEADING.test(line) || RULE.test(line) || /^\s*>/.test(line)) return true;
    const marker = listMarker(line);
    if (marker && marker.text !== "" && (!marker.ordered || marker.number === 1)) return true;
    return isTable(lines, i);
}

function splitRow(line) {
    const cells = [];
    let cell = "";
    const row = line.trim();
    for (let i = row[0] === "|" ? 1 : 0; i < row.length; i++) {
        if (row[i] === "\\" && row[i + 1] === "|") {
            cell += "|";
            i++;
        } else if (row[i] === "|") {
            cells.push(cell.trim());
            cell = "";
        } else {
            cell += row[i];
        }
    }
    if (cell.trim() !== "") cells.push(cell.trim());
    return cells;
}

const isDelimiterRow = (line) => /^[\s|:-]+$/.test(line) && line.includes("-") && line.includes("|");

function isTable(lines, i) {
    if (i + 1 >= lines.length || !lines[i].includes("|") || !isDelimiterRow(lines[i + 1])) return false;
    const columns = splitRow(lines[i + 1]);
    return (
        columns.length <= MAX_COLUMNS &&
        columns.every((cell) => /^:?-+:?$/.test(cell)) &&
        columns.length === splitRow(lines[i]).length
    );
}

/* Of a table in the making there is the head, and no or half a second line. */
function isTableToBe(lines, i) {
    if (!/^\s*\|.*\|\s*$/.test(lines[i]) || splitRow(lines[i]).length > MAX_COLUMNS) return false;
    const rest = lines.length - i - 1;
    return rest === 1 && /^[\s|:-]*$/.test(lines[i + 1]);
}

function takeTable(lines, i, partial) {
    const whole = isTable(lines, i);
    if (!whole && !(partial && isTableToBe(lines, i))) return null;
    const align = whole ? splitRow(lines[i + 1]).map(alignOf) : [];
    const rows = [{ kind: "row", shape: "head", src: lines[i] + "\n" + align.join(), cells: splitRow(lines[i]), align }];
    let next = i + 2;
    while (whole && next < lines.length && lines[next].includes("|") && !isBlank(lines[next])) {
        const cells = splitRow(lines[next]).slice(0, align.length);
        rows.push({ kind: "row", shape: "tr", src: lines[next], cells, align });
        next++;
    }
    return [{ kind: "table", shape: "table", rows }, Math.min(next, lines.length)];
}

function alignOf(cell) {
    if (cell.endsWith(":")) return cell.startsWith(":") ? "center" : "right";
    return "";
}

function takeParagraph(lines, i) {
    let next = i + 1;
    while (next < lines.length && !isBlank(lines[next]) && !startsBlock(lines, next)) next++;
    const text = lines
        .slice(i, next)
        .map((line) => line.trim())
        .join("\n");
    return [{ kind: "text", shape: "p", text }, next];
}

/* ------------------------------------------------------------------ inline
 * Nodes are strings, or { type: em | strong | del | a | code | br, … }. What is
 * still undecided is a "run" (emphasis marks) or a "bracket"; both become text
 * again when nothing matches them. */

export function parseInline(text, { partial = false, plain = false } = {}) {
    const scan = new Scan(partial ? cutUnfinished(text, plain) : text, partial, plain);
    while (scan.at < scan.text.length) scan.step();
    return scan.finish();
}

/* Marks at the very end are half of something. Without them, what they close is
 * closed by the end of the text, so nothing changes when they are complete. */
function cutUnfinished(text, plain) {
    if (plain) return text;
    let end = trailing(text, "*_~`\\");
    if (end > 0 && text[end - 1] === "[") end -= text[end - 2] === "!" ? 2 : 1;
    const tail = text.slice(Math.max(0, end - 6), end);
    const half = /<(?:b(?:r *\/?)?)?$/i.exec(tail);
    return text.slice(0, half ? end - half[0].length : end);
}

const PLAIN_RUN = /[^`hH]+/y;
const TEXT_RUN = /[^\\`*_~[\]!<&\nhH]+/y;
const URL_RUN = /https?:\/\/[A-Za-z0-9][\w\-.~:/?#@!$&'()*+,;=%]*/iy;
const ANGLE_LINK = /<(https?:\/\/[^\s<>]{1,2048}|mailto:[^\s<>]{1,320}|[\w.+-]{1,64}@[\w.-]{1,255})>/iy;
const LINE_BREAK = /<br {0,3}\/?>/iy;
const ENTITY = /&(?:#(\d{1,7})|#x([\da-f]{1,6})|(amp|lt|gt|quot|apos|nbsp|copy|mdash|ndash|hellip|times|middot));/iy;
const ENTITIES = {
    amp: "&", lt: "<", gt: ">", quot: '"', apos: "'", nbsp: "\u00a0", copy: "©",
    mdash: "—", ndash: "–", hellip: "…", times: "×", middot: "·",
}; // prettier-ignore

class Scan {
    constructor(text, partial, plain) {
        this.text = text;
        this.partial = partial;
        this.plain = plain;
        this.at = 0;
        this.out = [];
        this.brackets = []; // indexes into out
        this.ticks = null; // code span ends: length of the run -> positions, ascending
    }

    match(pattern) {
        pattern.lastIndex = this.at;
        return pattern.exec(this.text);
    }

    push(node) {
        const last = this.out.length - 1;
        if (typeof node === "string" && typeof this.out[last] === "string") this.out[last] += node;
        else this.out.push(node);
    }

    literal(length) {
        this.push(this.text.slice(this.at, this.at + length));
        this.at += length;
    }

    step() {
        const run = this.match(this.plain ? PLAIN_RUN : TEXT_RUN);
        if (run) return this.literal(run[0].length);
        const c = this.text[this.at];
        if (c === "`") return this.codeSpan();
        if (c === "h" || c === "H") return this.bareLink();
        if (c === "\n") return this.lineBreak(1);
        if (c === "\\") return this.escape();
        if (c === "*" || c === "_" || c === "~") return this.marks(c);
        if (c === "[") return this.openBracket(1);
        if (c === "!" && this.text[this.at + 1] === "[") return this.openBracket(2);
        if (c === "]") return this.closeBracket();
        if (c === "<") return this.angle();
        if (c === "&") return this.entity();
        return this.literal(1);
    }

    lineBreak(length) {
        const last = this.out.length - 1;
        if (typeof this.out[last] === "string") this.out[last] = this.out[last].trimEnd();
        this.out.push({ type: "br" });
        this.at += length;
    }

    escape() {
        const next = this.text[this.at + 1] ?? "";
        if (next === "\n") return this.lineBreak(2);
        if (!/[!-/:-@[-`{-~]/.test(next)) return this.literal(1);
        this.push(next);
        this.at += 2;
    }

    entity() {
        const m = this.match(ENTITY);
        if (!m) return this.literal(1);
        this.push(entityText(m));
        this.at += m[0].length;
    }

    codeSpan() {
        const length = this.runLength("`");
        const start = this.at + length;
        const end = this.codeEnd(length, start);
        if (end < 0 && !(this.partial && !this.plain)) return this.literal(length);
        let value = this.text.slice(start, end < 0 ? undefined : end).replace(/\n/g, " ");
        if (value.startsWith(" ") && value.endsWith(" ") && !isBlank(value)) value = value.slice(1, -1);
        this.out.push({ type: "code", value });
        this.at = end < 0 ? this.text.length : end + length;
    }

    runLength(c) {
        let end = this.at;
        while (this.text[end] === c) end++;
        return end - this.at;
    }

    /* Positions are taken once for the whole text, so that many unmatched runs
     * do not each search to its end. */
    codeEnd(length, from) {
        if (!this.ticks) {
            this.ticks = new Map();
            for (const run of this.text.matchAll(/`+/g)) {
                const known = this.ticks.get(run[0].length);
                if (known) known.list.push(run.index);
                else this.ticks.set(run[0].length, { list: [run.index], next: 0 });
            }
        }
        const ends = this.ticks.get(length);
        if (!ends) return -1;
        while (ends.next < ends.list.length && ends.list[ends.next] < from) ends.next++;
        return ends.list[ends.next] ?? -1;
    }

    bareLink() {
        const m = /[A-Za-z0-9]/.test(this.text[this.at - 1] ?? "") ? null : this.match(URL_RUN);
        const raw = m ? trimUrl(m[0].slice(0, MAX_URL_CHARS)) : "";
        const href = safeHref(raw);
        if (!href) return this.literal(1);
        this.out.push({ type: "a", href, children: [raw] });
        this.at += raw.length;
    }

    angle() {
        const br = this.match(LINE_BREAK);
        if (br) return this.lineBreak(br[0].length);
        const m = this.match(ANGLE_LINK);
        const href = m && safeHref(/^(?:https?|mailto):/i.test(m[1]) ? m[1] : `mailto:${m[1]}`);
        if (!href) return this.literal(1);
        this.out.push({ type: "a", href, children: [m[1]] });
        this.at += m[0].length;
    }

    marks(c) {
        const length = this.runLength(c);
        if (c === "~" && length !== 2) return this.literal(length);
        const before = kindOf(lastChar(this.text, this.at));
        const after = kindOf(this.text.codePointAt(this.at + length));
        const left = after !== SPACE && (after !== PUNCT || before !== WORD);
        const right = before !== SPACE && (before !== PUNCT || after !== WORD);
        this.out.push({
            type: "run",
            mark: c,
            count: length,
            length,
            open: c === "_" ? left && (!right || before === PUNCT) : left,
            close: c === "_" ? right && (!left || after === PUNCT) : right,
            inWord: before === WORD,
        });
        this.at += length;
    }

    openBracket(length) {
        this.brackets.push(this.out.length);
        this.out.push({ type: "bracket", text: length === 2 ? "![" : "[", at: this.at });
        this.at += length;
    }

    closeBracket() {
        const opener = this.brackets.pop();
        if (opener === undefined) return this.literal(1);
        const next = this.at + 1;
        const target = this.text[next] === "(" ? linkTarget(this.text, next + 1) : null;
        const href = target && target.end >= 0 ? safeHref(target.url) : null;
        if (href) return this.closeLink(opener, href, target.end);
        const unfinished = next === this.text.length || (target && target.end < 0);
        if (this.partial && unfinished) return this.pendingLink(opener);
        return this.literal(1);
    }

    /* A link holds no other link, so nothing that opened before it can be one.
     * An image is only its description here, and may stand in a link. */
    closeLink(opener, href, end) {
        const depth = depthOf(this.out, opener + 1);
        if (this.out[opener].text === "[" || depth >= MAX_INLINE_DEPTH) this.brackets.length = 0;
        if (depth >= MAX_INLINE_DEPTH) return this.literal(1);
        const children = emphasise(this.out.splice(opener + 1), false);
        const inside = depthOf(children, 0);
        this.out[opener] = { type: "a", href, children: children.length ? children : [href], depth: inside + 1 };
        this.at = end;
    }

    /* Its words are shown while its address is being written. */
    pendingLink(opener) {
        this.out.splice(opener, 1);
        this.at = this.text.length;
    }

    finish() {
        const opener = this.brackets.pop();
        const near = opener !== undefined && this.text.length - this.out[opener].at < PENDING_LINK_CHARS;
        if (this.partial && !this.plain && near) this.out.splice(opener, 1);
        return emphasise(this.out, this.partial);
    }
}

function entityText(m) {
    if (m[3]) return ENTITIES[m[3].toLowerCase()];
    const code = m[1] ? parseInt(m[1], 10) : parseInt(m[2], 16);
    const valid = code >= 32 && code <= 0x10ffff && !(code >= 0xd800 && code <= 0xdfff);
    return valid ? String.fromCodePoint(code) : "\ufffd";
}

/* Punctuation that ends the sentence does not belong to the address, and a
 * closing parenthesis only if it was opened in it. */
function trimUrl(url) {
    let open = 0;
    for (const c of url) open += c === "(" ? 1 : c === ")" ? -1 : 0;
    let end = url.length;
    for (; end > 0; end--) {
        const c = url[end - 1];
        if (c === ")" && open < 0) open++;
        else if (!"?!.,:;*_~'".includes(c)) break;
    }
    return url.slice(0, end);
}

function safeHref(raw) {
    try {
        const url = new URL(raw);
        return LINK_PROTOCOLS.has(url.protocol) ? url.href : null;
    } catch {
        return null;
    }
}

/* What stands after "](": the address, an optional title, and ")". end is -1
 * when the text ended before that. null: it is no link. */
function linkTarget(text, at) {
    const window = text.slice(at, at + MAX_URL_CHARS);
    const open = { url: "", end: -1 };
    const cut = window.length < MAX_URL_CHARS ? open : null;
    const m = /^\s*(?:<([^<>\n]*)>|)/.exec(window);
    let i = m[0].length;
    let url = m[1];
    if (url === undefined) {
        const end = plainUrlEnd(window, i);
        if (end < 0) return null;
        url = window.slice(i, end);
        i = end;
    }
    const rest = /^(?:\s+(?:"[^"]*"|'[^']*'|\([^()]*\)))?\s*\)/.exec(window.slice(i));
    if (rest) return { url: unescapeUrl(url), end: at + i + rest[0].length };
    return i === window.length || /^\s+(?:["'(][^"')]*)?$/.test(window.slice(i)) ? cut : null;
}

function plainUrlEnd(text, i) {
    let depth = 0;
    for (; i < text.length; i++) {
        const c = text[i];
        if (/[\s<]/.test(c) || (c === ")" && depth === 0)) break;
        if (c === "\\") i++;
        else if (c === "(") depth++;
        else if (c === ")") depth--;
        if (depth > MAX_PARENS) return -1;
    }
    return Math.min(i, text.length);
}

function unescapeUrl(url) {
    return url.replace(/\\([!-/:-@[-`{-~])/g, "$1").replace(/&amp;/g, "&");
}

/* Marks beside Chinese, Japanese or Korean follow no spaces. There, a mark next
 * to punctuation may open and close as if a space stood on its other side. */
const SPACE = 0;
const WORD = 1;
const PUNCT = 2;
const CJK = 3;
const CJK_CHAR =
    /[\u1100-\u11ff\u2e80-\u9fff\ua960-\ua97f\uac00-\ud7ff\uf900-\ufaff\ufe30-\ufe4f\uff00-\uffef\u{20000}-\u{3ffff}]/u;

function kindOf(code) {
    if (code === undefined) return SPACE;
    const c = String.fromCodePoint(code);
    if (/\s/.test(c)) return SPACE;
    if (CJK_CHAR.test(c)) return CJK;
    return /[\p{P}\p{S}]/u.test(c) ? PUNCT : WORD;
}

function lastChar(text, end) {
    const low = text.charCodeAt(end - 1);
    const pair = low >= 0xdc00 && low <= 0xdfff && end > 1;
    return end === 0 ? undefined : text.codePointAt(end - (pair ? 2 : 1));
}

/* Pairs the runs of one list of nodes, as CommonMark does it: a closing run
 * takes the nearest opening one that fits. `floor` keeps where a search for the
 * same kind of run has failed before, so that it is not searched again. */
function emphasise(nodes, partial) {
    const out = [];
    const openers = []; // { run, at: index in out }
    const floor = new Map();
    for (const node of nodes) {
        if (node.type !== "run") {
            appendNode(out, node);
            continue;
        }
        if (node.close) closeRun(node, out, openers, floor);
        if (node.count > 0 && node.open) openers.push({ run: node, at: out.length });
        if (node.count > 0) out.push(node);
    }
    if (partial) closeOpenRuns(out, openers);
    return out;
}

function appendNode(out, node) {
    const last = out.length - 1;
    if (typeof node === "string" && typeof out[last] === "string") out[last] += node;
    else out.push(node);
}

function closeRun(run, out, openers, floor) {
    const key = `${run.mark}${run.open}${run.length % 3}`;
    while (run.count > 0) {
        let i = openers.length - 1;
        const lowest = Math.min(floor.get(key) ?? 0, openers.length);
        while (i >= lowest && !fits(openers[i].run, run)) i--;
        if (i < lowest) {
            floor.set(key, openers.length);
            return;
        }
        const used = Math.min(2, openers[i].run.count, run.count);
        if (!wrap(out, openers[i], used)) {
            openers.length = 0; // too deep for this one, and so for all around it
            floor.clear();
            return;
        }
        run.count -= used;
        openers.length = openers[i].run.count > 0 ? i + 1 : i;
        for (const [k, height] of floor) floor.set(k, Math.min(height, openers.length));
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
function wrap(out, opener, used) {
    const depth = depthOf(out, opener.at + 1);
    if (depth >= MAX_INLINE_DEPTH) return false;
    const children = out.splice(opener.at + 1);
    opener.run.count -= used;
    if (opener.run.count === 0) out.pop();
    const type = opener.run.mark === "~" ? "del" : used === 2 ? "strong" : "em";
    out.push({ type, children, depth: depth + 1 });
    return true;
}

/* A mark inside a word is more often a product, a power or a file name. */
function closeOpenRuns(out, openers) {
    while (openers.length > 0) {
        const opener = openers.pop();
        while (!opener.run.inWord && opener.run.count > 0) {
            if (!wrap(out, opener, Math.min(2, opener.run.count))) return;
        }
    }
}

/* --------------------------------------------------------------------- DOM */

const states = new WeakMap(); // element -> { shape, key, kids }

function stateOf(element) {
    let state = states.get(element);
    if (!state) states.set(element, (state = { shape: "", key: null, kids: [] }));
    return state;
}

/* Makes the children of parent show these blocks, and leaves alone what did not
 * change. Only the last block of a text that goes on can be unfinished. */
function patch(parent, blocks, options, partial) {
    const kids = stateOf(parent).kids;
    blocks.forEach((block, i) => {
        const open = partial && i === blocks.length - 1;
        const key = (open ? "…" : ".") + block.src;
        let kid = kids[i];
        if (kid && stateOf(kid).key === key) return;
        if (!kid || stateOf(kid).shape !== block.shape) {
            const made = makeElement(block, options);
            stateOf(made).shape = block.shape;
            if (kid) kid.replaceWith(made);
            else parent.append(made);
            kids[i] = kid = made;
        }
        stateOf(kid).key = key;
        FILL[block.kind](kid, block, options, open);
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
    code: makeCode,
    table: () => element("div", "table", element("table", "", element("thead"), element("tbody"))),
    head: () => element("tr"),
    task: makeTask,
};

function makeElement(block, options) {
    const make = MAKE[block.shape];
    if (make) return make(options);
    const made = element(block.shape);
    if (block.kind !== "rule") made.dir = "auto";
    return made;
}

function makeTask() {
    const box = element("input");
    box.type = "checkbox";
    box.disabled = true;
    const item = element("li", "task", box);
    item.dir = "auto";
    return item;
}

function makeCode(options) {
    const code = element("code", "", document.createTextNode(""));
    const pre = element("pre", "", code);
    pre.dir = "ltr";
    pre.tabIndex = 0;
    const bar = element("div", "code-bar", element("span", "code-language"));
    if (options.copy) {
        const button = element("button", "code-copy", options.labels?.copy ?? "Copy");
        button.type = "button";
        button.addEventListener("click", () => options.copy(code.textContent, button));
        bar.append(button);
    }
    return element("div", "code", bar, pre);
}

const FILL = {
    text: fillInline,
    heading: fillInline,
    rule() {},
    quote(node, block, options, open) {
        fillBlocks(node, block.body, options, open);
    },
    list(node, block, options, open) {
        node.classList.toggle("loose", block.loose);
        if (block.shape === "ol") node.start = block.start;
        patch(node, block.items, options, open);
    },
    item(node, block, options, open) {
        if (block.checked !== null) node.firstElementChild.checked = block.checked;
        fillBlocks(node, block.body, options, open);
    },
    table(node, block, options, open) {
        const [head, body] = node.firstElementChild.children;
        patch(head, block.rows.slice(0, 1), options, open && block.rows.length === 1);
        patch(body, block.rows.slice(1), options, open);
    },
    row: fillRow,
    code: fillCode,
};

function fillBlocks(node, body, options, open) {
    const depth = options.depth + 1;
    patch(node, parseBlocks(body, depth, open), { ...options, depth }, open);
}

function fillInline(node, block, options, open) {
    node.replaceChildren(...buildInline(parseInline(block.text, { partial: open, plain: options.plain })));
}

function fillRow(node, block, options, open) {
    const tag = block.shape === "head" ? "th" : "td";
    const cells = block.cells.map((text, i) => {
        const last = open && i === block.cells.length - 1;
        const cell = element(tag, block.align[i], ...buildInline(parseInline(text, { partial: last })));
        cell.dir = "auto";
        return cell;
    });
    node.replaceChildren(...cells);
}

/* Code grows by what was added, so that a selection in it survives too. */
function fillCode(node, block, options, open) {
    const [bar, pre] = node.children;
    const body = block.body.slice();
    const half = new RegExp(`^\\s*\\${block.marker}{1,2}$`);
    if (open && !block.closed && half.test(body[body.length - 1] ?? "")) body.pop();
    const text = body.join("\n");
    const shown = pre.firstElementChild.firstChild;
    bar.firstElementChild.textContent = block.language;
    if (text.startsWith(shown.data)) shown.appendData(text.slice(shown.data.length));
    else shown.data = text;
}

function buildInline(nodes, inLink = false) {
    return nodes.map((node) => buildNode(node, inLink));
}

function buildNode(node, inLink) {
    if (typeof node === "string") return node;
    if (node.type === "run") return node.mark.repeat(node.count);
    if (node.type === "bracket") return node.text;
    if (node.type === "code") return element("code", "", node.value);
    if (node.type === "br") return element("br");
    if (node.type === "a") return buildLink(node, inLink);
    return element(node.type, "", ...buildInline(node.children, inLink));
}

function buildLink(node, inLink) {
    if (inLink) return element("span", "", ...buildInline(node.children, true));
    const link = element("a", "", ...buildInline(node.children, true));
    link.href = node.href;
    link.target = "_blank";
    link.rel = "noopener noreferrer nofollow";
    return link;
}
