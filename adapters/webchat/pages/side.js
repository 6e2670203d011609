/* side.js: the panel with the conversations, the way into a room, and the
 * person's name. On a narrow page it slides over the chat and keeps the focus
 * until it is closed.
 *
 *   onopen(room)     show this conversation; "" is the private one
 *   onname()         the person has another name now */

import { name, rooms } from "./memory.js";

/* The server's rule for names of people and rooms. */
export function isName(text) {
  const { length } = Array.from(text);
  return length >= 1 && length <= 64 && !/\p{Cc}/u.test(text) && !/^(?:bot|you)$/i.test(text);
}

export class Side {
  #current = "";

  constructor(panel, main, t, handlers) {
    this.panel = panel;
    this.main = main;
    this.t = t;
    this.on = handlers;
    const [room, myName] = panel.querySelectorAll("input");
    this.list = panel.querySelector("ul");
    this.opener = main.querySelector("#side-open");
    this.opener.addEventListener("click", () => this.toggle(true));
    for (const closer of [panel.querySelector("#side-close"), panel.nextElementSibling]) {
      closer.addEventListener("click", () => this.toggle(false));
    }
    main.querySelector("#me-open").addEventListener("click", () => {
      this.toggle(true);
      myName.focus();
    });
    room.form.addEventListener("submit", (event) => this.#join(event, room));
    myName.form.addEventListener("submit", (event) => this.#rename(event, myName) && this.toggle(false));
    myName.addEventListener("change", (event) => this.#rename(event, myName));
    myName.value = name.get();
    addEventListener("storage", () => this.draw());
    matchMedia("(width < 50rem)").addEventListener("change", () => this.toggle(false));
  }

  get isOpen() {
    return this.panel.classList.contains("open");
  }

  toggle(open) {
    if (open === this.isOpen) return;
    this.panel.classList.toggle("open", open);
    this.opener.ariaExpanded = String(open);
    this.main.inert = open;
    if (open) this.panel.querySelector("#side-close").focus();
    else this.opener.focus();
  }

  show(room) {
    this.#current = room;
    this.draw();
  }

  draw() {
    const known = rooms.get();
    if (this.#current && !known.includes(this.#current)) known.unshift(this.#current);
    this.list.replaceChildren(...["", ...known].map((room) => this.#row(room)));
  }

  #row(room) {
    const row = document.createElement("li");
    const open = makeButton(room ? "room" : "room private", () => this.#choose(room));
    const current = room === this.#current;
    open.textContent = room || this.t("private");
    open.dir = "auto";
    if (current) open.ariaCurrent = "page";
    row.append(open);
    if (room && !current) row.append(this.#leaveButton(room));
    return row;
  }

  #leaveButton(room) {
    const leave = makeButton("leave icon", () => {
      rooms.remove(room);
      this.draw();
      this.list.querySelector("button").focus();
    });
    leave.title = leave.ariaLabel = this.t("leave", { room });
    return leave;
  }

  #choose(room) {
    this.toggle(false);
    this.on.onopen(room);
  }

  #join(event, input) {
    event.preventDefault();
    const room = input.value.trim().replace(/^#\s*/, "");
    if (!this.#accept(input, isName(room))) return;
    input.value = "";
    this.#choose(room);
  }

  /* Returns whether the name can stand. */
  #rename(event, input) {
    event.preventDefault();
    const text = input.value.trim();
    if (!this.#accept(input, text === "" || isName(text))) return false;
    const changed = text !== name.get();
    name.set(text);
    if (changed) this.on.onname();
    return true;
  }

  #accept(input, good) {
    input.setCustomValidity(good ? "" : this.t("nameProblem"));
    input.reportValidity();
    input.addEventListener("input", () => input.setCustomValidity(""), { once: true });
    return good;
  }
}

function makeButton(className, onclick) {
  return Object.assign(document.createElement("button"), { className, onclick });
}
