/** Recorded answers and frames, for unit tests only. */
import type { Answer, Backend, From, Live, LiveHandlers, Method } from './backend';
import type { Frame } from './types';

export interface Asked {
  method: Method;
  path: string;
  body: unknown;
  /** The version an edit was made on. */
  version?: string;
}

export class ReplayBackend implements Backend {
  readonly kind = 'replay';
  readonly asked: Asked[] = [];
  readonly opened: (From | null)[] = [];
  readonly told: { subscribe: readonly string[]; unsubscribe: readonly string[] }[] = [];
  readonly saved: { name: string; text: string }[] = [];
  /** Told when another page signs in. */
  signedIn: () => void = () => undefined;
  #live: LiveHandlers | null = null;
  #topics: readonly string[] = [];
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

  async request(
    method: Method,
    path: string,
    body?: string,
    headers: Record<string, string> = {},
  ): Promise<Answer> {
    const version = headers['if-match'];
    this.asked.push({
      method,
      path,
      body: body === undefined ? undefined : JSON.parse(body),
      ...(version === undefined ? {} : { version }),
    });
    const answer =
      this.#answers.get(`${method} ${path}`) ?? this.#answers.get(`${method} ${path.split('?')[0]}`);
    if (!answer)
      return { status: 404, headers: {}, body: JSON.stringify({ code: 'not_found', detail: path }) };
    return answer();
  }

  live(handlers: LiveHandlers, from: From | null, topics: readonly string[]): Live {
    this.opened.push(from);
    this.#topics = topics;
    this.#live = handlers;
    return {
      tell: (subscribe, unsubscribe) => {
        this.told.push({ subscribe, unsubscribe });
      },
      close: () => {
        if (this.#live === handlers) this.#live = null;
      },
    };
  }

  /** The stream is open; one that does not go on from anywhere begins with snapshots, here of nothing. */
  open(epoch = 'one'): void {
    this.#live?.onOpen();
    const from = this.opened.at(-1) ?? null;
    for (const topic of from === null ? this.#topics : []) this.begin(topic, 0, epoch);
  }

  /** A topic begins anew, with a snapshot of nothing. */
  begin(topic: string, seq: number, epoch = 'one'): void {
    const about = { version: 2, epoch, topic, correlation_id: null };
    this.send({ ...about, seq: null, payload: { kind: 'reset', topics: [topic] } });
    this.send({ ...about, seq, payload: { kind: 'caught_up', topics: [topic] } });
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

  onSignIn = (call: () => void): (() => void) => {
    this.signedIn = call;
    return () => {
      this.signedIn = () => undefined;
    };
  };

  async openExternal(): Promise<void> {}
}
