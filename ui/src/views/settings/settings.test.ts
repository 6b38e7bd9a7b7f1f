import { beforeAll, beforeEach, describe, expect, test } from 'vitest';
import {
  all,
  by,
  put,
  type Stage,
  settled,
  stage,
  type as typeInto,
  withoutLayout,
} from '../../state/testing/stage';
import type { About, Hook, HookRun, Login, LogLine, SettingsChange } from '../../state/types';
import AboutPart from './About.svelte';
import { browserOf, isHandheld } from './browsers';
import ConfigFile from './ConfigFile.svelte';
import { actorWord, keyWord, valueWord } from './configwords';
import { milliseconds } from './figures';
import History from './History.svelte';
import Hooks from './Hooks.svelte';
import { draftOf, hookOf, lineOf, MIB, runWords } from './hookwords';
import Logins from './Logins.svelte';
import LogView from './LogView.svelte';
import { merged, restOf } from './loglines';
import Secrets from './Secrets.svelte';
import Settings from './Settings.svelte';
import { SECTIONS } from './sections';

beforeAll(withoutLayout);
beforeEach(() => {
  location.hash = '';
});

const AT = '2026-01-01T00:00:00Z';
const listing = (items: unknown[], next: string | null = null) => ({ items, next });
const asked = (on: Stage, method: string) =>
  on.backend.asked.filter((one) => one.method === method).map(({ path, body }) => [path, body]);
async function click(testid: string): Promise<void> {
  by(testid).click();
  await settled();
}

test.each([
  ['Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0', 'Firefox on Linux', false],
  [
    'Mozilla/5.0 (Windows NT 10.0) AppleWebKit/537.36 Chrome/140.0 Safari/537.36 Edg/140.0',
    'Edge on Windows',
    false,
  ],
  [
    'Mozilla/5.0 (iPhone; CPU iPhone OS 19_0 like Mac OS X) Version/19.0 Mobile/15E148 Safari/604.1',
    'Safari on iPhone',
    true,
  ],
  [
    'Mozilla/5.0 (Linux; Android 16) AppleWebKit/537.36 Chrome/140.0 Mobile Safari/537.36',
    'Chrome on Android',
    true,
  ],
  ['curl/8.1', 'curl/8.1', false],
  ['', 'a browser that does not say what it is', false],
])('a browser that calls itself %j is %s', (agent, name, handheld) => {
  expect(browserOf(agent)).toBe(name);
  expect(isHandheld(agent)).toBe(handheld);
});

const login = (id: string, more: Partial<Login> = {}): Login => ({
  id,
  via: 'code',
  token_id: null,
  origin: 'http://127.0.0.1:7171',
  from: '127.0.0.1',
  agent: 'Mozilla/5.0 (X11; Linux x86_64) Firefox/140.0',
  made_at: AT,
  expires_at: '2126-01-01T00:00:00Z',
  ended: null,
  state: 'valid',
  role: 'admin',
  name: null,
  used_at: AT,
  current: false,
  ...more,
});

describe('signed-in browsers', () => {
  async function opened(): Promise<Stage> {
    const on = stage();
    on.backend
      .on(
        'GET',
        '/api/v1/logins',
        listing([
          login('a', { name: 'phone', via: 'pairing', role: 'operator' }),
          login('b', { current: true }),
          login('c', { state: 'ended' }),
        ]),
      )
      .on('DELETE', '/api/v1/logins/a', '', 204)
      .on('POST', '/api/v1/logout', '', 204);
    put(on, Logins, {});
    await settled();
    return on;
  }
  const end = async (nth: number) => {
    all('[data-testid="login-end"]')[nth]?.click();
    await settled();
  };

  test('are listed, this one first, without those that ended', async () => {
    await opened();
    const items = all('[data-testid="login"]');
    expect(items.map(({ dataset }) => dataset.current)).toEqual(['true', 'false']);
    expect(items[0]?.textContent).toContain('this browser');
    expect(items[1]?.textContent).toContain('operator, paired');
  });

  test('another one is signed out by its id, and is gone from the list', async () => {
    const on = await opened();
    await end(1);
    expect(asked(on, 'DELETE')).toEqual([['/api/v1/logins/a', undefined]]);
    expect(all('[data-testid="login"]')).toHaveLength(1);
    expect(on.hive.connection.link).not.toBe('signed_out');
  });

  test('this one is signed out, and says so', async () => {
    const on = await opened();
    await end(0);
    expect(asked(on, 'POST').map(([path]) => path)).toEqual(['/api/v1/logout']);
    expect(on.hive.connection.link).toBe('signed_out');
  });

  test('all others are signed out only after a second press', async () => {
    const on = await opened();
    await click('login-end-others');
    expect(asked(on, 'DELETE')).toEqual([]);
    await click('login-end-others');
    expect(asked(on, 'DELETE')).toEqual([['/api/v1/logins/a', undefined]]);
  });
});

