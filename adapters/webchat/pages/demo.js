/* demo.js: the shop speaks the browser's language, or the one of ?lang=. The
 * page holds both; its style sheet shows the one that the root element names. */
const wish = new URLSearchParams(location.search).get("lang") ?? navigator.language;
document.documentElement.lang = wish.startsWith("zh") ? "zh" : "en";
