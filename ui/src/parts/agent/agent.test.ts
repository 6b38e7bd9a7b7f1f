import { beforeAll, describe, expect, test } from 'vitest';
import {
  all,
  by,
  press,
  put,
  settled,
  stage,
  type as typeInto,
  withoutLayout,
} from '../../state/testing/stage';
import type { AgentView, Conduct, UsageView as Figures, MessageView } from '../../state/types';
import AgentOutput from './AgentOutput.svelte';
import { conductOf, draftOf, envText, limitWords, plainConduct, readEnv, readSkills } from './conduct';
import MessageBox from './MessageBox.svelte';
import { stepsOf, whenHeard } from './messagewords';
import { isPattern } from './requests';
import StatusTruth from './StatusTruth.svelte';
import UsageView from './UsageView.svelte';
import { activityLine, lastLine, says, withoutPath } from './words';

beforeAll(withoutLayout);

const AT = '2026-01-01T00:00:00Z';
const agent = { id: 'g', name: 'scout', status: { state: 'working' } } as unknown as AgentView;
const message = (id: string, more: Partial<MessageView> = {}): MessageView => ({
  id,
  to: 'g',
  agent: 'scout',
  from: { kind: 'captain' },
  text: `text ${id}`,
  urgency: 'regular',
  queued_at: AT,
  tries: 0,
  quarantined: false,
  discarded: false,
  state: 'queued',
  ...more,
});

describe('the message box', () => {
  const box = async (...items: MessageView[]) => {
    const on = stage();
    on.backend.on('GET', '/api/v1/messages', { items });
    put(on, MessageBox, { agent });
    await settled();
    return on;
  };

  test('shows queued, delivered, started and acknowledged as separate times', async () => {
    await box(message('1', { delivered_at: AT, state: 'delivered' }));
    const steps = all('[data-testid="message"] li').map((step) => step.textContent?.trim() ?? '');
    expect(steps).toHaveLength(4);
    expect(steps[1]).toMatch(/^delivered \d\d:\d\d:\d\d$/);
    expect(steps[2]).toBe('started —');
    expect(stepsOf(message('1')).map((step) => step.at)).toEqual([AT, null, null, null]);
  });

  test('shows captain, agent or system as source', async () => {
    await box(
      message('1'),
      message('2', { from: { kind: 'agent', id: 'x', name: '<b>ada</b>' } }),
      message('3', { from: { kind: 'system' } }),
    );
    expect(all('[data-testid="message-source"]').map((one) => one.textContent)).toEqual([
      'You',
      '<b>ada</b>',
      'Hivekeeper',
    ]);
  });

  test('sends what is written, urgent where it is said to be, by the keyboard too', async () => {
    const on = await box();
    on.backend.on('POST', '/api/v1/agents/g/messages', message('9', { text: 'stop that' }));
    on.backend.on('GET', '/api/v1/messages', { items: [message('9', { text: 'stop that' })] });
    typeInto(by('message-text'), ' stop that ');
    by('message-urgent').click();
    await settled();
    by('message-text').dispatchEvent(
      new KeyboardEvent('keydown', { key: 'Enter', ctrlKey: true, bubbles: true, cancelable: true }),
    );
    await settled();
    const sent = on.backend.asked.find(({ method }) => method === 'POST');
    expect(sent?.body).toEqual({ text: 'stop that', urgent: true });
    expect((by('message-text') as HTMLTextAreaElement).value).toBe('');
    expect(all('[data-testid="message"]')).toHaveLength(1);
  });

  test('keeps what was written when it was refused, and says why', async () => {
    const on = await box();
    on.backend.on(
      'POST',
      '/api/v1/agents/g/messages',
      { code: 'too_many', detail: 'a thousand messages wait already', hint: 'Take some back.' },
      409,
    );
    typeInto(by('message-text'), 'hello');
    by('message-send').click();
    await settled();
    expect((by('message-text') as HTMLTextAreaElement).value).toBe('hello');
    expect(document.body.textContent).toContain('a thousand messages wait already');
  });

  test('a plain Enter writes a new line', async () => {
    const on = await box();
    typeInto(by('message-text'), 'hello');
    await press(by('message-text'), 'Enter');
    expect(on.backend.asked.every(({ method }) => method === 'GET')).toBe(true);
  });

  test('a message in quarantine can be retried or discarded', async () => {
    const on = await box(
      message('1', { state: 'quarantined', quarantined: true, tries: 3, problem: 'too long' }),
    );
    expect(by('message-problem').textContent).toBe('too long (3 tries)');
    on.backend.on(
      'POST',
      '/api/v1/messages/1/discard',
      message('1', { state: 'discarded', discarded: true }),
    );
    on.backend.on('GET', '/api/v1/messages', {
      items: [message('1', { state: 'discarded', discarded: true })],
    });
    by('message-discard').click();
    await settled();
    expect(by('message').dataset.state).toBe('discarded');
  });
});

