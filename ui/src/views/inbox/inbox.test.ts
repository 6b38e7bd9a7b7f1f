import { beforeAll, beforeEach, describe, expect, test } from 'vitest';
import {
  all,
  by,
  one,
  press,
  put,
  type Stage,
  settled,
  stage,
  type as typeInto,
  withoutLayout,
} from '../../state/testing/stage';
import type { InboxView, MessageView, RequestAsk, RequestView } from '../../state/types';
import Inbox from './Inbox.svelte';
import { itemsOf, lineOf, placeAfter } from './items';
import { asked } from './keys';

beforeAll(withoutLayout);
beforeEach(() => {
  location.hash = '';
});

const permission = (command: string): RequestAsk => ({
  kind: 'permission',
  permission: {
    title: 'Run a command',
    tool: 'execute',
    command,
    changes: [],
    places: [],
    why: 'the tests have to pass',
    risk: { level: 'high', reasons: ['it publishes something'] },
    pattern: 'run: git push *',
    agent_remembers: false,
  },
});
const request = (id: string, ask: RequestAsk, more: Partial<RequestView> = {}): RequestView => ({
  id,
  attempt_id: `at-${id}`,
  mission_id: 'm',
  agent_id: 'g',
  ask,
  asked_at: `2026-01-01T00:00:0${id}Z`,
  key: 'k',
  told: false,
  agent: 'scout',
  short_id: 'M-7K2P',
  mission_title: 'Fix it',
  age_s: 1,
  ...more,
});
const question = request('3', { kind: 'question', text: 'Which one?', options: ['left', 'right'] });
const message = {
  id: 'msg',
  to: 'g',
  agent: 'scout',
  from: { kind: 'captain' },
  text: 'hello',
  urgency: 'regular',
  queued_at: '2026-01-01T00:00:00Z',
  tries: 3,
  problem: 'the agent’s pipe is closed',
  quarantined: true,
  discarded: false,
  state: 'quarantined',
} as MessageView;
const view = (requests: RequestView[], more: Partial<InboxView> = {}): InboxView => ({
  requests,
  reviews: [],
  quarantined: [],
  counts: {
    permissions: requests.length,
    questions: 0,
    reviews: 0,
    quarantined: 0,
    total: requests.length,
  },
  ...more,
});

const two = () => [
  request('1', permission('git push origin main')),
  request('2', permission('rm -rf build')),
];

async function opened(given: InboxView): Promise<Stage> {
  const on = stage();
  on.backend.on('GET', '/api/v1/inbox', given);
  for (const { id } of given.requests)
    on.backend.on('POST', `/api/v1/requests/${id}/answer`, { ...given.requests[0], id });
  put(on, Inbox, { id: null });
  await settled();
  return on;
}
const answers = (on: Stage) =>
  on.backend.asked
    .filter(({ method }) => method === 'POST')
    .map(({ path, body }) => [path.split('/').at(-2), body]);
const peek = () => by('inbox-peek').dataset.request;

test('the directory of a command, and what it is given besides, are seen before the answer', async () => {
  const ask = permission('rm -rf build');
  if (ask.kind === 'permission') {
    ask.permission.directory = '/home/u/other';
    ask.permission.input = '{"stdin":"rm x"}';
  }
  await opened(view([request('1', ask)]));
  const text = by('inbox-peek').textContent ?? '';
  for (const part of ['rm -rf build', '/home/u/other', 'What it is given besides', '"stdin"'])
    expect(text).toContain(part);
});

test('the exact command, why, how dangerous and why, of whom and for what are seen before the answer', async () => {
  await opened(view(two()));
  const text = by('inbox-peek').textContent ?? '';
  for (const part of [
    'git push origin main',
    'the tests have to pass',
    'high risk',
    'it publishes something',
    'scout',
    'M-7K2P',
  ])
    expect(text).toContain(part);
});

