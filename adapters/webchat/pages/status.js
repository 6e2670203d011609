/* status.js: says whether the page is connected, and if not, why and when it
 * tries again. A screen reader hears each change once, not each second. */

const QUIET_MS = 600; /* a short interruption is nobody's concern */
const TICK_MS = 500;

export class Status {
  #shown = "";
  #timer = 0;
  #ticker = 0;

  constructor(bar, dot, link, t) {
    this.bar = bar;
    this.dot = dot;
    this.link = link;
    this.t = t;
    [this.text, this.countdown, this.button] = bar.children;
    this.button.addEventListener("click", () => link.retryNow());
  }

  update() {
    const ready = this.link.state === "ready";
    document.body.classList.toggle("connected", ready);
    this.dot.title = this.t(ready ? "online" : "connecting");
    if (ready) this.#hide();
    else if (!this.bar.hidden) this.#draw();
    else this.#timer ||= setTimeout(() => this.#draw(), QUIET_MS);
  }

  #draw() {
    const { state, reason } = this.link;
    const waiting = state === "waiting";
    const key = waiting && !navigator.onLine ? "offline" : reason || "connecting";
    this.bar.hidden = false;
    if (key !== this.#shown) this.text.textContent = this.t((this.#shown = key));
    this.countdown.hidden = this.button.hidden = !waiting;
    clearInterval(this.#ticker);
    if (!waiting) return;
    this.#tick();
    this.#ticker = setInterval(() => this.#tick(), TICK_MS);
  }

  #tick() {
    const seconds = Math.max(0, Math.ceil((this.link.retryAt - Date.now()) / 1000));
    this.countdown.textContent = this.t("retryIn", { n: seconds });
  }

  #hide() {
    clearTimeout(this.#timer);
    clearInterval(this.#ticker);
    this.#timer = 0;
    this.#shown = "";
    this.bar.hidden = true;
  }
}
