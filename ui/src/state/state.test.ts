import { describe, expect, test, vi } from 'vitest';
import { Api, fileName, Refusal } from '../backend/api';
import { browserBackend, keepPageSecret, loginCode, signIn } from '../backend/browser';
import { ReplayBackend } from '../backend/replay';
import type { Event } from '../backend/types';
import { Detail } from './detail.svelte';
import { Missions } from './missions.svelte';
import { href, parseRoute } from './router.svelte';
import { readStored } from './settings.svelte';

describe('the address', () => {
  test.each([
    ['', { view: 'deck' }],
    ['#/missions', { view: 'missions', id: null }],
    ['#/missions/M-7K2P', { view: 'missions', id: 'M-7K2P' }],
    ['#/agents/a%2Fb', { view: 'agents', id: 'a/b' }],
    ['#/agents/%E0%A4%A', { view: 'agents', id: '%E0%A4%A' }],
    ['#/nonsense', { view: 'deck' }],
    ['#login=abc', { view: 'deck' }],
  ])('%s is read', (hash, route) => expect(parseRoute(hash)).toEqual(route));

  test('a written address is read back', () =>
    expect(parseRoute(href('agents', 'ä/b c'))).toEqual({ view: 'agents', id: 'ä/b c' }));
});

test.each([
  ['#login=abc-12_3', 'abc-12_3'],
  ['#login=', null],
  ['#/missions', null],
  ['#login=a b', null],
])('the login code of %s is %s', (hash, code) => expect(loginCode(hash)).toBe(code));

test('a page shows its secret with every request, and with the live stream', async () => {
  const asked: [string, RequestInit | undefined][] = [];
  const opened: [string, string | string[] | undefined][] = [];
  vi.stubGlobal('fetch', (path: string, init?: RequestInit) => {
    asked.push([path, init]);
    return Promise.resolve(new Response(path.endsWith('/login') ? '{"page":"hk_p_1"}' : ''));
  });
  vi.stubGlobal(
    'WebSocket',
    class {
      constructor(url: string, protocols?: string | string[]) {
        opened.push([url, protocols]);
      }
    },
  );
  const backend = browserBackend();
  const secret = (n: number) => new Headers(asked[n]?.[1]?.headers).get('X-Hivekeeper-Page');
  await backend.request('GET', '/api/v1/overview');
  expect(secret(0)).toBeNull();
  location.hash = '#login=abc';
  await signIn(backend);
  expect(location.hash).toBe('');
  await backend.request('GET', '/api/v1/overview');
  expect(secret(2)).toBe('hk_p_1');
  const handlers = { onOpen: () => undefined, onFrame: () => undefined, onEnd: () => undefined };
  backend.live(handlers, null, ['agents']);
  expect(opened[0]?.[1]).toEqual(['hivekeeper.live', 'hk_p_1']);
  expect(opened[0]?.[0]).not.toContain('hk_p_1');
  keepPageSecret(null);
  await backend.request('GET', '/api/v1/overview');
  expect(secret(3)).toBeNull();
  vi.unstubAllGlobals();
});

test.each([
  [null, 'system'],
  ['{"theme":"dark"}', 'dark'],
  ['{"theme":"pink"}', 'system'],
  ['not json', 'system'],
])('of the stored appearance %s the theme is %s', (text, theme) =>
  expect(readStored(text).theme).toBe(theme),
);

test('the newest answer wins, whichever comes last', async () => {
  const answers: ((value: string) => void)[] = [];
  const detail = new Detail(() => new Promise<string>((done) => answers.push(done)));
  const first = detail.read();
  const second = detail.read();
  answers[1]?.('new');
  answers[0]?.('old');
  await Promise.all([first, second]);
  expect(detail.value).toBe('new');
});

describe('a request', () => {
  test('that is refused says what happened, what to do and what is possible', async () => {
    const problem = {
      status: 409,
      code: 'transition_refused',
      title: 'Refused',
      detail: 'it runs',
      hint: 'wait',
      allowed: ['cancel'],
    };
    const api = new Api(new ReplayBackend().on('POST', '/api/v1/missions/m/accept', problem, 409));
    const refused = await api.ask('m', 'accept').catch((error: unknown) => error);
    expect(refused).toBeInstanceOf(Refusal);
    expect(refused).toMatchObject({
      message: 'it runs',
      hint: 'wait',
      allowed: ['cancel'],
      code: 'transition_refused',
    });
  });

  test('that fails without a word is named by its status', async () => {
    const api = new Api(new ReplayBackend().on('GET', '/api/v1/overview', 'bad gateway', 502));
    await expect(api.overview()).rejects.toThrow('502');
  });

  test('for a file keeps its name and its text as they came', async () => {
    const headers = { 'content-disposition': 'attachment; filename="a.md"', 'content-type': 'text/markdown' };
    const backend = new ReplayBackend().on(
      'GET',
      '/api/v1/devlogs/d/export',
      '{"not": "parsed"}',
      200,
      headers,
    );
    const file = await new Api(backend).exportDevlog('d', 'md');
    expect(file).toEqual({ name: 'a.md', mediaType: 'text/markdown', text: '{"not": "parsed"}' });
    expect(backend.asked[0]?.path).toBe('/api/v1/devlogs/d/export?format=md');
    expect(fileName(null, 'x')).toBe('x');
  });

  test('names its subject safely', async () => {
    const backend = new ReplayBackend().on('GET', '/api/v1/missions/..%2Fagents', { id: 'x' });
    await new Api(backend).mission('../agents');
    expect(backend.asked[0]?.path).toBe('/api/v1/missions/..%2Fagents');
  });
});

describe('the missions', () => {
  const mission = (id: string, state: string) => ({
    id,
    short_id: id,
    title: id,
    state,
    allowed: [],
    attempts: 0,
  });
  const moved = (id: string) =>
    ({ seq: 1, subject: { mission_id: id }, fact: { kind: 'mission_moved' } }) as unknown as Event;

  test('are read page by page', async () => {
    const backend = new ReplayBackend()
      .on('GET', '/api/v1/missions?limit=500', { items: [mission('b', 'queued')], next: 'c1' })
      .on('GET', '/api/v1/missions?cursor=c1&limit=500', { items: [mission('a', 'done')], next: null });
    const missions = new Missions(new Api(backend));
    await missions.read();
    expect(missions.list.map(({ id }) => id)).toEqual(['b', 'a']);
    expect(missions.more).toBe(false);
  });

  test('that events speak of are read again, and only those', async () => {
    const backend = new ReplayBackend()
      .on('GET', '/api/v1/missions', { items: [mission('b', 'queued'), mission('a', 'queued')], next: null })
      .on('GET', '/api/v1/missions/a', {
        ...mission('a', 'running'),
        brief: '',
        attempt_count: 2,
        attempts: [{}, {}],
      });
    const missions = new Missions(new Api(backend));
    await missions.read();
    missions.apply([moved('a')]);
    await expect.poll(() => missions.byId.get('a')?.state).toBe('running');
    expect(missions.byId.get('a')?.attempt_count).toBe(2);
    expect(missions.list.map(({ id }) => id)).toEqual(['b', 'a']);
    expect(backend.asked.filter(({ path }) => path.endsWith('/b'))).toEqual([]);
  });
});
