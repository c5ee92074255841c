// What the program says: requests with the token, and the stream of changes.

const PAUSE = 1000;
// The program says something at least every five seconds.
const SILENCE = 12000;
const STORED = "certwright-token";

// The token is behind the `#` of the URL that the program has printed. It is kept for reloads of this tab, and is not left in the
// address bar.
const inUrl = location.hash.slice(1);
if (/^[\w-]{32}$/.test(inUrl)) {
  sessionStorage.setItem(STORED, inUrl);
  history.replaceState(null, "", "/");
}
const token = sessionStorage.getItem(STORED) ?? "";

// A path has names of objects. One of an issuer is in a spec, where it can be anything, also `../../certificate/shop/www`.
export async function ask(path, options = {}) {
  const isPath = path.split("/").every((part) => /^[a-z0-9][a-z0-9.-]*$/.test(part));
  if (!isPath) throw new Error("there is no such object");
  return fetch(`/api/${path}`, { ...options, headers: { authorization: `Bearer ${token}` } });
}

export async function answer(path) {
  const response = await ask(path);
  if (!response.ok) throw new Error(await response.text());
  return response;
}

// Calls `change` with each message, and `lost` when there are no more for a while. Ends with why the token is refused.
export async function follow(change, lost) {
  for (;;) {
    const silence = new AbortController();
    let timer;
    const heard = () => {
      clearTimeout(timer);
      timer = setTimeout(() => silence.abort(), SILENCE);
    };
    try {
      heard();
      const response = await ask("live", { signal: silence.signal });
      if (response.status === 401) return await response.text();
      let text = "";
      for await (const part of parts(response)) {
        heard();
        const lines = part.split("\n");
        lines[0] = text + lines[0];
        text = lines.pop();
        lines.forEach((line) => change(JSON.parse(line)));
      }
    } catch (error) {
      console.info("the stream ended:", error);
    }
    clearTimeout(timer);
    lost();
    await new Promise((resolve) => setTimeout(resolve, PAUSE));
  }
}

async function* parts(response) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    yield value;
  }
}