test('the conversation of an attempt goes on being read after its first page', async () => {
  const on = stage();
  const page = { entries: [], first: null, last: null, total: 0, kept_from: 1, revision: 3 };
  on.backend.on('GET', '/api/v1/attempts/a/conversation', page);
  const entry = { id: 'm', at: AT, updated_at: AT, body: { kind: 'message', text: 'hello there' } };
  on.hive.connection.start();
  on.backend.open();
  put(on, AgentOutput, { attemptId: 'a', live: true, runtime: 'acp' as const, terminal: false });
  const topic = 'transcript:a';
  await expect.poll(() => on.backend.told.at(-1)?.subscribe).toEqual([topic]);
  on.backend.begin(topic, 7);
  const payload = {
    kind: 'transcript',
    attempt_id: 'a',
    entries: [{ ordinal: 1, revision: 4, entry }],
    revision: 4,
  };
  const frame = { version: 2, epoch: 'one', seq: 8, topic, correlation_id: null, payload };
  on.backend.send(frame as unknown as Parameters<typeof on.backend.send>[0]);
  await expect.poll(() => document.body.textContent).toContain('hello there');
  const paths = on.backend.asked.map(({ path }) => path);
  expect(paths.filter((path) => path.includes('conversation?'))).toHaveLength(1);
  expect(paths.filter((path) => path.includes('/changes'))).toEqual([]);
});

test('a command without a conversation shows its raw output first', async () => {
  const on = stage();
  const page = { entries: [], first: null, last: null, total: 0, kept_from: 1, revision: 0 };
  on.backend.on('GET', '/api/v1/attempts/a/conversation', page);
  on.backend.on('GET', '/api/v1/attempts/a/conversation/changes', { entries: [], revision: 0 });
  put(on, AgentOutput, { attemptId: 'a', live: false, runtime: 'command' as const, terminal: false });
  await settled();
  expect(all('[role="tab"]').map((tab) => tab.textContent)).toEqual(['Raw output', 'Conversation']);
  expect(by('tab-raw').getAttribute('aria-selected')).toBe('true');
  await press(by('tab-raw'), 'ArrowRight');
  expect(by('tab-conversation').getAttribute('aria-selected')).toBe('true');
});

describe('usage', () => {
  const shown = async (figures: Figures) => {
    const on = stage();
    on.backend.on('GET', '/api/v1/attempts/a/usage', figures);
    put(on, UsageView, { attemptId: 'a', live: false });
    await settled();
  };
  const none = { total: 0, failed: 0, slow: 0, running: 0 };

  test('an unknown cost is a dash and never $0', async () => {
    await shown({ best: null, sources: [], tool_calls: none });
    expect(by('usage-own-cost').textContent).toBe('—');
    expect(by('usage-reported-cost').textContent).toBe('—');
    expect(by('usage-total').textContent).toBe('—');
    expect(document.body.textContent).not.toContain('$0');
    expect(document.body.textContent).toContain('Nothing is assumed');
  });

  test('our cost stands beside the agent’s, with the day of the prices', async () => {
    const best = {
      source: 'result' as const,
      model: 'm-1',
      tokens: { uncached_input: 1_000, cache_read: 20_000, cache_write: null, output: 500, reasoning: 100 },
      own_cost_micros: 41_250,
      reported_cost_micros: 50_000,
      prices_of: '2026-11-01',
      turns: 2,
      tool_calls: 7,
      tool_failures: 1,
      context: { used: 90_000, size: 200_000 },
    };
    await shown({
      best,
      sources: [best, { ...best, source: 'sum', own_cost_micros: null }],
      tool_calls: { total: 7, failed: 1, slow: 2, running: 1 },
    });
    expect(by('usage-own-cost').textContent).toBe('$0.0413');
    expect(by('usage-own-cost').title).toContain('2026-11-01');
    expect(by('usage-reported-cost').textContent).toBe('$0.05');
    expect(by('usage-total').textContent).toBe('21,500');
    const text = document.body.textContent ?? '';
    for (const part of ['45 % of 200,000', '1 failed', '2 slow', '1 running', 'never added up'])
      expect(text).toContain(part);
  });
});

test('a state is shown with its age, its reason, the signal and how sure it is', () => {
  const status = {
    state: 'quiet',
    since: AT,
    reason: 'said nothing for 3 min',
    signal: 'output',
    confidence: 'guess',
  } as AgentView['status'];
  put(stage(), StatusTruth, { status });
  expect(by('agent-reason').textContent).toBe('said nothing for 3 min');
  const signal = by('agent-signal').textContent ?? '';
  expect(signal).toContain('says: output');
  expect(signal).toContain('a guess');
  expect(signal).toContain('ago');
  expect(says(status)).toBe('says: output (a guess)');
  expect(says({ ...status, confidence: 'certain' })).toBe('says: output (certain)');
});

