/* composer.js: the box in which a message is written.
 *
 *   onsend(text, replyTo)   the person wants this sent
 *   ontyping()              at most every few seconds while text changes
 * The conversation shown keeps its own draft. */

const TYPING_EVERY_MS = 3000;
const MAX_TEXT_BYTES = 16384; /* the server's default; a smaller limit there answers too_long */
const COUNT_FROM = 0.8;
const MAX_HEIGHT_SHARE = 0.4;

const encoder = new TextEncoder();

export class Composer {
  #conversation = null;
  #typedAt = 0;

  constructor(form, t, handlers) {
    this.form = form;
    this.entry = form.querySelector("textarea");
    this.counter = form.querySelector(".counter");
    this.sendButton = form.querySelector(".send");
    this.chip = form.querySelector(".reply-chip");
    this.t = t;
    this.on = handlers;
    form.addEventListener("submit", (event) => this.#submit(event));
    this.entry.addEventListener("keydown", (event) => this.#key(event));
    this.entry.addEventListener("input", () => this.#typed());
    this.chip.querySelector("button").addEventListener("click", () => this.replyTo(null));
    addEventListener("resize", () => this.#fit());
  }

  show(conversation) {
    this.#conversation = conversation;
    this.entry.value = conversation.draft;
    this.#drawChip();
    this.#changed();
  }

  replyTo(item, name = "") {
    this.#conversation.replyTo = item;
    this.replyName = name;
    this.#drawChip();
    this.focus();
  }

  insert(text) {
    const { entry } = this;
    const before = entry.value.slice(0, entry.selectionStart);
    const gap = before === "" || /\s$/.test(before) ? "" : " ";
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
    const replyTo = this.#conversation.replyTo;
    this.entry.value = "";
    this.#conversation.replyTo = null;
    this.#drawChip();
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
    this.#conversation.draft = this.entry.value;
    this.#fit();
    this.#count();
  }

  #fit() {
    const { entry } = this;
    entry.style.height = "auto";
    entry.style.height = `${Math.min(entry.scrollHeight, innerHeight * MAX_HEIGHT_SHARE)}px`;
  }

  #count() {
    const text = cleanText(this.entry.value);
    const left = MAX_TEXT_BYTES - byteLength(text);
    const near = left < MAX_TEXT_BYTES * (1 - COUNT_FROM);
    this.counter.hidden = !near;
    if (near) this.counter.textContent = this.t(left < 0 ? "bytesOver" : "bytesLeft", { n: Math.abs(left).toLocaleString() });
    this.counter.classList.toggle("over", left < 0);
    this.entry.setAttribute("aria-invalid", String(left < 0));
    this.sendButton.disabled = left < 0 || text.trim() === "";
  }

  #drawChip() {
    const item = this.#conversation.replyTo;
    this.chip.hidden = !item;
    if (!item) return;
    const [label, text] = this.chip.children;
    label.textContent = this.t("replyingTo", { name: this.replyName });
    text.textContent = item.text.slice(0, 200).replace(/\s+/g, " ");
  }
}

/* JSON can carry neither half of a surrogate pair, nor a server in C a zero. */
function cleanText(text) {
  const whole = text.toWellFormed ? text.toWellFormed() : text;
  return whole.replace(/\0/g, "").trimEnd();
}

function byteLength(text) {
  return encoder.encode(text).length;
}
