import { beforeAll, describe, expect, test, vi } from 'vitest';
import { Conversation } from '../../state/conversation.svelte';
import { all, by, one, put, settled, stage, withoutLayout } from '../../state/testing/stage';
import type { Body, EntryAt, RequestView, Tokens, ToolCall } from '../../state/types';
import ConversationView from './ConversationView.svelte';
import EntryRow from './EntryRow.svelte';
import { fillOf, guessOf, inputOf, tookOf, usageLine } from './words';

beforeAll(withoutLayout);

const AT = '2026-01-01T00:00:00Z';
const item = (body: Body, ordinal = 1): EntryAt => ({
  ordinal,
  revision: ordinal,
  entry: { id: `e${ordinal}`, at: AT, updated_at: AT, body },
});
const NO_TOKENS: Tokens = {
  uncached_input: null,
  cache_read: null,
  cache_write: null,
  output: null,
  reasoning: null,
};
const tokens = (more: Partial<Tokens> = {}): Tokens => ({ ...NO_TOKENS, ...more });
const call = (more: Partial<ToolCall> = {}): ToolCall => ({
  title: 'cargo test',
  tool: 'execute',
  state: 'completed',
  changes: [],
  places: [],
  slow: false,
  ...more,
});

const onraw = vi.fn();
function show(body: Body, open = false) {
  const on = stage();
  put(on, EntryRow, { item: item(body), open, ontoggle: vi.fn(), onraw });
  return on;
}

const HOSTILE = '<img src=x onerror=alert(1)><script>alert(2)</script>[x](javascript:alert(3))';
const bodies: [string, Body][] = [
  ['a prompt', { kind: 'prompt', from: { kind: 'agent', id: 'a', name: HOSTILE }, text: HOSTILE }],
  ['a message', { kind: 'message', text: HOSTILE }],
  ['a thought', { kind: 'thought', text: HOSTILE }],
  [
    'a tool call',
    {
      kind: 'tool_call',
      call: call({
        title: HOSTILE,
        name: HOSTILE,
        input: HOSTILE,
        output: HOSTILE,
        places: [HOSTILE],
        changes: [{ path: HOSTILE, before: HOSTILE, after: `${HOSTILE}\n<b>` }],
      }),
    },
  ],
  ['a plan', { kind: 'plan', steps: [{ text: HOSTILE, state: 'in_progress' }] }],
  ['a request', { kind: 'request', title: HOSTILE, answer: HOSTILE }],
  ['a state', { kind: 'state', text: HOSTILE, problem: true }],
  ['a line that was not understood', { kind: 'unsupported', text: HOSTILE, why: HOSTILE }],
];

test.each(bodies)('what an agent wrote in %s is never markup', (_name, body) => {
  show(body, true);
  expect(document.body.querySelector('img, script, b, [onerror], a[href^="javascript"]')).toBeNull();
  expect(document.body.textContent).toContain('onerror=alert(1)');
});

test('control sequences of a terminal do not reach the page', () => {
  show(
    { kind: 'tool_call', call: call({ output: '\u001b[31mred\u001b[0m\u0007\u001b]0;title\u0007 done' }) },
    true,
  );
  expect(one('pre').textContent).toBe('red done');
});

test('each message says who it comes from', () => {
  show({ kind: 'prompt', from: { kind: 'captain' }, text: 'go' });
  expect(by('entry').textContent).toContain('You');
  document.body.replaceChildren();
  show({ kind: 'prompt', from: { kind: 'system' }, text: 'go' });
  expect(by('entry').textContent).toContain('Hivekeeper');
});

describe('a tool call', () => {
  test('shows how long it took, how it came out, and that it was slow', () => {
    show({
      kind: 'tool_call',
      call: call({ state: 'failed', slow: true, started_at: AT, ended_at: '2026-01-01T00:01:05Z' }),
    });
    expect(by('tool-took').textContent).toBe('1 min 5 s');
    expect(by('tool-state').textContent).toContain('failed');
    expect(by('entry').textContent).toContain('slow');
  });

  test('that runs counts on', () => {
    const running = call({ state: 'running', started_at: AT });
    expect(tookOf(running, Date.parse(AT) + 3_000)).toBe('3 s');
    expect(tookOf(running, Date.parse(AT) + 4_000)).toBe('4 s');
    expect(tookOf(call({ state: 'pending' }), 0)).toBeNull();
    // A clock that is behind never makes it negative.
    expect(tookOf(running, Date.parse(AT) - 9_000)).toBe('0 s');
  });

  test('is folded until it is asked for, and says so to a screen reader', () => {
    show({ kind: 'tool_call', call: call({ input: 'secret input' }) });
    expect(by('tool-call').getAttribute('aria-expanded')).toBe('false');
    expect(document.body.textContent).not.toContain('secret input');
  });

  test('shows what it changes as a diff', () => {
    show(
      { kind: 'tool_call', call: call({ changes: [{ path: 'a.rs', before: 'old\n', after: 'new\n' }] }) },
      true,
    );
    const diff = by('diff').textContent ?? '';
    expect(diff).toContain('old');
    expect(diff).toContain('new');
  });
});

