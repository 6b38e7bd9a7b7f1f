/** One method per request of the engine's API; paths, queries and bodies are checked against its description. */
import createClient, { type Client } from 'openapi-fetch';
import type { Backend, Method } from './backend';
import { showHidden } from './hidden';
import type { components, paths } from './schema';
import type { EditMission, MissionInput, NewMission, OutputStream, SignalAnswer, Wish } from './types';

/** A request that was refused: what happened, what to do, what would have been accepted. */
export class Refusal extends Error {
  constructor(
    readonly status: number,
    readonly code: string,
    message: string,
    readonly hint: string | null,
    readonly allowed: string[],
    /** The character of what was sent that is at fault, counted from 1. */
    readonly position: number | null = null,
  ) {
    super(message);
    this.name = 'Refusal';
  }

  /** Whatever was thrown as something to show; `kept` says what became of what was asked. */
  static of(error: unknown, kept: string): Refusal {
    if (error instanceof Refusal) return error;
    const message = error instanceof Error ? error.message : String(error);
    return new Refusal(0, 'internal', message, kept, []);
  }
}

/** Reads a problem document (RFC 9457); whatever else came is named by its status. */
export function refusal(status: number, body: unknown): Refusal {
  const problem = (typeof body === 'object' && body !== null ? body : {}) as Partial<
    components['schemas']['Problem']
  >;
  const message = problem.detail ?? problem.title ?? `the engine answered ${status}`;
  return new Refusal(
    status,
    problem.code ?? 'internal',
    message,
    problem.hint ?? null,
    problem.allowed ?? [],
    problem.position ?? null,
  );
}

/** A file as the engine rendered it. */
export interface Rendered {
  name: string;
  mediaType: string;
  text: string;
}

export function fileName(disposition: string | null, fallback: string): string {
  const match = /filename="?([^";]+)"?/.exec(disposition ?? '');
  return match?.[1] ?? fallback;
}

/** A value under which a request is carried out once. */
function key(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
}

/** Statuses that may not have a body. */
const BODILESS = [204, 205, 304];

/** Answers that keep their bytes: output is counted in them, and a report is saved as it is. */
const KEPT_AS_IS = /\/transcript$|\/gates\/\d+\/output$|\/export$|\/reports\/|\/diagnostics$/;

/** Lets openapi-fetch speak through a backend. */
export function fetchThrough(backend: Backend): (request: Request) => Promise<Response> {
  return async (request) => {
    const { pathname, search } = new URL(request.url);
    const method = request.method as Method;
    const body = method === 'GET' ? '' : await request.text();
    const headers = Object.fromEntries(request.headers);
    const answer = await backend.request(
      method,
      pathname + search,
      body === '' ? undefined : body,
      headers,
      request.signal,
    );
    const text = KEPT_AS_IS.test(pathname) ? answer.body : showHidden(answer.body);
    return new Response(BODILESS.includes(answer.status) ? null : text, {
      status: answer.status,
      headers: answer.headers,
    });
  };
}

export type ExportFormat = 'md' | 'html';
export type Ask = Extract<
  MissionInput,
  'queue' | 'accept' | 'reject' | 'pause' | 'resume' | 'cancel' | 'retry' | 'send_back'
>;

/** A request with nothing to add. */
const PLAIN: Wish = { note: null, keep_processes: false, fresh: false, merge: null, reviewed: null };

export interface TranscriptQuery {
  stream: OutputStream;
  offset: number;
  max_bytes?: number;
  wait_ms?: number;
}

interface Given<T> {
  data?: T;
  error?: unknown;
  response: Response;
}

/** The data, or the refusal as an error. */
export async function good<T>(asked: Promise<Given<T>>): Promise<T> {
  const { data, error, response } = await asked;
  if (!response.ok) throw refusal(response.status, error);
  return data as T;
}

