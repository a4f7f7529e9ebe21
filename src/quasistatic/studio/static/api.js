// Requests to the studio's own server. Addresses are relative: they begin with the token.

export async function ask(path) {
  const answer = await fetch(`api/${path}`);
  const found = await answer.json().catch(() => ({ error: "the studio has ended: start it again" }));
  if (found.error) throw new Error(found.error);
  return found;
}

// The events of a view, one after the other. Leaving the loop or `signal` stops the work.
export async function* events(view, body, signal) {
  const answer = await fetch(`api/${view}`, {
    method: "POST", signal, headers: { "content-type": "application/json" }, body: JSON.stringify(body),
  });
  if (!answer.ok && answer.status !== 503) throw new Error(await refusal(answer));
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    const lines = (rest + value).split("\n");
    rest = lines.pop();
    for (const line of lines) if (line) yield JSON.parse(line);
  }
}

async function refusal(answer) {
  const text = await answer.text();
  try { return JSON.parse(text).error ?? text; } catch { return text; }
}

// A file as the server takes it: its name, and its bytes in base64.
export function packed(file) {
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve({ name: file.name, data: reader.result.slice(reader.result.indexOf(",") + 1) });
    reader.onerror = () => reject(new Error(`${file.name} cannot be read`));
    reader.readAsDataURL(file);
  });
}

export const MOST_BYTES = 32 * 2 ** 20;
