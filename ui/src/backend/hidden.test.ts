import { expect, test } from 'vitest';
import { Api } from './api';
import { showHidden, showHiddenIn } from './hidden';
import { ReplayBackend } from './replay';

test.each([
  ['what turns the direction of text', 'a\u202eb', 'a‹U+202E›b'],
  ['what has no width', 'a\u200bb', 'a‹U+200B›b'],
  ['what is outside the first plane', 'a\u{e0041}', 'a‹U+E0041›'],
  ['lines stay lines', 'a\nb\t', 'a\nb\t'],
  ['letters of every script stay', 'שלום 漢字 é', 'שלום 漢字 é'],
])('%s', (_name, text, expected) => expect(showHidden(text)).toBe(expected));

test('hidden characters are shown wherever they are, and nothing else is touched', () => {
  const fine = { name: 'scout' };
  const given = { list: [fine, { name: 'sc\u200bout' }], n: 1, none: null };
  const shown = showHiddenIn(given);
  expect(shown).toEqual({ list: [fine, { name: 'sc‹U+200B›out' }], n: 1, none: null });
  expect(shown.list[0]).toBe(fine);
  expect(showHiddenIn(fine)).toBe(fine);
});

test('answers are shown, output is left to the transcript', async () => {
  const backend = new ReplayBackend()
    .on('GET', '/api/v1/agents', { items: [{ name: 'a\u202eb' }] })
    .on('GET', '/api/v1/attempts/a/transcript', { text: 'a\u202eb' });
  const api = new Api(backend);
  expect((await api.agents())[0]?.name).toBe('a‹U+202E›b');
  expect((await api.transcript('a', { stream: 'stdout', offset: 0 })).text).toBe('a\u202eb');
});