test.each<[Parameters<typeof activityLine>[0]['phase'], string]>([
  [{ kind: 'opening' }, 'was started and has not answered yet'],
  [{ kind: 'turn' }, 'turn 2, uses cargo'],
  [{ kind: 'asking', open: 2 }, 'waits for 2 answers of yours'],
  [{ kind: 'limited', said: 'try later' }, 'made to wait by its provider: try later'],
])('what a conversation is doing is said in words: %j', (phase, text) =>
  expect(
    activityLine({ phase, since: AT, turn: 2, tool: 'cargo', quiet_after_s: 60, stalled_after_s: 600 }),
  ).toBe(text),
);

describe('what an agent may do', () => {
  test('is the same after it went through the form', () => {
    const conduct: Conduct = {
      permissions: 'allow_list',
      limits: {
        memory_bytes: 2 * 1024 ** 3,
        processes: 64,
        cpu_weight: 50,
        open_files: null,
        output_bytes: null,
      },
      sandbox: { writable: ['/tmp/x', '/srv/y'], home: 'hidden', network: false },
      rules: 'Write tests.\n',
      files: true,
      handover_at_percent: 80,
    };
    expect(conductOf(draftOf(conduct))).toEqual(conduct);
    expect(conductOf(draftOf(plainConduct())).sandbox).toBeNull();
    expect(limitWords(conduct.limits)).toEqual(['2.00 GiB of memory', '64 processes', 'processor weight 50']);
  });

  test.each<[string, Record<string, string>, RegExp | null]>([
    ['A=1\nB=x=y\n\n', { A: '1', B: 'x=y' }, null],
    ['A= spaced ', { A: ' spaced ' }, null],
    ['EMPTY=', { EMPTY: '' }, null],
    ['A=1\nnonsense', { A: '1' }, /^Line 2/],
    ['1A=x', {}, /^Line 1/],
    ['=x', {}, /^Line 1/],
  ])('variables are read from %j', (text, env, problem) => {
    const read = readEnv(text);
    expect(read.env).toEqual(env);
    if (problem) expect(read.problem).toMatch(problem);
    else expect(read.problem).toBeNull();
  });

  test('variables and skills survive being written down', () => {
    expect(readEnv(envText({ A: '1', B: 'x=y z' })).env).toEqual({ A: '1', B: 'x=y z' });
    expect(readSkills(' rust,  docs rust\n')).toEqual(['rust', 'docs']);
  });
});

describe('words', () => {
  const program =
    "the program 'x' was not found in PATH (/opt/x/bin:/usr/bin:/bin): install it, or name its full path";

  test.each([
    [program, "the program 'x' was not found in PATH: install it, or name its full path"],
    ['it said (really) no', 'it said (really) no'],
    ['see (/etc/passwd) for more', 'see (/etc/passwd) for more'],
  ])('the search path is left out of %j', (text, left) => {
    expect(withoutPath(text)).toBe(left);
  });

  test.each([
    ['acp', 'Here is **what I found**:', 'Here is what I found:'],
    ['headless', '## Done with `a_b_c`', 'Done with a_b_c'],
    ['acp', '- one of * and _', 'one of * and _'],
    ['command', '# **as it was printed**', '# **as it was printed**'],
  ])('of an agent driven by %s the last line %j is shown as %j', (kind, line, shown) => {
    expect(lastLine({ runtime: { kind }, last_line: line } as unknown as AgentView)).toBe(shown);
  });

  const at = { attempt_id: 'a' } as unknown as NonNullable<AgentView['current']>;
  test.each([
    [undefined, { kind: 'acp' }, 'with its next mission'],
    [at, { kind: 'acp' }, 'at the end of its turn'],
    [at, { kind: 'headless' }, 'with its next mission'],
    [at, { kind: 'command' }, 'as a file'],
    [at, { kind: 'command', terminal: true }, 'typed into its terminal'],
  ])('when it hears what it is told: %#', (current, runtime, when) => {
    expect(whenHeard({ current, runtime: runtime as AgentView['runtime'] })).toContain(when);
  });

  test.each([
    ['run: make', true],
    ['read: docs/**', true],
    [' edit: src/** ', true],
    ['tool: x', true],
    ['fetch: example.org', true],
    ['read:', false],
    ['make', false],
  ])('%j is a pattern: %j', (text, is) => {
    expect(isPattern(text)).toBe(is);
  });
});
