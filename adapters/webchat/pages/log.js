/* log.js: shows a conversation. Draws at most once per animation frame, changes
 * only what changed, keeps to the end while the reader is there, and tells a
 * screen reader of each message once, when it is finished. */

import { render } from "./markdown.js";

const WINDOW_STEP = 150; /* messages in the page; "earlier" adds as many */
const NEAR_END_PX = 48;
const ANNOUNCED_CHARS = 1500;
const ANNOUNCEMENT_MS = 10000;
const QUOTE_CHARS = 120;
const HUES = 8;

export class Log {
  #nodes = new Map(); // item -> { node, parts, seen }
  #first = null; // the item at the top of the page
  #atEnd = true;
  #frame = 0;
  #news = false;
  #typing = [];

  /* parts: { scroller, list, earlier, latest, announcer } elements;
   * actions: { copy(text, button), again(item), discard(item), reply(item) } */
  constructor(parts, t, actions) {
    this.parts = parts;
    this.t = t;
    this.actions = actions;
    this.conversation = null;
    this.bot = "";
    this.typingRow = make("li", "message bot typing", make("span", "avatar bird"), make("div", "content"));
    parts.scroller.addEventListener("scroll", () => this.#scrolled(), { passive: true });
    parts.latest.addEventListener("click", () => this.toEnd());
    parts.earlier.addEventListener("click", () => this.#showEarlier());
    new ResizeObserver(() => this.#atEnd && this.#scrollToEnd()).observe(parts.scroller);
  }

  show(conversation) {
    this.conversation = conversation;
    this.#nodes.clear();
    this.parts.list.replaceChildren();
    this.#typing = [];
    this.toEnd();
  }

  changed() {
    this.#frame ||= requestAnimationFrame(() => this.#draw());
  }

  setTyping(names) {
    if (names.join("\n") === this.#typing.join("\n")) return;
    this.#typing = names;
    this.changed();
  }

  /* Something came that the reader may not see. */
  arrived() {
    if (!this.#atEnd) this.#news = true;
    this.changed();
  }

  toEnd() {
    this.#atEnd = true;
    this.#news = false;
    this.changed();
  }

  #draw() {
    this.#frame = 0;
    const { list, earlier } = this.parts;
    const items = this.conversation.items;
    const first = this.#firstShown(items);
    this.#first = items[first];
    this.#dropOthers(new Set(items.slice(first)));
    let at = list.firstElementChild;
    for (let i = first; i < items.length; i++) {
      const node = this.#drawItem(items, i);
      if (node === at) at = at.nextElementSibling;
      else list.insertBefore(node, at);
    }
    earlier.hidden = first === 0;
    this.#drawTyping();
    if (this.#atEnd) this.#scrollToEnd();
    this.#drawLatest();
  }

  /* The newest ones; for someone who reads further up, what they see stays. */
  #firstShown(items) {
    const kept = this.#atEnd ? -1 : items.indexOf(this.#first);
    return kept >= 0 ? kept : Math.max(0, items.length - WINDOW_STEP);
  }

  #dropOthers(kept) {
    for (const [item, view] of this.#nodes) {
      if (kept.has(item)) continue;
      view.node.remove();
      this.#nodes.delete(item);
    }
  }

  #drawItem(items, i) {
    const item = items[i];
    let view = this.#nodes.get(item);
    if (!view) this.#nodes.set(item, (view = { ...makeMessage(), seen: "" }));
    const grouped = i > 0 && sameAuthor(items[i - 1], item);
    const quoted = item.quoted && isApart(items, i) ? item.quoted : null;
    const seen = `${item.version} ${grouped} ${quoted?.version}`;
    if (view.seen !== seen) {
      view.seen = seen;
      this.#fill(view, item, grouped, quoted);
    }
    return view.node;
  }

  #fill(view, item, grouped, quoted) {
    const { node, parts } = view;
    const partial = !item.done;
    node.className = `message ${item.notice ? "notice" : item.author}`;
    node.classList.toggle("grouped", grouped);
    node.classList.toggle("streaming", partial);
    node.classList.toggle("command", item.author === "you" && /^\/\w+/.test(item.text));
    if (item.state !== "sent") node.classList.add(item.state);
    fillAvatar(parts.avatar, item);
    parts.author.textContent = this.#nameOf(item);
    this.#fillQuote(parts.quote, quoted);
    this.#fillText(parts, item, partial);
    parts.foot.replaceChildren(...this.#foot(item, view));
    this.#announce(item, parts.text);
  }

  #nameOf(item) {
    if (item.author === "bot") return this.bot;
    return item.author === "you" ? this.t("you") : item.name;
  }

  #fillQuote(quote, quoted) {
    quote.hidden = !quoted;
    if (!quoted) return;
    const text = Array.from(quoted.text.slice(0, 2 * QUOTE_CHARS)).slice(0, QUOTE_CHARS).join(""); // prettier-ignore
    const name = this.t("replyingTo", { name: this.#nameOf(quoted) });
    quote.replaceChildren(make("b", "", name), " ", text.replace(/\s+/g, " "));
    quote.onclick = () => this.#nodes.get(quoted)?.node.scrollIntoView({ block: "center" });
  }

  #fillText({ text: node, caret }, item, partial) {
    const plain = item.author !== "bot";
    node.classList.toggle("plain", plain);
    render(node, item.text, { partial, plain, label: this.t("copy"), copy: this.actions.copy });
    if (partial) lastLine(node).append(caret);
    else caret.remove();
  }

  #foot(item, view) {
    if (item.state === "sending") return [make("span", "online", this.t("sending")), make("span", "away", this.t("waiting"))];
    if (item.state === "failed") return this.#failedFoot(item);
    if (item.author !== "bot" || !item.done || item.notice) return [];
    const copy = button(this.t("copy"), () => this.actions.copy(item.text, copy));
    const reply = button(this.t("reply"), () => this.actions.reply(item));
    view.node.classList.add("has-actions");
    return this.conversation.room ? [copy, reply] : [copy];
  }