/** A thing with the version of it that was read; an edit of it names that version. */
export interface Versioned<T> {
  value: T;
  version: string | null;
}

/** The data with its version, or the refusal as an error. */
export async function versioned<T>(asked: Promise<Given<T>>): Promise<Versioned<T>> {
  const given = await asked;
  const value = await good(Promise.resolve(given));
  return { value, version: given.response.headers.get('etag') };
}

/** The header of an edit that is to be applied to this version alone, or to whichever is there. */
export const made = (version: string | null) => ({ 'If-Match': version ?? undefined });

export async function file(asked: Promise<Given<string>>, fallback: string): Promise<Rendered> {
  const { data, error, response } = await asked;
  if (!response.ok) throw refusal(response.status, parsed(error));
  const mediaType = response.headers.get('content-type') ?? 'text/plain';
  return {
    name: fileName(response.headers.get('content-disposition'), fallback),
    mediaType,
    text: data ?? '',
  };
}

function parsed(error: unknown): unknown {
  try {
    return typeof error === 'string' ? JSON.parse(error) : error;
  } catch {
    return null;
  }
}

/** Requests through a backend, each of which that changes something is carried out once. */
export function clientOf(backend: Backend): Client<paths> {
  // The host is never used: only the path goes through the backend.
  const client = createClient<paths>({
    baseUrl: 'http://hivekeeper.invalid',
    fetch: fetchThrough(backend),
  });
  client.use({
    onRequest: ({ request }) => {
      if (request.method !== 'GET') request.headers.set('Idempotency-Key', key());
    },
  });
  return client;
}

export class Api {
  readonly #client: Client<paths>;

  constructor(private readonly backend: Backend) {
    this.#client = clientOf(backend);
  }

