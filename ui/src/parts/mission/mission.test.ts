import { describe, expect, test } from 'vitest';
import type { AttemptView, MissionState, MissionView } from '../../state/types';
import { attemptWords } from './attempts';
import { dependencies } from './graph';
import { byAgent, byMission } from './lanes';
import {
  asksOf,
  COLUMNS,
  deadlineWords,
  dropAsk,
  EDITABLE,
  errorWords,
  foldedOf,
  ownerWord,
  slug,
  touches,
} from './words';

const NOW = Date.parse('2026-03-01T12:00:00Z');

test.each([
  ['2026-03-01T12:00:30Z', 'due in less than a minute', false],
  ['2026-03-01T12:40:00Z', 'due in 40 min', false],
  ['2026-03-02T13:00:00Z', 'due in 25 h', false],
  ['2026-03-05T12:00:00Z', 'due in 4 d', false],
  ['2026-03-01T11:00:00Z', '1 h overdue', true],
])('a deadline at %s is told as: %s', (deadline, text, late) =>
  expect(deadlineWords(deadline, NOW)).toEqual({ text, late }),
);

test.each([
  [0.3, 'as estimated'],
  [25, '25 % longer than estimated'],
  [-40.4, '40 % shorter than estimated'],
])('an error of %s percent is told as: %s', (percent, text) => expect(errorWords(percent)).toBe(text));

test.each([
  ['queued', 'meant for'],
  ['running', 'in the hands of'],
  ['done', 'worked on by'],
] as const)('of a mission that is %s the owner is the one it is %s', (state, text) =>
  expect(ownerWord(state)).toBe(text),
);

test('a request says what it touches before it is confirmed', () => {
  const mission = { state: 'running' as MissionState, agent_name: 'ada', repository: '/r' };
  expect(touches('cancel', mission)).toEqual([
    'The processes of ada are ended now.',
    'Its branch, its worktree and its output stay.',
  ]);
  expect(touches('cancel', { ...mission, state: 'queued' })[0]).toBe('Nothing of it runs.');
  expect(touches('pause', mission)).toEqual([]);
});

test('sending back comes before what ends a mission', () => {
  expect(asksOf(['cancel', 'reject', 'send_back', 'accept'])).toEqual([
    'accept',
    'send_back',
    'reject',
    'cancel',
  ]);
});

test('the rarer asks go into the menu where there are many, and rejecting where a review offers it', () => {
  const allowed = ['accept', 'retry', 'send_back', 'reject', 'cancel'] as const;
  expect(foldedOf({ allowed: [...allowed], repository: '/r' })).toEqual(['retry', 'reject', 'cancel']);
  expect(foldedOf({ allowed: [...allowed], repository: null })).toEqual(['retry', 'cancel']);
  expect(foldedOf({ allowed: ['pause', 'cancel'], repository: '/r' })).toEqual([]);
});

test('what runs is not changed, and the addresses of columns are lasting', () => {
  expect(EDITABLE).not.toContain('running');
  expect(COLUMNS.map(({ name }) => slug(name))).toEqual([
    'draft',
    'queue',
    'working',
    'needs-you',
    'done',
    'failed',
  ]);
  expect(COLUMNS.map((column) => dropAsk(column, 'running'))).toEqual([
    null,
    'retry',
    null,
    null,
    'accept',
    'cancel',
  ]);
});

const mission = (id: string, depends_on: string[] = [], more: object = {}): MissionView =>
  ({
    id,
    short_id: `M-${id}`,
    title: `title ${id}`,
    state: 'queued',
    depends_on,
    ...more,
  }) as unknown as MissionView;

describe('the graph', () => {
  const all = [mission('a'), mission('b', ['a']), mission('c', ['b', 'gone']), mission('d')];

  test('has those with dependencies and what they depend on', () => {
    const { nodes, links, alone, unknown } = dependencies(all, all);
    expect(nodes.map(({ id }) => id)).toEqual(['a', 'b', 'c']);
    expect(links).toEqual([
      { from: 'a', to: 'b' },
      { from: 'b', to: 'c' },
    ]);
    expect([alone, unknown]).toEqual([1, 1]);
  });

  test('of a part has its neighbours too, so that no link leads nowhere', () => {
    const { nodes, links } = dependencies(all.slice(1, 2), all);
    expect(nodes.map(({ id }) => id)).toEqual(['a', 'b', 'c']);
    expect(links).toHaveLength(2);
  });
});

const attempt = (id: string, agent: string | null, more: object = {}): AttemptView =>
  ({
    id,
    agent_id: `id-${agent}`,
    agent,
    n: 1,
    state: 'running',
    leased_at: '2026-03-01T11:00:00Z',
    ended_at: null,
    ...more,
  }) as unknown as AttemptView;

describe('the timeline', () => {
  const attempts: Record<string, AttemptView[]> = {
    a: [
      attempt('1', 'ada', { state: 'rejected', ended_at: '2026-03-01T11:30:00Z', note: 'a gate failed' }),
      attempt('2', 'bob'),
    ],
    b: [attempt('3', 'ada', { in_review: true, state: 'verifying' })],
  };
  const missions = [mission('a'), mission('b'), mission('c')];
  const known = (id: string) => attempts[id] ?? null;

  test('has a lane for each mission with its attempts as bars', () => {
    const lanes = byMission(missions, known);
    expect(lanes.map(({ id, bars }) => [id, bars.map((bar) => bar.id)])).toEqual([
      ['a', ['1', '2']],
      ['b', ['3']],
      ['c', []],
    ]);
    expect(lanes[0]?.bars[0]).toMatchObject({
      tone: 'bad',
      to: Date.parse('2026-03-01T11:30:00Z'),
      about: ['rejected', 'a gate failed'],
    });
    expect(lanes[0]?.bars[1]?.to).toBeNull();
    expect(lanes[1]?.bars[0]).toMatchObject({ tone: 'review', about: ['in review'] });
  });

  test('has a lane for each agent, by name', () => {
    expect(
      byAgent(missions, known).map(({ title, sub, bars }) => [title, sub, bars.map((bar) => bar.title)]),
    ).toEqual([
      ['ada', '2 attempts', ['M-a title a', 'M-b title b']],
      ['bob', '1 attempt', ['M-a title a']],
    ]);
  });
});

test.each([
  [{ state: 'running', frozen: true }, 'held'],
  [{ state: 'verifying', in_review: true }, 'in review'],
  [{ state: 'running', stopping: true, frozen: true }, 'stopping'],
  [{ state: 'lost' }, 'lost'],
])('an attempt %j is %s', (facts, word) => expect(attemptWords(facts as AttemptView).word).toBe(word));
