import { expect, test } from 'vitest';
import { Api } from '../backend/api';
import type { Answer } from '../backend/backend';
import { ReplayBackend } from '../backend/replay';
import { LINES_MAX, Transcript } from './transcript.svelte';

const PATH = '/api/v1/attempts/a/transcript';

/** A file that is served like the engine serves it, in the pieces it has grown by. */
function served(pieces: string[]): Transcript {
  let size = 0;
  let next = 0;
  const file = pieces.join('');
  const backend = new ReplayBackend();
  backend.onCall('GET', PATH, (): Answer => {
    const query = new URLSearchParams(backend.asked.at(-1)?.path.split('?')[1]);
    const asked = Number(query.get('offset'));
    const max = Number(query.get('max_bytes'));
    if (asked < 0 || asked >= size) size += pieces[next++]?.length ?? 0;
    const offset = asked < 0 ? Math.max(0, size + asked) : asked;
    const text = file.slice(offset, Math.min(size, offset + max));
    const ended = size === file.length;
    const body = {
      attempt_id: 'a',
      stream: 'stdout',
      offset,
      next_offset: offset + text.length,
      size,
      text,
      ended,
    };
    return { status: 200, headers: {}, body: JSON.stringify(body) };
  });
  return new Transcript(new Api(backend), 'a', 'stdout');
}

const shown = (transcript: Transcript) =>
  transcript.lines.map((line) => line.runs.map((run) => run.text).join(''));

test.each([
  ['one piece', ['a\nb\n'], ['a', 'b']],
  ['a line in two pieces', ['a\nhal', 'f\nc\n'], ['a', 'half', 'c']],
  ['a last line without an end', ['a\nb'], ['a', 'b']],
  ['empty lines', ['a\n\n\nb\n'], ['a', '', '', 'b']],
  ['a line that grows by letters', ['x', 'y', 'z\n'], ['xyz']],
  ['nothing at all', [''], []],
])('%s is read to its end', async (_name, pieces, expected) => {
  const transcript = served(pieces);
  await transcript.run();
  expect(shown(transcript)).toEqual(expected);
  expect(transcript.ended).toBe(true);
});

test('a long output is kept within bounds and says how much came before', async () => {
  const lines = Array.from({ length: LINES_MAX * 3 }, (_, i) => `${i}`.padStart(9, '0'));
  const transcript = served(
    lines
      .map((line) => `${line}\n`)
      .join('')
      .match(/[\s\S]{1,60000}/g) ?? [],
  );
  await transcript.run();
  expect(transcript.lines).toHaveLength(LINES_MAX);
  expect(shown(transcript).at(-1)).toBe(lines.at(-1));
  expect(transcript.earlierBytes).toBe(transcript.size - LINES_MAX * 10);
});

test('after it is closed nothing more is asked for', async () => {
  const backend = new ReplayBackend();
  let answer: (answer: Answer) => void = () => undefined;
  backend.onCall('GET', PATH, () => new Promise((done) => (answer = done)));
  const transcript = new Transcript(new Api(backend), 'a', 'stdout');
  const reading = transcript.run();
  await expect.poll(() => backend.asked.length).toBe(1);
  transcript.close();
  const body = { offset: 0, next_offset: 2, size: 2, text: 'a\n', ended: false };
  answer({ status: 200, headers: {}, body: JSON.stringify(body) });
  await reading;
  expect(backend.asked).toHaveLength(1);
  expect(transcript.lines).toEqual([]);
});

test('earlier output is put before, line by line, without a hole', async () => {
  const lines = Array.from({ length: 30_000 }, (_, i) => `line ${i}`);
  const transcript = served([`${lines.join('\n')}\n`]);
  await transcript.run();
  const first = shown(transcript)[0] ?? '';
  expect(transcript.earlierBytes).toBeGreaterThan(0);
  await transcript.earlier();
  const all = shown(transcript);
  const from = lines.indexOf(all[0] ?? '');
  expect(all).toEqual(lines.slice(from, from + LINES_MAX));
  expect(from).toBeLessThan(lines.indexOf(first));
  expect(transcript.detached).toBe(true);
});