describe('the history of the settings', () => {
  const change = (seq: number, old: unknown, now: unknown): SettingsChange =>
    ({
      seq,
      at: AT,
      actor: { kind: 'captain' },
      changes: [{ key: 'running_max', old, new: now }],
    }) as SettingsChange;
  async function opened(): Promise<Stage> {
    const on = stage();
    on.backend
      .on('GET', '/api/v1/settings/history', listing([change(40, 8, 4), change(20, null, 8)]))
      .on('GET', '/api/v1/settings', { running_max: 4 }, 200, { etag: '"now"' })
      .on('POST', '/api/v1/settings/rollback', {});
    put(on, History, {});
    await settled();
    return on;
  }

  test('says who changed what from what to what', async () => {
    await opened();
    const [newest, oldest] = all('[data-testid="config-change"]');
    expect(newest?.textContent).toMatch(/you.*Attempts at once.*8.*→.*4/s);
    expect(oldest?.textContent).toContain('not set');
  });

  test('the last change is undone by going back to the one before it', async () => {
    const on = await opened();
    await click('config-undo');
    expect(asked(on, 'POST')).toEqual([]);
    // What it comes to is said first.
    expect(by('config-comes-to').textContent).toMatch(/Attempts at once.*4.*→.*8/s);
    await click('config-restore-confirm');
    expect(asked(on, 'POST')).toEqual([['/api/v1/settings/rollback', { seq: 20 }]]);
    // Only what was seen is gone back from.
    expect(on.backend.asked.at(-2)?.version ?? on.backend.asked.at(-1)?.version).toBe('"now"');
  });

  test('an older state is gone back to by its number, and a refusal changes nothing', async () => {
    const on = await opened();
    on.backend.on(
      'POST',
      '/api/v1/settings/rollback',
      { code: 'invalid_input', detail: 'there is no policy x' },
      422,
    );
    await click('config-restore');
    await click('config-restore-confirm');
    expect(asked(on, 'POST')).toEqual([['/api/v1/settings/rollback', { seq: 20 }]]);
    expect(document.body.textContent).toContain('there is no policy x');
  });

  test('values and names are told in words', () => {
    expect([null, '', true, [], [{ label: 'x', policy: 'y' }], 3].map(valueWord)).toEqual([
      'not set',
      'empty',
      'on',
      'none',
      'label x policy y',
      '3',
    ]);
    expect([keyWord('trash_days'), keyWord('some_new_one')]).toEqual(['Days in the trash', 'some new one']);
    expect(actorWord({ kind: 'token', id: 't', name: 'ci' }, () => null)).toBe('the token ci');
    expect(actorWord({ kind: 'agent', id: 'g' }, () => null)).toContain('removed');
  });
});

describe('a configuration from a file', () => {
  async function choose(on: Stage, text: string): Promise<void> {
    put(on, ConfigFile, {});
    const input = by('config-file') as HTMLInputElement;
    const file = { name: 'team.json', size: text.length, text: async () => text };
    Object.defineProperty(input, 'files', { value: [file], configurable: true });
    input.dispatchEvent(new Event('change', { bubbles: true }));
    await settled();
  }
  const changes = [
    { part: 'hook', name: 'tell me', how: 'added', changes: [] },
    { part: 'settings', name: 'settings', how: 'changed', changes: [{ key: 'trash_days', old: 30, new: 7 }] },
  ];

  test('is shown with what it would change before anything is changed', async () => {
    const on = stage();
    on.backend.on('POST', '/api/v1/settings/import', { applied: false, changes });
    await choose(on, '{"version":1}');
    expect(all('[data-testid="config-difference"]')).toHaveLength(2);
    expect(by('config-preview').textContent).toContain('Days in the trash');
    expect(asked(on, 'POST')).toEqual([
      ['/api/v1/settings/import', { config: { version: 1 }, dry_run: true }],
    ]);
    await click('config-apply');
    expect(asked(on, 'POST')[1]).toEqual([
      '/api/v1/settings/import',
      { config: { version: 1 }, dry_run: false },
    ]);
  });

  test('that is none is told without asking the engine', async () => {
    const on = stage();
    await choose(on, 'not json');
    expect(document.body.textContent).toContain('it is not JSON');
    expect(asked(on, 'POST')).toEqual([]);
  });
});

