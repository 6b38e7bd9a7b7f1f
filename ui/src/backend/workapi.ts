/** Requests about the work and its places: review, worktrees, trash, stop all, import, rules, topics, recovery. */
import type { Client } from 'openapi-fetch';
import { clientOf, file, good, made, versioned } from './api';
import type { Backend } from './backend';
import type { paths } from './schema';
import type { Policy } from './types';
import type {
  ImportRequest,
  NewPairing,
  NewToken,
  NewTopic,
  NewVote,
  Rules,
  ScanRequest,
  Template,
  TrashView,
  Worktrees,
} from './worktypes';

/** Worktrees read for the table. */
const WORKTREES_READ = 2_000;
/** Things in the trash that are read. */
const TRASH_READ = 2_000;
/** Unchanged lines around each change. */
const CONTEXT = 5;

export class WorkApi {
  readonly #client: Client<paths>;

  constructor(backend: Backend) {
    this.#client = clientOf(backend);
  }

  review = (id: string) =>
    good(this.#client.GET('/api/v1/missions/{id}/review', { params: { path: { id } } }));
  /** The diff of one file; where it was renamed, its name before belongs to it. */
  patch = (id: string, path: string, old_path: string | undefined, signal?: AbortSignal) =>
    good(
      this.#client.GET('/api/v1/attempts/{id}/diff', {
        params: { path: { id }, query: { path, old_path, context: CONTEXT } },
        signal,
      }),
    );
  radar = () => good(this.#client.GET('/api/v1/radar'));

  worktrees = async (): Promise<Worktrees> => {
    const all: Worktrees = { items: [], bytes: 0 };
    let cursor: string | undefined;
    do {
      const page = await good(this.#client.GET('/api/v1/worktrees', { params: { query: { cursor } } }));
      all.items.push(...page.items);
      all.bytes += page.bytes;
      cursor = page.next ?? undefined;
    } while (cursor !== undefined && all.items.length < WORKTREES_READ);
    return { ...all, next: cursor };
  };
  clean = (apply: boolean, only: string[] | null) =>
    good(this.#client.POST('/api/v1/worktrees/clean', { body: { apply, only } }));
  trash = async (): Promise<TrashView[]> => {
    const all: TrashView[] = [];
    let cursor: string | undefined;
    do {
      const page = await good(this.#client.GET('/api/v1/trash', { params: { query: { cursor } } }));
      all.push(...page.items);
      cursor = page.next ?? undefined;
    } while (cursor !== undefined && all.length < TRASH_READ);
    return all;
  };
  restore = (id: string) =>
    good(this.#client.POST('/api/v1/trash/{id}/restore', { params: { path: { id } } }));
  purge = async (id: string) =>
    void (await good(this.#client.DELETE('/api/v1/trash/{id}', { params: { path: { id } } })));
  scan = (body: ScanRequest, signal?: AbortSignal) =>
    good(this.#client.POST('/api/v1/scan', { body, signal }));

  halt = (note: string | null) => good(this.#client.POST('/api/v1/swarm/halt', { body: { note } }));
  resumeSwarm = async () => void (await good(this.#client.POST('/api/v1/swarm/resume')));
  plan = () => good(this.#client.GET('/api/v1/schedule/plan'));

  importMissions = (body: ImportRequest) => good(this.#client.POST('/api/v1/missions/import', { body }));

  rules = () => good(this.#client.GET('/api/v1/settings'));
  versionOfRules = () => versioned(this.#client.GET('/api/v1/settings'));
  saveRules = (body: Rules, version: string | null = null) =>
    versioned(this.#client.PUT('/api/v1/settings', { params: { header: made(version) }, body }));
  policies = async () => (await good(this.#client.GET('/api/v1/policies'))).items;
  versionOfPolicy = (name: string) =>
    versioned(this.#client.GET('/api/v1/policies/{name}', { params: { path: { name } } }));
  savePolicy = (body: Policy, version: string | null = null) =>
    good(
      this.#client.PUT('/api/v1/policies/{name}', {
        params: { path: { name: body.name }, header: made(version) },
        body,
      }),
    );
  removePolicy = async (name: string) =>
    void (await good(this.#client.DELETE('/api/v1/policies/{name}', { params: { path: { name } } })));
  templates = async () => (await good(this.#client.GET('/api/v1/templates'))).items;
  versionOfTemplate = (name: string) =>
    versioned(this.#client.GET('/api/v1/templates/{name}', { params: { path: { name } } }));
  saveTemplate = (body: Template, version: string | null = null) =>
    good(
      this.#client.PUT('/api/v1/templates/{name}', {
        params: { path: { name: body.name }, header: made(version) },
        body,
      }),
    );
  removeTemplate = async (name: string) =>
    void (await good(this.#client.DELETE('/api/v1/templates/{name}', { params: { path: { name } } })));

  topics = async () => (await good(this.#client.GET('/api/v1/topics'))).items;
  topic = (id: string) => good(this.#client.GET('/api/v1/topics/{id}', { params: { path: { id } } }));
  openTopic = (body: NewTopic) => good(this.#client.POST('/api/v1/topics', { body }));
  vote = (id: string, body: NewVote) =>
    good(this.#client.POST('/api/v1/topics/{id}/votes', { params: { path: { id } }, body }));
  closeTopic = (id: string, option: string | null, note: string | null) =>
    good(
      this.#client.POST('/api/v1/topics/{id}/close', { params: { path: { id } }, body: { option, note } }),
    );

  whoAmI = () => good(this.#client.GET('/api/v1/whoami'));
  tokens = async () => (await good(this.#client.GET('/api/v1/tokens', { params: { query: {} } }))).items;
  addToken = (body: NewToken) => good(this.#client.POST('/api/v1/tokens', { body }));
  revokeToken = async (id: string) =>
    void (await good(this.#client.DELETE('/api/v1/tokens/{id}', { params: { path: { id } } })));
  pair = (body: NewPairing) => good(this.#client.POST('/api/v1/pairings', { body }));

  restartFailed = () => good(this.#client.POST('/api/v1/recovery/restart-failed'));
  clearFailed = () => good(this.#client.POST('/api/v1/recovery/clear-failed'));
  reconcile = () => good(this.#client.POST('/api/v1/recovery/reconcile'));
  diagnostics = () =>
    file(this.#client.GET('/api/v1/diagnostics', { parseAs: 'text' }), 'hivekeeper-diagnostics.json');
}
