/* log.js: shows a conversation. Draws at most once per animation frame, changes
 * only what changed, keeps to the end while the reader is there, and tells a
 * screen reader of each message once, when it is finished. */

import { render } from "./markdown.js";

const WINDOW_STEP = 150; /* messages in the page; "earlier" adds as many */
const NEAR_END_PX = 48;
const ANNOUNCED_CHARS = 1500;
const ANNOUNCEMENT_MS = 10000;
const QUOTE_CHARS = 120;

export class Log {
  #conversation = null;
  #views = new Map(); // item -> { node, …its parts, seen }
  #first = null; // the item at the top of the page
  #top = 0; // where it was scrolled to
  #atEnd = true;
  #news = false;
  #frame = 0;
  #typing = false;
  #typingRow = make(
    "li",
    "message bot typing",
    make("span"),
    make("div", "content", make("i"), make("i"), make("i"), make("span")),
  );

  /* parts: { scroller, list, earlier, latest, announcer } elements
   * actions: { copy(text, button), again(item), discard(item), reply(item) } */
  constructor(parts, t, actions) {
    this.bot = ""; // its name
    this.parts = parts;
    this.t = t;
    this.actions = actions;
    parts.scroller.addEventListener("scroll", () => this.#scrolled(), { passive: true });
    parts.latest.addEventListener("click", () => this.toEnd());
    parts.earlier.addEventListener("click", () => this.#showEarlier());
    new ResizeObserver(() => this.#atEnd && this.#scrollToEnd()).observe(parts.scroller);
  }

  show(conversation) {
    this.#conversation = conversation;
    this.#views.clear();
    this.parts.list.replaceChildren();
    this.toEnd();
  }

  changed() {
    this.#frame ||= requestAnimationFrame(() => this.#draw());
  }

  /* Who is writing: names, and "bot". */
  setTyping(names) {
    const [avatar, content] = this.#typingRow.children;
    const bot = names.includes("bot");
    const name = names.map((who) => (who === "bot" ? this.bot : who)).join(", ");
    avatar.className = bot ? "avatar bird" : "";
    content.lastElementChild.className = bot ? "sr" : "";
    content.lastElementChild.textContent = this.t("writing", { name });
    this.#typing = names.length > 0;
    this.changed();
  }

  /* Something came that the reader may not see. */
  arrived() {
    this.#news = !this.#atEnd;
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
    const { items } = this.#conversation;
    const first = this.#firstShown(items);
    this.#first = items[first];
    this.#drop(new Set(items.slice(first)));
    let at = list.firstElementChild;
    for (let i = first; i < items.length; i++) {
      const node = this.#drawItem(items, i);
      if (node === at) at = at.nextElementSibling;
      else list.insertBefore(node, at);
    }
    earlier.hidden = first === 0;
    if (!this.#typing) this.#typingRow.remove();
    else if (at !== this.#typingRow) list.append(this.#typingRow);
    if (this.#atEnd) this.#scrollToEnd();
    this.#drawLatest();
  }

  /* The newest ones; for someone who reads further up, what they see stays. */
  #firstShown(items) {
    const kept = this.#atEnd ? -1 : items.indexOf(this.#first);
    return kept >= 0 ? kept : Math.max(0, items.length - WINDOW_STEP);
  }

  #drop(kept) {
    for (const [item, { node }] of this.#views) {
      if (kept.has(item)) continue;
      node.remove();
      this.#views.delete(item);
    }
  }

  #drawItem(items, i) {
    const item = items[i];
    if (!this.#views.has(item)) this.#views.set(item, makeView());
    const view = this.#views.get(item);
    const grouped = i > 0 && sameAuthor(items[i - 1], item);
    const quoted = item.quoted && isApart(items, i) ? item.quoted : null;
    const seen = `${item.version} ${grouped} ${quoted?.version}`;
    if (view.seen === seen) return view.node;
    view.seen = seen;
    view.node.className = `message ${item.notice ? "notice" : item.author} ${item.state}`;
    view.node.classList.toggle("grouped", grouped);
    view.node.classList.toggle("command", item.author === "you" && /^\/\w+/.test(item.text));
    fillAvatar(view.avatar, item);
    view.author.textContent = this.#nameOf(item);
    this.#fillQuote(view.quote, quoted);
    this.#fillText(view, item);
    view.foot.replaceChildren(...this.#foot(item));
    this.#announce(item, view.text);
    return view.node;
  }

  #nameOf(item) {
    if (item.author === "bot") return this.bot;
    return item.author === "you" ? this.t("you") : item.name;
  }

  #fillQuote(quote, quoted) {
    quote.hidden = !quoted;
    if (!quoted) return;
    const name = make("b", "", this.t("replyingTo", { name: this.#nameOf(quoted) }));
    quote.replaceChildren(name, " ", quoted.text.slice(0, QUOTE_CHARS).toWellFormed());
    quote.onclick = () => this.#views.get(quoted)?.node.scrollIntoView({ block: "center" });
  }

  #fillText({ text, caret }, item) {
    const plain = item.author !== "bot";
    text.classList.toggle("plain", plain);
    render(text, item.text, { partial: !item.done, plain, label: this.t("copy"), copy: this.actions.copy });
    if (item.done) caret.remove();
    else lastLine(text).append(caret);
  }

  #foot(item) {
    const { t, actions } = this;
    if (item.state === "sending") return [make("span", "online", t("sending")), make("span", "away", t("waiting"))];
    if (item.state === "failed") {
      const reason = make("span", "", t(`error_${item.reason}`) ?? t("error_unknown"));
      return [reason, button(t("again"), () => actions.again(item)), button(t("discard"), () => actions.discard(item))];
    }
    if (item.author !== "bot" || !item.done || item.notice) return [];
    const copy = button(t("copy"), () => actions.copy(item.text, copy));
    return this.#conversation.room ? [copy, button(t("reply"), () => actions.reply(item))] : [copy];
  }

  #announce(item, text) {
    if (!item.live || !item.done || item.author === "you" || item.announced) return;
    item.announced = true;
    const said = make("p", "", `${this.#nameOf(item)}: ${spokenText(text)}`);
    this.parts.announcer.append(said);
    setTimeout(() => said.remove(), ANNOUNCEMENT_MS);
  }

  #drawLatest() {
    const { latest } = this.parts;
    latest.hidden = this.#atEnd;
    latest.classList.toggle("news", this.#news);
    latest.textContent = this.#news ? this.t("newMessages") : "";
  }

  /* Whoever scrolls up, however little, wants to stay there. */
  #scrolled() {
    const { scrollHeight, scrollTop, clientHeight } = this.parts.scroller;
    const upwards = scrollTop < this.#top;
    this.#top = scrollTop;
    this.#atEnd = scrollHeight - scrollTop - clientHeight < (upwards ? 2 : NEAR_END_PX);
    if (this.#atEnd) this.#news = false;
    this.#drawLatest();
  }

  #scrollToEnd() {
    const { scroller } = this.parts;
    scroller.scrollTop = scroller.scrollHeight;
    this.#top = scroller.scrollTop;
  }

  #showEarlier() {
    const { scroller } = this.parts;
    const { items } = this.#conversation;
    const below = scroller.scrollHeight - scroller.scrollTop;
    this.#atEnd = false;
    this.#first = items[Math.max(0, items.indexOf(this.#first) - WINDOW_STEP)];
    this.#draw();
    scroller.scrollTop = scroller.scrollHeight - below;
  }
}