const hook = (more: Partial<Hook> = {}): Hook => ({
  id: 'h',
  name: 'tell me',
  command: ['notify-send', "it's done"],
  events: ['mission_moved', 'topic_opened'],
  timeout_s: 10,
  memory_bytes: 256 * MIB,
  per_minute: 60,
  enabled: true,
  off_because: null,
  running: false,
  waiting: 0,
  passed_over: 0,
  failures: 0,
  last: null,
  ...more,
});
const run = (more: Partial<HookRun> = {}): HookRun => ({
  at: AT,
  event_seq: 7,
  event: 'mission_moved',
  test: false,
  ok: true,
  code: 0,
  how: 'ended with exit code 0',
  ms: 12,
  output: '',
  limit: null,
  ...more,
});

describe('hooks', () => {
  test('a hook written down and read again is the same', () => {
    const { name, command, events, timeout_s, memory_bytes, per_minute } = hook();
    expect(hookOf(draftOf(hook()), command)).toEqual({
      name,
      command,
      events,
      timeout_s,
      memory_bytes,
      per_minute,
    });
    expect(lineOf(command)).toBe(`notify-send 'it'\\''s done'`);
  });

  test('a run says which limit it came to', () => {
    expect(runWords(run({ limit: 'time', how: 'was ended', ms: 10_000 }))).toBe(
      'was ended at its time limit after 10 s',
    );
  });

  test('one that was switched off says why, and can be switched on again', async () => {
    const on = stage();
    const because = 'it failed 5 times in a row';
    on.backend
      .on('GET', '/api/v1/hooks', listing([hook({ enabled: false, off_because: because, failures: 5 })]))
      .on('PATCH', '/api/v1/hooks/h', hook());
    put(on, Hooks, {});
    await settled();
    expect(by('hook').dataset.state).toBe('off');
    expect(by('hook').textContent).toContain(because);
    await click('hook-switch');
    expect(asked(on, 'PATCH')).toEqual([['/api/v1/hooks/h', { enabled: true }]]);
  });

  test('one that is tried and fails says how, and shows what it printed', async () => {
    const on = stage();
    const failed = run({
      ok: false,
      code: 3,
      how: 'ended with exit code 3',
      output: 'no such host\u202e',
      test: true,
    });
    on.backend
      .on('GET', '/api/v1/hooks', listing([hook()]))
      .on('POST', '/api/v1/hooks/h/test', failed)
      .on('GET', '/api/v1/hooks/h/runs', listing([failed]));
    put(on, Hooks, {});
    await settled();
    await click('hook-test');
    expect(on.hive.notices.list.at(-1)?.text).toContain('exit code 3');
    expect(by('hook-run').textContent).toContain('no such host‹U+202E›');
  });
});

describe('secrets', () => {
  test('a value is sent once and stays nowhere on the screen', async () => {
    const on = stage();
    on.backend
      .on('GET', '/api/v1/secrets', {
        items: [{ name: 'OLD_KEY', kept_at: AT, used_by: [] }],
        kept_in: 'file',
        because: 'there is no keychain',
      })
      .on('PUT', '/api/v1/secrets/API_KEY', '', 204);
    put(on, Secrets, {});
    await settled();
    expect(by('secret-store').textContent).toContain('in a file');
    typeInto(by('secret-name'), 'API_KEY');
    typeInto(by('secret-value'), 'hunter2hunter2');
    await click('secret-keep');
    expect(asked(on, 'PUT')).toEqual([['/api/v1/secrets/API_KEY', { value: 'hunter2hunter2' }]]);
    expect((by('secret-value') as HTMLInputElement).value).toBe('');
    expect(document.body.innerHTML).not.toContain('hunter2hunter2');
  });

  test('one is forgotten only after a question', async () => {
    const on = stage();
    on.backend
      .on('GET', '/api/v1/secrets', {
        items: [{ name: 'OLD_KEY', kept_at: AT, used_by: ['scout'] }],
        kept_in: 'keychain',
        because: null,
      })
      .on('DELETE', '/api/v1/secrets/OLD_KEY', '', 204);
    put(on, Secrets, {});
    await settled();
    await click('secret-forget');
    expect(asked(on, 'DELETE')).toEqual([]);
    await click('secret-forget-confirm');
    expect(asked(on, 'DELETE')).toEqual([['/api/v1/secrets/OLD_KEY', undefined]]);
  });
});

