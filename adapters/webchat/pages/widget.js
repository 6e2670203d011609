/* widget.js: a chat bubble on any site, by one line:
 *
 *   <script src="https://HOST/widget.js" defer></script>
 *
 * Attributes, all optional: data-room, data-title, data-lang ("en", "zh"),
 * data-color ("#2c6a48"), data-position ("left"), data-open (opens by itself
 * where the screen is wide enough to leave the site visible).
 *
 * The site may forbid inline styles: everything lives in a shadow tree with a
 * constructed style sheet, and the chat itself in a frame of HOST. The two talk
 * as host.js says; a message counts only from that frame and that origin. */

(() => {
  "use strict";

  const TEXTS = {
    en: { chat: "Chat", open: "Open the chat", close: "Close the chat", unread: "new messages" },
    zh: { chat: "聊天", open: "打开聊天", close: "关闭聊天", unread: "条新消息" },
  };
  const BIRD =
    "M4 50 21 31C23 20 29 12 38 12c7 0 12 4 13 11l8 3-8 3c0 14-8 23-21 23-5 0-9-2-12-5l-10 6z" +
    "M45 22.5a2.8 2.8 0 1 0-5.6 0 2.8 2.8 0 1 0 5.6 0z";
  const CROSS = "M18 18 46 46M46 18 18 46";

  const script = document.currentScript;
  if (!script || document.querySelector("warbler-widget")) return;
  const home = new URL(".", script.src);
  const { room, title, lang, color, position, open } = script.dataset;
  const language = (lang || navigator.language).startsWith("zh") ? "zh" : "en";
  const text = TEXTS[language];
  const fill = /^#[0-9a-f]{6}$/i.test(color ?? "") ? color : "#2c6a48";
  const side = /left/.test(position ?? "") ? "left" : "right";

  /* Important, because a site's own rules for its elements outrank :host. */
  const STYLE = `
:host { all: initial !important; position: fixed !important; z-index: 2147483000 !important;
  bottom: calc(20px + env(safe-area-inset-bottom)) !important; ${side}: 20px !important; }
* { box-sizing: border-box; }
button { position: relative; width: 60px; height: 60px; padding: 14px; border: 0; border-radius: 50%; cursor: pointer;
  background: ${fill}; color: ${isDark(fill) ? "#fff" : "#111"}; box-shadow: 0 2px 6px #0003, 0 8px 24px #0003;
  transition: scale .15s; }
button:hover { scale: 1.05; }
button:focus-visible { outline: 3px solid ${fill}; outline-offset: 3px; }
svg { display: block; width: 100%; fill: currentColor; fill-rule: evenodd; }
.open svg { fill: none; stroke: currentColor; stroke-width: 6; stroke-linecap: round; }
b { position: absolute; top: -3px; right: -3px; min-width: 22px; padding: 0 6px; border-radius: 11px; background: #b3261e;
  color: #fff; font: 600 13px/22px system-ui, sans-serif; }
b:empty { display: none; }
div { position: absolute; ${side}: 0; bottom: 76px; width: 400px; height: min(660px, 100vh - 130px); overflow: hidden;
  border-radius: 18px; background: Canvas; color-scheme: light dark; box-shadow: 0 4px 12px #0002, 0 16px 48px #0004;
  visibility: hidden; opacity: 0; translate: 0 12px; transition: .18s; }
.open + div { visibility: visible; opacity: 1; translate: 0; }
iframe { display: block; width: 100%; height: 100%; border: 0; color-scheme: light dark; }
@media (max-width: 520px), (max-height: 480px) {
  div { position: fixed; inset: 0; width: auto; height: auto; border-radius: 0; }
  .open { visibility: hidden; }
}
@media (prefers-reduced-motion: reduce) { * { transition: none !important; } }`;

  const host = document.createElement("warbler-widget");
  const root = host.attachShadow({ mode: "closed" });
  const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
  const icon = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  const button = document.createElement("button");
  const badge = document.createElement("b");
  const panel = document.createElement("div");
  let frame = null;
  let loaded = false;
  let unread = 0;

  function isDark(hex) {
    const [r, g, b] = [1, 3, 5].map((i) => (parseInt(hex.slice(i, i + 2), 16) / 255) ** 2.2);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b < 0.18;
  }

  function frameUrl() {
    const url = new URL("?embed=1", home);
    const wishes = { host: location.origin, room, title, lang: language, color: color && fill };
    for (const [key, value] of Object.entries(wishes)) if (value) url.searchParams.set(key, value);
    return url.href;
  }

  function makeFrame() {
    frame = document.createElement("iframe");
    frame.title = title || text.chat;
    frame.allow = "clipboard-write";
    frame.src = frameUrl();
    frame.addEventListener("load", () => {
      loaded = true;
      tellState();
    });
    panel.append(frame);
  }

  function isOpen() {
    return button.classList.contains("open");
  }

  function toggle(open) {
    if (open && !frame) makeFrame();
    button.classList.toggle("open", open);
    if (open) unread = 0;
    draw();
    tellState();
    if (!open) button.focus();
  }

  function tellState() {
    if (isOpen()) frame.focus();
    if (!loaded) return; // nobody would hear it
    frame.contentWindow.postMessage({ warbler: isOpen() ? "shown" : "hidden" }, home.origin);
  }

  function draw() {
    const label = isOpen() ? text.close : text.open;
    path.setAttribute("d", isOpen() ? CROSS : BIRD);
    badge.textContent = unread > 0 ? Math.min(unread, 99) : "";
    button.setAttribute("aria-expanded", String(isOpen()));
    button.setAttribute("aria-label", unread > 0 ? `${label} (${unread} ${text.unread})` : label);
  }

  function receive(event) {
    if (event.origin !== home.origin || !frame || event.source !== frame.contentWindow) return;
    if (event.data?.warbler === "close" && isOpen()) toggle(false);
    if (event.data?.warbler !== "unread") return;
    unread = Number(event.data.count) || 0;
    draw();
  }

  function start() {
    const sheet = new CSSStyleSheet();
    sheet.replaceSync(STYLE);
    root.adoptedStyleSheets = [sheet];
    icon.setAttribute("viewBox", "0 0 64 64");
    icon.setAttribute("aria-hidden", "true");
    icon.append(path);
    button.type = "button";
    button.append(icon, badge);
    panel.setAttribute("role", "dialog");
    panel.setAttribute("aria-label", title || text.chat);
    root.append(button, panel);
    button.addEventListener("click", () => toggle(!isOpen()));
    root.addEventListener("keydown", (event) => event.key === "Escape" && isOpen() && toggle(false));
    addEventListener("message", receive);
    draw();
    document.body.append(host);
    if (open !== undefined && open !== "false" && matchMedia("(min-width: 900px)").matches) toggle(true);
  }

  if (document.body) start();
  else addEventListener("DOMContentLoaded", start);
})();
