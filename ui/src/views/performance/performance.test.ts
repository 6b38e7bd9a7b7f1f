import { expect, test } from 'vitest';
import { groupsOf } from './panels';

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
