/** Requests about the house: logins, configuration, hooks, secrets, the log, the engine itself. */
import type { Client } from 'openapi-fetch';
import { clientOf, file, good, made, versioned } from './api';
import type { Backend } from './backend';
import type { Configuration, HookEdit, NewAttached, NewHook } from './housetypes';
import type { components, paths } from './schema';

type Query<P extends keyof paths> = paths[P] extends { get: { parameters: { query?: infer Q } } } ? Q : never;

export class HouseApi {
  readonly #client: Client<paths>;

  constructor(backend: Backend) {
    this.#client = clientOf(backend);
  }

  about = (signal?: AbortSignal) => good(this.#client.GET('/api/v1/about', { signal }));

  logins = async () => (await good(this.#client.GET('/api/v1/logins', { params: { query: {} } }))).items;
  endLogin = async (id: string) =>
    void (await good(this.#client.DELETE('/api/v1/logins/{id}', { params: { path: { id } } })));
  logOut = async () => void (await good(this.#client.POST('/api/v1/logout')));

  history = (query: Query<'/api/v1/settings/history'> = {}) =>
    good(this.#client.GET('/api/v1/settings/history', { params: { query } }));
  rollback = (seq: number, version: string | null = null) =>
    good(
      this.#client.POST('/api/v1/settings/rollback', { params: { header: made(version) }, body: { seq } }),
    );
  exportConfiguration = () =>
    file(this.#client.GET('/api/v1/settings/export', { parseAs: 'text' }), 'hivekeeper-configuration.json');
  importConfiguration = (config: Configuration, dry_run: boolean) =>
    good(this.#client.POST('/api/v1/settings/import', { body: { config, dry_run } }));

  hooks = async () => (await good(this.#client.GET('/api/v1/hooks'))).items;
  addHook = (body: NewHook) => good(this.#client.POST('/api/v1/hooks', { body }));
  versionOfHook = (id: string) =>
    versioned(this.#client.GET('/api/v1/hooks/{id}', { params: { path: { id } } }));
  editHook = (id: string, body: HookEdit, version: string | null = null) =>
    good(
      this.#client.PATCH('/api/v1/hooks/{id}', {
        params: { path: { id }, header: made(version) },
        body: body as components['schemas']['EditHook'],
      }),
    );
  removeHook = async (id: string) =>
    void (await good(this.#client.DELETE('/api/v1/hooks/{id}', { params: { path: { id } } })));
  testHook = (id: string) => good(this.#client.POST('/api/v1/hooks/{id}/test', { params: { path: { id } } }));
  hookRuns = async (id: string) =>
    (await good(this.#client.GET('/api/v1/hooks/{id}/runs', { params: { path: { id } } }))).items;

  secrets = () => good(this.#client.GET('/api/v1/secrets'));
  keepSecret = async (name: string, value: string) =>
    void (await good(
      this.#client.PUT('/api/v1/secrets/{name}', { params: { path: { name } }, body: { value } }),
    ));
  forgetSecret = async (name: string) =>
    void (await good(this.#client.DELETE('/api/v1/secrets/{name}', { params: { path: { name } } })));

  log = (query: Query<'/api/v1/log'>, signal?: AbortSignal) =>
    good(this.#client.GET('/api/v1/log', { params: { query }, signal }));
  logLevel = () => good(this.#client.GET('/api/v1/log/level'));
  setLogLevel = (filter: string, for_seconds: number | null) =>
    good(this.#client.PUT('/api/v1/log/level', { body: { filter, for_seconds } }));

  backups = async () => (await good(this.#client.GET('/api/v1/backups'))).items;
  backUp = () => good(this.#client.POST('/api/v1/backups'));

  /** Registers an agent that runs elsewhere; registered again, it may be given another token. */
  attach = (body: NewAttached) =>
    good(this.#client.POST('/api/v1/attached', { body: body as components['schemas']['NewAttached'] }));
}
