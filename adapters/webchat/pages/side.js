/* side.js: the panel with the conversations, the way into a room, and the
 * person's name. On a narrow page it slides over the chat and takes the focus
 * until it is closed.
 *
 *   onopen(room)     show this conversation; "" is the private one
 *   onname(name)     the person has another name now
 *   unsent(room)     returns how many messages wait there */

import { name, rooms } from "./memory.js";

const MAX_NAME_CHARS = 64;
const REFUSED_NAMES = new Set(["bot", "you"]);

/* The server's rule for names of people and rooms. */
export function isName(text) {
  const length = Array.from(text).length;
  return length >= 1 && length <= MAX_NAME_CHARS && !/\p{Cc}/u.test(text) && !REFUSED_NAMES.has(text.toLowerCase());
}

export class Side {
  #current = "";

  constructor(panel, main, t, handlers) {
    this.panel = panel;
    this.main = main;
    this.t = t;
    this.on = handlers;
    this.list = panel.querySelector("#rooms");
    this.opener = main.querySelector("#side-open");
    this.opener.addEventListener("click", () => this.toggle(true));
    panel.querySelector("#side-close").addEventListener("click", () => this.toggle(false));
    panel.querySelector("#join").addEventListener("submit", (event) => this.#join(event));
    this.#wireName(panel.querySelector("#me"));
    document.querySelector("#veil").addEventListener("click", () => this.toggle(false));
    addEventListener("storage", () => this.draw());
  }

  get isOpen() {
    return this.panel.classList.contains("open");
  }

  toggle(open) {
    if (open === this.isOpen) return;
    this.panel.classList.toggle("open", open);
    this.opener.setAttribute("aria-expanded", String(open));
    this.main.inert = open;
    if (open) this.panel.querySelector("#side-close").focus();
    else this.opener.focus();
  }

  askName() {
    this.toggle(true);
    this.panel.querySelector("#my-name").focus();
  }

  show(room) {
    this.#current = room;
    this.draw();
  }

  draw() {
    const names = rooms.get();
    if (this.#current && !names.includes(this.#current)) names.unshift(this.#current);
    this.list.replaceChildren(...["", ...names].map((room) => this.#row(room)));
  }

  #row(room) {
    const row = document.createElement("li");
    const open = document.createElement("button");
    const unsent = room === this.#current ? 0 : this.on.unsent(room);
    open.type = "button";
    open.className = room ? "room" : "room private";
    open.dir = "auto";
    open.append(room || this.t("private"));
    if (unsent) open.append(badge(unsent, this.t("unsent", { n: unsent })));
    if (room === this.#current) open.setAttribute("aria-current", "page");
    open.addEventListener("click", () => this.#choose(room));
    row.append(open);
    if (room && room !== this.#current) row.append(this.#leaveButton(room));
    return row;
  }

  #leaveButton(room) {
    const leave = document.createElement("button");
    leave.type = "button";
    leave.className = "leave icon";
    leave.title = this.t("leave", { room });
    leave.setAttribute("aria-label", leave.title);
    leave.addEventListener("click", () => {
      rooms.remove(room);
      this.draw();
      this.list.querySelector("button").focus();
    });
    return leave;
  }

  #choose(room) {
    this.toggle(false);
    this.on.onopen(room);
  }

  #join(event) {
    event.preventDefault();
    const input = event.target.elements["room-name"];
    const room = input.value.trim().replace(/^#\s*/, "");
    if (!checked(input, isName(room), this.t("nameProblem"))) return;
    input.value = "";
    this.#choose(room);
  }

  #wireName(form) {
    const input = form.elements["my-name"];
    input.value = name.get();
    const save = () => {
      const text = input.value.trim();
      if (!checked(input, text === "" || isName(text), this.t("nameProblem")) || text === name.get()) return;
      name.set(text);
      this.on.onname(text);
    };
    input.addEventListener("change", save);
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      save();
      if (input.checkValidity()) this.toggle(false);
    });
  }
}

function badge(count, label) {
  const made = document.createElement("span");
  made.className = "badge";
  made.textContent = count;
  made.title = label;
  return made;
}

/* Shows the problem at the field, or clears it. */
function checked(input, good, problem) {
  input.setCustomValidity(good ? "" : problem);
  input.reportValidity();
  input.addEventListener("input", () => input.setCustomValidity(""), { once: true });
  return good;
}
