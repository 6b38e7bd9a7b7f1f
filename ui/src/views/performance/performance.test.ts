import { expect, test } from 'vitest';
import { all, by, put, settled, stage } from '../../state/testing/stage';
import { Refusal } from '../../state/types';
import ExpressionFault from './ExpressionFault.svelte';
import { groupsOf } from './panels';
import TelemetryTrouble from './TelemetryTrouble.svelte';

test('every panel has a name of its own and something to show', () => {
  const panels = groupsOf([]).flatMap((group) => group.panels);
  expect(new Set(panels.map(({ id }) => id)).size).toBe(panels.length);
  for (const { sources, format } of panels) {
    expect(sources.length).toBeGreaterThan(0);
    expect(format?.(null)).toBe('\u2014');
  }
});

test('agents that are compared are the only ones asked for', () => {
  const asked = (compared: string[]) =>
    groupsOf(compared).flatMap(({ id, panels }) =>
      id === 'agents' ? panels.flatMap(({ sources }) => sources.map(({ expr }) => expr)) : [],
    );
  for (const expr of asked(['a1', 'b2'])) expect(expr).toContain('agent=~"a1|b2"');
  for (const expr of asked([])) expect(expr).not.toContain('agent=');
});

test.each([
  ['rate(machine_load)', 6, 'm'],
  ['x +', 4, '␣'],
  [`"${'ä'.repeat(90)}" +`, 93, ' '],
])('what is wrong with %j is shown at its place', (expr, position, mark) => {
  const refusal = new Refusal(400, 'invalid_input', 'no', 'write it otherwise', [], position);
  put(stage(), ExpressionFault, { expr, refusal });
  expect(by('expression-place').querySelector('mark')?.textContent).toBe(mark);
});

test('a file of telemetry that was set aside is told where its figures are looked at, and nothing where all is well', async () => {
  const telemetry = { set_aside: null, series: 1, series_max: 10, over_series_cap: 0, damaged: 0 };
  const on = stage();
  on.backend.on('GET', '/api/v1/about', { samples_lost: 0, telemetry });
  put(on, TelemetryTrouble, {});
  await settled();
  expect(all('[data-testid^="telemetry"]')).toEqual([]);
  const wrong = { ...telemetry, set_aside: '/data/telemetry.aside', over_series_cap: 3 };
  on.backend.on('GET', '/api/v1/about', { samples_lost: 5, telemetry: wrong });
  on.hive.fresh += 1;
  await settled();
  expect(by('telemetry-set-aside').textContent).toContain('/data/telemetry.aside');
  expect(by('telemetry-lost').textContent).toContain(
    '5 samples could not be kept; 3 samples were of new series',
  );
});
