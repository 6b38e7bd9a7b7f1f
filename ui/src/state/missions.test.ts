import { afterEach, describe, expect, test, vi } from 'vitest';
import type {
  AttemptView,
  GateOutput,
  GateSpec,
  MissionCheck,
  MissionDetail,
  MissionView,
} from '../backend/types';
import { Attempts } from './attempts.svelte';
import { draftOf, type GateDraft, gateLabel, gateLine, gateProblem, isBlank, KINDS, newGate } from './gates';
import { ASK_AFTER_MS, Checking } from './missioncheck.svelte';
import {
  BLANK,
  type Fields,
  fieldsOf,
  fromLocal,
  isTouched,
  lines,
  localField,
  toEdit,
  toNew,
  words,
} from './missiondraft';
import { fitting, isFiltering, type MissionFilter, readFilter, writeFilter } from './missionfilter';
import { Pieces } from './pieces.svelte';
import { parseQuery, parseRoute } from './router.svelte';

describe('a gate', () => {
  const specs: [GateSpec, string][] = [
    [{ kind: 'command', command: 'cargo test', timeout_s: 600 }, 'command: cargo test'],
    [
      { kind: 'command', command: 'make', timeout_s: 60, proof: '{n} "ok"' },
      'command(timeout=60, proof="{n} \\"ok\\""): make',
    ],
    [{ kind: 'file', path: 'out.txt' }, 'file: out.txt'],
    [{ kind: 'diff_not_empty' }, 'diff: not empty'],
    [{ kind: 'diff_within', paths: ['src/**', 'docs/*'] }, 'paths: src/** docs/*'],
    [{ kind: 'max_lines', lines: 600 }, 'max-lines: 600'],
    [{ kind: 'no_duplicates', lines: 10 }, 'no-duplicates: 10'],
    [{ kind: 'no_secrets' }, 'no-secrets: diff'],
    [{ kind: 'ci', name: 'build' }, 'ci: build'],
    [{ kind: 'reviewer', agent: null }, 'reviewer: any'],
    [{ kind: 'reviewer', agent: 'ada' }, 'reviewer: ada'],
    [{ kind: 'human', question: 'does it read well?' }, 'human: does it read well?'],
  ];
  test.each(specs)('%j is written as the engine writes it', (spec, line) => {
    expect(gateLine(draftOf(spec))).toBe(line);
    expect(gateLabel(spec)).not.toBe('');
  });

  test('of every kind can be picked, and is left out while nothing is filled in', () => {
    expect(KINDS).toHaveLength(10);
    expect(KINDS.filter((kind) => isBlank(newGate(kind)))).toEqual([
      'command',
      'file',
      'paths',
      'ci',
      'human',
    ]);
  });

  const gate = (kind: GateDraft['kind'], more: Partial<GateDraft>) => ({ ...newGate(kind), ...more });
  test.each([
    [gate('command', { text: 'make' }), true, null],
    [gate('command', { text: 'make', timeout: '0' }), true, 'A time'],
    [gate('command', { text: 'make', timeout: '1.5' }), true, 'A time'],
    [gate('command', { text: 'make', proof: 'passed' }), true, 'The proof'],
    [gate('command', { text: 'make', proof: '{n}' }), true, 'The proof'],
    [gate('max-lines', { text: 'many' }), true, 'A number'],
    [gate('no-duplicates', { text: '2' }), true, 'from 3 on'],
    [gate('diff', {}), false, 'needs a repository'],
    [gate('diff', {}), true, null],
  ])('%j with a repository: %s has the problem: %s', (it, repository, problem) => {
    const found = gateProblem(it, repository);
    if (problem === null) expect(found).toBeNull();
    else expect(found).toContain(problem);
  });
});

