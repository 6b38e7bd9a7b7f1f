/** Requests about conversations, messages, the inbox, permission rules, presets and supervision. */

import type {
  AgentChange,
  AgentWish,
  BroadcastState,
  BroadcastView,
  ConversationChanges,
  ConversationHits,
  ConversationPage,
  InboxView,
  MessagePage,
  MessageState,
  MessageView,
  NewPermissionRule,
  PermissionRule,
  PresetList,
  PresetTest,
  RequestAnswer,
  RequestView,
  SupervisionView,
  UsageView,
} from './agenttypes';
import { fetchThrough, keyed, refusal } from './api';
import type { Backend, Method } from './backend';
import type { AgentView } from './types';

export interface PageQuery {
  after?: number;
  before?: number;
  limit?: number;
}

export interface SearchQuery {
  text: string;
  attempt?: string;
  agent?: string;
  mission?: string;
  kind?: string;
  cursor?: string;
  limit?: number;
}

export interface MessagesQuery {
  agent?: string;
  mission?: string;
  state?: MessageState;
  cursor?: string;
  limit?: number;
}

type Query = Record<string, string | number | undefined>;
interface More {
  query?: Query;
  body?: unknown;
  signal?: AbortSignal;
}

export class AgentApi {
  readonly #fetch: (request: Request) => Promise<Response>;

  constructor(backend: Backend) {
    this.#fetch = fetchThrough(backend);
  }

  conversation = (attempt: string, query: PageQuery, signal?: AbortSignal) =>
    this.#ask<ConversationPage>('GET', ['attempts', attempt, 'conversation'], {
      query: { ...query },
      signal,
    });
  /** What changed after a revision; waits for it when nothing has. */
  changes = (attempt: string, revision: number, wait_ms: number, signal?: AbortSignal) =>
    this.#ask<ConversationChanges>('GET', ['attempts', attempt, 'conversation', 'changes'], {
      query: { revision, wait_ms },
      signal,
    });
  search = (query: SearchQuery, signal?: AbortSignal) =>
    this.#ask<ConversationHits>('GET', ['conversations', 'search'], { query: { ...query }, signal });
  usage = (attempt: string) => this.#ask<UsageView>('GET', ['attempts', attempt, 'usage']);

  input = (attempt: string, text: string) =>
    this.#ask<unknown>('POST', ['attempts', attempt, 'input'], { body: { text } });
  resize = (attempt: string, cols: number, rows: number) =>
    this.#ask<unknown>('POST', ['attempts', attempt, 'resize'], { body: { cols, rows } });
  cancelTurn = (attempt: string) => this.#ask<unknown>('POST', ['attempts', attempt, 'cancel-turn']);

  presets = () => this.#ask<PresetList>('GET', ['presets']);
  testPreset = (name: string, signal?: AbortSignal) =>
    this.#ask<PresetTest>('POST', ['presets', name, 'test'], { signal });
  addAgent = (body: AgentWish) => this.#ask<AgentView>('POST', ['agents'], { body });
  editAgent = (id: string, body: AgentChange) => this.#ask<AgentView>('PATCH', ['agents', id], { body });

  messages = (query: MessagesQuery, signal?: AbortSignal) =>
    this.#ask<MessagePage>('GET', ['messages'], { query: { ...query }, signal });
  send = (agent: string, text: string, urgent: boolean, mission?: string) =>
    this.#ask<MessageView>('POST', ['agents', agent, 'messages'], { body: { text, urgent, mission } });
  broadcast = (agents: string[], text: string, urgent: boolean) =>
    this.#ask<BroadcastView>('POST', ['broadcasts'], { body: { agents, text, urgent } });
  broadcastState = (id: string) => this.#ask<BroadcastState>('GET', ['broadcasts', id]);
  retryMessage = (id: string) => this.#ask<MessageView>('POST', ['messages', id, 'retry']);
  discardMessage = (id: string) => this.#ask<MessageView>('POST', ['messages', id, 'discard']);

  inbox = () => this.#ask<InboxView>('GET', ['inbox']);
  answer = (id: string, body: RequestAnswer) =>
    this.#ask<RequestView>('POST', ['requests', id, 'answer'], { body });

  permissionRules = async () => (await this.#ask<{ items: PermissionRule[] }>('GET', ['rules'])).items;
  addPermissionRule = (body: NewPermissionRule) => this.#ask<PermissionRule>('POST', ['rules'], { body });
  removePermissionRule = async (id: string) => void (await this.#ask<unknown>('DELETE', ['rules', id]));

  supervision = () => this.#ask<SupervisionView>('GET', ['supervision']);

  async #ask<T>(
    method: Method,
    path: readonly string[],
    { query = {}, body, signal }: More = {},
  ): Promise<T> {
    const search = new URLSearchParams();
    for (const [name, value] of Object.entries(query))
      if (value !== undefined) search.set(name, String(value));
    const asked = search.size > 0 ? `?${search}` : '';
    // The host is never used: only the path goes through the backend.
    const url = `http://hivekeeper.invalid/api/v1/${path.map(encodeURIComponent).join('/')}${asked}`;
    const headers: Record<string, string> = { ...keyed(method) };
    if (body !== undefined) headers['Content-Type'] = 'application/json';
    const response = await this.#fetch(
      new Request(url, {
        method,
        headers,
        body: body === undefined ? undefined : JSON.stringify(body),
        signal,
      }),
    );
    const text = await response.text();
    const value: unknown = text === '' ? null : parsed(text);
    if (!response.ok) throw refusal(response.status, value);
    return value as T;
  }
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}
