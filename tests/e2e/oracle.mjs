// What the official SDK makes of an answer's body. Each line of standard input
// is {"stream": bool, "body": base64}; for each, a line of JSON comes out.
//   usage: node oracle.mjs FOLDER-OF-node_modules
import { createRequire } from 'node:module';
import { createInterface } from 'node:readline';
import { pathToFileURL } from 'node:url';

const require = createRequire(`${process.argv[2]}/`);
const { default: OpenAI } = await import(pathToFileURL(require.resolve('openai')).href);

async function merge({ stream, body }) {
  const bytes = Buffer.from(body, 'base64');
  const type = stream ? 'text/event-stream' : 'application/json';
  const fetch = async () => new Response(bytes, { status: 200, headers: { 'content-type': type } });
  const client = new OpenAI({ apiKey: 'none', baseURL: 'http://127.0.0.1/v1', maxRetries: 0, fetch });
  const request = { model: 'm', messages: [{ role: 'user', content: 'x' }] };
  const answer = stream
    ? await client.chat.completions.stream(request).finalChatCompletion()
    : await client.chat.completions.create(request);
  const { message, finish_reason: finish } = answer.choices[0];
  const calls = (message.tool_calls ?? []).map((c) => ({ id: c.id, name: c.function.name, arguments: c.function.arguments }));
  const u = answer.usage;
  return {
    error: null, text: message.content ?? '', calls, finish,
    usage: u ? [u.prompt_tokens, u.completion_tokens, u.total_tokens] : null,
  };
}

for await (const line of createInterface({ input: process.stdin })) {
  let result;
  try {
    result = await merge(JSON.parse(line));
  } catch (e) {
    result = { error: `${e.constructor.name}: ${e.message}` };
  }
  process.stdout.write(`${JSON.stringify(result)}\n`);
}
