import { svelte } from '@sveltejs/vite-plugin-svelte';
import type { Plugin } from 'vite';
import { defineConfig } from 'vitest/config';

// The engine that `npm run dev` talks to: `hivekeeper serve` prints its address.
const engine = process.env.HIVEKEEPER_URL ?? 'http://127.0.0.1:4711';

/**
 * The window freezes `Object.prototype`: assigning to one of its names on a plain object throws there, and what did it
 * never loads. A terminal does it once; whatever else begins to do it stops the build here, not the user later.
 */
const frozen: Plugin = {
  name: 'objects-with-a-frozen-prototype',
  transform(code, id) {
    if (!id.includes('/@xterm/xterm/')) return null;
    return {
      code: code.replace(
        /\b([\w$]+)\.toString=([\w$]+);/g,
        'Object.defineProperty($1,"toString",{value:$2});',
      ),
      map: null,
    };
  },
  generateBundle(_, bundle) {
    const assigns =
      /[\w$)\]]\.(?:toString|toLocaleString|valueOf|constructor|hasOwnProperty|isPrototypeOf)=[^=]/;
    for (const chunk of Object.values(bundle)) {
      const found = chunk.type === 'chunk' ? assigns.exec(chunk.code) : null;
      if (found) this.error(`${chunk.fileName} assigns to a frozen name: …${found[0]}…`);
    }
  },
};

export default defineConfig(({ mode }) => ({
  plugins: [svelte(), frozen],
  base: './',
  build: {
    target: 'es2022',
    // Everything is local: one request more costs less than a data: URL the policy would refuse.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    chunkSizeWarningLimit: 900,
  },
  server: { proxy: { '/api': { target: engine, ws: true } } },
  resolve: mode === 'test' ? { conditions: ['browser'] } : {},
  test: {
    environment: 'jsdom',
    include: ['src/**/*.test.ts'],
  },
}));
