/** Requests about health: checks, how things were, maintenance, and how well agents work. */
import type { Client } from 'openapi-fetch';
import { clientOf, good, made, versioned } from './api';
import type { Backend } from './backend';
import type {
  CheckSubjectKind,
  CheckView,
  EditCheck,
  HealthState,
  NewCheck,
  NewMaintenance,
} from './healthtypes';
import type { components, paths } from './schema';

/** Checks read at most: one for each agent there may be, and the others. */
const CHECKS_READ = 2_500;

export class HealthApi {
  readonly #client: Client<paths>;

  constructor(backend: Backend) {
    this.#client = clientOf(backend);
  }

  counts = () => good(this.#client.GET('/api/v1/health'));
  checks = async (
    query: { subject?: CheckSubjectKind; state?: HealthState } = {},
    most = CHECKS_READ,
  ): Promise<CheckView[]> => {
    const all: CheckView[] = [];
    let cursor: string | undefined;
    do {
      const page = await good(
        this.#client.GET('/api/v1/health/checks', { params: { query: { ...query, cursor } } }),
      );
      all.push(...page.items);
      cursor = page.next ?? undefined;
    } while (cursor !== undefined && all.length < most);
    return all;
  };
  check = (id: string) => good(this.#client.GET('/api/v1/health/checks/{id}', { params: { path: { id } } }));
  versionOfCheck = (id: string) =>
    versioned(this.#client.GET('/api/v1/health/checks/{id}', { params: { path: { id } } }));
  add = (body: NewCheck) =>
    good(this.#client.POST('/api/v1/health/checks', { body: body as components['schemas']['NewCheck'] }));
  edit = (id: string, body: EditCheck, version: string | null = null) =>
    good(
      this.#client.PATCH('/api/v1/health/checks/{id}', {
        params: { path: { id }, header: made(version) },
        body: body as components['schemas']['EditCheck'],
      }),
    );
  remove = async (id: string) =>
    void (await good(this.#client.DELETE('/api/v1/health/checks/{id}', { params: { path: { id } } })));
  history = (id: string, query: { from?: string; to?: string } = {}) =>
    good(this.#client.GET('/api/v1/health/checks/{id}/history', { params: { path: { id }, query } }));
  run = (id: string) =>
    good(this.#client.POST('/api/v1/health/checks/{id}/run', { params: { path: { id } } }));

  maintenance = async () => (await good(this.#client.GET('/api/v1/health/maintenance'))).items;
  addMaintenance = (body: NewMaintenance) =>
    good(
      this.#client.POST('/api/v1/health/maintenance', {
        body: body as components['schemas']['NewMaintenance'],
      }),
    );
  removeMaintenance = async (id: string) =>
    void (await good(this.#client.DELETE('/api/v1/health/maintenance/{id}', { params: { path: { id } } })));

  efficiency = (id: string, last: number) =>
    good(this.#client.GET('/api/v1/agents/{id}/efficiency', { params: { path: { id }, query: { last } } }));
}
