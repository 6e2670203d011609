/* memory.js: what the browser keeps between two visits: who the visitor is, the
 * name, the rooms, and messages that the server has not acknowledged.
 *
 * Where storage is forbidden (some browsers in a frame of another site) or
 * full, everything works until the page is closed. */

const PREFIX = "warbler.";
const MAX_ROOMS = 50;
const MAX_UNSENT = 200;

const fallback = new Map();

function read(key) {
  try {
    return localStorage.getItem(PREFIX + key) ?? fallback.get(key) ?? null;
  } catch {
    return fallback.get(key) ?? null;
  }
}

function write(key, value) {
  fallback.delete(key);
  try {
    if (value === null) localStorage.removeItem(PREFIX + key);
    else localStorage.setItem(PREFIX + key, value);
  } catch {
    if (value !== null) fallback.set(key, value);
  }
}

function readList(key) {
  try {
    const list = JSON.parse(read(key) ?? "[]");
    return Array.isArray(list) ? list : [];
  } catch {
    return [];
  }
}

/* The visitor's secret: whoever holds it is that visitor. */
export const visitor = {
  get: () => read("visitor"),
  set: (secret) => write("visitor", secret),
};

export const name = {
  get: () => read("name") ?? "",
  set: (text) => write("name", text || null),
};

export const rooms = {
  get: () => readList("rooms").filter((room) => typeof room === "string"),
  add: (room) => write("rooms", JSON.stringify([room, ...rooms.get().filter((r) => r !== room)].slice(0, MAX_ROOMS))),
  remove: (room) => write("rooms", JSON.stringify(rooms.get().filter((r) => r !== room))),
};

/* Entries are { id, room, text, reply_to?, failed? }; failed is an error code
 * and means: only sent again when the person says so. */
export const outbox = {
  get: () => readList("outbox").filter((m) => typeof m?.id === "string" && typeof m.text === "string"),
  put: (entry) => write("outbox", JSON.stringify([...without(entry.id), entry].slice(-MAX_UNSENT))),
  remove: (id) => {
    const rest = without(id);
    if (rest.length < outbox.get().length) write("outbox", JSON.stringify(rest));
  },
};

function without(id) {
  return outbox.get().filter((m) => m.id !== id);
}