const line = (n: number, more: Partial<LogLine> = {}): LogLine => ({
  time: `2026-01-01T00:00:${String(n).padStart(2, '0')}Z`,
  level: 'INFO',
  target: 'engine',
  message: `line ${n}`,
  fields: {},
  correlation_id: null,
  ...more,
});

describe('the log', () => {
  test('new lines are put before those that are known, and a gap is noticed', () => {
    const known = [line(2), line(1)];
    const all = merged(known, [line(3), line(2), line(1)]);
    expect([all.lines.map(({ message }) => message), all.gap]).toEqual([
      ['line 3', 'line 2', 'line 1'],
      false,
    ]);
    expect(merged(known, [line(9), line(8)])).toEqual({ lines: [line(9), line(8)], gap: true });
    expect(merged(known, []).lines).toEqual([]);
  });

  test('fields that are no text are told as JSON', () => {
    expect(restOf(line(1, { fields: { a: 'x', b: { c: 1 } } as unknown as LogLine['fields'] }))).toEqual([
      ['a', 'x'],
      ['b', '{"c":1}'],
    ]);
  });

  test('its lines are shown, and those of one request with one press', async () => {
    const on = stage();
    on.backend
      .on(
        'GET',
        '/api/v1/log',
        listing([line(2, { level: 'ERROR', message: 'it broke', correlation_id: '01890000-aaaa' })]),
      )
      .on('GET', '/api/v1/log/level', { filter: 'info', usual: 'info', until: null });
    put(on, LogView, {});
    await new Promise((done) => setTimeout(done, 300));
    await settled();
    expect(by('log-line').dataset.level).toBe('error');
    expect(by('log-line').textContent).toContain('it broke');
    by('log-line').querySelector('button')?.click();
    await new Promise((done) => setTimeout(done, 300));
    await settled();
    expect(on.backend.asked.at(-1)?.path).toContain('text=01890000-aaaa');
  });
});

test('the engine’s own figures are shown, and what was not measured is no number', async () => {
  const on = stage();
  const about: About = {
    version: '0.4.0',
    platform: 'linux x86_64',
    started_at: AT,
    now: '2026-01-01T01:00:00Z',
    data_dir: '/home/me/hive',
    memory_bytes: null,
    cpu_percent: null,
    ledger_bytes: 2048,
    telemetry_bytes: 0,
    transcripts_bytes: 0,
    logs_bytes: 0,
    events: 12,
    open_streams: 2,
    commit_ms: 0.4,
    queues: [{ name: 'changes to be written', waiting: 3, max: 100 }],
    samples_lost: 0,
    telemetry: { set_aside: null, series: 12, series_max: 65_536, over_series_cap: 0, damaged: 0 },
    api: { requests: 900, samples: 80, p50_ms: 0.83, p95_ms: 3, p99_ms: null },
  };
  on.backend.on('GET', '/api/v1/about', about);
  put(on, AboutPart, {});
  await settled();
  expect(by('about').textContent).toContain('0.4.0');
  expect(by('about-uses').textContent).toContain('—');
  expect(by('about-api').textContent).toMatch(/0\.8 ms.*3\.0 ms.*—/s);
  expect(document.body.textContent).toContain('3 of 100');
  expect([0.83, 12.4, 1_500, null].map(milliseconds)).toEqual(['0.8 ms', '12 ms', '1.5 s', '—']);
});

test('each part of the settings has a name and an address of its own', () => {
  expect(new Set(SECTIONS.map(({ id }) => id)).size).toBe(SECTIONS.length);
  put(stage(), Settings, { section: 'privacy' });
  expect(by('settings-part').dataset.part).toBe('privacy');
  expect(by('settings-privacy').getAttribute('aria-current')).toBe('page');
  expect(by('settings-privacy').getAttribute('href')).toBe('#/settings/privacy');
});