test('plain output leads to its place in the raw output', () => {
  show({ kind: 'output', stream: 'stderr', from: 4_096, to: 8_192 });
  by('entry-raw').click();
  expect(onraw).toHaveBeenCalledWith('stderr', 4_096);
});

test('a request that waits leads to the inbox', () => {
  show({ kind: 'request', request_id: 'r1', title: 'May I?' });
  expect(one('a').getAttribute('href')).toBe('#/inbox/r1');
});

test('a request whose id the entry does not know yet leads to it all the same, and says exactly what', () => {
  const permission = { title: 'shell', command: 'git push origin main', changes: [], places: [] };
  const waiting = {
    id: 'r2',
    ask: { kind: 'permission', permission },
  } as unknown as RequestView;
  const body: Body = { kind: 'request', title: 'shell' };
  put(stage(), EntryRow, { item: item(body), open: false, ontoggle: vi.fn(), onraw, waiting });
  expect(by('entry-answer').getAttribute('href')).toBe('#/inbox/r2');
  expect(document.body.textContent).toContain('git push origin main');
});

test('what we say ourselves is folded at the end of a paragraph', () => {
  const text = `You are scout.\n\n${'the brief '.repeat(20)}\n\n## How to report\n\n${'use the tools '.repeat(30)}`;
  show({ kind: 'prompt', from: { kind: 'system' }, text });
  expect(document.body.textContent).toContain('the brief');
  expect(document.body.textContent).not.toContain('How to report');
  show({ kind: 'prompt', from: { kind: 'system' }, text }, true);
  expect(document.body.textContent).toContain('use the tools');
});

test.each<[string, Extract<Body, { kind: 'usage' }>, string]>([
  [
    'everything',
    {
      kind: 'usage',
      tokens: tokens({ uncached_input: 1_000, cache_read: 9_000, output: 50 }),
      context: { used: 500, size: 1_000 },
      reported_cost_micros: 120_000,
    },
    '10,000 tokens in · 50 out · context 50 % full · $0.12 as the agent says',
  ],
  ['nothing', { kind: 'usage', tokens: tokens() }, '— tokens in · — out'],
  [
    'a context of unknown size',
    { kind: 'usage', tokens: tokens(), context: { used: 7, size: 0 } },
    '— tokens in · — out · context 7',
  ],
])('usage that says %s', (_name, body, text) => expect(usageLine(body)).toBe(text));

test('what nobody said is no number', () => {
  expect(inputOf(tokens())).toBeNull();
  expect(inputOf(tokens({ cache_read: 0 }))).toBe(0);
  expect(fillOf({ used: 5, size: 0 })).toBeNull();
  expect(fillOf({ used: 15, size: 10 })).toBe(1);
});

test('the height of an entry is guessed in bounded time, however long it is', () => {
  const began = performance.now();
  const long = guessOf(item({ kind: 'message', text: 'x\n'.repeat(500_000) }));
  expect(long).toBeGreaterThan(1_000);
  expect(performance.now() - began).toBeLessThan(500);
});

describe('the list of entries', () => {
  function engine(count: number) {
    const entries = Array.from({ length: count }, (_, i) =>
      item({ kind: 'message', text: `word ${i + 1}` }, i + 1),
    );
    return {
      entries,
      conversation: async () => ({
        entries: entries.slice(-200),
        first: 1,
        last: entries.length,
        total: entries.length,
        kept_from: 1,
        revision: entries.length,
      }),
      changes: vi.fn(() => new Promise<never>(() => undefined)),
    };
  }

  test('shows the end and how many there are', async () => {
    const on = stage();
    const conversation = new Conversation(engine(100_000), 'a');
    put(on, ConversationView, { conversation, live: true, onraw });
    void conversation.run(() => true);
    await settled();
    expect(by('conversation').dataset.rows).toBe('200');
    expect(document.body.textContent).toContain('100,000 entries');
    expect(all('[data-testid="entry"]').length).toBeLessThanOrEqual(80);
    conversation.close();
  });

  test('let go of, counts what is new and goes back to it', async () => {
    const on = stage();
    const conversation = new Conversation(engine(5), 'a');
    put(on, ConversationView, { conversation, live: true, onraw });
    void conversation.run(() => true);
    await settled();
    by('conversation-follow').click();
    await settled();
    expect(by('conversation-new').textContent).toContain('To the end');
    conversation.newest = 8;
    await settled();
    expect(by('conversation-new').textContent).toContain('3 new');
    by('conversation-new').click();
    await settled();
    expect(document.querySelector('[data-testid="conversation-new"]')).toBeNull();
    conversation.close();
  });

  test('says what was given up', async () => {
    const on = stage();
    const source = engine(5);
    const conversation = new Conversation(
      {
        ...source,
        conversation: async () => ({ ...(await source.conversation()), first: 1, kept_from: 41 }),
      },
      'a',
    );
    put(on, ConversationView, { conversation, live: false, onraw });
    void conversation.run(() => true);
    await settled();
    expect(by('conversation-kept').textContent).toContain('The first 40 entries were given up');
    conversation.close();
  });
});
