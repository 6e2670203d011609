/* chat.js: the chat page. Puts the parts together and follows the protocol:
 * each frame changes a conversation, and the log is drawn from that. */

import { Composer, byteLength } from "./composer.js";
import { Conversation } from "./conversation.js";
import { Host } from "./host.js";
import { Link } from "./link.js";
import { Log } from "./log.js";
import { name, outbox, rooms, visitor } from "./memory.js";
import { Side, isName } from "./side.js";
import { Status } from "./status.js";
import { fillTexts, pickLanguage, translator } from "./texts.js";

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
/* Touch screens have one that would cover the page. */
const hasKeyboard = () => !matchMedia("(pointer: coarse)").matches;

class Chat {
  #conversations = new Map(); // room -> Conversation
  #typing = new Map(); // who -> timer
  #counted = new WeakSet(); // finished items that need no notice any more
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
    this.status = new Status($("#status"), $("#dot"), this.link, t);
    const [scroller, list, earlier, latest, announcer] = ["#scroller", "#log", "#earlier", "#latest", "#announcer"].map(
      $,
    );
    this.log = new Log({ scroller, list, earlier, latest, announcer }, t, {
      copy,
      again: (item) => this.#sendAgain(item),
      discard: (item) => this.#discard(item),
      reply: (item) => this.composer.replyTo(item, this.#bot),
    });
    this.composer = new Composer($("#composer"), t, {
      onsend: (text, replyTo) => this.#send(text, replyTo),
      ontyping: () => this.conversation.room && this.link.send({ type: "typing" }),
    });
    this.side = new Side($("#side"), $("main"), t, {
      onopen: (room) => this.open(room),
      onname: () => this.link.open(),
    });
    this.#wire();
  }

  /* Shows a conversation and connects to it. */
  open(room) {
    if (room !== roomOfAddress()) history.pushState(null, "", addressOf(room));
    this.conversation = this.#conversationOf(room);
    this.log.show(this.conversation);
    this.composer.show(this.conversation);
    this.side.show(room);
    this.#drawTitle();
    this.link.open();
    if (hasKeyboard() && !this.host.hidden) this.composer.focus();
  }

