/* chat.js: the chat page. Puts the parts together and follows the protocol:
 * each frame changes a conversation, and the log is drawn from that. */

import { Composer } from "./composer.js";
import { Conversation } from "./conversation.js";
import { Host } from "./host.js";
import { Link } from "./link.js";
import { Log } from "./log.js";
import { name, outbox, rooms, visitor } from "./memory.js";
import { Side, isName } from "./side.js";
import { Status } from "./status.js";
import { fillTexts, hasText, pickLanguage, translator } from "./texts.js";

const ACK_TIMEOUT_MS = 15000; /* no answer for so long: the connection is dead */
const BOT_TYPING_MS = 120000; /* for the case that "off" got lost */
const PERSON_TYPING_MS = 8000;
const MAX_FRAME_BYTES = 65536;
const SETTLE_MS = 400;
const TOAST_MS = 2500;

const parameters = new URLSearchParams(location.search);
const language = pickLanguage(parameters.get("lang"), navigator.languages);
const t = translator(language);
const $ = (selector) => document.querySelector(selector);

class Chat {
  #conversations = new Map(); // room -> Conversation
  #typing = new Map(); // name -> timer
  #counted = new WeakSet(); // items that were counted as unread, or seen
  #unread = 0;
  #bot = "Warbler";
  #sentVisitor = null; // what the last hello said
  #doubted = ""; // the room in which the visitor was refused
  #ackTimer = 0;

  constructor() {
    this.host = new Host(parameters, () => this.#shown());
    this.link = new Link(socketUrl(), {
      hello: () => this.#hello(),
      onframe: (frame) => this.#receive(frame),
      onstate: () => this.#linkChanged(),
      onlost: (code) => this.#lost(code),
    });
    this.status = new Status({ bar: $("#status"), dot: $("#dot") }, this.link, t);
    this.log = new Log(
      {
        scroller: $("#scroller"),
        list: $("#log"),
        earlier: $("#earlier"),
        latest: $("#latest"),
        announcer: $("#announcer"),
      },
      t,
      {
        copy: (text, button) => copy(text, button),
        again: (item) => this.#sendAgain(item),
        discard: (item) => this.#discard(item),
        reply: (item) => this.composer.replyTo(item, this.#bot),
      },
    );
    this.composer = new Composer($("#composer"), t, {
      onsend: (text, replyTo) => this.#send(text, replyTo),
      ontyping: () => this.conversation.room && this.link.send({ type: "typing" }),
    });
    this.side = new Side($("#side"), $("main"), t, {
      onopen: (room) => this.open(room),
      onname: () => this.link.open(),
      unsent: (room) => outbox.get().filter((entry) => entry.room === room).length,
    });
    this.#wire();
  }

  /* Shows a conversation and connects to it. */
  open(room, { push = true } = {}) {
    this.conversation = this.#conversationOf(room);
    if (push && room !== roomOfAddress()) history.pushState(null, "", addressOf(room));
    this.#clearTyping();
    this.log.show(this.conversation);
    this.composer.show(this.conversation);
    this.side.show(room);
    this.#drawTitle();
    this.link.open();
    if (matchMedia("(hover: hover)").matches && !this.host.hidden) this.composer.focus();
  }

  #conversationOf(room) {
    let known = this.#conversations.get(room);
    if (known) return known;
    known = new Conversation(room);
    this.#conversations.set(room, known);
    for (const entry of outbox.get()) if (entry.room === room) known.addOwn(entry);
    return known;
  }

  /* --- protocol --- */

  #hello() {
    this.#sentVisitor = visitor.get();
    const { room, last } = this.conversation;
    const hello = { type: "hello", last, lang: language };
    if (this.#sentVisitor) hello.visitor = this.#sentVisitor;
    if (room) hello.room = room;
    if (name.get()) hello.name = name.get();
    return hello;
  }

  #receive(frame) {
    const conversation = this.conversation;
    if (frame?.type === "welcome") this.#welcome(frame);
    else if (frame?.type === "ack") this.#acknowledged(frame);
    else if (frame?.type === "message") this.#arrived(frame, () => conversation.message(frame));
    else if (frame?.type === "edit") this.#arrived(frame, () => conversation.edit(frame));
    else if (frame?.type === "typing") this.#setTyping(String(frame.from), Boolean(frame.on));
    else if (frame?.type === "error") this.#error(frame);
  }

