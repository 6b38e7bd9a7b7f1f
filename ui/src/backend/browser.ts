/** The backend of a browser page: fetch, server-sent events and the login link. */
import { type Answer, type Backend, type From, type LiveHandlers, type Method, Unreachable } from './backend';
import type { Frame } from './types';

const CSRF_COOKIE = `hivekeeper_csrf_${location.port || '80'}`;

/** Reads one cookie out of `document.cookie`. */
export function cookie(all: string, name: string): string | null {
  for (const part of all.split(';')) {
    const [key, ...rest] = part.trim().split('=');
    if (key === name) return decodeURIComponent(rest.join('='));
  }
  return null;
}

/** The one-time code of a login link, from the page's fragment. */
export function loginCode(hash: string): string | null {
  const match = /^#login=([A-Za-z0-9_-]+)$/.exec(hash);
  return match?.[1] ?? null;
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
    if (method !== 'GET') all['X-Hivekeeper-CSRF'] = cookie(document.cookie, CSRF_COOKIE) ?? '';
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

  live(handlers: LiveHandlers, from: From | null): () => void {
    const query = from ? `?epoch=${encodeURIComponent(from.epoch)}&since=${from.since}` : '';
    const source = new EventSource(`/api/v1/live${query}`);
    source.onopen = () => handlers.onOpen();
    source.onmessage = (message) => handlers.onFrame(JSON.parse(message.data) as Frame);
    source.onerror = () => {
      source.close();
      handlers.onEnd();
    };
    return () => source.close();
  }

  async saveFile(name: string, mediaType: string, text: string): Promise<string | null> {
    const url = URL.createObjectURL(new Blob([text], { type: mediaType }));
    const link = document.createElement('a');
    link.href = url;
    link.download = name;
    link.click();
    setTimeout(() => URL.revokeObjectURL(url), 60_000);
    return name;
  }

  async openExternal(url: string): Promise<void> {
    window.open(url, '_blank', 'noopener,noreferrer');
  }
}

/** Uses up the login link, if the page was opened through one, and takes the code out of the address. */
export async function signIn(backend: Backend): Promise<void> {
  const code = loginCode(location.hash);
  if (code === null) return;
  history.replaceState(null, '', location.pathname + location.search);
  await backend.request('POST', '/api/v1/login', JSON.stringify({ code }), {
    'Content-Type': 'application/json',
  });
}

export const browserBackend = (): Backend => new BrowserBackend();
