/** Parts of the interface that are loaded when they are needed, or a little before. */
import type { Component } from 'svelte';

/** Loads a component, as `() => import('./It.svelte')`. */
// biome-ignore lint/suspicious/noExplicitAny: what a component is given is checked where it is made.
export type Load = () => Promise<{ default: Component<any> }>;

/** What was loaded once is there at once. */
const there = new Map<Load, Component>();

/** What was loaded; nothing where it was not. */
export const loadedOf = (load: Load): Component | null => there.get(load) ?? null;

/** Loads something unless it is there. What failed is tried again by the next who asks. */
export async function warm(load: Load): Promise<Component> {
  const known = there.get(load);
  if (known) return known;
  const { default: component } = await load();
  there.set(load, component);
  return component;
}
