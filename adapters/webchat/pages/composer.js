/* composer.js: the box in which a message is written.
 *
 *   onsend(text, replyTo)   the person wants this sent
 *   ontyping()              at most every few seconds while text changes
 * The conversation shown keeps its own draft. */

const TYPING_EVERY_MS = 3000;
const MAX_TEXT_BYTES = 16384; /* the server's default; a smaller limit there answers too_long */
const COUNT_BELOW_BYTES = 3000;
const MAX_HEIGHT_SHARE = 0.4;

export const byteLength = (text) => new TextEncoder().encode(text).length;

export class Composer {
  #conversation = null;
  #typedAt = 0;

  constructor(form, t, handlers) {
    this.form = form;
    this.t = t;
    this.on = handlers;
    this.entry = form.querySelector("textarea");
    this.reply = form.querySelector("#reply");
    this.reply.lastElementChild.addEventListener("click", () => this.replyTo(null));
    form.addEventListener("submit", (event) => this.#submit(event));
    this.entry.addEventListener("keydown", (event) => this.#key(event));
    this.entry.addEventListener("input", () => this.#typed());
    addEventListener("resize", () => this.#fit());
  }

  show(conversation) {
    this.#conversation = conversation;
    this.entry.value = conversation.draft;
    this.#drawReply();
    this.#changed();
  }

  replyTo(item, name = "") {
    this.#conversation.replyTo = item;
    this.replyName = name;
    this.#drawReply();
    this.focus();
  }

  insert(text) {
    const { entry } = this;
    const gap = /\S$/.test(entry.value.slice(0, entry.selectionStart)) ? " " : "";
    entry.setRangeText(gap + text, entry.selectionStart, entry.selectionEnd, "end");
    this.#changed();
    this.focus();
  }

  focus() {
    this.entry.focus({ preventScroll: true });
  }

  /* Enter ends a word that an input method is composing; such an Enter sends
   * nothing. Safari tells so only by the old key code 229. */
  #key(event) {
    const composing = event.isComposing || event.keyCode === 229;
    if (event.key !== "Enter" || event.shiftKey || composing) return;
    event.preventDefault();
    this.form.requestSubmit();
  }

  #submit(event) {
    event.preventDefault();
    const text = cleanText(this.entry.value);
    if (text.trim() === "" || byteLength(text) > MAX_TEXT_BYTES) return;
    const { replyTo } = this.#conversation;
    this.#conversation.replyTo = null;
    this.entry.value = "";
    this.#drawReply();
    this.#changed();
    this.on.onsend(text, replyTo);
  }

  #typed() {
    this.#changed();
    const now = Date.now();
    if (this.entry.value === "" || now - this.#typedAt < TYPING_EVERY_MS) return;
    this.#typedAt = now;
    this.on.ontyping();
  }

  #changed() {
    const text = cleanText(this.entry.value);
    const left = MAX_TEXT_BYTES - byteLength(text);
    const counter = this.form.querySelector("#counter");
    counter.hidden = left > COUNT_BELOW_BYTES;
    counter.classList.toggle("over", left < 0);
    const n = Math.abs(left).toLocaleString();
    if (!counter.hidden) counter.textContent = this.t(left < 0 ? "bytesOver" : "bytesLeft", { n });
    this.entry.ariaInvalid = String(left < 0);
    this.form.querySelector(".send").disabled = left < 0 || text.trim() === "";
    this.#conversation.draft = this.entry.value;
    this.#fit();
  }

  #fit() {
    const { style } = this.entry;
    style.height = "auto";
    style.height = `${Math.min(this.entry.scrollHeight, innerHeight * MAX_HEIGHT_SHARE)}px`;
  }

  #drawReply() {
    const item = this.#conversation.replyTo;
    this.reply.hidden = !item;
    if (!item) return;
    this.reply.children[0].textContent = this.t("replyingTo", { name: this.replyName });
    this.reply.children[1].textContent = item.text.slice(0, 200);
  }
}

/* JSON can carry neither half of a surrogate pair, nor a server in C a zero. */
function cleanText(text) {
  return text.toWellFormed().replace(/\0/g, "").trimEnd();
}