describe('what was typed into the sheet', () => {
  test('becomes a mission, with nothing made up', () => {
    const made = toNew({
      ...BLANK,
      title: ' Fix it ',
      brief: 'so',
      labels: 'tests, , backend,tests',
      criteria: 'one\n\n two ',
      retries: '2',
    });
    expect(made).toMatchObject({
      title: 'Fix it',
      labels: ['tests', 'backend'],
      criteria: ['one', 'two'],
      retries: 2,
      policy: null,
      proof: null,
      backoff_s: null,
      hand_over: null,
      deadline: null,
      estimate_min: null,
      template: null,
      if_similar: 'ask',
    });
  });

  test('leaves out gates with nothing in them', () => {
    const gates = [newGate('command'), { ...newGate('file'), text: 'a.md' }];
    expect(toNew({ ...BLANK, gates }).gates).toEqual(['file: a.md']);
  });

  test('a deadline is the captain’s local time, to the minute', () => {
    const at = new Date(2026, 2, 29, 8, 5).toISOString();
    expect(localField(at)).toBe('2026-03-29T08:05');
    expect(fromLocal(localField(at))).toBe(at);
    expect(fromLocal('')).toBeNull();
    expect(fromLocal('never')).toBeNull();
  });

  const detail = {
    id: 'm',
    title: 'Fix it',
    brief: 'so',
    agent: 'a1',
    repository: '/r',
    priority: 'normal',
    policy: 'strict',
    proof: null,
    gates: [{ kind: 'diff_not_empty' }, { kind: 'file', path: 'own.txt' }],
    retries_max: 1,
    backoff_s: 1,
    deadline: '2026-03-01T12:00:00Z',
    estimate: { seconds: 600, samples: 3, because: 'measured' },
    labels: ['x'],
    criteria: [{ text: 'one', met: true }],
    depends_on: [],
  } as unknown as MissionDetail;
  const before = fieldsOf(detail, [{ kind: 'diff_not_empty' }]);
  const changed = (change: Partial<Fields>) => toEdit(before, { ...before, ...change });

  test('shows a mission with its own gates and without what was only measured', () => {
    expect(toNew(before).gates).toEqual(['file: own.txt']);
    expect(before.estimate).toBe('');
    expect(before.criteria).toBe('one');
  });

  test('changes only what differs', () => {
    expect(changed({})).toBeNull();
    expect(changed({ title: 'Fix it now' })).toEqual({ title: 'Fix it now' });
    expect(changed({ agent: '', deadline: '' })).toEqual({ agent: null, deadline: null });
    expect(changed({ labels: '' })).toEqual({ labels: [] });
    expect(changed({ retries: '' })).toBeNull();
  });

  test('is missed once there is something', () => {
    expect(isTouched(BLANK)).toBe(false);
    expect(isTouched({ ...BLANK, agent: 'a', repository: '/r' })).toBe(false);
    expect(isTouched({ ...BLANK, brief: 'x' })).toBe(true);
  });

  test('words and lines', () => {
    expect(words('a, b\nc,')).toEqual(['a', 'b', 'c']);
    expect(lines(' a \n\nb, c')).toEqual(['a', 'b, c']);
  });
});

describe('the filter', () => {
  const filter: MissionFilter = {
    look: 'graph',
    text: 'ä & b',
    group: 'needs-you',
    label: 'a,b',
    agent: 'x y',
    lanes: 'agents',
  };

  test('written into the address is read back', () => {
    expect(readFilter(writeFilter(filter), 'board')).toEqual(filter);
    expect(readFilter('view=pie&lanes=x', 'list')).toMatchObject({
      look: 'list',
      lanes: 'missions',
      text: '',
    });
    expect(isFiltering(filter)).toBe(true);
    expect(isFiltering({ ...filter, text: ' ', group: '', label: '', agent: '' })).toBe(false);
  });

  test('stands behind the screen’s name', () => {
    expect(parseRoute('#/missions?view=graph&text=a/b')).toEqual({ view: 'missions', id: null });
    expect(parseQuery('#/missions?view=graph&text=a?b')).toBe('view=graph&text=a?b');
    expect(parseQuery('#/missions')).toBe('');
  });

  test('keeps those that fit in everything', () => {
    const mission = (id: string, state: string, labels: string[], agent_name: string | null) =>
      ({
        id,
        short_id: `M-${id}`,
        title: `title ${id}`,
        state,
        labels,
        agent_name,
      }) as unknown as MissionView;
    const all = [
      mission('a', 'queued', ['x'], null),
      mission('b', 'running', ['x', 'docs'], 'ada'),
      mission('c', 'done', [], 'ada'),
    ];
    const none = readFilter('', 'board');
    const ids = (change: Partial<MissionFilter>, states: string[] | null = null) =>
      fitting(all, { ...none, ...change }, states).map(({ id }) => id);
    expect(ids({})).toEqual(['a', 'b', 'c']);
    expect(ids({ label: 'x' })).toEqual(['a', 'b']);
    expect(ids({ agent: 'ada', text: 'TITLE' })).toEqual(['b', 'c']);
    expect(ids({ text: 'docs' })).toEqual(['b']);
    expect(ids({}, ['queued'])).toEqual(['a']);
  });
});

