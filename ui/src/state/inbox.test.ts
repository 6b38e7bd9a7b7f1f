import { expect, test, vi } from 'vitest';
import type { InboxView, RequestAnswer, RequestView } from '../backend/agenttypes';
import type { Event } from '../backend/types';
import { Inbox } from './inbox.svelte';

const request = (id: string): RequestView => ({
  id,
  attempt_id: 'a',
  mission_id: 'm',
  agent_id: 'g',
  ask: { kind: 'question', text: `${id}?`, options: [] },
  asked_at: '2026-01-01T00:00:00Z',
  key: 'k',
  told: false,
  agent: 'scout',
  short_id: 'M-1',
  mission_title: 'x',
  age_s: 1,
});
const view = (...ids: string[]): InboxView => ({
  requests: ids.map(request),
  reviews: [],
  quarantined: [],
  counts: { permissions: 0, questions: ids.length, reviews: 0, quarantined: 0, total: ids.length },
});

/** An engine whose answers are given one by one. */
function engine(...ids: string[]) {
  let open = ids;
  const waiting = new Map<string, (ok: boolean) => void>();
  const api = {
    inbox: vi.fn(async () => view(...open)),
    answer: vi.fn(
      (id: string, _answer: RequestAnswer) =>
        new Promise<RequestView>((done, fail) => {
          waiting.set(id, (ok) => {
            if (!ok) return fail(new Error('refused'));
            open = open.filter((one) => one !== id);
            done(request(id));
          });
        }),
    ),
    retryMessage: vi.fn(),
    discardMessage: vi.fn(),
  };
  return { api, inbox: new Inbox(api), end: (id: string, ok = true) => waiting.get(id)?.(ok) };
}
const ids = (inbox: Inbox) => inbox.requests.map((one) => one.id);

test('two requests at once do not overwrite each other’s answer', async () => {
  const { api, inbox, end } = engine('a', 'b');
  await inbox.read();
  const first = inbox.answer('a', { answer: 'text', text: 'one' });
  const second = inbox.answer('b', { answer: 'deny', note: 'two' });
  expect([...inbox.answering]).toEqual(['a', 'b']);
  // They come back in the other order.
  end('b');
  await second;
  expect(ids(inbox)).toEqual(['a']);
  expect([...inbox.answering]).toEqual(['a']);
  end('a');
  await first;
  expect(ids(inbox)).toEqual([]);
  expect(api.answer.mock.calls).toEqual([
    ['a', { answer: 'text', text: 'one' }],
    ['b', { answer: 'deny', note: 'two' }],
  ]);
});

test('a request is answered once, however often the key is pressed', async () => {
  const { api, inbox, end } = engine('a');
  await inbox.read();
  const first = inbox.answer('a', { answer: 'once' });
  expect(await inbox.answer('a', { answer: 'deny' })).toBeNull();
  end('a');
  await first;
  expect(api.answer).toHaveBeenCalledOnce();
});

test('a request whose answer was refused is still there', async () => {
  const { inbox, end } = engine('a');
  await inbox.read();
  const answer = inbox.answer('a', { answer: 'once' });
  end('a', false);
  await expect(answer).rejects.toThrow('refused');
  expect(ids(inbox)).toEqual(['a']);
  expect(inbox.answering.size).toBe(0);
});

test('the count goes down with the answer, before the engine was read again', async () => {
  const { api, inbox, end } = engine('a', 'b');
  await inbox.read();
  api.inbox.mockImplementation(() => new Promise(() => undefined));
  const answer = inbox.answer('a', { answer: 'once' });
  end('a');
  await answer;
  expect(inbox.counts.total).toBe(1);
  expect(inbox.counts.questions).toBe(1);
});

test('a reading begun earlier never takes the place of a later one', async () => {
  const { api, inbox } = engine();
  let slow: (view: InboxView) => void = () => undefined;
  api.inbox.mockImplementationOnce(() => new Promise((done) => (slow = done)));
  const first = inbox.read();
  api.inbox.mockImplementationOnce(async () => view('new'));
  await inbox.read();
  slow(view('old'));
  await first;
  expect(ids(inbox)).toEqual(['new']);
});

test('a permission request appears within a second of its event', async () => {
  const { api, inbox } = engine('a');
  inbox.apply([{ fact: { kind: 'agent_added' } }] as unknown as Event[]);
  // What only may concern it does not hold up what does.
  inbox.apply([{ fact: { kind: 'mission_moved' } }] as unknown as Event[]);
  inbox.apply([
    { fact: { kind: 'request_asked' } },
    { fact: { kind: 'request_asked' } },
  ] as unknown as Event[]);
  await expect.poll(() => ids(inbox), { timeout: 1_000 }).toEqual(['a']);
  expect(api.inbox).toHaveBeenCalledOnce();
});
