/** Requests about conversations, messages, the inbox, permission rules, presets and supervision. */
import type { Client } from 'openapi-fetch';
import type { AgentChange, NewPermissionRule, RequestAnswer } from './agenttypes';
import { clientOf, good, made, versioned } from './api';
import type { Backend } from './backend';
import type { components, paths } from './schema';
import type { NewAgent } from './types';

type Query<P extends keyof paths> = paths[P] extends { get: { parameters: { query?: infer Q } } } ? Q : never;

export class AgentApi {
  readonly #client: Client<paths>;

  constructor(backend: Backend) {
    this.#client = clientOf(backend);
  }

  conversation = (id: string, query: Query<'/api/v1/attempts/{id}/conversation'>, signal?: AbortSignal) =>
    good(this.#client.GET('/api/v1/attempts/{id}/conversation', { params: { path: { id }, query }, signal }));
  /** What changed after a revision; waits for it when nothing has. */
  changes = (id: string, revision: number, wait_ms: number, signal?: AbortSignal) =>
    good(
      this.#client.GET('/api/v1/attempts/{id}/conversation/changes', {
        params: { path: { id }, query: { revision, wait_ms } },
        signal,
      }),
    );
  search = (
    query: paths['/api/v1/conversations/search']['get']['parameters']['query'],
    signal?: AbortSignal,
  ) => good(this.#client.GET('/api/v1/conversations/search', { params: { query }, signal }));
  usage = (id: string) => good(this.#client.GET('/api/v1/attempts/{id}/usage', { params: { path: { id } } }));

  input = async (id: string, text: string): Promise<void> =>
    void (await good(
      this.#client.POST('/api/v1/attempts/{id}/input', { params: { path: { id } }, body: { text } }),
    ));
  resize = async (id: string, cols: number, rows: number): Promise<void> =>
    void (await good(
      this.#client.POST('/api/v1/attempts/{id}/resize', { params: { path: { id } }, body: { cols, rows } }),
    ));
  cancelTurn = async (id: string) =>
    void (await good(this.#client.POST('/api/v1/attempts/{id}/cancel-turn', { params: { path: { id } } })));

  presets = () => good(this.#client.GET('/api/v1/presets'));
  testPreset = (name: string, signal?: AbortSignal) =>
    good(this.#client.POST('/api/v1/presets/{name}/test', { params: { path: { name } }, signal }));
  addAgent = (body: NewAgent) => good(this.#client.POST('/api/v1/agents', { body }));
  versionOfAgent = (id: string) =>
    versioned(this.#client.GET('/api/v1/agents/{id}', { params: { path: { id } } }));
  editAgent = (id: string, body: AgentChange, version: string | null = null) =>
    good(
      this.#client.PATCH('/api/v1/agents/{id}', {
        params: { path: { id }, header: made(version) },
        body: body as components['schemas']['EditAgent'],
      }),
    );

  messages = (query: Query<'/api/v1/messages'>, signal?: AbortSignal) =>
    good(this.#client.GET('/api/v1/messages', { params: { query }, signal }));
  send = (id: string, text: string, urgent: boolean, mission?: string) =>
    good(
      this.#client.POST('/api/v1/agents/{id}/messages', {
        params: { path: { id } },
        body: { text, urgent, mission },
      }),
    );
  broadcast = (agents: string[], text: string, urgent: boolean) =>
    good(this.#client.POST('/api/v1/broadcasts', { body: { agents, text, urgent } }));
  broadcastState = (id: string) =>
    good(this.#client.GET('/api/v1/broadcasts/{id}', { params: { path: { id } } }));
  retryMessage = (id: string) =>
    good(this.#client.POST('/api/v1/messages/{id}/retry', { params: { path: { id } } }));
  discardMessage = (id: string) =>
    good(this.#client.POST('/api/v1/messages/{id}/discard', { params: { path: { id } } }));

  inbox = () => good(this.#client.GET('/api/v1/inbox'));
  answer = (id: string, body: RequestAnswer) =>
    good(this.#client.POST('/api/v1/requests/{id}/answer', { params: { path: { id } }, body }));

  permissionRules = async () => (await good(this.#client.GET('/api/v1/rules'))).items;
  addPermissionRule = (body: NewPermissionRule) => good(this.#client.POST('/api/v1/rules', { body }));
  removePermissionRule = async (id: string) =>
    void (await good(this.#client.DELETE('/api/v1/rules/{id}', { params: { path: { id } } })));

  supervision = () => good(this.#client.GET('/api/v1/supervision'));
}
