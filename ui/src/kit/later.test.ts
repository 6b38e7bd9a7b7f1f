import { type Component, flushSync, mount, unmount } from 'svelte';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import Empty from './Empty.svelte';
import Later from './Later.svelte';
import { type Load, warm } from './later';

let mounted: Record<string, unknown> | null = null;
beforeEach(() => void vi.useFakeTimers());
afterEach(async () => {
  vi.useRealTimers();
  if (mounted) await unmount(mounted);
  mounted = null;
  document.body.replaceChildren();
});

function shown(load: Load): void {
  const props = { load, props: { title: 'It', text: 'is here' }, what: 'the thing' };
  mounted = mount(Later, { target: document.body, props });
  flushSync();
}
async function passed(ms: number): Promise<void> {
  await vi.advanceTimersByTimeAsync(ms);
  flushSync();
}
const text = () => document.body.textContent ?? '';
const component = { default: Empty as unknown as Component };

describe('a part that is loaded later', () => {
  test('is shown when it is there, and says nothing where that is soon', async () => {
    shown(async () => component);
    expect(text()).not.toContain('Opening');
    await passed(0);
    expect(text()).toContain('is here');
  });

  test('says that it is opened where it takes long', async () => {
    let answer = (_: typeof component) => {};
    shown(() => new Promise((done) => (answer = done)));
    await passed(1_000);
    expect(text()).toContain('Opening the thing');
    answer(component);
    await passed(0);
    expect(text()).toContain('is here');
    expect(text()).not.toContain('Opening');
  });

  test('says that it could not be loaded, and is there when that is tried again', async () => {
    let tries = 0;
    shown(async () => {
      tries += 1;
      if (tries === 1) throw new Error('no such file');
      return component;
    });
    await passed(0);
    expect(text()).toContain('The thing could not be loaded');
    document.querySelector<HTMLElement>('[data-testid="load-again"]')?.click();
    await passed(0);
    expect(text()).toContain('is here');
  });

  test('is there at once where it was loaded before', async () => {
    const load: Load = async () => component;
    await warm(load);
    shown(load);
    expect(text()).toContain('is here');
  });
});
