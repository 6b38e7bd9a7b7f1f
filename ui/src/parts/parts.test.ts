import { describe, expect, test } from 'vitest';
import type { AgentView, Event, MissionState, MissionView } from '../state/types';
import { triage } from '../views/deck/triage';
import { found, rank } from '../views/shell/commands';
import { words } from './event/words';
import { asksOf, COLUMNS, dropAsk, MISSION_STATES, whose } from './mission/words';

const names = { agent: () => 'scout', mission: () => ({ short_id: 'M-7K2P', title: 'Fix it' }) };
const said = (fact: unknown) =>
  words({ seq: 1, subject: { mission_id: 'm', agent_id: 'a' }, fact } as unknown as Event, names);

test.each([
  [{ kind: 'mission_moved', to: 'done', grade: 'observed', note: null }, 'is done, evidence: observed'],
  [
    { kind: 'mission_moved', to: 'failed', grade: 'none', note: '1 gate failed' },
    'is failed — 1 gate failed',
  ],
  [{ kind: 'attempt_leased', attempt: { n: 2 } }, 'was taken by scout (attempt 2)'],
  [{ kind: 'attempt_exited', record: { exit: { kind: 'code', code: 3 } } }, 'scout ended with exit code 3'],
  [
    { kind: 'attempt_exited', record: { exit: { kind: 'stopped', killed: true } } },
    'scout was killed after its grace ran out',
  ],
  [
    {
      kind: 'gate_finished',
      result: { verdict: 'timed_out', duration_ms: 600_000, gate: { kind: 'command', command: 'make' } },
    },
    'gate make timed out in 10 min',
  ],
  [
    { kind: 'work_recorded', work: { commits: [{}], diff: { insertions: 3, deletions: 1 } } },
    '1 commit secured: +3 −1',
  ],
  [
    { kind: 'attempt_exited', record: { exit: { kind: 'rebooted' } } },
    'scout was cut off when the machine was restarted',
  ],
  [{ kind: 'mission_changed', brief: null }, 'was changed'],
  [
    {
      kind: 'mission_progressed',
      progress: { percent: 40, text: 'half way' },
      criteria: [{ met: true }, { met: false }],
    },
    'reports 40 %: half way (1 of 2 criteria met)',
  ],
  [{ kind: 'handoff_written', handoff: null }, 'starts anew: the next attempt gets no handoff'],
  [
    { kind: 'work_merged', merge: { target: 'main', commit: 'abcdef0123456', how: 'squash' } },
    'was put onto main as abcdef0123 (one commit)',
  ],
  [
    {
      kind: 'gate_finished',
      result: { verdict: 'passed', duration_ms: 2_000, by: 'ada', gate: { kind: 'reviewer', agent: 'ada' } },
    },
    'gate reviewer (ada) passed in 2 s, answered by ada',
  ],
  [{ kind: 'attempt_frozen', frozen: true }, 'the processes of scout are held where they are'],
  [
    { kind: 'checkpoint_made', checkpoint: { n: 2, commit: '0123456789abc', note: 'before a pause' } },
    'has checkpoint 2 at 0123456789 — before a pause',
  ],
  [{ kind: 'swarm_halted', note: 'fire' }, 'everything was stopped — fire'],
  [
    { kind: 'message_queued', message: { from: { kind: 'captain' }, text: 'stop\nthat', urgency: 'urgent' } },
    'You to scout, urgent: stop that',
  ],
  [{ kind: 'messages_acknowledged', message_ids: ['1', '2'] }, 'scout answered to 2 messages'],
  [
    { kind: 'message_failed', problem: 'its pipe is closed', tries: 3, quarantined: true },
    'a message to scout could not be delivered and waits for you: its pipe is closed',
  ],
  [
    { kind: 'request_asked', request: { ask: { kind: 'permission', permission: { title: 'Run make' } } } },
    'scout asks: Run make',
  ],
  [{ kind: 'request_ended', end: { kind: 'denied', note: 'no' } }, 'scout was not allowed to — no'],
  [{ kind: 'context_crossed', percent: 70 }, 'the context of scout is more than 70 % full'],
  [{ kind: 'a_fact_of_tomorrow' }, 'something happened: a fact of tomorrow'],
  [
    { kind: 'trashed', item: { kind: 'worktree', attempt: 1, bytes: 2_048 } },
    'the worktree of attempt 1 (2.00 KiB) went to the trash',
  ],
  [
    { kind: 'vote_cast', vote: { option: 'red', rationale: 'it is seen' } },
    'scout votes for red — it is seen',
  ],
])('an event is told in words: %#', (fact, text) => expect(said(fact).text).toBe(text));

