import { expect, test } from 'vitest';
import { Api } from '../backend/api';
import { ReplayBackend } from '../backend/replay';
import { Resources } from './resources.svelte';
import { settled } from './testing/stage';

const DURING = { from: '2026-01-01T00:00:00Z', to: '2026-01-01T00:10:00Z' };

/** Answers with one sample of each signal, except for those that are refused with a status and a code. */
function backend(refused: Record<string, [number, string]>): ReplayBackend {
  const replay = new ReplayBackend();
  const request = replay.request.bind(replay);
  replay.request = async (method, path, body) => {
    await request(method, path, body);
    const name = new URLSearchParams(path.split('?')[1]).get('name') ?? '';
    const no = refused[name];
    const bucket = { at: DURING.from, min: 1, max: 1, mean: 1, last: 1, count: 1 };
    const items = [{ key: { name, labels: {} }, unit: '', step_ms: 1_000, buckets: [bucket] }];
    return no
      ? { status: no[0], headers: {}, body: JSON.stringify({ code: no[1], detail: `no ${name}` }) }
      : { status: 200, headers: {}, body: JSON.stringify({ items, next: null }) };
  };
  return replay;
}

async function read(refused: Record<string, [number, string]>): Promise<Resources> {
  const resources = new Resources(new Api(backend(refused)), 'g', DURING);
  resources.start();
  await settled();
  resources.close();
  return resources;
}

test('a signal the engine does not know leaves all others in place', async () => {
  const resources = await read({ agent_tokens_total: [404, 'not_found'] });
  expect(resources.problem).toBeNull();
  expect(resources.ready).toBe(true);
  expect(resources.unknown).toEqual(['agent_tokens_total']);
  expect(resources.series.get('agent_tokens_total')).toEqual([]);
  expect(resources.series.get('agent_cpu_percent')).toHaveLength(1);
});

test('any other refusal is told', async () => {
  const resources = await read({ agent_tokens_total: [503, 'busy'] });
  expect(resources.problem).toContain('agent_tokens_total');
});
