import { beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { Answer } from '../../backend/backend';
import {
  all,
  by,
  put,
  type Stage,
  settled,
  stage,
  type as typeInto,
  withoutLayout,
} from '../../state/testing/stage';
import type { Policy } from '../../state/types';
import PolicySheet from './PolicySheet.svelte';
import WorkRules from './WorkRules.svelte';

beforeAll(withoutLayout);
beforeEach(() => {
  location.hash = '';
});

const PATH = '/api/v1/policies/nightly';
const policy = (more: Partial<Policy> = {}): Policy => ({
  name: 'nightly',
  about: 'what runs at night',
  grade: 'observed',
  gates: [{ kind: 'no_secrets' }],
  retries: 1,
  backoff_s: 5,
  hand_over: false,
  builtin: false,
  ...more,
});
const saves = (on: Stage) =>
  on.backend.asked
    .filter(({ method }) => method === 'PUT')
    .map(({ body, version }) => ({ ...(body as Policy), version }));

/** The sheet of a policy that is changed, or removed, right after it was opened. */
async function opened(then: Policy | null): Promise<{ on: Stage; closed: () => boolean }> {
  const on = stage();
  let now: Policy | null = policy();
  let version = 1;
  const missing: Answer = {
    status: 404,
    headers: {},
    body: JSON.stringify({ code: 'not_found', detail: 'none' }),
  };
  on.backend
    .onCall(
      'GET',
      PATH,
      (): Answer =>
        now === null
          ? missing
          : { status: 200, headers: { etag: `"${version}"` }, body: JSON.stringify(now) },
    )
    .onCall('PUT', PATH, (): Answer => {
      const asked = on.backend.asked.at(-1);
      if (asked?.version !== undefined && asked.version !== `"${version}"`)
        return {
          status: 412,
          headers: {},
          body: JSON.stringify({ code: 'changed_meanwhile', detail: 'changed' }),
        };
      now = asked?.body as Policy;
      version += 1;
      return { status: 200, headers: { etag: `"${version}"` }, body: JSON.stringify(now) };
    });
  let closed = false;
  put(on, PolicySheet, {
    policy: policy(),
    names: ['nightly'],
    onchange: () => undefined,
    onclose: () => {
      closed = true;
    },
  });
  await settled();
  now = then;
  version += 1;
  return { on, closed: () => closed };
}

async function saved(text: string): Promise<void> {
  typeInto(by('policy-gates'), text);
  by('policy-save').click();
  await settled();
}
async function click(testid: string): Promise<void> {
  by(testid).click();
  await settled();
}

describe('a policy that somebody else changed while it was edited', () => {
  test('is not written over unseen; what was typed stays, and what they changed is listed', async () => {
    const { on, closed } = await opened(policy({ retries: 4 }));
    await saved('no-secrets: diff\nmax-lines: 9');
    expect(saves(on).map(({ version }) => version)).toEqual(['"1"']);
    expect(by('changed-meanwhile').textContent).toContain('Retries');
    expect(all('[data-testid="meanwhile-field"]')).toHaveLength(1);
    expect((by('policy-gates') as HTMLTextAreaElement).value).toContain('max-lines: 9');
    expect(by('policy-save').hasAttribute('disabled')).toBe(true);
    expect(closed()).toBe(false);
  });

  test('is saved with both changes where mine is written over it', async () => {
    const { on, closed } = await opened(policy({ retries: 4 }));
    await saved('max-lines: 9');
    await click('meanwhile-over');
    expect(saves(on).at(-1)).toMatchObject({
      retries: 4,
      gates: [{ kind: 'max_lines', lines: 9 }],
      version: '"2"',
    });
    expect(closed()).toBe(true);
  });

  test('is shown as it is now where it is loaded', async () => {
    const { on } = await opened(policy({ gates: [{ kind: 'max_lines', lines: 5 }] }));
    await saved('max-lines: 9');
    await click('meanwhile-take');
    expect((by('policy-gates') as HTMLTextAreaElement).value).toBe('max-lines: 5');
    expect(all('[data-testid="changed-meanwhile"]')).toHaveLength(0);
    await saved('max-lines: 6');
    expect(saves(on).at(-1)).toMatchObject({ gates: [{ kind: 'max_lines', lines: 6 }], version: '"2"' });
  });

  test('is said to be gone where it was removed, and can be made again', async () => {
    const { on, closed } = await opened(null);
    await saved('max-lines: 9');
    expect(by('gone-meanwhile').textContent).toContain('removed');
    await click('meanwhile-again');
    expect(saves(on).at(-1)?.version).toBeUndefined();
    expect(closed()).toBe(true);
  });
});

test('what is typed into the limits while they are saved is not lost', async () => {
  const on = stage();
  const kept = {
    running_max: 3,
    starts_per_cycle: 50,
    memory_free_min_percent: 5,
    trash_days: 30,
    traces_to: null,
    policy: 'standard',
    policy_of_label: [],
    merge: 'merge',
  };
  let answer = (_: Answer) => {};
  on.backend
    .on('GET', '/api/v1/settings', kept, 200, { etag: '"1"' })
    .onCall('PUT', '/api/v1/settings', () => new Promise<Answer>((done) => (answer = done)));
  put(on, WorkRules, {});
  await settled();
  typeInto(by('rules-running'), '7');
  by('rules-save').click();
  await settled();
  typeInto(by('rules-running'), '9');
  answer({ status: 200, headers: { etag: '"2"' }, body: JSON.stringify({ ...kept, running_max: 7 }) });
  await settled();
  expect((by('rules-running') as HTMLInputElement).value).toBe('9');
  by('rules-save').click();
  await settled();
  expect(on.backend.asked.at(-1)).toMatchObject({ method: 'PUT', version: '"2"', body: { running_max: 9 } });
});
