/** The messages to one agent, newest first, read again whenever one of them moves on. */
import type { AgentApi } from '../backend/agentapi';
import type { MessageView } from '../backend/agenttypes';
import type { Event } from '../backend/types';

const READ = 50;

export class Messages {
  list = $state.raw<readonly MessageView[]>([]);
  ready = $state(false);
  error = $state.raw<unknown>(null);
  sending = $state(false);
  /** There are older ones. */
  more = $state(false);
  #cursor: string | undefined;
  #turn = 0;

  constructor(
    private readonly api: Pick<AgentApi, 'messages' | 'send' | 'retryMessage' | 'discardMessage'>,
    readonly agentId: string,
  ) {}

  async read(): Promise<void> {
    this.#turn += 1;
    const turn = this.#turn;
    try {
      const page = await this.api.messages({ agent: this.agentId, limit: READ });
      if (turn !== this.#turn) return;
      this.list = newestFirst(page.items);
      this.#cursor = page.next_cursor ?? undefined;
      this.more = this.#cursor !== undefined;
      this.ready = true;
      this.error = null;
    } catch (error) {
      if (turn === this.#turn) this.error = error;
    }
  }

  async older(): Promise<void> {
    if (this.#cursor === undefined) return;
    const page = await this.api.messages({ agent: this.agentId, limit: READ, cursor: this.#cursor });
    this.list = newestFirst([...this.list, ...page.items]);
    this.#cursor = page.next_cursor ?? undefined;
    this.more = this.#cursor !== undefined;
  }

  apply(events: readonly Event[]): void {
    if (
      events.some(({ fact, subject }) => fact.kind.startsWith('message') && concerns(subject, this.agentId))
    )
      void this.read();
  }

  /** Sends one; what was written is lost only once the engine has it. */
  async send(text: string, urgent: boolean): Promise<MessageView> {
    this.sending = true;
    try {
      const message = await this.api.send(this.agentId, text, urgent);
      this.#put(message);
      return message;
    } finally {
      this.sending = false;
    }
  }

  retry = async (id: string) => this.#put(await this.api.retryMessage(id));
  discard = async (id: string) => this.#put(await this.api.discardMessage(id));

  #put(message: MessageView): void {
    this.list = newestFirst([message, ...this.list.filter((one) => one.id !== message.id)]);
    // It may have come further while the answer was on its way.
    void this.read();
  }
}

const concerns = (subject: Event['subject'], agent: string): boolean =>
  subject.agent_id === undefined || subject.agent_id === null || subject.agent_id === agent;

function newestFirst(list: readonly MessageView[]): MessageView[] {
  const byId = new Map(list.map((one) => [one.id, one]));
  return [...byId.values()].sort((a, b) => Date.parse(b.queued_at) - Date.parse(a.queued_at));
}
