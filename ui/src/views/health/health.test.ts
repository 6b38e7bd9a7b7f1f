import { beforeAll, describe, expect, test } from 'vitest';
import { all, by, put, settled, stage, withoutLayout } from '../../state/testing/stage';
import type { CheckView } from '../../state/types';
import CheckPage from './CheckPage.svelte';
import { checkOf, draftOf, numberFault, PROBES } from './draft';
import Health from './Health.svelte';
import { byTrouble, lineOf, shareText } from './words';

const check = (name: string, state: CheckView['state'], settings: unknown = null): CheckView =>
  ({ id: name, name, state, settings }) as unknown as CheckView;

test('what needs somebody comes first', () => {
  const all = [check('a', 'ok'), check('b', 'unknown'), check('c', 'failed'), check('d', 'degraded')];
  expect(all.sort(byTrouble).map(({ name }) => name)).toEqual(['c', 'd', 'b', 'a']);
});

test.each([
  [null, '\u2014'],
  [1, '100 %'],
  [0.9999999, '99.999 %'],
  [0.998611, '99.86 %'],
  [0.5, '50.0 %'],
])('a share of %s of the time is %s', (share, text) => expect(shareText(share)).toBe(text));

test('a command is written as it would be typed', () => {
  expect(lineOf(['/bin/sh', '-c', "echo it's"])).toBe(`/bin/sh -c 'echo it'\\''s'`);
});

describe('a check that is written down', () => {
  test('of every kind is the same when it was read again', () => {
    const words = ['sh', '-c', 'true'];
    for (const { value: kind } of PROBES) {
      const draft = {
        ...draftOf(null),
        name: 'x',
        kind,
        url: 'http://h/',
        host: 'h',
        path: '/tmp',
        command: lineOf(words),
        degradedCode: '3',
        degradedAge: '600',
      };
      const made = checkOf(draft, words);
      expect(made.probe.kind).toBe(kind);
      const again = draftOf(check('x', 'ok', { ...made }));
      expect(checkOf(again, words)).toEqual(made);
    }
  });

  test('says which number is none; what may be left out may be', () => {
    const draft = draftOf(null);
    expect(numberFault(draft)).toBeNull();
    expect(numberFault({ ...draft, interval: 'often' })).toBe('interval');
    expect(numberFault({ ...draft, status: '' })).toBeNull();
    expect(numberFault({ ...draft, status: '2.5' })).toBe('status');
    expect(numberFault({ ...draft, kind: 'tcp', port: '' })).toBe('port');
  });
});

beforeAll(withoutLayout);

const shown = (id: string, state: CheckView['state'], more: object = {}): CheckView =>
  ({
    id,
    name: id,
    kind: 'engine',
    subject: { kind: 'engine', id },
    state,
    reason: state === 'ok' ? '' : `${id} is wrong`,
    since: '2026-01-01T00:00:00Z',
    last_at: null,
    next_at: null,
    latency_ms: null,
    running: false,
    uptime: { day: 1, week: null, month: null },
    maintenance: false,
    target: '',
    settings: null,
    vitals: null,
    reported: null,
    ...more,
  }) as unknown as CheckView;

describe('the health screen', () => {
  test('lists what is wrong first, of agents only what is, and says what to do where there is nothing', async () => {
    const on = stage();
    on.backend
      .on('GET', '/api/v1/health', { ok: 3, degraded: 0, failed: 1, unknown: 0 })
      .on('GET', '/api/v1/health/maintenance', { items: [], next: null })
      .on('GET', '/api/v1/health/checks', { items: [], next: null })
      .on('GET', '/api/v1/health/checks?subject=engine', {
        items: [shown('api', 'ok'), shown('store', 'failed')],
        next: null,
      });
    put(on, Health, {});
    await settled();
    expect(all('[data-testid="check"] strong').map((one) => one.textContent)).toEqual(['store', 'api']);
    expect(by('count-failed').textContent).toContain('1');
    expect(document.body.textContent).toContain('No checks of your own');
    const asked = on.backend.asked.map(({ path }) => path).filter((path) => path.includes('agent'));
    expect(asked.length).toBeGreaterThan(0);
    for (const path of asked) expect(path).toMatch(/state=(failed|degraded)/);
    by('count-ok').click();
    await settled();
    expect(all('[data-testid="check"] strong').map((one) => one.textContent)).toEqual(['api']);
  });

  test('what Hivekeeper made itself cannot be edited, and an agent is asked four questions', async () => {
    const on = stage();
    const answer = (state: string) => ({ state, reason: state });
    on.backend
      .on('GET', '/api/v1/health/checks/agent.a', {
        ...shown('scout', 'failed', { subject: { kind: 'agent', id: 'a' }, kind: 'agent' }),
        vitals: {
          started: answer('ok'),
          alive: answer('ok'),
          ready: answer('unknown'),
          progressing: answer('failed'),
        },
      })
      .on('GET', '/api/v1/health/checks/agent.a/history', {
        beats: [],
        changes: [],
        uptime: null,
        outages: 0,
        mean_to_repair_s: null,
        mean_between_failures_s: null,
      });
    put(on, CheckPage, { id: 'agent.a' });
    await settled();
    expect(by('check-reason').textContent).toContain('scout is wrong');
    expect(all('[data-testid="check-edit"]')).toHaveLength(0);
    for (const question of ['Started?', 'Alive?', 'Ready?', 'Progressing?'])
      expect(document.body.textContent).toContain(question);
  });
});