describe('by the keyboard', () => {
  test('j and k go up and down, and stay at the ends', async () => {
    await opened(view([...two(), question]));
    expect(peek()).toBe('1');
    await press(document.body, 'k');
    expect(peek()).toBe('1');
    await press(document.body, 'j', 'j', 'j');
    expect(peek()).toBe('3');
    await press(document.body, 'k');
    expect(peek()).toBe('2');
  });

  test('a key that answers requests says why it answers no review', async () => {
    const review = {
      mission_id: 'm9',
      short_id: 'M-9ABC',
      title: 'Look at it',
      since: '2026-01-01T00:00:00Z',
    };
    const on = await opened(view([], { reviews: [review] }));
    await press(document.body, 'n');
    expect(on.hive.notices.list.at(-1)?.text).toMatch(/M-9ABC .*stays here until you review it/);
    await press(document.body, 'o');
    expect(on.hive.notices.list.at(-1)?.text).toContain('Enter opens it');
    expect(answers(on)).toEqual([]);
  });

  test('o allows once and goes on to the next', async () => {
    const on = await opened(view(two()));
    await press(document.body, 'o');
    expect(answers(on)).toEqual([['1', { answer: 'once' }]]);
    expect(peek()).toBe('2');
  });

  test('a opens the pattern and how far it reaches, and sends both', async () => {
    const on = await opened(view(two()));
    await press(document.body, 'a');
    expect(answers(on)).toEqual([]);
    const pattern = by('inbox-pattern');
    expect((pattern as HTMLInputElement).value).toBe('run: git push *');
    typeInto(pattern, 'run: git push origin *');
    all('[data-testid="inbox-always-editor"] input[type="radio"]')[2]?.click();
    await settled();
    by('inbox-always-confirm').click();
    await settled();
    expect(answers(on)).toEqual([
      ['1', { answer: 'always', scope: 'workspace', pattern: 'run: git push origin *' }],
    ]);
  });

  test('Escape leaves the editor without an answer', async () => {
    const on = await opened(view(two()));
    await press(document.body, 'a');
    await press(by('inbox-pattern'), 'Escape');
    expect(document.querySelector('[data-testid="inbox-always-editor"]')).toBeNull();
    expect(answers(on)).toEqual([]);
  });

  test('d denies with a note', async () => {
    const on = await opened(view(two()));
    await press(document.body, 'd');
    typeInto(by('inbox-note'), 'use the fork');
    by('inbox-deny-confirm').click();
    await settled();
    expect(answers(on)).toEqual([['1', { answer: 'deny', note: 'use the fork' }]]);
  });

  test('n puts it off', async () => {
    const on = await opened(view(two()));
    await press(document.body, 'n');
    expect(answers(on)).toEqual([['1', { answer: 'not_now' }]]);
  });

  test('a number gives that answer to a question; letters that allow do nothing to it', async () => {
    const on = await opened(view([question]));
    await press(document.body, 'o', 'a', 'd', '7');
    expect(answers(on)).toEqual([]);
    await press(document.body, '2');
    expect(answers(on)).toEqual([['3', { answer: 'text', text: 'right' }]]);
  });

  test('letters that are typed answer nothing', async () => {
    const on = await opened(view([question, ...two()]));
    await press(by('inbox-list'), 'j', 'j');
    await press(by('inbox-text'), 'o', 'n', 'd');
    expect(answers(on)).toEqual([]);
  });

  test('Enter looks closer, a letter answers from there, Escape leads back', async () => {
    const change = permission('');
    if (change.kind !== 'permission') throw new Error('not a permission');
    change.permission.command = null;
    change.permission.changes = [{ path: 'a.rs', before: 'old\n', after: 'new\n' }];
    const on = await opened(view([request('1', change), ...two().slice(1)]));
    await press(by('inbox-list'), 'Enter');
    expect(document.activeElement).toBe(by('diff'));
    // The diff has its own j: it goes to the next change, not to the next request.
    await press(by('diff'), 'j');
    expect(peek()).toBe('1');
    await press(by('diff'), 'Escape');
    expect(document.activeElement).toBe(by('inbox-list'));
    await press(by('inbox-list'), 'Enter');
    await press(by('diff'), 'o');
    expect(answers(on)).toEqual([['1', { answer: 'once' }]]);
  });

  test('a key that is held down moves on and never answers', () => {
    const key = (name: string) => new KeyboardEvent('keydown', { key: name, repeat: true });
    expect(asked(key('o'))).toBeNull();
    expect(asked(key('1'))).toBeNull();
    expect(asked(key('j'))).toEqual({ kind: 'move', by: 1 });
    expect(asked(new KeyboardEvent('keydown', { key: 'o', ctrlKey: true }))).toBeNull();
  });
});

