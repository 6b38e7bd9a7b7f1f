import { expect, test } from 'vitest';
import Banners from '../views/shell/Banners.svelte';
import { Network } from './network.svelte';
import { put, settled, stage } from './testing/stage';

test('the state follows what the system says about the network', () => {
  const system = new EventTarget();
  const network = new Network();
  network.start(system as unknown as Window, { onLine: false });
  expect(network.online).toBe(false);
  system.dispatchEvent(new Event('online'));
  expect(network.online).toBe(true);
  system.dispatchEvent(new Event('offline'));
  expect(network.online).toBe(false);
});

test('without a network the state shows remote features as unavailable, and says that the rest works', async () => {
  const on = stage();
  put(on, Banners, {});
  expect(document.querySelector('[data-testid="offline-banner"]')).toBeNull();
  on.hive.network.online = false;
  await settled();
  const banner = document.querySelector('[data-testid="offline-banner"]');
  expect(banner?.getAttribute('role')).toBe('status');
  expect(banner?.textContent).toContain('work as always');
  expect(banner?.textContent).toContain('agents whose model is elsewhere');
});
