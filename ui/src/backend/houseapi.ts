/** Requests about the house: logins, configuration, hooks, secrets, the log, the engine itself. */
import { fileName, type Rendered, refusal } from './api';
import type { Answer, Backend, Method } from './backend';
import { showHidden } from './hidden';
import type {
  About,
  Backup,
  ConfigImport,
  Configuration,
  Hook,
  HookEdit,
  HookRun,
  Login,
  LogLevel,
  LogLine,
  NewHook,
  Page,
  Secrets,
  SettingsChange,
} from './housetypes';

/** A value under which a request is carried out once. */
const key = (): string =>
  Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, '0')).join(
    '',
  );

const parsed = (text: string): unknown => {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
};

type Query = Record<string, string | number | undefined>;

export class HouseApi {
  constructor(private readonly backend: Backend) {}

  async #asked(method: Method, path: string, body?: unknown, query: Query = {}): Promise<Answer> {
    const given = Object.entries(query).flatMap(([name, value]) =>
      value === undefined ? [] : [[name, String(value)]],
    );
    const search = given.length === 0 ? '' : `?${new URLSearchParams(given)}`;
    const headers: Record<string, string> = method === 'GET' ? {} : { 'Idempotency-Key': key() };
    if (body !== undefined) headers['Content-Type'] = 'application/json';
    const text = body === undefined ? undefined : JSON.stringify(body);
    const answer = await this.backend.request(method, `/api/v1/${path}${search}`, text, headers);
    if (answer.status >= 400) throw refusal(answer.status, parsed(answer.body));
    return answer;
  }

  async #ask<T>(method: Method, path: string, body?: unknown, query: Query = {}): Promise<T> {
    return parsed(showHidden((await this.#asked(method, path, body, query)).body)) as T;
  }

  async #do(method: Method, path: string, body?: unknown): Promise<void> {
    await this.#asked(method, path, body);
  }

  about = () => this.#ask<About>('GET', 'about');

  logins = async () => (await this.#ask<Page<Login>>('GET', 'logins')).items;
  endLogin = (id: string) => this.#do('DELETE', `logins/${id}`);
  logOut = () => this.#do('POST', 'logout');

  history = (query: { limit?: number; cursor?: string } = {}) =>
    this.#ask<Page<SettingsChange>>('GET', 'settings/history', undefined, query);
  rollback = (seq: number) => this.#do('POST', 'settings/rollback', { seq });
  exportConfiguration = async (): Promise<Rendered> => {
    const { headers, body } = await this.#asked('GET', 'settings/export');
    const name = fileName(headers['content-disposition'] ?? null, 'hivekeeper-configuration.json');
    return { name, mediaType: 'application/json', text: body };
  };
  importConfiguration = (config: Configuration, dry_run: boolean) =>
    this.#ask<ConfigImport>('POST', 'settings/import', { config, dry_run });

  hooks = async () => (await this.#ask<Page<Hook>>('GET', 'hooks')).items;
  addHook = (body: NewHook) => this.#do('POST', 'hooks', body);
  editHook = (id: string, body: HookEdit) => this.#do('PATCH', `hooks/${id}`, body);
  removeHook = (id: string) => this.#do('DELETE', `hooks/${id}`);
  testHook = (id: string) => this.#ask<HookRun>('POST', `hooks/${id}/test`);
  hookRuns = async (id: string) => (await this.#ask<Page<HookRun>>('GET', `hooks/${id}/runs`)).items;

  secrets = () => this.#ask<Secrets>('GET', 'secrets');
  keepSecret = (name: string, value: string) =>
    this.#do('PUT', `secrets/${encodeURIComponent(name)}`, { value });
  forgetSecret = (name: string) => this.#do('DELETE', `secrets/${encodeURIComponent(name)}`);

  log = (query: { level?: string; text?: string; before?: string; limit?: number }) =>
    this.#ask<Page<LogLine>>('GET', 'log', undefined, query);
  logLevel = () => this.#ask<LogLevel>('GET', 'log/level');
  setLogLevel = (filter: string, for_seconds: number | null) =>
    this.#ask<LogLevel>('PUT', 'log/level', { filter, for_seconds });

  backups = async () => (await this.#ask<Page<Backup>>('GET', 'backups')).items;
  backUp = () => this.#do('POST', 'backups');
}
