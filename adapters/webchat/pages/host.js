/* host.js: the chat page inside the frame that /widget.js opens on another site.
 *
 * What is said, in both directions, is { warbler: WORD, … }, and nothing of the
 * conversation. To the host: "unread" with a count, "close". From it: "shown",
 * "hidden". A message counts only if it comes from the parent window and from
 * the origin that the widget named in the frame's address. */

export class Host {
  #origin;

  constructor(parameters, onshown) {
    this.embedded = parameters.has("embed");
    this.#origin = originOf(parameters.get("host"));
    this.hidden = false;
    if (!this.connected) return;
    addEventListener("message", (event) => {
      if (event.source !== parent || event.origin !== this.#origin) return;
      if (event.data?.warbler === "hidden") this.hidden = true;
      if (event.data?.warbler !== "shown") return;
      this.hidden = false;
      onshown();
    });
  }

  /* Is there a widget that listens? */
  get connected() {
    return this.embedded && this.#origin !== null && parent !== window;
  }

  tell(word, values = {}) {
    if (this.connected) parent.postMessage({ warbler: word, ...values }, this.#origin);
  }
}

function originOf(text) {
  try {
    const { origin } = new URL(text);
    return origin === "null" ? null : origin;
  } catch {
    return null;
  }
}
