import { expect, test } from 'vitest';
import { Api } from '../backend/api';
import { ReplayBackend } from '../backend/replay';
import type { AgentView, Event, Frame, Payload } from '../backend/types';
import { EVENTS_KEPT, merged, Swarm } from './swarm.svelte';

const agent = (id: string, name = id) => ({ id, name, status: { state: 'idle' } }) as unknown as AgentView;
const event = (seq: number, fact: unknown = { kind: 'engine_stopped' }) =>
  ({ seq, fact, subject: {} }) as unknown as Event;
const frame = (payload: unknown): Frame => ({
  version: 2,
  epoch: 'e',
  seq: 1,
  topic: 'agents',
  correlation_id: null,
  payload: payload as Payload,
});
const names = (agents: readonly AgentView[]) => agents.map(({ id, name }) => `${id}:${name}`);

test.each([
  ['a changed agent keeps its place', [agent('b', 'new')], [], ['a:a', 'b:new', 'c:c']],
  ['a new agent comes last', [agent('d')], [], ['a:a', 'b:b', 'c:c', 'd:d']],
  ['a removed agent is gone', [], ['b'], ['a:a', 'c:c']],
  ['a removed agent does not come back with an older view', [agent('b', 'new')], ['b'], ['a:a', 'c:c']],
])('%s', (_name, changed, removed, expected) => {
  const list = [agent('a'), agent('b'), agent('c')];
  expect(names(merged(list, changed, new Set(removed)))).toEqual(expected);
});

test('agents that did not change are the same objects, so that nothing is drawn for them', () => {
  const list = [agent('a'), agent('b')];
  expect(merged(list, [agent('b', 'x')], new Set())[0]).toBe(list[0]);
});

test('what the stream says during a reading is newer than the reading', async () => {
  let answer: (body: string) => void = () => undefined;
  const backend = new ReplayBackend()
    .on('GET', '/api/v1/overview', { needs_you: 0 })
    .on('GET', '/api/v1/events', { items: [event(1)] })
    .onCall(
      'GET',
      '/api/v1/agents',
      () =>
        new Promise((done) => {
          answer = (body) => done({ status: 200, headers: {}, body });
        }),
    );
  const swarm = new Swarm(new Api(backend));
  const reading = swarm.read();
  await expect.poll(() => backend.asked.length).toBe(3);
  swarm.apply([
    frame({ kind: 'agents', agents: [agent('a', 'newer')], removed: ['b'] }),
    frame({ kind: 'events', events: [event(2, { kind: 'agent_removed', agent_id: 'b' })] }),
  ]);
  answer(JSON.stringify({ items: [agent('a', 'older'), agent('b')] }));
  await reading;
  expect(names(swarm.agents)).toEqual(['a:newer']);
  expect(swarm.events.map(({ seq }) => seq)).toEqual([2, 1]);
});

test('events are kept newest first, once each, within bounds', () => {
  const swarm = new Swarm(new Api(new ReplayBackend()));
  for (let seq = 1; seq <= EVENTS_KEPT + 5; seq += 1)
    swarm.apply([frame({ kind: 'events', events: [event(seq)] })]);
  swarm.apply([frame({ kind: 'events', events: [event(EVENTS_KEPT)] })]);
  expect(swarm.events).toHaveLength(EVENTS_KEPT);
  expect(swarm.events[0]?.seq).toBe(EVENTS_KEPT + 5);
});
