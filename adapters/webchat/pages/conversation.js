/* conversation.js: one conversation as the page knows it. No DOM, no network.
 *
 * `items` are in the order of the screen: by the sequence number under which
 * they first came, and what the server has not acknowledged yet at the end. An
 * answer keeps its place while it grows. Each change of an item raises its
 * `version`. */

export class Conversation {
  items = [];
  last = 0; // the highest seq seen: what the next hello asks to go on from
  caughtUp = 0; // up to here frames are history, not news
  draft = "";
  replyTo = null; // the bot's item that the next message answers

  #byId = new Map(); // the server's ids
  #byClient = new Map(); // the ids given here, to own messages
  #bySeq = new Map(); // what people wrote

  constructor(room) {
    this.room = room;
  }

  /* A message written here. entry: { id, text, reply_to?, failed? } */
  addOwn(entry) {
    const known = this.#byClient.get(entry.id);
    if (known) return known;
    const state = entry.failed ? "failed" : "sending";
    const item = this.#add({ author: "you", client: entry.id, text: entry.text, state, reason: entry.failed ?? "" });
    item.replyTo = entry.reply_to;
    item.quoted = this.#byId.get(entry.reply_to) ?? null;
    this.#byClient.set(entry.id, item);
    return item;
  }

  acknowledged(id, seq) {
    this.#saw(seq);
    const item = this.#byClient.get(id);
    if (item) this.#settle(item, seq);
  }

  /* Returns the message, or null if there is none that waits under this id. */
  refused(id, code) {
    const item = this.#byClient.get(id);
    if (item?.state !== "sending") return null;
    this.#change(item, { state: "failed", reason: code });
    return item;
  }

  sendAgain(item) {
    this.#change(item, { state: "sending", reason: "" });
  }

  discard(item) {
    this.#byClient.delete(item.client);
    this.items.splice(this.items.indexOf(item), 1);
  }

  unsent() {
    return this.items.filter((item) => item.state === "sending");
  }

  running() {
    return this.items.some((item) => item.author === "bot" && !item.done);
  }

  /* A line of the page's own, below what is there. */
  note(text) {
    this.#add({ author: "bot", notice: true, text, place: this.last });
  }

  /* message() and edit() return the item that came or changed. */
  message(frame) {
    this.#saw(frame.seq);
    if (frame.from === "bot") return this.#botMessage(frame);
    if (this.#isOwn(frame)) return this.#ownMessage(frame);
    return this.#upsert(frame, { author: "other", name: String(frame.from) });
  }

  edit(frame) {
    this.#saw(frame.seq);
    const item = this.#byId.get(frame.id);
    if (!item) return this.#botMessage(frame);
    const notice = item.notice || Boolean(frame.notice);
    if (!item.done) this.#change(item, { text: String(frame.text ?? ""), done: Boolean(frame.done), notice });
    return item;
  }

  /* In a private conversation there is nobody else who could have written it. */
  #isOwn(frame) {
    return frame.from === "you" || typeof frame.client_id === "string" || this.room === "";
  }

  #botMessage(frame) {
    const quoted = this.#bySeq.get(frame.reply_seq) ?? this.#byClient.get(frame.reply_to) ?? null;
    return this.#upsert(frame, { author: "bot", notice: Boolean(frame.notice), quoted });
  }

  #ownMessage(frame) {
    const item = this.#byClient.get(frame.client_id);
    if (item) {
      this.#byId.set(frame.id, item);
      this.#settle(item, frame.seq);
      return item;
    }
    const made = this.#upsert(frame, { author: "you", client: frame.client_id });
    if (frame.client_id) this.#byClient.set(frame.client_id, made);
    return made;
  }

  #upsert(frame, more) {
    const parts = { text: String(frame.text ?? ""), done: Boolean(frame.done), ...more };
    const known = this.#byId.get(frame.id);
    if (known) {
      this.#change(known, parts);
      return known;
    }
    const live = frame.seq > this.caughtUp || !parts.done;
    const item = this.#add({ ...parts, id: frame.id, place: frame.seq, live });
    this.#byId.set(frame.id, item);
    if (item.author !== "bot") this.#bySeq.set(frame.seq, item);
    return item;
  }

  #saw(seq) {
    if (Number.isSafeInteger(seq) && seq > this.last) this.last = seq;
  }

  #add(parts) {
    const item = {
      id: null,
      client: null,
      author: "other",
      name: "",
      text: "",
      place: Infinity,
      done: true,
      notice: false,
      state: "sent",
      reason: "",
      quoted: null,
      live: true,
      version: 1,
      ...parts,
    };
    this.#insert(item);
    return item;
  }

  #insert(item) {
    let i = this.items.length;
    while (i > 0 && this.items[i - 1].place > item.place) i--;
    this.items.splice(i, 0, item);
  }

  #change(item, parts) {
    Object.assign(item, parts);
    item.version++;
  }

  /* The server has it, under this number. */
  #settle(item, seq) {
    if (item.state === "sent") return;
    this.#change(item, { state: "sent", reason: "", place: seq });
    this.items.splice(this.items.indexOf(item), 1);
    this.#insert(item);
    this.#bySeq.set(seq, item);
  }
}
