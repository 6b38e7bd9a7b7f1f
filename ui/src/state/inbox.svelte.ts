/** The inbox: what waits for the captain's answer, and the answers that are under way. */
import type { AgentApi } from '../backend/agentapi';
import type { InboxCounts, InboxView, RequestAnswer, RequestView } from '../backend/agenttypes';
import type { Event } from '../backend/types';

const EMPTY: InboxView = {
  requests: [],
  reviews: [],
  quarantined: [],
  counts: { permissions: 0, questions: 0, reviews: 0, quarantined: 0, total: 0 },
};
/** Changes that come one after the other are read together after this long. */
const TOGETHER_MS = 60;
/** What only may concern it, in a busy swarm all the time, is waited for longer. */
const PERHAPS_MS = 1_000;

/** Facts after which the inbox is another one. */
const IS_OTHER = /^(?:request_|messages?_)/;
/** Facts after which it may be. */
const MAY_BE_OTHER = /^(?:mission_moved|attempt_ended|agent_removed|mission_removed)$/;

export class Inbox {
  #view = $state.raw<InboxView>(EMPTY);
  ready = $state(false);
  error = $state.raw<unknown>(null);
  /** Requests whose answer is on its way: each has one of its own. */
  answering = $state.raw<ReadonlySet<string>>(new Set());
  /** Answered here; the engine's own list may not know it yet. */
  #answered = $state.raw<ReadonlyMap<string, RequestView>>(new Map());
  #turn = 0;
  #timer: { at: number; id: ReturnType<typeof setTimeout> } | null = null;

  requests = $derived(this.#view.requests.filter((one) => !this.#answered.has(one.id)));
  reviews = $derived(this.#view.reviews);
  quarantined = $derived(this.#view.quarantined);
  counts = $derived.by((): InboxCounts => {
    const gone = this.#view.requests.filter(
      (one) => this.#answered.has(one.id) && !deferred(one, Date.now()),
    );
    const permissions = gone.filter((one) => one.ask.kind === 'permission').length;
    const { counts } = this.#view;
    return {
      ...counts,
      permissions: Math.max(0, counts.permissions - permissions),
      questions: Math.max(0, counts.questions - (gone.length - permissions)),
      total: Math.max(0, counts.total - gone.length),
    };
  });

  constructor(private readonly api: Pick<AgentApi, 'inbox' | 'answer' | 'retryMessage' | 'discardMessage'>) {}

  async read(): Promise<void> {
    this.#turn += 1;
    const turn = this.#turn;
    const before = new Set(this.#answered.keys());
    try {
      const view = await this.api.inbox();
      if (turn !== this.#turn) return;
      this.#view = view;
      // What was answered before the reading is known to the engine by now: it is shown as the engine says.
      const left = [...this.#answered].filter(([id]) => !before.has(id));
      this.#answered = new Map(left);
      this.ready = true;
      this.error = null;
    } catch (error) {
      if (turn === this.#turn) this.error = error;
    }
  }

  /** Reads again soon when something that concerns it happened. */
  apply(events: readonly Event[]): void {
    if (events.some(({ fact }) => IS_OTHER.test(fact.kind))) this.#readIn(TOGETHER_MS);
    else if (events.some(({ fact }) => MAY_BE_OTHER.test(fact.kind))) this.#readIn(PERHAPS_MS);
  }

  #readIn(ms: number): void {
    const at = performance.now() + ms;
    if (this.#timer !== null && this.#timer.at <= at) return;
    clearTimeout(this.#timer?.id);
    const id = setTimeout(() => {
      this.#timer = null;
      void this.read();
    }, ms);
    this.#timer = { at, id };
  }

  /** Answers one request, once: a second answer while the first is under way is not sent. */
  async answer(id: string, answer: RequestAnswer): Promise<RequestView | null> {
    if (this.answering.has(id)) return null;
    this.answering = new Set([...this.answering, id]);
    try {
      const view = await this.api.answer(id, answer);
      if (answer.answer !== 'not_now') this.#answered = new Map([...this.#answered, [id, view]]);
      return view;
    } finally {
      this.answering = new Set([...this.answering].filter((one) => one !== id));
      void this.read();
    }
  }

  async retry(id: string): Promise<void> {
    await this.api.retryMessage(id);
    await this.read();
  }

  async discard(id: string): Promise<void> {
    await this.api.discardMessage(id);
    await this.read();
  }
}

/** Whether a request is kept out of the way for now. */
export const deferred = (request: RequestView, now: number): boolean =>
  typeof request.not_before === 'string' && Date.parse(request.not_before) > now;
