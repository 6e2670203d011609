/* texts.js: every word on the chat page, in English and Chinese. */

const TEXTS = {
  en: {
    skip: "Skip to the message box",
    conversations: "Conversations",
    private: "Private chat",
    privateHint: "Only you and the bot",
    roomHint: "Mention @{bot} to ask it",
    join: "Join",
    joinLabel: "Join a room by name",
    joinPlaceholder: "Name of the room",
    leave: "Remove {room} from this list",
    yourName: "Your name",
    namePlaceholder: "Shown in rooms",
    nameProblem: "1 to 64 characters, but not “bot” or “you”",
    menu: "Conversations and settings",
    close: "Close",
    log: "Messages",
    announcements: "New messages",
    earlier: "Show earlier messages",
    latest: "Jump to the newest message",
    newMessages: "New messages",
    hello: "Hello! I am {bot}.",
    helloHint: "Ask me anything. Nobody else in the chat can read this conversation.",
    helloRoom: "Welcome to {room}",
    helloRoomHint: "Everyone here reads along. Mention @{bot} when you want its answer.",
    ideas: ["What can you do?", "Explain recursion with a tiny code example", "Write a haiku about a songbird"],
    entry: "Message",
    entryPrivate: "Write to {bot} …",
    entryRoom: "Write to #{room} …",
    mention: "Mention @{bot}",
    send: "Send",
    stop: "Stop the answer",
    bytesLeft: "{n} bytes left",
    bytesOver: "{n} bytes too long",
    replyingTo: "Reply to {name}:",
    cancelReply: "Do not reply",
    reply: "Reply",
    copy: "Copy",
    copied: "Copied",
    copyFailed: "Copying is not possible here",
    you: "You",
    writing: "{name} is writing",
    sending: "Sending…",
    waiting: "Waiting for the connection…",
    again: "Send again",
    discard: "Discard",
    connecting: "Connecting…",
    offline: "You are offline.",
    lost: "Connection lost.",
    restart: "The server is restarting.",
    refused: "The server closed the connection.",
    crowded: "The server is busy.",
    retryIn: "Reconnecting in {n} s",
    retryNow: "Try now",
    online: "Connected",
    startedAnew: "The server no longer knows this conversation, so a new one begins here.",
    roomClosed: "The room “{room}” is not open to you.",
    error_bad_frame: "The server did not understand this message.",
    error_too_long: "This message is too long.",
    error_rate: "Too many messages at once. Wait a moment.",
    error_busy: "The bot has too much to do right now.",
    error_full: "The server is full right now.",
    error_unknown: "This message was not accepted.",
  },
  zh: {
    skip: "跳到输入框",
    conversations: "会话",
    private: "私聊",
    privateHint: "只有你和机器人",
    roomHint: "提到 @{bot} 即可提问",
    join: "加入",
    joinLabel: "按名称加入聊天室",
    joinPlaceholder: "聊天室名称",
    leave: "从列表中移除 {room}",
    yourName: "你的名字",
    namePlaceholder: "在聊天室中显示",
    nameProblem: "1 到 64 个字符，且不能是 “bot” 或 “you”",
    menu: "会话与设置",
    close: "关闭",
    log: "消息",
    announcements: "新消息",
    earlier: "显示更早的消息",
    latest: "跳到最新消息",
    newMessages: "有新消息",
    hello: "你好，我是 {bot}。",
    helloHint: "有什么想问的，尽管说。聊天室里的其他人看不到这段对话。",
    helloRoom: "欢迎来到 {room}",
    helloRoomHint: "这里的消息大家都能看到。想让机器人回答，请提到 @{bot}。",
    ideas: ["你能做些什么？", "用一小段代码解释递归", "写一首关于莺的俳句"],
    entry: "消息",
    entryPrivate: "给 {bot} 写消息…",
    entryRoom: "在 #{room} 中发言…",
    mention: "提到 @{bot}",
    send: "发送",
    stop: "停止回答",
    bytesLeft: "还可输入 {n} 字节",
    bytesOver: "超出 {n} 字节",
    replyingTo: "回复 {name}：",
    cancelReply: "取消回复",
    reply: "回复",
    copy: "复制",
    copied: "已复制",
    copyFailed: "此处无法复制",
    you: "你",
    writing: "{name} 正在输入",
    sending: "发送中…",
    waiting: "等待连接…",
    again: "重新发送",
    discard: "丢弃",
    connecting: "正在连接…",
    offline: "网络已断开。",
    lost: "连接已断开。",
    restart: "服务器正在重启。",
    refused: "服务器关闭了连接。",
    crowded: "服务器繁忙。",
    retryIn: "{n} 秒后重新连接",
    retryNow: "立即重试",
    online: "已连接",
    startedAnew: "服务器已找不到之前的会话，从这里开始新的会话。",
    roomClosed: "聊天室“{room}”未对你开放。",
    error_bad_frame: "服务器无法理解这条消息。",
    error_too_long: "消息太长。",
    error_rate: "发送太频繁，请稍候。",
    error_busy: "机器人正忙，请稍后再试。",
    error_full: "服务器已满。",
    error_unknown: "消息未被接受。",
  },
};

/* The first language of the list that there is; a wish goes before them all. */
export function pickLanguage(wish, languages) {
  for (const tag of [wish, ...languages]) {
    const primary = String(tag ?? "")
      .toLowerCase()
      .split("-")[0];
    if (Object.hasOwn(TEXTS, primary)) return primary;
  }
  return "en";
}

/* Returns t(key, values): the text with its {names} filled in. */
export function translator(language) {
  const table = TEXTS[language];
  return (key, values = {}) => {
    const text = table[key];
    return typeof text === "string" ? text.replace(/\{(\w+)\}/g, (_, name) => values[name] ?? "") : text;
  };
}

/* The words that the HTML asks for. A label is for those who do not see the
 * icon, and the tooltip for those who do not know it. */
export function fillTexts(root, t) {
  for (const node of root.querySelectorAll("[data-text]")) node.textContent = t(node.dataset.text);
  for (const node of root.querySelectorAll("[data-placeholder]")) node.placeholder = t(node.dataset.placeholder);
  for (const node of root.querySelectorAll("[data-label]")) {
    node.ariaLabel = t(node.dataset.label);
    if (node.matches("button")) node.title = node.ariaLabel;
  }
}