describe('the check while a mission is written', () => {
  afterEach(() => void vi.useRealTimers());

  test('asks once typing rests, calls off what is older, and never creates', async () => {
    vi.useFakeTimers();
    const asked: { title: string; signal: AbortSignal; answer: (value: MissionCheck) => void }[] = [];
    const check = new Checking({
      checkMission: (mission, signal) =>
        new Promise((answer) => {
          asked.push({ title: mission.title, signal: signal as AbortSignal, answer });
        }),
    });
    for (const title of ['F', 'Fi', 'Fix']) check.ask(toNew({ ...BLANK, title }));
    await vi.advanceTimersByTimeAsync(ASK_AFTER_MS);
    expect(asked.map(({ title }) => title)).toEqual(['Fix']);
    check.ask(toNew({ ...BLANK, title: 'Fix it' }));
    expect(asked[0]?.signal.aborted).toBe(true);
    await vi.advanceTimersByTimeAsync(ASK_AFTER_MS);
    asked[0]?.answer({ policy_because: 'old' } as MissionCheck);
    asked[1]?.answer({ policy_because: 'new' } as MissionCheck);
    await vi.advanceTimersByTimeAsync(0);
    expect(check.value?.policy_because).toBe('new');
    expect(check.busy).toBe(false);
    check.clear();
    expect(check.value).toBeNull();
  });
});

describe('attempts of many missions', () => {
  const mission = (id: string, updated_at = 't1', attempt_count = 1) =>
    ({ id, updated_at, attempt_count }) as MissionView;

  test('are read a few at a time, and again only when the mission changed', async () => {
    const asked: string[] = [];
    let [open, most] = [0, 0];
    const attempts = new Attempts({
      mission: async (id) => {
        asked.push(id);
        open += 1;
        most = Math.max(most, open);
        await Promise.resolve();
        open -= 1;
        return { updated_at: 't1', attempts: [{ id: `${id}-1` }] as AttemptView[] } as MissionDetail;
      },
    });
    const many = Array.from({ length: 10 }, (_, i) => mission(`m${i}`));
    await attempts.read([...many, mission('never', 't1', 0)]);
    expect(asked).toHaveLength(10);
    expect(most).toBeLessThanOrEqual(4);
    expect(attempts.of('m3')?.[0]?.id).toBe('m3-1');
    expect([attempts.of('never'), attempts.left]).toEqual([null, 0]);
    await attempts.read([...many.slice(1), mission('m0', 't2')]);
    expect(asked.slice(10)).toEqual(['m0']);
  });

  test('a failure is told and what was read stays', async () => {
    let fail = false;
    const attempts = new Attempts({
      mission: async () => {
        if (fail) throw new Error('gone');
        return { updated_at: 't1', attempts: [] as AttemptView[] } as MissionDetail;
      },
    });
    await attempts.read([mission('a')]);
    fail = true;
    await attempts.read([mission('a'), mission('b')]);
    expect(String(attempts.error)).toContain('gone');
    expect(attempts.of('a')).toEqual([]);
  });
});

describe('a text in pieces', () => {
  const piece = (text: string, next_offset: number, size: number) =>
    ({ text, next_offset, size, printed: size }) as GateOutput;

  test('is read to its end, and no further than asked', async () => {
    const size = 60;
    const output = new Pieces(async (offset) => piece('x'.repeat(10), offset + 10, size));
    await output.more();
    expect([output.read, output.whole]).toEqual([40, false]);
    await output.more();
    expect([output.text?.length, output.whole]).toEqual([60, true]);
  });

  test('that is empty is whole, and an error keeps what was read', async () => {
    const empty = new Pieces(async () => piece('', 0, 0));
    await empty.more();
    expect([empty.text, empty.whole]).toEqual(['', true]);
    let asked = 0;
    const broken = new Pieces(async () => {
      asked += 1;
      if (asked > 1) throw new Error('gone');
      return piece('ab', 2, 9);
    });
    await broken.more();
    expect([broken.text, String(broken.error), broken.busy]).toEqual(['ab', 'Error: gone', false]);
  });
});