test('a request that came while another is read does not take its place', async () => {
  const on = await opened(view([request('5', permission('make'))]));
  expect(peek()).toBe('5');
  on.backend.on(
    'GET',
    '/api/v1/inbox',
    view([request('1', permission('older')), request('5', permission('make'))]),
  );
  await on.hive.inbox.read();
  await settled();
  expect(peek()).toBe('5');
});

test('an answer that was refused is told, and the request is picked again', async () => {
  const on = await opened(view(two()));
  on.backend.on(
    'POST',
    '/api/v1/requests/1/answer',
    { detail: 'nobody waits for it', code: 'conflict' },
    409,
  );
  await press(document.body, 'o');
  expect(on.hive.notices.list.at(-1)?.text).toContain('nobody waits for it');
  expect(peek()).toBe('1');
});

test('a message in quarantine shows its error and can be delivered again or discarded', async () => {
  const on = await opened(view([], { quarantined: [message] }));
  expect(by('message-problem').textContent).toContain('pipe is closed');
  on.backend.on('POST', '/api/v1/messages/msg/retry', { ...message, state: 'queued' });
  by('message-retry').click();
  await settled();
  expect(on.backend.asked.some(({ path }) => path === '/api/v1/messages/msg/retry')).toBe(true);
});

test('a review leads to its page', async () => {
  await opened(
    view([], { reviews: [{ mission_id: 'm', short_id: 'M-1', title: 'x', since: '2026-01-01T00:00:00Z' }] }),
  );
  await press(document.body, 'Enter');
  expect(location.hash).toBe('#/review/M-1');
});

test('an empty inbox says that nothing waits', async () => {
  await opened(view([]));
  expect(document.body.textContent).toContain('Nothing waits for you');
});

test('what an agent asks is never markup', async () => {
  await opened(
    view([
      request('1', permission('<img src=x onerror=alert(1)>'), {
        agent: '<b>x</b>',
        mission_title: '<i>y</i>',
      }),
    ]),
  );
  expect(document.querySelector('img, b, i')).toBeNull();
  expect(one('pre').textContent).toContain('<img src=x');
});

test('what was put off comes last, what waits longest first', () => {
  const later = request('1', permission('later'), { not_before: '2026-01-01T01:00:00Z' });
  const items = itemsOf(
    {
      requests: [later, request('9', permission('b')), request('4', permission('a'))],
      reviews: [],
      quarantined: [message],
    },
    Date.parse('2026-01-01T00:30:00Z'),
  );
  expect(items.map((item) => item.key)).toEqual(['4', '9', 'msg', '1']);
});

test('the keyboard goes to what took the place of what went', () => {
  const items = (...ids: string[]) =>
    ids.map((id) => ({
      kind: 'request' as const,
      key: id,
      request: request(id, permission('x')),
      later: false,
    }));
  expect(placeAfter(items('1', '2', '3'), items('1', '3'), '2')).toBe('3');
  expect(placeAfter(items('1', '2'), items('1'), '2')).toBe('1');
  expect(placeAfter(items('1'), [], '1')).toBeNull();
  expect(placeAfter([], items('1'), null)).toBe('1');
});

test('a change without a command is named by its files', () => {
  const ask = permission('');
  if (ask.kind !== 'permission') throw new Error('not a permission');
  ask.permission.command = null;
  ask.permission.changes = [
    { path: 'a.rs', after: '' },
    { path: 'b.rs', after: '' },
  ];
  expect(lineOf(request('1', ask))).toBe('a.rs and 1 more');
});
