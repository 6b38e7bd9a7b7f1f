import { expect, test } from 'vitest';
import type { MessageView, RequestView } from '../backend/agenttypes';
import type { AgentView, MissionView } from '../backend/types';
import { triage } from '../views/deck/triage';
import { countOf, needsOf } from './needs';

const AT = '2026-01-01T00:00:00Z';
const agent = (id: string, state: string, mission_id: string | null = null) =>
  ({
    id,
    name: id,
    status: { state, since: AT, reason: 'so', signal: 'output', confidence: 'certain' },
    current: mission_id === null ? null : { mission_id },
  }) as unknown as AgentView;
const mission = (id: string, state: string) =>
  ({ id, short_id: id, title: id, state, updated_at: AT }) as unknown as MissionView;
const request = (id: string, mission_id: string, agent_id: string, more: Partial<RequestView> = {}) =>
  ({
    id,
    mission_id,
    agent_id,
    agent: agent_id,
    asked_at: AT,
    ask: { kind: 'question', text: 'Which?', options: [] },
    ...more,
  }) as unknown as RequestView;
const NOBODY = { requests: [], quarantined: [] };

test('what needs the captain is one number: answers, reviews, and agents only the captain can help', () => {
  const states = ['lost_signal', 'crash_looping', 'offline', 'idle', 'working'];
  const missions = ['in_review', 'in_review', 'needs_input', 'failed', 'queued'].map((state, i) =>
    mission(`m${i}`, state),
  );
  const needs = needsOf(
    missions,
    states.map((state) => agent(state, state)),
    NOBODY,
    0,
  );
  expect(countOf(needs)).toBe(5);
});

test('a request is one thing, not its mission and its agent as well', () => {
  const needs = needsOf(
    [mission('m', 'needs_input')],
    [agent('a', 'waiting_for_captain', 'm')],
    { requests: [request('r', 'm', 'a')], quarantined: [] },
    0,
  );
  expect(countOf(needs)).toBe(1);
});

test('a mission that asks without a request is one thing with its agent', () => {
  const needs = needsOf([mission('m', 'needs_input')], [agent('a', 'waiting_for_captain', 'm')], NOBODY, 0);
  expect(countOf(needs)).toBe(1);
  expect(needs.asking).toHaveLength(1);
});

test('what was put off does not need the captain until it comes back', () => {
  const later = {
    requests: [request('r', 'm', 'a', { not_before: '2026-01-01T00:15:00Z' })],
    quarantined: [],
  };
  const at = (time: string) => countOf(needsOf([mission('m', 'needs_input')], [], later, Date.parse(time)));
  expect(at('2026-01-01T00:10:00Z')).toBe(0);
  expect(at('2026-01-01T00:16:00Z')).toBe(1);
});

test('what an agent asks leads from the deck into the inbox', () => {
  const quarantined = [{ id: 'q', queued_at: AT, problem: 'closed', text: 'x' } as unknown as MessageView];
  const needs = needsOf([], [], { requests: [request('r', 'm', 'a')], quarantined }, 0);
  const [group] = triage([], [], needs);
  expect(group?.items.map((item) => item.link)).toEqual(['#/inbox/r', '#/inbox/q']);
  expect(group?.total).toBe(2);
});
