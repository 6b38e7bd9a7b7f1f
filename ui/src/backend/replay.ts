/** Recorded answers and frames, for unit tests only. */
import type { Answer, Backend, From, LiveHandlers, Method } from './backend';
import type { Frame } from './types';

export interface Asked {
  method: Method;
  path: string;
  body: unknown;
}

export class ReplayBackend implements Backend {
  readonly kind = 'replay';
  readonly asked: Asked[] = [];
  readonly opened: (From | null)[] = [];
  readonly saved: { name: string; text: string }[] = [];
  #live: LiveHandlers | null = null;
  #answers = new Map<string, () => Answer | Promise<Answer>>();

  /** What `GET /path` and the like answer from now on. */
  on(method: Method, path: string, body: unknown, status = 200, headers: Record<string, string> = {}): this {
    const text = typeof body === 'string' ? body : JSON.stringify(body);
    return this.onCall(method, path, () => ({ status, headers, body: text }));
  }

  onCall(method: Method, path: string, answer: () => Answer | Promise<Answer>): this {
    this.#answers.set(`${method} ${path}`, answer);
    return this;
  }

  async request(method: Method, path: string, body?: string): Promise<Answer> {
    this.asked.push({ method, path, body: body === undefined ? undefined : JSON.parse(body) });
    const answer =
      this.#answers.get(`${method} ${path}`) ?? this.#answers.get(`${method} ${path.split('?')[0]}`);
    if (!answer)
      return { status: 404, headers: {}, body: JSON.stringify({ code: 'not_found', detail: path }) };
    return answer();
  }

  live(handlers: LiveHandlers, from: From | null): () => void {
    this.opened.push(from);
    this.#live = handlers;
    return () => {
      if (this.#live === handlers) this.#live = null;
    };
  }

  open(): void {
    this.#live?.onOpen();
  }

  send(...frames: Frame[]): void {
    for (const frame of frames) this.#live?.onFrame(frame);
  }

  breakOff(): void {
    const live = this.#live;
    this.#live = null;
    live?.onEnd();
  }

  async saveFile(name: string, _mediaType: string, text: string): Promise<string | null> {
    this.saved.push({ name, text });
    return name;
  }

  async openExternal(): Promise<void> {}
}
