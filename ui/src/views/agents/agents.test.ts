import { beforeAll, beforeEach, expect, test } from 'vitest';
import {
  all,
  by,
  one,
  put,
  type Stage,
  settled,
  stage,
  type as typeInto,
  withoutLayout,
} from '../../state/testing/stage';
import type { AgentView, AttemptView, Preset } from '../../state/types';
import AgentNow from './AgentNow.svelte';
import Attachment from './Attachment.svelte';
import NewAgent from './NewAgent.svelte';

beforeAll(withoutLayout);
beforeEach(() => {
  location.hash = '';
});

const preset = (name: string, more: Partial<Preset> = {}): Preset => ({
  name,
  title: name.toUpperCase(),
  kind: 'acp',
  program: name,
  command: `${name} --acp`,
  note: 'Speaks the protocol.',
  install: `npm install -g ${name}`,
  installed: null,
  missing: [],
  modes: { ask: true, unattended: true },
  ...more,
});

function opened(presets: Preset[]): Stage {
  const on = stage();
  on.backend.on('GET', '/api/v1/presets', { presets, problem: null });
  put(on, NewAgent, {});
  return on;
}

const choose = (select: HTMLElement, value: string) => {
  (select as HTMLSelectElement).value = value;
  select.dispatchEvent(new Event('change', { bubbles: true }));
};

test('what is found is offered, what is not is listed with how to get it', async () => {
  opened([
    preset('ann', { installed: { path: '/bin/ann', version: '1.2' } }),
    preset('bob'),
    preset('custom', { program: '', command: '', install: '' }),
  ]);
  await settled();
  expect(by('runtime-ann').textContent).toContain('found');
  expect(by('runtime-custom').textContent).toContain('you name its program');
  expect(by('runtime-custom').textContent).not.toContain('not found');
  expect(one('[data-testid="runtimes-absent"] [data-testid="runtime-bob"]').textContent).toContain(
    'npm install -g bob',
  );
  expect(all('button[data-testid="runtime-bob"]')).toHaveLength(0);
});

test('of a headless program of one’s own it is said how its lines are read, and a plain command is asked nothing about permissions', async () => {
  const on = opened([]);
  on.backend.on('POST', '/api/v1/agents', { id: 'g', name: 'hal', status: { state: 'idle' } });
  await settled();
  expect(all('[data-testid="agent-asks-nothing"]')).toHaveLength(1);
  expect(all('[data-testid="agent-permissions"]')).toHaveLength(0);
  one('label[title^="A program that does one mission"] input').click();
  await settled();
  expect(all('[data-testid="agent-permissions"]')).toHaveLength(1);
  choose(by('agent-format'), 'codex');
  typeInto(by('agent-command'), 'hal --once');
  typeInto(by('agent-name'), 'hal');
  await settled();
  by('agent-create').click();
  await settled();
  const sent = on.backend.asked.find(({ method, path }) => method === 'POST' && path === '/api/v1/agents');
  expect(sent?.body).toMatchObject({
    name: 'hal',
    runtime: 'headless',
    format: 'codex',
    command: 'hal --once',
  });
});

test('an idle agent whose last attempt came to nothing says why', () => {
  const agent = {
    id: 'g',
    name: 'scout',
    runtime: { kind: 'acp' },
    status: {
      state: 'idle',
      reason: 'no mission',
      signal: 'attempt',
      confidence: 'certain',
      since: '2026-01-01T00:00:00Z',
    },
  } as unknown as AgentView;
  const last = {
    state: 'rejected',
    mission_id: 'm',
    note: 'it has to be\nlogged in',
  } as unknown as AttemptView;
  put(stage(), AgentNow, { agent, last });
  expect(by('agent-last').textContent).toContain('it has to be logged in');
  put(stage(), AgentNow, { agent, last: { ...last, state: 'accepted' } as AttemptView });
  expect(all('[data-testid="agent-last"]')).toHaveLength(1);
});

const elsewhere = {
  id: 'e',
  name: 'night shift',
  role: '',
  skills: ['rust'],
  grace_s: 10,
  runtime: { kind: 'attached', lost_after_s: 60 },
  status: {
    state: 'lost_signal',
    reason: 'no heartbeat yet',
    signal: 'heartbeat',
    confidence: 'certain',
    since: '2026-01-01T00:00:00Z',
  },
} as unknown as AgentView;

test('an agent that runs elsewhere is made by its name, and shows its token and how to use it', async () => {
  const on = stage();
  on.backend
    .on('GET', '/api/v1/presets', { presets: [], problem: null })
    .on('POST', '/api/v1/attached', { agent: elsewhere, token: 'hk_t_once', heartbeat_every_s: 20 }, 201);
  put(on, NewAgent, {});
  await settled();
  const kind = [...document.querySelectorAll('label')].find(
    ({ textContent }) => textContent?.trim() === 'attached',
  );
  kind?.querySelector('input')?.click();
  await settled();
  typeInto(by('attach-name'), 'night shift');
  by('attach-create').click();
  await settled();
  const sent = on.backend.asked.find(({ path, method }) => method === 'POST' && path.endsWith('/attached'));
  expect(sent?.body).toEqual({ name: 'night shift', role: '', skills: [], lost_after_s: 60 });
  const shown = by('attached-token').textContent ?? '';
  expect(shown).toContain('hk_t_once');
  expect(shown).toMatch(/HIVEKEEPER_TOKEN=hk_t_once python3 \S+attached_agent\.py 'night shift'/);
  expect(shown).toMatch(/HIVEKEEPER_TOKEN=hk_t_once sh \S+attached_agent\.sh 'night shift'/);
});

test('another token for it is made only after a second press', async () => {
  const on = stage();
  on.backend.on(
    'POST',
    '/api/v1/attached',
    { agent: elsewhere, token: 'hk_t_new', heartbeat_every_s: 20 },
    201,
  );
  put(on, Attachment, { agent: elsewhere });
  by('attached-renew').click();
  await settled();
  expect(on.backend.asked).toEqual([]);
  by('attached-renew').click();
  await settled();
  expect(on.backend.asked[0]?.body).toMatchObject({ name: 'night shift', new_token: true });
  expect(by('attached-token').textContent).toContain('hk_t_new');
});

test('of an agent that runs elsewhere no use is shown: none is measured', () => {
  put(stage(), AgentNow, { agent: elsewhere, last: null });
  expect(document.body.textContent).toContain('no heartbeat yet');
  expect(document.body.textContent).not.toContain('Processor');
});