function make(tag, className = "", ...children) {
  const node = document.createElement(tag);
  node.className = className;
  node.append(...children);
  return node;
}

function button(label, onclick) {
  return Object.assign(make("button", "", label), { onclick });
}

function makeView() {
  const avatar = make("span");
  const author = Object.assign(make("div", "author"), { dir: "auto" });
  const quote = Object.assign(make("button", "quote"), { dir: "auto" });
  const text = make("div", "text");
  const foot = make("div", "foot");
  const caret = make("span", "caret");
  avatar.ariaHidden = "true";
  return {
    node: make("li", "", avatar, make("div", "content", author, quote, text, foot)),
    avatar,
    author,
    quote,
    text,
    foot,
    caret,
  };
}

function fillAvatar(avatar, item) {
  const bird = item.author === "bot";
  avatar.className = bird ? "avatar bird" : "avatar";
  avatar.textContent = bird ? "" : (Array.from(item.name)[0] ?? "").toUpperCase();
  let hue = 0;
  for (const c of item.name) hue = (hue * 31 + c.codePointAt(0)) % 360;
  avatar.style.setProperty("--hue", hue);
}

/* An answer needs no quotation right below its question. */
function isApart(items, i) {
  let before = i - 1;
  while (items[i].author === "bot" && items[before]?.author === "bot") before--;
  return items[before] !== items[i].quoted;
}

function sameAuthor(a, b) {
  return a.author === b.author && a.name === b.name && a.notice === b.notice;
}

/* Where the next word will appear: in the last line, not below the last block. */
function lastLine(node) {
  return Array.from(node.querySelectorAll("p, h3, h4, h5, h6, li, td, th, pre > code")).pop() ?? node;
}

/* The words, without the buttons of code blocks. */
function spokenText(node) {
  const blocks = Array.from(node.children, (block) => (block.querySelector("pre") ?? block).textContent);
  return blocks.join("\n").slice(0, ANNOUNCED_CHARS);
}