  overview = () => good(this.#client.GET('/api/v1/overview'));
  doctor = async () => (await good(this.#client.GET('/api/v1/doctor'))).items;
  startDemo = () => good(this.#client.POST('/api/v1/demo'));
  removeDemo = async () => void (await good(this.#client.DELETE('/api/v1/demo')));

  agents = async () => (await good(this.#client.GET('/api/v1/agents'))).items;
  pauseAgent = (id: string) =>
    good(this.#client.POST('/api/v1/agents/{id}/pause', { params: { path: { id } } }));
  resumeAgent = (id: string) =>
    good(this.#client.POST('/api/v1/agents/{id}/resume', { params: { path: { id } } }));
  removeAgent = async (id: string) =>
    void (await good(this.#client.DELETE('/api/v1/agents/{id}', { params: { path: { id } } })));
  agentAttempts = async (id: string, limit = 50) =>
    (
      await good(
        this.#client.GET('/api/v1/agents/{id}/attempts', { params: { path: { id }, query: { limit } } }),
      )
    ).items;
  checkCommand = (command: string, directory: string | null) =>
    good(this.#client.POST('/api/v1/commands/check', { body: { command, directory } }));
  runtimes = async () => (await good(this.#client.GET('/api/v1/runtimes'))).items;
  inspectRepository = (path: string, signal?: AbortSignal) =>
    good(this.#client.GET('/api/v1/repositories', { params: { query: { path } }, signal }));

  missions = (query: paths['/api/v1/missions']['get']['parameters']['query'] = {}) =>
    good(this.#client.GET('/api/v1/missions', { params: { query } }));
  addMission = (body: NewMission) => good(this.#client.POST('/api/v1/missions', { body }));
  mission = (id: string) => good(this.#client.GET('/api/v1/missions/{id}', { params: { path: { id } } }));
  ask = (id: string, ask: Ask, wish: Partial<Wish> = {}) =>
    good(
      this.#client.POST(`/api/v1/missions/{id}/${ask}`, {
        params: { path: { id } },
        body: { ...PLAIN, ...wish },
      }),
    );
  checkMission = (body: NewMission, signal?: AbortSignal) =>
    good(this.#client.POST('/api/v1/missions/check', { body, signal }));
  versionOfMission = (id: string) =>
    versioned(this.#client.GET('/api/v1/missions/{id}', { params: { path: { id } } }));
  editMission = (id: string, body: EditMission, version: string | null = null) =>
    good(
      this.#client.PATCH('/api/v1/missions/{id}', {
        params: { path: { id }, header: made(version) },
        body: body as components['schemas']['EditMission'],
      }),
    );
  removeMission = async (id: string) =>
    void (await good(this.#client.DELETE('/api/v1/missions/{id}', { params: { path: { id } } })));
  why = (id: string) => good(this.#client.GET('/api/v1/missions/{id}/why', { params: { path: { id } } }));
  makeCheckpoint = (id: string, note: string | null) =>
    good(
      this.#client.POST('/api/v1/missions/{id}/checkpoints', { params: { path: { id } }, body: { note } }),
    );
  restoreCheckpoint = (id: string) =>
    good(this.#client.POST('/api/v1/checkpoints/{id}/restore', { params: { path: { id } } }));
  gateOutput = (id: string, index: number, offset: number, signal?: AbortSignal) =>
    good(
      this.#client.GET('/api/v1/attempts/{id}/gates/{index}/output', {
        params: { path: { id, index }, query: { offset } },
        signal,
      }),
    );
  assign = (id: string, agent: string | null) =>
    good(this.#client.POST('/api/v1/missions/{id}/assign', { params: { path: { id } }, body: { agent } }));

  transcript = (id: string, query: TranscriptQuery, signal?: AbortSignal) =>
    good(this.#client.GET('/api/v1/attempts/{id}/transcript', { params: { path: { id }, query }, signal }));
  events = async (query: paths['/api/v1/events']['get']['parameters']['query'] = {}) =>
    (await good(this.#client.GET('/api/v1/events', { params: { query } }))).items;

  signals = async () => (await good(this.#client.GET('/api/v1/signals'))).items;
  /** An expression over a range of time. */
  signalsOver = async (
    query: paths['/api/v1/signals/query_range']['get']['parameters']['query'],
    signal?: AbortSignal,
  ): Promise<SignalAnswer> =>
    (await good(
      this.#client.GET('/api/v1/signals/query_range', { params: { query }, signal }),
    )) as SignalAnswer;
  /** An expression at a moment. */
  signalsAt = async (
    query: paths['/api/v1/signals/query']['get']['parameters']['query'],
    signal?: AbortSignal,
  ): Promise<SignalAnswer> =>
    (await good(this.#client.GET('/api/v1/signals/query', { params: { query }, signal }))) as SignalAnswer;

  devlogs = (query: paths['/api/v1/devlogs']['get']['parameters']['query'] = {}) =>
    good(this.#client.GET('/api/v1/devlogs', { params: { query } }));
  devlog = (id: string) => good(this.#client.GET('/api/v1/devlogs/{id}', { params: { path: { id } } }));
  exportDevlog = (id: string, format: ExportFormat) =>
    file(
      this.#client.GET('/api/v1/devlogs/{id}/export', {
        params: { path: { id }, query: { format } },
        parseAs: 'text',
      }),
      `devlog.${format}`,
    );
  missionReport = (id: string, format: ExportFormat, zone: string) =>
    file(
      this.#client.GET('/api/v1/reports/mission/{id}', {
        params: { path: { id }, query: { format, zone } },
        parseAs: 'text',
      }),
      `mission.${format}`,
    );
  dayReport = (day: string, format: ExportFormat, zone: string) =>
    file(
      this.#client.GET('/api/v1/reports/day/{day}', {
        params: { path: { day }, query: { format, zone } },
        parseAs: 'text',
      }),
      `${day}.${format}`,
    );

  /** Hands a rendered file to the captain. */
  save = (rendered: Rendered) => this.backend.saveFile(rendered.name, rendered.mediaType, rendered.text);
}
