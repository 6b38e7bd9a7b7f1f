import { expect, test, vi } from 'vitest';
import type { EntryAt } from '../backend/agenttypes';
import type { Frame, Payload } from '../backend/types';
import { Follower } from './follower';

const entry = (revision: number): EntryAt => ({ ordinal: revision, revision }) as unknown as EntryAt;
const frame = (payload: unknown): Frame => ({ seq: 1, payload: payload as Payload }) as unknown as Frame;
const grown = (...revisions: number[]): Frame =>
  frame({ kind: 'transcript', entries: revisions.map(entry), revision: revisions.at(-1) });
const begun = frame({ kind: 'conversation', page: {} });

function followed(answers: { entries: EntryAt[]; revision: number }[]) {
  let tell: (frame: Frame) => void = () => undefined;
  const stop = vi.fn();
  const changes = vi.fn(async () => answers.shift() ?? { entries: [], revision: 0 });
  const follow = vi.fn((_topic: string, onFrame: (frame: Frame) => void) => {
    tell = onFrame;
    return stop;
  });
  const abort = new AbortController();
  const follower = new Follower({ conversation: vi.fn(), changes }, follow);
  const after = (revision: number, ms = 5_000) => follower.changes('a', revision, ms, abort.signal);
  return { after, changes, follow, stop, abort, tell: (one: Frame) => tell(one) };
}

test('what the stream tells is given at once, and nothing is asked for', async () => {
  const on = followed([]);
  const waiting = on.after(3);
  on.tell(grown(4, 5));
  expect(await waiting).toEqual({ entries: [entry(4), entry(5)], revision: 5 });
  expect(on.changes).not.toHaveBeenCalled();
  expect(on.follow.mock.calls[0]?.[0]).toBe('transcript:a');
});

test('what was told before is not given again', async () => {
  const on = followed([]);
  const waiting = on.after(5);
  on.tell(grown(4, 5));
  on.tell(grown(6));
  expect((await waiting).entries).toEqual([entry(6)]);
});

test('where the stream begins anew, what came in between is read once by its revision', async () => {
  const on = followed([{ entries: [entry(8)], revision: 8 }]);
  const waiting = on.after(7);
  on.tell(begun);
  expect(await waiting).toEqual({ entries: [entry(8)], revision: 8 });
  expect(on.changes).toHaveBeenCalledExactlyOnceWith('a', 7, 0, on.abort.signal);
  const next = on.after(8);
  on.tell(grown(8, 9));
  expect((await next).entries).toEqual([entry(9)]);
  expect(on.changes).toHaveBeenCalledTimes(1);
});

test('a reading that failed is made up for', async () => {
  const on = followed([{ entries: [entry(8)], revision: 8 }]);
  on.changes.mockRejectedValueOnce(new Error('gone'));
  const waiting = on.after(7);
  on.tell(begun);
  await expect(waiting).rejects.toThrow('gone');
  expect((await on.after(7)).entries).toEqual([entry(8)]);
});

test('the wait has an end, and whoever leaves is told nothing more', async () => {
  const on = followed([]);
  expect(await on.after(2, 10)).toEqual({ entries: [], revision: 2 });
  const waiting = on.after(2);
  on.abort.abort();
  await expect(waiting).rejects.toThrow();
  expect(on.stop).toHaveBeenCalledOnce();
});
