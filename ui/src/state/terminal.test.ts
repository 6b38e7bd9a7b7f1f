import { expect, test, vi } from 'vitest';
import type { TranscriptChunk } from '../backend/types';
import { TerminalFeed } from './terminal.svelte';

const chunk = (offset: number, text: string, more: Partial<TranscriptChunk> = {}) =>
  ({
    attempt_id: 'a',
    stream: 'stdout',
    offset,
    next_offset: offset + text.length,
    size: offset + text.length,
    text,
    ended: false,
    ...more,
  }) as TranscriptChunk;

function screen() {
  const written: string[] = [];
  return {
    written,
    write: vi.fn(async (text: string): Promise<void> => {
      written.push(text);
    }),
    reset: vi.fn(() => void written.splice(0)),
  };
}

test('what is typed reaches the program in its order, one request at a time', async () => {
  const sent: string[] = [];
  let free: () => void = () => undefined;
  const input = vi.fn(async (_id: string, text: string) => {
    sent.push(text);
    await new Promise<void>((done) => (free = done));
  });
  const feed = new TerminalFeed({ transcript: vi.fn() }, { input, resize: vi.fn() }, 'a');
  for (const key of 'ls -l\r') feed.type(key);
  expect(sent).toEqual(['l']);
  free();
  await expect.poll(() => sent).toEqual(['l', 's -l\r']);
});

test('input that was refused is told, and what was typed after it is not sent', async () => {
  const input = vi.fn(async () => {
    throw new Error('the program is over');
  });
  const feed = new TerminalFeed({ transcript: vi.fn() }, { input, resize: vi.fn() }, 'a');
  feed.type('a');
  feed.type('b');
  await expect.poll(() => feed.refused).toBe('the program is over');
  expect(input).toHaveBeenCalledOnce();
});

test('a terminal that draws old output answers nothing to the program', async () => {
  const input = vi.fn(async () => undefined);
  const transcript = vi
    .fn()
    .mockResolvedValueOnce(chunk(0, 'where is the cursor?'))
    .mockImplementation(() => new Promise(() => undefined));
  const feed = new TerminalFeed({ transcript }, { input, resize: vi.fn() }, 'a');
  const on = screen();
  on.write.mockImplementation(async () => {
    feed.type('\u001b[1;1R');
    return undefined;
  });
  const abort = new AbortController();
  void feed.run(on, abort.signal);
  await expect.poll(() => feed.ready).toBe(true);
  expect(input).not.toHaveBeenCalled();
  feed.type('y');
  expect(input).toHaveBeenCalledWith('a', 'y');
  abort.abort();
});

test('nothing is read while the terminal is hidden, and it goes on where it was', async () => {
  const transcript = vi
    .fn()
    .mockResolvedValueOnce(chunk(0, 'one'))
    .mockImplementation(
      (_id, _query, signal: AbortSignal) =>
        new Promise((_, fail) => signal.addEventListener('abort', () => fail(new Error('aborted')))),
    );
  const feed = new TerminalFeed({ transcript }, { input: vi.fn(), resize: vi.fn() }, 'a');
  const on = screen();
  const abort = new AbortController();
  const running = feed.run(on, abort.signal);
  await expect.poll(() => transcript.mock.calls.length).toBe(2);
  abort.abort();
  await running;
  expect(transcript).toHaveBeenCalledTimes(2);
  transcript.mockResolvedValueOnce(chunk(3, 'two', { ended: true }));
  await feed.run(on, new AbortController().signal);
  expect(transcript.mock.calls[2]?.[1]).toMatchObject({ offset: 3 });
  expect(on.written).toEqual(['one', 'two']);
});

test('what was given up meanwhile is not drawn over what is there', async () => {
  const transcript = vi
    .fn()
    .mockResolvedValueOnce(chunk(0, 'one'))
    .mockResolvedValueOnce(chunk(900, 'later'))
    .mockResolvedValueOnce(chunk(900, 'later', { ended: true }));
  const feed = new TerminalFeed({ transcript }, { input: vi.fn(), resize: vi.fn() }, 'a');
  const on = screen();
  await feed.run(on, new AbortController().signal);
  expect(on.reset).toHaveBeenCalledOnce();
  expect(on.written).toEqual(['later']);
});

test('a size is told once, and again only when it is another', async () => {
  const resize = vi.fn(async () => undefined);
  const feed = new TerminalFeed({ transcript: vi.fn() }, { input: vi.fn(), resize }, 'a');
  feed.resize(80, 24);
  feed.resize(80, 24);
  feed.resize(100, 30);
  await expect
    .poll(() => resize.mock.calls)
    .toEqual([
      ['a', 80, 24],
      ['a', 100, 30],
    ]);
});
