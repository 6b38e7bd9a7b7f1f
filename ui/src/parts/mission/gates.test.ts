import { flushSync, mount, tick, unmount } from 'svelte';
import { SvelteMap } from 'svelte/reactivity';
import { afterEach, expect, test, vi } from 'vitest';
import type { GateDraft } from '../../state/gates';
import GateEditor from './GateEditor.svelte';

let mounted: ReturnType<typeof mount> | null = null;
afterEach(() => {
  if (mounted) void unmount(mounted);
  mounted = null;
  vi.unstubAllGlobals();
  document.body.replaceChildren();
});

/** Shows the editor; what is edited is kept as the sheet of a mission keeps it. */
function open(): void {
  const kept = new SvelteMap<'gates', readonly GateDraft[]>();
  const props = {
    get gates() {
      return kept.get('gates') ?? [];
    },
    onchange: (gates: readonly GateDraft[]) => {
      kept.set('gates', gates);
    },
    repository: true,
    agents: [],
  };
  mounted = mount(GateEditor, { target: document.body, props });
  flushSync();
}

async function press(testid: string): Promise<void> {
  document.querySelector<HTMLElement>(`[data-testid="${testid}"]`)?.click();
  await tick();
  await tick();
}

const focused = (): string => document.activeElement?.getAttribute('data-testid') ?? '';

test('what is typed after a gate was added goes into the gate, before anything is drawn', async () => {
  vi.stubGlobal('requestAnimationFrame', () => 0);
  open();
  await press('gate-add-command');
  expect(focused()).toBe('gate-line');
  await press('gate-add-file');
  const lines = document.querySelectorAll('[data-testid="gate-line"]');
  expect(lines).toHaveLength(2);
  expect(document.activeElement).toBe(lines[1]);
});

test('after a gate was removed the focus is on the next one, and after the last on what adds one', async () => {
  vi.stubGlobal('requestAnimationFrame', () => 0);
  open();
  await press('gate-add-command');
  await press('gate-add-file');
  const remove = () => document.querySelectorAll<HTMLElement>('li .remove button');
  remove()[0]?.click();
  await tick();
  await tick();
  expect(remove()).toHaveLength(1);
  expect(document.activeElement).toBe(remove()[0]);
  remove()[0]?.click();
  await tick();
  await tick();
  expect(focused()).toBe('gate-add-command');
});