  #welcome(frame) {
    const kept = visitor.get();
    const { room } = this.conversation;
    if (!this.#sentVisitor && kept) return this.link.open(); // another window became a visitor first
    visitor.set(frame.visitor);
    if (frame.last < this.conversation.last) return this.#startOver(room);
    this.conversation.caughtUp = frame.last;
    this.#bot = this.log.bot = String(frame.bot);
    this.#roomAnswered(room);
    this.#drawTitle();
    setTimeout(() => this.#drawEmpty(true), frame.last > 0 ? SETTLE_MS : 0);
    for (const item of this.conversation.unsent()) this.#transmit(item);
    this.log.changed();
  }

  #roomAnswered(room) {
    if (room && this.conversation.room === room) rooms.add(room);
    if (!room && this.#doubted) {
      rooms.remove(this.#doubted);
      this.conversation.note(t("roomClosed", { room: this.#doubted }));
    }
    this.#doubted = "";
    this.side.draw();
  }

  /* The server's count stands before ours: it is another server, or its data
   * is another's. What is on the page does not belong to it. */
  #startOver(room) {
    this.#conversations.delete(room);
    this.open(room, { push: false });
  }

  #acknowledged(frame) {
    this.conversation.acknowledged(frame.id, frame.seq);
    this.#forgetSent(frame.id);
    this.#watchAcks();
    this.log.changed();
  }

  #arrived(frame, apply) {
    const item = apply();
    if (item.author === "you" && item.client) this.#forgetSent(item.client);
    if (item.author === "bot") this.#setTyping("bot", false);
    if (item.author === "other") this.#setTyping(item.name, false);
    if (item.done && !this.#counted.has(item)) this.#count(item);
    this.#drawEmpty(true);
    this.#drawStop();
    this.log.changed();
  }

  #count(item) {
    this.#counted.add(item);
    if (!item.live || item.author === "you") return;
    this.log.arrived();
    if (document.hidden || this.host.hidden) this.#setUnread(this.#unread + 1);
  }

  #error(frame) {
    const code = String(frame.code);
    if (typeof frame.id === "string") return this.#refused(frame.id, code);
    if (code === "unauthorized") return this.#unauthorized();
    if (this.link.state === "ready") return toast(errorText(frame));
    if (code === "bad_frame" && this.conversation.room) return this.#leaveRoom();
    this.link.drop(code === "bad_frame" ? "refused" : "crowded");
  }

  /* Either the server does not know the visitor any more, or it does not let
   * this visitor into this room. The private conversation tells which: only
   * when it is refused too is the secret worthless. */
  #unauthorized() {
    const { room } = this.conversation;
    if (visitor.get() !== this.#sentVisitor) return this.link.open(); // another window has a new one
    if (room) return this.#leaveRoom();
    if (!this.#sentVisitor) return this.link.drop("refused");
    visitor.set(null);
    this.#conversations.clear();
    const back = this.#doubted;
    this.#doubted = "";
    this.#conversationOf(back).note(t("startedAnew"));
    this.open(back);
  }

  #leaveRoom() {
    this.#doubted = this.conversation.room;
    this.open("");
  }

  /* --- own messages --- */