  #failedFoot(item) {
    const known = this.t(`error_${item.reason}`) ?? this.t("error_unknown");
    return [
      make("span", "state", known),
      button(this.t("again"), () => this.actions.again(item)),
      button(this.t("discard"), () => this.actions.discard(item)),
    ];
  }

  #announce(item, text) {
    if (!item.live || !item.done || item.author === "you" || item.announced) return;
    item.announced = true;
    const said = make("p", "", `${this.#nameOf(item)}: ${spokenText(text)}`);
    this.parts.announcer.append(said);
    setTimeout(() => said.remove(), ANNOUNCEMENT_MS);
  }

  #drawTyping() {
    const { list } = this.parts;
    const [avatar, content] = this.typingRow.children;
    if (this.#typing.length === 0) {
      this.typingRow.remove();
      return;
    }
    const names = this.#typing.map((name) => (name === "bot" ? this.bot : name)).join(", ");
    const label = make("span", this.#typing.includes("bot") ? "sr" : "who", this.t("thinking", { name: names }));
    avatar.hidden = !this.#typing.includes("bot");
    content.replaceChildren(make("span", "dots", make("i"), make("i"), make("i")), label);
    if (list.lastElementChild !== this.typingRow) list.append(this.typingRow);
  }

  #drawLatest() {
    const { latest } = this.parts;
    latest.hidden = this.#atEnd;
    latest.classList.toggle("news", this.#news);
    latest.lastElementChild.textContent = this.#news ? this.t("newMessages") : "";
  }

  #scrolled() {
    const { scroller } = this.parts;
    const below = scroller.scrollHeight - scroller.scrollTop - scroller.clientHeight;
    const atEnd = below < NEAR_END_PX;
    if (atEnd === this.#atEnd) return;
    this.#atEnd = atEnd;
    if (atEnd) this.#news = false;
    this.#drawLatest();
  }

  #scrollToEnd() {
    const { scroller } = this.parts;
    scroller.scrollTop = scroller.scrollHeight;
  }

  #showEarlier() {
    const { scroller } = this.parts;
    const fromEnd = scroller.scrollHeight - scroller.scrollTop;
    const items = this.conversation.items;
    this.#atEnd = false;
    this.#first = items[Math.max(0, items.indexOf(this.#first) - WINDOW_STEP)];
    cancelAnimationFrame(this.#frame);
    this.#draw();
    scroller.scrollTop = scroller.scrollHeight - fromEnd;
  }
}

function make(tag, className, ...children) {
  const node = document.createElement(tag);
  if (className) node.className = className;
  node.append(...children);
  return node;
}

function button(label, onclick) {
  const made = make("button", "", label);
  made.type = "button";
  made.addEventListener("click", onclick);
  return made;
}

function makeMessage() {
  const parts = {
    avatar: make("span", "avatar"),
    author: make("div", "author"),
    quote: button("", null),
    text: make("div", "text"),
    foot: make("div", "foot"),
    caret: make("span", "caret"),
  };
  for (const decoration of [parts.avatar, parts.caret]) decoration.setAttribute("aria-hidden", "true");
  parts.author.dir = "auto";
  parts.quote.className = "quote";
  parts.quote.dir = "auto";
  const content = make("div", "content", parts.author, parts.quote, parts.text, parts.foot);
  return { node: make("li", "", parts.avatar, content), parts };
}

function fillAvatar(avatar, item) {
  const bird = item.author === "bot";
  avatar.className = bird ? "avatar bird" : `avatar hue${hueOf(item.name)}`;
  avatar.textContent = bird ? "" : (Array.from(item.name)[0] ?? "").toUpperCase();
}

function hueOf(name) {
  let hash = 0;
  for (const c of name) hash = (hash * 31 + c.codePointAt(0)) % 65521;
  return hash % HUES;
}

/* An answer needs no quotation right below its question. */
function isApart(items, i) {
  let before = i - 1;
  while (items[i].author === "bot" && before >= 0 && items[before].author === "bot") before--;
  return items[before] !== items[i].quoted;
}

function sameAuthor(a, b) {
  return a.author === b.author && a.name === b.name && a.notice === b.notice;
}

/* Where the next word will appear: in the last line, not below the last block. */
function lastLine(node) {
  const ends = node.querySelectorAll("p, h3, h4, h5, h6, li, td, th, pre > code");
  return ends[ends.length - 1] ?? node;
}

/* The words, without the buttons of code blocks. */
function spokenText(node) {
  const blocks = Array.from(node.children, (block) => (block.querySelector("pre") ?? block).textContent);
  return blocks.join("\n").slice(0, ANNOUNCED_CHARS);
}
