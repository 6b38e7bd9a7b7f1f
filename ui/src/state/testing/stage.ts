/** A page for components under test: mounts them over recorded answers; for unit tests only. */
import { type Component, flushSync, mount, tick, unmount } from 'svelte';
import { afterEach, vi } from 'vitest';
import { ReplayBackend } from '../../backend/replay';
import { Hive } from '../hive.svelte';
import WithHive from './WithHive.svelte';

/** What a page without layout lacks. */
export function withoutLayout(): void {
  vi.stubGlobal(
    'ResizeObserver',
    class {
      observe() {}
      unobserve() {}
      disconnect() {}
    },
  );
  vi.stubGlobal('CSS', { escape: (text: string) => text });
}

let mounted: Record<string, unknown>[] = [];
afterEach(async () => {
  for (const one of mounted) await unmount(one);
  mounted = [];
  document.body.replaceChildren();
});

export interface Stage {
  backend: ReplayBackend;
  hive: Hive;
}

export const stage = (): Stage => {
  const backend = new ReplayBackend();
  return { backend, hive: new Hive(backend) };
};

/** Mounts a component with a hive. */
export function put<P extends Record<string, unknown>>(on: Stage, what: Component<P>, given: P): void {
  const props = { hive: on.hive, what: what as unknown as Component<Record<string, unknown>>, given };
  mounted.push(mount(WithHive, { target: document.body, props }));
  flushSync();
}

export const all = (selector: string): HTMLElement[] => [
  ...document.body.querySelectorAll<HTMLElement>(selector),
];

export function one(selector: string): HTMLElement {
  const found = document.body.querySelector<HTMLElement>(selector);
  if (found === null) throw new Error(`no ${selector} in ${document.body.innerHTML.slice(0, 2_000)}`);
  return found;
}

export const by = (testid: string): HTMLElement => one(`[data-testid="${testid}"]`);

/** Lets what was begun come to its end. */
export async function settled(): Promise<void> {
  for (let i = 0; i < 6; i += 1) {
    await new Promise((done) => setTimeout(done, 0));
    flushSync();
    await tick();
  }
}

export async function press(on: HTMLElement, ...keys: string[]): Promise<void> {
  for (const key of keys) {
    on.dispatchEvent(new KeyboardEvent('keydown', { key, bubbles: true, cancelable: true }));
    await settled();
  }
}

export function type(into: HTMLElement, text: string): void {
  if (!(into instanceof HTMLInputElement || into instanceof HTMLTextAreaElement))
    throw new Error('nothing to type into');
  into.value = text;
  into.dispatchEvent(new Event('input', { bubbles: true }));
  flushSync();
}
