import { flushSync, mount, tick, unmount } from 'svelte';
import { afterEach, beforeAll, expect, test, vi } from 'vitest';
import Diff from './Diff.svelte';
import { parsePatch } from './diff';
import type { At } from './diffrows';
import Graph from './Graph.svelte';
import Lanes from './Lanes.svelte';
import { ROWS_MAX } from './windowed';

let mounted: Record<string, unknown> | null = null;
const target = document.body;

beforeAll(() => {
  // Nothing has a size here, so nothing can be observed to change it.
  vi.stubGlobal(
    'ResizeObserver',
    class {
      observe() {}
      unobserve() {}
      disconnect() {}
    },
  );
  vi.stubGlobal('CSS', { escape: (text: string) => text });
});
afterEach(() => {
  if (mounted) void unmount(mounted);
  mounted = null;
  target.replaceChildren();
});

const one = (selector: string): HTMLElement => {
  const found = target.querySelector<HTMLElement>(selector);
  if (found === null) throw new Error(`no ${selector}`);
  return found;
};
async function press(on: HTMLElement, ...keys: string[]) {
  for (const key of keys) {
    on.dispatchEvent(new KeyboardEvent('keydown', { key, bubbles: true }));
    flushSync();
    await tick();
  }
}

const patch = (lines: string[]) =>
  `diff --git a/x.rs b/x.rs\n--- a/x.rs\n+++ b/x.rs\n@@ -1,0 +1,${lines.length} @@\n${lines.map((line) => `+${line}\n`).join('')}`;

function diff(lines: string[], more: Partial<Parameters<typeof Diff>[1]> = {}) {
  const props = {
    label: 'change',
    files: parsePatch(patch(lines)),
    mode: 'unified' as const,
    wrap: false,
    onmode: vi.fn(),
    onwrap: vi.fn(),
    ...more,
  };
  mounted = mount(Diff, { target, props });
  flushSync();
  return one('[role=grid]');
}

test('what an agent wrote is never markup', () => {
  diff(['<img src=x onerror=alert(1)>'], {
    comments: [{ id: '1', path: 'x.rs', side: 'new', line: 1, text: '<b>bold</b>' }],
    marks: [{ path: 'x.rs', side: 'new', from: 1, to: 1, label: '<i>mark</i>', tone: 'warn' }],
  });
  expect(target.querySelector('img, b, i')).toBeNull();
  expect(target.textContent).toContain('<img src=x onerror=alert(1)>');
  expect(target.textContent).toContain('<b>bold</b>');
});

test('of fifty thousand lines few are in the document', () => {
  diff(Array.from({ length: 50_000 }, (_, i) => `line ${i}`));
  const rows = target.querySelectorAll('[data-key]');
  expect(rows.length).toBeGreaterThan(10);
  expect(rows.length).toBeLessThanOrEqual(ROWS_MAX);
});

test('a line is picked by the keyboard and by its number', async () => {
  const picked: At[] = [];
  const grid = diff(['a', 'b', 'c'], { onpick: (at) => picked.push(at) });
  await press(grid, 'j', 'ArrowDown', 'ArrowDown', 'Enter');
  [...target.querySelectorAll<HTMLElement>('button.no')]
    .find((button) => button.textContent === '3')
    ?.click();
  expect(picked).toEqual([2, 3].map((line) => ({ path: 'x.rs', side: 'new', line })));
});

test('a screen reader hears what was added, and where the keyboard is', async () => {
  const grid = diff(['a']);
  await press(grid, 'End');
  const row = one(`[id="${grid.getAttribute('aria-activedescendant')}"]`);
  expect(row.textContent?.replace(/\s+/g, ' ').trim()).toBe('1 + added a');
});

test('a comment is removed by its button and by the keyboard', async () => {
  const removed: string[] = [];
  const comments = ['1', '2'].map((id) => ({ id, path: 'x.rs', side: 'new' as const, line: 1, text: 'why' }));
  const grid = diff(['a'], { comments, onremove: (id) => removed.push(id) });
  one('button[aria-label="Remove this comment"]').click();
  await press(grid, 'End', 'Delete');
  expect(removed).toEqual(['1', '2']);
});