  #conversationOf(room) {
    if (!this.#conversations.has(room)) {
      const made = new Conversation(room);
      for (const entry of outbox.get()) if (entry.room === room) made.addOwn(entry);
      this.#conversations.set(room, made);
    }
    return this.#conversations.get(room);
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
    if (frame?.type === "welcome") this.#welcome(frame);
    else if (frame?.type === "ack") this.#acknowledged(frame);
    else if (frame?.type === "message") this.#arrived(this.conversation.message(frame));
    else if (frame?.type === "edit") this.#arrived(this.conversation.edit(frame));
    else if (frame?.type === "typing") this.#setTyping(String(frame.from), Boolean(frame.on));
    else if (frame?.type === "error") this.#error(frame);
  }

  #welcome(frame) {
    const { room, last } = this.conversation;
    if (!this.#sentVisitor && visitor.get()) return this.link.open(); // another window became a visitor first
    visitor.set(frame.visitor);
    if (frame.last < last) return this.#startOver(room);
    this.conversation.caughtUp = frame.last;
    this.#bot = this.log.bot = String(frame.bot);
    this.#roomAnswered(room);
    this.#drawTitle();
    setTimeout(() => this.#drawEmpty(), frame.last > 0 ? SETTLE_MS : 0); // what was kept comes first
    for (const item of this.conversation.unsent()) this.#transmit(item);
    this.log.changed();
  }

  #roomAnswered(room) {
    if (room) rooms.add(room);
    if (!room && this.#doubted) {
      rooms.remove(this.#doubted);
      this.conversation.note(t("roomClosed", { room: this.#doubted }));
    }
    this.#doubted = "";
    this.side.draw();
  }

  /* The server's count stands before ours: its data is not what we saw. */
  #startOver(room) {
    this.#conversations.delete(room);
    this.open(room);
  }

  #acknowledged(frame) {
    this.conversation.acknowledged(frame.id, frame.seq);
    this.#forget(frame.id);
    this.#watchAcks();
    this.log.changed();
  }

  #arrived(item) {
    if (item.client) this.#forget(item.client);
    this.#setTyping(item.author === "bot" ? "bot" : item.name, false);
    if (item.done && !this.#counted.has(item)) this.#count(item);
    this.#drawEmpty();
    this.log.changed();
  }

  #count(item) {
    this.#counted.add(item);
    if (!item.live || item.author === "you") return;
    this.log.arrived();
    if (document.hidden || this.host.hidden) this.#setUnread(this.#unread + 1);
  }

  #error({ id, code, text }) {
    if (typeof id === "string") return this.#refused(id, String(code));
    if (code === "unauthorized") return this.#unauthorized();
    if (this.link.state === "ready") return toast(t(`error_${code}`) ?? String(text));
    if (code === "bad_frame" && this.conversation.room) return this.#leaveRoom();
    this.link.drop(code === "bad_frame" ? "refused" : "crowded");
  }

  /* Either the server does not know the visitor any more, or it does not let
   * this visitor into this room. The private conversation tells which: only
   * when it is refused too is the secret worthless. */
  #unauthorized() {
    if (visitor.get() !== this.#sentVisitor) return this.link.open(); // another window has a new one
    if (this.conversation.room) return this.#leaveRoom();
    if (!this.#sentVisitor) return this.link.drop("refused");
    const back = this.#doubted;
    this.#doubted = "";
    visitor.set(null);
    this.#conversations.clear();
    this.#conversationOf(back).note(t("startedAnew"));
    this.open(back);
  }

  #leaveRoom() {
    this.#doubted = this.conversation.room;
    this.open("");
  }

  /* --- own messages --- */

  #send(text, replyTo) {
    const entry = { id: newId(), room: this.conversation.room, text, reply_to: replyTo?.id };
    outbox.put(entry);
    this.#transmit(this.conversation.addOwn(entry));
    this.log.toEnd();
    this.#drawEmpty();
  }

  #transmit(item) {
    const frame = JSON.stringify({ type: "message", id: item.client, text: item.text, reply_to: item.replyTo });
    if (byteLength(frame) > MAX_FRAME_BYTES) return this.#refused(item.client, "too_long");
    if (this.link.send(frame) && !this.#ackTimer) this.#watchAcks();
  }

  #watchAcks() {
    clearTimeout(this.#ackTimer);
    const waiting = this.link.state === "ready" && this.conversation.unsent().length > 0;
    this.#ackTimer = waiting ? setTimeout(() => this.link.drop("lost"), ACK_TIMEOUT_MS) : 0;
  }

  #forget(id) {
    outbox.remove(id);
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
    this.#forget(item.client);
    this.#drawEmpty();
    this.log.changed();
    this.composer.focus();
  }

  #entryOf(item, failed) {
    return { id: item.client, room: this.conversation.room, text: item.text, reply_to: item.replyTo, failed };
  }

  /* --- connection, typing --- */

  #linkChanged() {
    this.status.update();
    if (this.link.state === "ready") return;
    clearTimeout(this.#ackTimer);
    this.#ackTimer = 0;
    for (const who of [...this.#typing.keys()]) this.#setTyping(who, false);
    this.#drawStop();
  }

  /* 1009: a frame was larger than the server takes. Sent again, it would end
   * the next connection too. */
  #lost(code) {
    const [longest] = this.conversation.unsent().sort((a, b) => b.text.length - a.text.length);
    if (code === 1009 && longest) this.#refused(longest.client, "too_long");
  }

  #setTyping(who, on) {
    const patience = who === "bot" ? BOT_TYPING_MS : PERSON_TYPING_MS;
    const known = this.#typing.has(who);
    clearTimeout(this.#typing.get(who));
    this.#typing.delete(who);
    if (on)
      this.#typing.set(
        who,
        setTimeout(() => this.#setTyping(who, false), patience),
      );
    if (on !== known) this.log.setTyping([...this.#typing.keys()]);
    this.#drawStop();
  }

  /* --- what stands around the messages --- */

  #drawTitle() {
    const { room } = this.conversation;
    const values = { bot: this.#bot, room };
    $("#title").textContent = parameters.get("title") || (room ? `# ${room}` : this.#bot);
    $("#subtitle").textContent = t(room ? "roomHint" : "privateHint", values);
    $("#entry").placeholder = t(room ? "entryRoom" : "entryPrivate", values);
    $("#mention").title = $("#mention").ariaLabel = t("mention", values);
    $("#empty h2").textContent = t(room ? "helloRoom" : "hello", values);
    $("#empty p").textContent = t(room ? "helloRoomHint" : "helloHint", values);
    $("#mention").hidden = !room;
    $("#ideas").hidden = room !== "";
    $("#empty").hidden = true;
    document.body.classList.toggle("in-room", room !== "");
    this.#setUnread(this.#unread);
  }

  #drawEmpty() {
    $("#empty").hidden = this.conversation.items.length > 0 || this.link.state !== "ready";
  }

  #drawStop() {
    $("#stop").hidden = this.link.state !== "ready" || !(this.conversation.running() || this.#typing.has("bot"));
  }

  #setUnread(count) {
    this.#unread = count;
    document.title = (count > 0 ? `(${count}) ` : "") + $("#title").textContent;
    this.host.tell("unread", { count });
  }

  #shown() {
    this.#setUnread(0);
    if (hasKeyboard()) this.composer.focus();
  }

  #wire() {
    document.body.classList.toggle("embed", this.host.embedded);
    $("#close").hidden = !this.host.connected;
    $("#close").addEventListener("click", () => this.host.tell("close"));
    $("#stop").addEventListener("click", () => this.#send("/stop"));
    $("#mention").addEventListener("click", () => this.composer.insert(`@${this.#bot} `));
    for (const idea of t("ideas"))
      $("#ideas").append(Object.assign(document.createElement("button"), { textContent: idea }));
    $("#ideas").addEventListener("click", ({ target }) => target.matches("button") && this.#send(target.textContent));
    addEventListener("popstate", () => this.open(roomOfAddress()));
    addEventListener("keydown", (event) => event.key === "Escape" && !event.isComposing && this.#escape());
    document.addEventListener("visibilitychange", () => document.hidden || this.host.hidden || this.#setUnread(0));
  }

  #escape() {
    if (this.side.isOpen) this.side.toggle(false);
    else if (this.conversation.replyTo) this.composer.replyTo(null);
    else this.host.tell("close");
  }
}

function socketUrl() {
  const url = new URL("chat/ws", document.baseURI);
  url.protocol = url.protocol.replace("http", "ws");
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

async function copy(text) {
  toast(t((await copyText(text)) ? "copied" : "copyFailed"));
}

/* On plain http there is only the old way, through a selection. */
async function copyText(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    const focused = document.activeElement;
    const carrier = Object.assign(document.createElement("textarea"), { value: text, className: "sr" });
    document.body.append(carrier);
    carrier.select();
    const copied = document.execCommand("copy");
    carrier.remove();
    focused?.focus();
    return copied;
  }
}

function toast(text) {
  const node = $("#toast");
  node.textContent = text;
  node.classList.add("shown");
  clearTimeout(toast.timer);
  toast.timer = setTimeout(() => node.classList.remove("shown"), TOAST_MS);
}

/* The site's own colour, for filled surfaces only, where the text on it can be
 * chosen to be readable. */
function applyColor(text) {
  if (!/^#[0-9a-f]{6}$/i.test(text ?? "")) return;
  const [r, g, b] = [1, 3, 5].map((i) => (parseInt(text.slice(i, i + 2), 16) / 255) ** 2.2);
  const dark = 0.2126 * r + 0.7152 * g + 0.0722 * b < 0.18;
  document.documentElement.style.setProperty("--fill", text);
  document.documentElement.style.setProperty("--on-fill", dark ? "#fff" : "#111");
}

/* On phones the keyboard covers the page; what is left is the visual viewport. */
function followKeyboard() {
  const viewport = window.visualViewport;
  viewport?.addEventListener("resize", () => {
    if (viewport.scale !== 1) return;
    document.documentElement.style.setProperty("--height", `${viewport.height}px`);
    scrollTo(0, 0);
  });
}

document.documentElement.lang = language === "zh" ? "zh-CN" : language;
fillTexts(document, t);
applyColor(parameters.get("color"));
followKeyboard();
new Chat().open(roomOfAddress());