test('an event leads to its mission', () => {
  expect(said({ kind: 'attempt_verifying' })).toMatchObject({
    about: 'M-7K2P Fix it',
    link: '#/missions/M-7K2P',
  });
});

test('every state of a mission has one column', () => {
  for (const state of Object.keys(MISSION_STATES) as MissionState[]) {
    expect(COLUMNS.filter((column) => column.states.includes(state))).toHaveLength(1);
  }
});

test.each([
  ['Queue', 'draft', 'queue'],
  ['Queue', 'paused', 'resume'],
  ['Queue', 'failed', 'retry'],
  ['Done', 'in_review', 'accept'],
  ['Done', 'running', 'accept'],
  ['Failed', 'in_review', 'reject'],
  ['Failed', 'running', 'cancel'],
  ['Working', 'queued', null],
  ['Draft', 'queued', null],
] as const)('dropping on %s a mission that is %s asks for %s', (name, from, ask) => {
  const column = COLUMNS.find((one) => one.name === name);
  expect(column && dropAsk(column, from)).toBe(ask);
});

test('the orchestrator’s own inputs are never offered', () => {
  expect(asksOf(['lease', 'cancel', 'pass', 'accept'])).toEqual(['accept', 'cancel']);
});

test.each([
  ['queued', {}, 'any agent'],
  ['queued', { attempt_count: 1 }, 'any agent'],
  ['in_review', { attempt_count: 1 }, '—'],
  ['done', { attempt_count: 1 }, '—'],
  ['done', { attempt_count: 1, agent: 'a', agent_name: 'scout' }, 'scout'],
  ['queued', { agent: 'a', waiting: { kind: 'agent_removed' } }, 'agent removed'],
  ['draft', { agent: 'a' }, 'agent removed'],
])('whose a mission is: %s %j', (state, more, expected) =>
  expect(whose({ state, attempt_count: 0, ...more } as unknown as MissionView)).toBe(expected),
);

describe('triage', () => {
  const mission = (state: MissionState) =>
    ({ id: state, short_id: state, title: state, state, updated_at: '' }) as unknown as MissionView;
  const agent = (state: string) =>
    ({
      id: state,
      name: state,
      status: { state, reason: '', since: '', signal: 'attempt', confidence: 'certain' },
    }) as unknown as AgentView;

  test('everything has one place, in the one order', () => {
    const states = Object.keys(MISSION_STATES) as MissionState[];
    const agents = ['idle', 'offline', 'lost_signal', 'working'].map(agent);
    const groups = triage(states.map(mission), agents);
    expect(groups.map(({ name, items }) => [name, items.map(({ title }) => title)])).toEqual([
      ['Needs you', ['needs_input', 'lost_signal']],
      ['Working', ['running', 'verifying', 'assigned']],
      ['Review', ['in_review']],
      ['Idle', ['queued', 'paused', 'draft', 'offline', 'idle']],
      ['Done', ['failed', 'done', 'cancelled']],
    ]);
  });

  test('reviews need you too: they count once, and are shown in their own place', () => {
    const [asks] = triage([mission('in_review'), mission('needs_input')], [agent('offline')]);
    expect(asks).toMatchObject({ total: 2, about: '1 to review, below' });
    expect(asks?.items).toHaveLength(1);
  });
});

describe('the palette', () => {
  const command = (title: string, about = '') => ({ id: title, title, about, run: () => undefined });

  test('finds by every word, the beginning of the title first', () => {
    const all = [command('Go to the missions'), command('New mission', 'write'), command('Missing')];
    expect(found(all, 'mission', 9).map(({ title }) => title)).toEqual(['Go to the missions', 'New mission']);
    expect(found(all, 'new wr', 9).map(({ title }) => title)).toEqual(['New mission']);
    expect(found(all, 'mis', 1).map(({ title }) => title)).toEqual(['Missing']);
  });

  test('finds nothing where a word is missing', () =>
    expect(rank(command('New mission'), 'new agent')).toBeNull());
});