test('a folded file shows its name only', async () => {
  const grid = diff(['a', 'b']);
  await press(grid, 'Enter');
  expect(target.querySelectorAll('[data-key]')).toHaveLength(1);
  await press(grid, 'Enter');
  expect(target.querySelectorAll('[data-key]')).toHaveLength(4);
});

const node = (id: string) => ({
  id,
  title: `Title ${id}`,
  sub: 'queued',
  tone: 'idle' as const,
  glyph: 'ring' as const,
});
const empty = { title: 'Nothing', text: 'It will be here.' };

test('a graph is gone through by its links', async () => {
  const [onselect, onopen] = [vi.fn(), vi.fn()];
  const links = [{ from: 'a', to: 'b' }];
  mounted = mount(Graph, {
    target,
    props: {
      label: 'Missions',
      nodes: [node('b'), node('a')],
      links,
      selected: 'a',
      onselect,
      onopen,
      empty,
    },
  });
  flushSync();
  const first = one('[data-node=a]');
  expect([first.tabIndex, one('[data-node=b]').tabIndex]).toEqual([0, -1]);
  expect(first.getAttribute('aria-label')).toBe('Title a, queued. After nothing. Before Title b.');
  await press(first, 'ArrowRight');
  expect(onselect).toHaveBeenLastCalledWith('b');
  await press(first, 'Enter');
  expect(onopen).toHaveBeenLastCalledWith('a');
});

test('a graph too large says which part it shows', () => {
  const nodes = Array.from({ length: 1_000 }, (_, i) => node(`n${i}`));
  mounted = mount(Graph, {
    target,
    props: { label: 'Missions', nodes, links: [], selected: null, onselect: vi.fn(), onopen: vi.fn(), empty },
  });
  flushSync();
  expect(target.querySelectorAll('[data-node]')).toHaveLength(200);
  expect(one('[data-testid=graph-part]').textContent).toContain('200 of 1,000 shown');
});

test('lanes are gone through by the keyboard, and say what is there', async () => {
  const onopen = vi.fn();
  const bar = (id: string, from: number) => ({
    id,
    from,
    to: from + 1_000,
    tone: 'ok' as const,
    glyph: 'check' as const,
    title: `Attempt ${id}`,
    about: ['exit code 0'],
  });
  const lanes = Array.from({ length: 500 }, (_, i) => ({
    id: `l${i}`,
    title: `Lane ${i}`,
    bars: [bar(`${i}.2`, 5_000), bar(`${i}.1`, 1_000)],
  }));
  mounted = mount(Lanes, { target, props: { label: 'Attempts', lanes, now: 10_000, onopen, empty } });
  flushSync();
  const host = one('[data-testid=lanes]');
  host.focus();
  await press(host, 'Home', 'ArrowRight', 'ArrowDown', 'Enter');
  expect(onopen).toHaveBeenLastCalledWith('l1', '1.2');
  expect(one('[aria-live]').textContent).toMatch(/^Lane 1\. Attempt 1\.2\. exit code 0\. .*for 1 s$/);
  expect(target.querySelectorAll('[data-lane]').length).toBeLessThanOrEqual(ROWS_MAX);
});

test.each([
  [
    'a graph',
    () =>
      mount(Graph, {
        target,
        props: {
          label: 'x',
          nodes: [],
          links: [],
          selected: null,
          onselect: vi.fn(),
          onopen: vi.fn(),
          empty,
        },
      }),
  ],
  ['lanes', () => mount(Lanes, { target, props: { label: 'x', lanes: [], now: 0, onopen: vi.fn(), empty } })],
])('%s without anything says what will be there', (_name, show) => {
  mounted = show();
  flushSync();
  expect(target.textContent).toContain('It will be here.');
});
