/** The backend of a browser page: fetch, a WebSocket and the login link. */
import {
  type Answer,
  type Backend,
  type From,
  type Live,
  type LiveHandlers,
  type Method,
  Unreachable,
} from './backend';
import type { Frame } from './types';

/** Where the secret of this page is kept: the browser shows it to pages of this very address and port alone. */
const PAGE_KEY = 'hivekeeper.page';
/** What the live stream is called among the protocols of a WebSocket. */
const LIVE_PROTOCOL = 'hivekeeper.live';

/** What this page proves itself with; a cookie alone proves nothing, as every port of this host gets it. */
function pageSecret(): string | null {
  try {
    return localStorage.getItem(PAGE_KEY);
  } catch {
    // The browser keeps nothing for pages; then nobody stays signed in.
    return null;
  }
}

/** Keeps the secret of this page, or forgets it. */
export function keepPageSecret(secret: string | null): void {
  try {
    if (secret === null) localStorage.removeItem(PAGE_KEY);
    else localStorage.setItem(PAGE_KEY, secret);
  } catch {
    // As above.
  }
}

/** The one-time code of a login link, from the page's fragment. */
export function loginCode(hash: string): string | null {
  const match = /^#login=([A-Za-z0-9_-]+)$/.exec(hash);
  return match?.[1] ?? null;
}

function download(name: string, what: Blob): void {
  const url = URL.createObjectURL(what);
  const link = document.createElement('a');
  link.href = url;
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
}

class BrowserBackend implements Backend {
  readonly kind = 'browser';

  async request(
    method: Method,
    path: string,
    body?: string,
    headers: Record<string, string> = {},
    signal?: AbortSignal,
  ): Promise<Answer> {
    const all: Record<string, string> = { ...headers };
    const secret = pageSecret();
    if (secret !== null) all['X-Hivekeeper-Page'] = secret;
    let answer: Response;
    let text: string;
    try {
      answer = await fetch(path, { method, headers: all, body, signal, credentials: 'same-origin' });
      text = await answer.text();
    } catch (cause) {
      throw new Unreachable(cause);
    }
    return { status: answer.status, headers: Object.fromEntries(answer.headers), body: text };
  }

  live(handlers: LiveHandlers, from: From | null, topics: readonly string[]): Live {
    const query = new URLSearchParams({ topics: (from?.topics ?? topics).join(',') });
    if (from) {
      query.set('epoch', from.epoch);
      query.set('since', String(from.since));
    }
    // A page cannot send headers with a WebSocket: its secret is one of the protocols it offers.
    const secret = pageSecret();
    const protocols = secret === null ? [LIVE_PROTOCOL] : [LIVE_PROTOCOL, secret];
    const socket = new WebSocket(`${location.origin.replace(/^http/, 'ws')}/api/v1/live?${query}`, protocols);
    let closed = false;
    let asked = 0;
    socket.onopen = () => {
      if (!closed) handlers.onOpen();
    };
    socket.onmessage = ({ data }) => {
      if (!closed) handlers.onFrame(JSON.parse(String(data)) as Frame);
    };
    // An error is followed by a close.
    socket.onclose = () => {
      if (!closed) handlers.onEnd();
      closed = true;
    };
    return {
      tell(subscribe, unsubscribe) {
        if (socket.readyState !== WebSocket.OPEN) return;
        asked += 1;
        socket.send(JSON.stringify({ subscribe, unsubscribe, correlation_id: String(asked) }));
      },
      close() {
        closed = true;
        socket.close();
      },
    };
  }

  async saveFile(name: string, mediaType: string, text: string): Promise<string | null> {
    download(name, new Blob([text], { type: mediaType }));
    return name;
  }

  savePicture = async (name: string, picture: Blob): Promise<void> => download(name, picture);

  onSignIn = (call: () => void): (() => void) => {
    // Told to every page of this address but the one that did it.
    const changed = ({ key, newValue }: StorageEvent) => {
      if (key === PAGE_KEY && newValue !== null) call();
    };
    addEventListener('storage', changed);
    return () => removeEventListener('storage', changed);
  };

  async openExternal(url: string): Promise<void> {
    window.open(url, '_blank', 'noopener,noreferrer');
  }
}

/** Uses up the login link, if the page was opened through one, and takes the code out of the address. */
export async function signIn(backend: Backend): Promise<void> {
  const code = loginCode(location.hash);
  if (code === null) return;
  history.replaceState(null, '', location.pathname + location.search);
  const answer = await backend.request('POST', '/api/v1/login', JSON.stringify({ code }), {
    'Content-Type': 'application/json',
  });
  if (answer.status !== 200) return;
  const { page } = JSON.parse(answer.body) as { page: string };
  keepPageSecret(page);
}

export const browserBackend = (): Backend => new BrowserBackend();
