import { createRawSnippet, flushSync, mount, tick, unmount } from 'svelte';
import { afterEach, beforeAll, expect, test, vi } from 'vitest';
import TallList from './TallList.svelte';
import { openWith, themeOf, withoutInlineStyles } from './terminal';
import { fileOf } from './textdiff';
import { ROWS_MAX } from './windowed';

let mounted: Record<string, unknown> | null = null;
beforeAll(() => {
  vi.stubGlobal(
    'ResizeObserver',
    class {
      observe() {}
      unobserve() {}
      disconnect() {}
    },
  );
});
afterEach(() => {
  if (mounted) void unmount(mounted);
  mounted = null;
  document.body.replaceChildren();
});

interface Row {
  n: number;
}
const row = createRawSnippet<[Row]>((item) => ({ render: () => `<p>${item().n}</p>` }));

test('of a hundred thousand rows few are in the document, and any is shown at once', async () => {
  const items = Array.from({ length: 100_000 }, (_, n): Row => ({ n }));
  const props = {
    label: 'rows',
    items,
    key: ({ n }: Row) => `${n}`,
    guess: ({ n }: Row) => 20 + (n % 7),
    row,
  };
  const list = mount(TallList<Row>, { target: document.body, props });
  mounted = list;
  flushSync();
  expect(document.querySelectorAll('[data-row]').length).toBeGreaterThan(10);
  expect(document.querySelectorAll('[data-row]').length).toBeLessThanOrEqual(ROWS_MAX);
  const began = performance.now();
  expect(list.show('77000')).toBe(true);
  flushSync();
  await tick();
  expect(document.querySelector('[data-row="77000"]')).not.toBeNull();
  expect(document.querySelectorAll('[data-row]').length).toBeLessThanOrEqual(ROWS_MAX);
  // Generous: it is to notice work that grows with the square, not a slow machine.
  expect(performance.now() - began).toBeLessThan(2_000);
  expect(list.show('nothing')).toBe(false);
});

test('a terminal’s elements write no style into the page’s markup', () => {
  const sheets: { rules: string }[] = [];
  vi.stubGlobal(
    'CSSStyleSheet',
    class {
      rules = '';
      constructor() {
        sheets.push(this);
      }
      replaceSync(rules: string) {
        this.rules = rules;
      }
    },
  );
  const adopted: unknown[] = [];
  Object.defineProperty(document, 'adoptedStyleSheets', {
    configurable: true,
    get: () => adopted,
    set: (next: unknown[]) => void adopted.splice(0, adopted.length, ...next),
  });
  const page = withoutInlineStyles(document);
  expect(page instanceof Document).toBe(true);
  const style = page.createElement('style');
  page.body.appendChild(style);
  style.textContent = '.xterm { color: red }';
  expect(document.querySelector('style')).toBeNull();
  expect(style.innerHTML).toBe('');
  expect(sheets[0]?.rules).toBe('.xterm { color: red }');
  expect(adopted).toHaveLength(1);
  style.remove();
  expect(adopted).toHaveLength(0);

  const native = vi.spyOn(Element.prototype, 'setAttribute');
  const span = page.createElement('span');
  span.setAttribute('style', 'color:#ff0000;');
  span.setAttribute('class', 'a');
  expect(native.mock.calls.map(([name]) => name)).toEqual(['class']);
  expect(span.style.color).toBe('rgb(255, 0, 0)');
  native.mockRestore();

  // What asks the page itself while the terminal is opened gets the same, and only then.
  const opened: HTMLElement[] = [];
  const rows = { _document: document };
  const terminal = {
    open: (host: HTMLElement) => void opened.push(host.ownerDocument.createElement('style')),
    _core: { _renderService: { _renderer: { value: { _rowFactory: rows } } } },
  };
  expect(openWith(terminal, document.body, page)).toBe(true);
  expect(opened[0]?.tagName).toBe('SPAN');
  expect(rows._document).toBe(page);
  expect(document.createElement('style').tagName).toBe('STYLE');
  expect(openWith({ open: () => undefined }, document.body, page)).toBe(false);
});

test('every colour of a terminal is one of the tokens', () => {
  const asked: string[] = [];
  const theme = themeOf((name) => {
    asked.push(name);
    return name;
  });
  expect(asked.every((name) => name.startsWith('--'))).toBe(true);
  expect(theme.red).toBe('--ansi-1');
});

test.each<[string, string | null, string, string[]]>([
  ['a new file', null, 'a\nb\n', ['+a', '+b']],
  ['an empty new file', null, '', []],
  ['a changed line', 'a\nb\nc\n', 'a\nB\nc\n', [' a', '-b', '+B', ' c']],
  ['nothing changed', 'a\n', 'a\n', []],
  ['a file that was emptied', 'a\n', '', ['-a']],
  ['a last line without an end', 'a', 'b', ['-a', '+b']],
  ['text that reads like a patch', '--- a\n', '+++ b\n', ['---- a', '++++ b']],
])('%s is shown as what it changes', (_name, before, after, lines) => {
  const file = fileOf('x.rs', before, after);
  expect(file.hunks.flatMap((hunk) => hunk.lines.map((line) => line.kind + line.text))).toEqual(lines);
  expect(file.status).toBe(before === null ? 'added' : 'modified');
});

test('lines of a change are numbered on both sides', () => {
  const [hunk] = fileOf('x', 'a\nb\nc\n', 'a\nx\nb\nc\n').hunks;
  expect(hunk?.lines.map(({ oldNo, newNo }) => [oldNo, newNo])).toEqual([
    [1, 1],
    [null, 2],
    [2, 3],
    [3, 4],
  ]);
});

test('texts that have nothing in common are shown as replaced, in bounded time', () => {
  const side = (word: string) => Array.from({ length: 3_000 }, (_, i) => `${word} ${i}\n`).join('');
  const began = performance.now();
  const file = fileOf('x', side('a'), side('b'));
  expect(file.hunks.flatMap((hunk) => hunk.lines)).toHaveLength(6_000);
  expect(performance.now() - began).toBeLessThan(5_000);
});
