/* link.js: one WebSocket to the daemon that comes back by itself.
 *
 * It knows hello, welcome, close codes and back-off, and nothing of messages.
 *   hello()           returns the first frame, asked for at each connect
 *   onframe(frame)    every frame from the server, welcome included
 *   onstate()         `state`, `reason` or `retryAt` changed
 *   onlost(code)      a connection ended that nobody here closed
 * Callbacks may call open(), close() and send(). */

const CONNECT_TIMEOUT_MS = 10000;
const BACKOFF_MIN_MS = 500;
const BACKOFF_MAX_MS = 15000;
const STABLE_MS = 5000; /* after this long the back-off starts over */

const REASONS = { 1001: "restart", 1012: "restart", 1008: "refused", 1013: "crowded" };
const PATIENT = new Set(["refused", "crowded"]); /* trying again soon would not help */

export class Link {
  state = "closed"; // closed | connecting | ready | waiting
  reason = ""; // lost | restart | refused | crowded: why it is not ready
  retryAt = 0;

  #url;
  #on;
  #socket = null;
  #timer = 0;
  #attempt = 0;
  #readySince = 0;

  constructor(url, handlers) {
    this.#url = url;
    this.#on = handlers;
    addEventListener("online", () => this.retryNow());
    addEventListener("pageshow", () => this.retryNow());
    addEventListener("offline", () => this.drop("lost"));
    document.addEventListener("visibilitychange", () => document.hidden || this.retryNow());
  }

  /* Connects, anew if there is a connection. */
  open() {
    this.#detach();
    this.#setState("connecting");
    const socket = (this.#socket = new WebSocket(this.#url));
    socket.onopen = () => socket.send(JSON.stringify(this.#on.hello()));
    socket.onmessage = (event) => this.#receive(event.data);
    socket.onclose = (event) => this.#lost(event.code);
    this.#timer = setTimeout(() => this.drop("lost"), CONNECT_TIMEOUT_MS);
  }

  close() {
    this.#detach();
    this.#setState("closed");
  }

  /* false: not connected, nothing was sent. */
  send(frame) {
    if (this.state !== "ready") return false;
    this.#socket.send(typeof frame === "string" ? frame : JSON.stringify(frame));
    return true;
  }

  retryNow() {
    if (this.state === "waiting") this.open();
  }

  /* Gives up a connection that seems dead, without waiting for its end. */
  drop(reason) {
    if (this.state === "connecting" || this.state === "ready") this.#wait(reason);
  }

  #receive(data) {
    let frame;
    try {
      frame = JSON.parse(data);
    } catch {
      return;
    }
    if (frame?.type === "welcome") {
      clearTimeout(this.#timer);
      this.#readySince = Date.now();
      this.reason = "";
      this.#setState("ready");
    }
    this.#on.onframe(frame);
  }

  #lost(code) {
    this.#wait(REASONS[code] ?? "lost");
    this.#on.onlost(code);
  }

  #wait(reason) {
    if (this.state === "ready" && Date.now() - this.#readySince > STABLE_MS) this.#attempt = 0;
    this.#detach();
    const ceiling = PATIENT.has(reason)
      ? BACKOFF_MAX_MS
      : Math.min(BACKOFF_MAX_MS, BACKOFF_MIN_MS * 2 ** this.#attempt);
    const delay = Math.max(BACKOFF_MIN_MS, ceiling * (0.5 + Math.random() / 2));
    this.#attempt++;
    if (reason !== "lost" || !this.reason) this.reason = reason; // a failed try says nothing new
    this.retryAt = Date.now() + delay;
    this.#timer = setTimeout(() => this.open(), delay);
    this.#setState("waiting");
  }

  #detach() {
    clearTimeout(this.#timer);
    const socket = this.#socket;
    this.#socket = null;
    if (!socket) return;
    socket.onopen = socket.onmessage = socket.onclose = null;
    socket.close();
  }

  #setState(state) {
    this.state = state;
    this.#on.onstate();
  }
}
