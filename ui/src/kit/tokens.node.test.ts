// @vitest-environment node
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';

const tokens = readFileSync(fileURLToPath(new URL('./tokens.css', import.meta.url)), 'utf8');

describe('every colour of code can be read on every ground of a diff', () => {
  const block = (selector: string) => {
    const found: Record<string, string> = {};
    for (const [, head, body] of tokens.matchAll(/(:root[^{]*)\{([^}]*)\}/g)) {
      if (head?.trim() !== selector) continue;
      for (const [, name, value] of (body ?? '').matchAll(/--([\w-]+): (#[0-9a-f]{6});/g))
        found[name ?? ''] = value ?? '';
    }
    return found;
  };
  const light = block(':root');
  const dark = { ...light, ...block(':root[data-theme="dark"]') };
  const part = (hex: string, at: number) => {
    const x = Number.parseInt(hex.slice(at, at + 2), 16) / 255;
    return x <= 0.03928 ? x / 12.92 : ((x + 0.055) / 1.055) ** 2.4;
  };
  const light_ = (hex = '#000000') => 0.2126 * part(hex, 1) + 0.7152 * part(hex, 3) + 0.0722 * part(hex, 5);
  const contrast = (a: string | undefined, b: string | undefined) => {
    const [x, y] = [light_(a), light_(b)];
    return (Math.max(x, y) + 0.05) / (Math.min(x, y) + 0.05);
  };
  test.each([
    ['light', light],
    ['dark', dark],
    ['light and safe', { ...light, ...block(':root[data-palette="safe"]') }],
    ['dark and safe', { ...dark, ...block(':root[data-theme="dark"][data-palette="safe"]') }],
  ])('%s', (_name, set) => {
    const colours = Object.keys(set).filter((name) => name.startsWith('syn-'));
    expect(colours).toHaveLength(8);
    for (const ground of ['bg-raised', 'diff-add', 'diff-add-word', 'diff-del', 'diff-del-word']) {
      for (const name of ['text', ...colours]) {
        expect(contrast(set[name], set[ground]), `${name} on ${ground}`).toBeGreaterThanOrEqual(4.5);
      }
      if (!ground.endsWith('word'))
        expect(contrast(set['text-dim'], set[ground])).toBeGreaterThanOrEqual(4.5);
    }
  });
});