  #send(text, replyTo) {
    const entry = { id: newId(), room: this.conversation.room, text };
    if (replyTo) entry.reply_to = replyTo.id;
    outbox.put(entry);
    const item = this.conversation.addOwn(entry);
    this.#transmit(item);
    this.log.toEnd();
    this.#drawEmpty(true);
    this.side.draw();
  }

  #transmit(item) {
    const message = { type: "message", id: item.client, text: item.text };
    if (item.quoted) message.reply_to = item.quoted.id;
    const frame = JSON.stringify(message);
    if (new TextEncoder().encode(frame).length > MAX_FRAME_BYTES) this.#refused(item.client, "too_long");
    else if (this.link.send(frame)) this.#ackTimer ||= setTimeout(() => this.link.drop("lost"), ACK_TIMEOUT_MS);
  }

  #watchAcks() {
    clearTimeout(this.#ackTimer);
    const waiting = this.link.state === "ready" && this.conversation.unsent().length > 0;
    this.#ackTimer = waiting ? setTimeout(() => this.link.drop("lost"), ACK_TIMEOUT_MS) : 0;
  }

  #forgetSent(id) {
    outbox.remove(id);
    this.side.draw();
  }

  #refused(id, code) {
    const item = this.conversation.refused(id, code);
    if (item) outbox.put(this.#entryOf(item, code));
    this.#watchAcks();
    this.log.changed();
  }

  #sendAgain(item) {
    this.conversation.sendAgain(item);
    outbox.put(this.#entryOf(item));
    this.#transmit(item);
    this.log.changed();
  }

  #discard(item) {
    this.conversation.discard(item);
    this.#forgetSent(item.client);
    this.log.changed();
    this.#drawEmpty(true);
    this.composer.focus();
  }

  #entryOf(item, failed) {
    return { id: item.client, room: this.conversation.room, text: item.text, reply_to: item.quoted?.id, failed };
  }

  /* --- connection --- */

  #linkChanged() {
    this.status?.update();
    if (this.link.state === "ready") return;
    this.#clearTyping();
    clearTimeout(this.#ackTimer);
    this.#ackTimer = 0;
    this.#drawStop();
  }

  /* 1009: a frame was larger than the server takes. Sent again, it would end
   * the next connection too. */
  #lost(code) {
    const longest = this.conversation.unsent().sort((a, b) => b.text.length - a.text.length)[0];
    if (code === 1009 && longest) this.#refused(longest.client, "too_long");
  }

  /* --- typing --- */

  #setTyping(who, on) {
    clearTimeout(this.#typing.get(who));
    this.#typing.delete(who);
    const patience = who === "bot" ? BOT_TYPING_MS : PERSON_TYPING_MS;
    if (on) this.#typing.set(who, setTimeout(() => this.#setTyping(who, false), patience)); // prettier-ignore
    this.log.setTyping([...this.#typing.keys()]);
    this.#drawStop();
  }

  #clearTyping() {
    for (const who of [...this.#typing.keys()]) this.#setTyping(who, false);
  }

  /* --- what stands around the messages --- */

  #drawTitle() {
    const { room } = this.conversation;
    const title = parameters.get("title") || (room ? `# ${room}` : this.#bot);
    const hint = room && this.host.embedded ? "roomHintWidget" : room ? "roomHint" : "privateHint";
    $("#title").textContent = title;
    $("#subtitle").textContent = t(hint, { bot: this.#bot });
    $("#entry").placeholder = t(room ? "entryRoom" : "entryPrivate", { bot: this.#bot, room });
    $("#share").hidden = !room || this.host.embedded;
    $("#mention").hidden = !room;
    $("#mention").title = t("mention", { bot: this.#bot });
    $("#mention").setAttribute("aria-label", $("#mention").title);
    document.body.classList.toggle("in-room", room !== "");
    this.#drawEmpty(false);
    this.#drawDocumentTitle();
  }

  #drawDocumentTitle() {
    const count = this.#unread > 0 ? `(${this.#unread}) ` : "";
    const title = $("#title").textContent;
    document.title = `${count}${title}${title === "Warbler" ? "" : " · Warbler"}`;
  }

  /* settled: what the server kept has come, so an empty log is empty. */
  #drawEmpty(settled) {
    const { room, items } = this.conversation;
    $("#empty").hidden = items.length > 0 || !settled || this.link.state !== "ready";
    $("#empty-title").textContent = room ? t("helloRoom", { room }) : t("hello", { bot: this.#bot });
    $("#empty-hint").textContent = t(room ? "helloRoomHint" : "helloHint", { bot: this.#bot });
    $("#ideas").hidden = room !== "";
  }

  #drawStop() {
    $("#stop").hidden = !(this.link.state === "ready" && (this.conversation.running() || this.#typing.has("bot")));
  }

  #setUnread(count) {
    this.#unread = count;
    this.#drawDocumentTitle();
    this.host.tell("unread", { count });
  }

  #shown() {
    this.#setUnread(0);
    this.log.changed();
    if (matchMedia("(hover: hover)").matches) this.composer.focus();
  }

  #wire() {
    document.body.classList.toggle("embed", this.host.embedded);
    $("#close").hidden = !this.host.connected;
    $("#close").addEventListener("click", () => this.host.tell("close"));
    $("#stop").addEventListener("click", () => this.#send("/stop", null));
    $("#mention").addEventListener("click", () => this.composer.insert(`@${this.#bot} `));
    $("#share").addEventListener("click", () => copy(addressOf(this.conversation.room), null, t("shared")));
    $("#my-name-open").addEventListener("click", () => this.side.askName());
    addEventListener("popstate", () => this.open(roomOfAddress(), { push: false }));
    addEventListener("keydown", (event) => this.#escape(event));
    document.addEventListener("visibilitychange", () => document.hidden || this.host.hidden || this.#setUnread(0));
    for (const idea of t("ideas")) $("#ideas").append(this.#ideaButton(idea));
  }

  #ideaButton(idea) {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = idea;
    button.addEventListener("click", () => this.#send(idea, null));
    return button;
  }

  #escape(event) {
    if (event.key !== "Escape" || event.isComposing) return;
    if (this.side.isOpen) this.side.toggle(false);
    else if (this.conversation.replyTo) this.composer.replyTo(null);
    else this.host.tell("close");
  }
}

function socketUrl() {
  const url = new URL("chat/ws", document.baseURI);
  url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
  return url.href;
}

function roomOfAddress() {
  const room = new URLSearchParams(location.search).get("room") ?? "";
  return isName(room) ? room : "";
}

function addressOf(room) {
  const url = new URL(location.href);
  if (room) url.searchParams.set("room", room);
  else url.searchParams.delete("room");
  return url.href;
}

/* randomUUID is missing on plain http beyond localhost; random bytes are not. */
function newId() {
  if (crypto.randomUUID) return crypto.randomUUID();
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (b) => b.toString(16).padStart(2, "0")).join("");
}

function errorText(frame) {
  return hasText(`error_${frame.code}`) ? t(`error_${frame.code}`) : String(frame.text ?? t("error_unknown"));
}

async function copy(text, button, done = t("copied")) {
  const copied = await copyText(text);
  if (!button || !copied) return toast(copied ? done : t("copyFailed"));
  const label = button.textContent;
  button.textContent = done;
  button.disabled = true;
  setTimeout(() => Object.assign(button, { textContent: label, disabled: false }), TOAST_MS);
}

/* On plain http there is only the old way, through a selection. */
async function copyText(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    const carrier = document.createElement("textarea");
    const focused = document.activeElement;
    carrier.value = text;
    carrier.className = "sr";
    document.body.append(carrier);
    carrier.select();
    const copied = document.execCommand("copy");
    carrier.remove();
    focused?.focus();
    return copied;
  }
}

let toastTimer = 0;

function toast(text) {
  const node = $("#toast");
  node.textContent = text;
  node.classList.add("shown");
  clearTimeout(toastTimer);
  toastTimer = setTimeout(() => node.classList.remove("shown"), TOAST_MS);
}

/* The site's own colour, for filled surfaces only, where the text on it can be
 * chosen to be readable. */
function applyColor(text) {
  if (!/^#?[0-9a-f]{6}$/i.test(text ?? "")) return;
  const hex = text.replace("#", "");
  const [r, g, b] = [0, 2, 4].map((i) => (parseInt(hex.slice(i, i + 2), 16) / 255) ** 2.2);
  const dark = 0.2126 * r + 0.7152 * g + 0.0722 * b < 0.18;
  document.documentElement.style.setProperty("--fill", `#${hex}`);
  document.documentElement.style.setProperty("--on-fill", dark ? "#ffffff" : "#111111");
}

/* On phones the keyboard covers the page; what is left is the visual viewport. */
function followKeyboard() {
  const viewport = window.visualViewport;
  if (!viewport) return;
  const fit = () => {
    if (viewport.scale !== 1) return;
    document.documentElement.style.setProperty("--height", `${viewport.height}px`);
    if (document.activeElement?.id === "entry") scrollTo(0, 0);
  };
  viewport.addEventListener("resize", fit);
  fit();
}

document.documentElement.lang = language === "zh" ? "zh-CN" : "en";
fillTexts(document, t);
applyColor(parameters.get("color"));
followKeyboard();
new Chat().open(roomOfAddress(), { push: false });
