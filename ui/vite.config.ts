import { svelte } from '@sveltejs/vite-plugin-svelte';
import { defineConfig } from 'vitest/config';

// The engine that `npm run dev` talks to: `hivekeeper serve` prints its address.
const engine = process.env.HIVEKEEPER_URL ?? 'http://127.0.0.1:4711';

export default defineConfig(({ mode }) => ({
  plugins: [svelte()],
  base: './',
  build: {
    target: 'es2022',
    // Everything is local: one request more costs less than a data: URL the policy would refuse.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    chunkSizeWarningLimit: 900,
  },
  server: { proxy: { '/api': engine } },
  resolve: mode === 'test' ? { conditions: ['browser'] } : {},
  test: {
    environment: 'jsdom',
    include: ['src/**/*.test.ts'],
  },
}));
