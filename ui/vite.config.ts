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

/** What is loaded before the first screen is there, in bytes as they are stored: scripts, then styles. */
const FIRST = { script: 285_000, style: 40_000 };

/** The first load stays small: what a screen needs by itself is loaded with that screen. */
const firstLoad: Plugin = {
  name: 'first-load',
  generateBundle(_, bundle) {
    const scripts = new Set<string>();
    const styles = new Set<string>();
    const take = (name: string) => {
      const chunk = bundle[name];
      if (chunk?.type !== 'chunk' || scripts.has(name)) return;
      scripts.add(name);
      for (const style of chunk.viteMetadata?.importedCss ?? []) styles.add(style);
      for (const further of chunk.imports) take(further);
    };
    for (const [name, chunk] of Object.entries(bundle))
      if (chunk.type === 'chunk' && chunk.isEntry) take(name);
    const size = (names: Set<string>) => {
      let bytes = 0;
      for (const name of names) {
        const one = bundle[name];
        if (one) bytes += Buffer.byteLength(one.type === 'chunk' ? one.code : one.source);
      }
      return bytes;
    };
    const found = { script: size(scripts), style: size(styles) };
    for (const kind of ['script', 'style'] as const)
      if (found[kind] > FIRST[kind])
        this.error(
          `the first load has ${found[kind]} bytes of ${kind}, at most ${FIRST[kind]} are wanted: load what only one screen needs with that screen (${[...scripts].join(', ')})`,
        );
    this.info(`the first load: ${found.script} bytes of script, ${found.style} of style`);
  },
};

export default defineConfig(({ mode }) => ({
  plugins: [svelte(), frozen, firstLoad],
  base: './',
  build: {
    target: 'es2022',
    // Everything is local: one request more costs less than a data: URL the policy would refuse.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    chunkSizeWarningLimit: 400,
  },
  server: { proxy: { '/api': { target: engine, ws: true } } },
  resolve: mode === 'test' ? { conditions: ['browser'] } : {},
  test: {
    environment: 'jsdom',
    include: ['src/**/*.test.ts'],
  },
}));
