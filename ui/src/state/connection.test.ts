import { beforeEach, expect, test, vi } from 'vitest';
import { ReplayBackend } from '../backend/replay';
import type { Frame, Payload } from '../backend/types';
import { type Clockwork, Connection, LOOKS_MS, patience, SILENCE_MS, STANDING } from './connection.svelte';

/** Time that stands still until it is moved. */
class Still implements Clockwork {
  at = 0;
  waiting: { call: () => void; due: number }[] = [];
  frames: (() => void)[] = [];
  later(call: () => void, ms: number): () => void {
    const entry = { call, due: this.at + ms };
    this.waiting.push(entry);
    return () => {
      this.waiting = this.waiting.filter((other) => other !== entry);
    };
  }
  frame(call: () => void): void {
    this.frames.push(call);
  }
  now(): number {
    return this.at;
  }
  pass(ms: number): void {
    const end = this.at + ms;
    for (;;) {
      const next = this.waiting.filter(({ due }) => due <= end).sort((a, b) => a.due - b.due)[0];
      if (!next) break;
      this.waiting = this.waiting.filter((other) => other !== next);
      this.at = next.due;
      next.call();
    }
    this.at = end;
  }
  draw(): void {
    for (const call of this.frames.splice(0)) call();
  }
}

const signals = { kind: 'signals', overview: {} } as unknown as Payload;
const frame = (seq: number, topic = 'signals', payload: Payload = signals): Frame => ({
  version: 2,
  epoch: 'one',
  seq,
  topic,
  correlation_id: null,
  payload,
});
const settled = () => new Promise<void>((done) => setTimeout(done));

let backend: ReplayBackend;
let clock: Still;
let applied: number[][];
let reread: ReturnType<typeof vi.fn<() => Promise<void>>>;
let signedIn: boolean;
let connection: Connection;

beforeEach(() => {
  backend = new ReplayBackend();
  clock = new Still();
  applied = [];
  signedIn = true;
  reread = vi.fn<() => Promise<void>>(async () => undefined);
  connection = new Connection(
    backend,
    (frames) =>
      applied.push(frames.flatMap(({ seq, payload }) => (payload.kind === 'caught_up' ? [] : [seq ?? -1]))),
    reread,
    async () => signedIn,
    clock,
  );
  connection.start();
  backend.open();
});

test('everything is read once the stream is open', () => {
  expect(connection.link).toBe('live');
  expect(reread).toHaveBeenCalledTimes(1);
});

test('frames that come together are applied together', () => {
  backend.send(frame(1), frame(2), frame(3));
  expect(applied).toEqual([]);
  clock.draw();
  expect(applied).toEqual([[1, 2, 3]]);
});

test('a broken stream goes on where it was, with growing patience', async () => {
  backend.send(frame(7));
  backend.breakOff();
  await settled();
  expect(connection.link).toBe('reconnecting');
  clock.pass(patience(0));
  // The other topics are known up to where they began: no more is asked for than that.
  expect(backend.opened).toEqual([null, { epoch: 'one', since: 0, topics: STANDING }]);
  backend.breakOff();
  await settled();
  clock.pass(patience(1) - 1);
  expect(backend.opened).toHaveLength(2);
  clock.pass(1);
  expect(backend.opened).toHaveLength(3);
  backend.open();
  expect(connection.link).toBe('live');
  expect(reread).toHaveBeenCalledTimes(1);
});

test('what begins anew makes everything be read again, once for all topics', () => {
  backend.send(frame(1));
  backend.send({ ...frame(0), seq: null, payload: { kind: 'reset', topics: [...STANDING] } });
  for (const topic of STANDING) {
    expect(reread).toHaveBeenCalledTimes(1);
    backend.begin(topic, 5);
  }
  expect(reread).toHaveBeenCalledTimes(2);
});

test('frames in order are not a reason to read again', () => {
  backend.send(frame(1), frame(2), frame(5));
  expect(reread).toHaveBeenCalledTimes(1);
});

test('what a topic has told already is passed over, and nothing else', async () => {
  backend.send(frame(1), frame(2, 'agents'), frame(3));
  clock.draw();
  backend.breakOff();
  await settled();
  clock.pass(patience(0));
  expect(backend.opened.at(-1)).toEqual({ epoch: 'one', since: 0, topics: STANDING });
  backend.open();
  backend.send(frame(1), frame(2, 'agents'), frame(3), frame(4, 'agents'), frame(5, 'events'));
  clock.draw();
  expect(applied).toEqual([
    [1, 2, 3],
    [4, 5],
  ]);
});

test('a snapshot that broke off is not taken for a whole one', async () => {
  const begun = { ...frame(0, 'agents'), seq: null };
  backend.send({ ...begun, payload: { kind: 'reset', topics: ['agents'] } });
  backend.send({ ...begun, payload: { kind: 'agents', agents: [], removed: [] } });
  backend.breakOff();
  await settled();
  clock.pass(patience(0));
  expect(backend.opened.at(-1)?.topics).toEqual(['signals', 'events']);
  backend.told.length = 0;
  backend.open();
  expect(backend.told).toEqual([{ subscribe: ['agents'], unsubscribe: [] }]);
});

test('what is followed is subscribed to, told apart, and asked for again after a break', async () => {
  const heard: number[] = [];
  const topic = 'transcript:a';
  const stop = connection.follow(topic, ({ seq }) => heard.push(seq ?? -1));
  expect(backend.told).toEqual([{ subscribe: [topic], unsubscribe: [] }]);
  backend.begin(topic, 3);
  const grown = { kind: 'transcript', attempt_id: 'a', entries: [], revision: 1 } as unknown as Payload;
  backend.send(frame(4, topic, grown), frame(4, topic, grown), frame(5, topic, grown));
  expect(heard).toEqual([3, 4, 5]);
  backend.breakOff();
  await settled();
  clock.pass(patience(0));
  expect(backend.opened.at(-1)?.topics).toEqual([...STANDING, topic]);
  backend.open();
  stop();
  expect(backend.told.at(-1)).toEqual({ subscribe: [], unsubscribe: [topic] });
  backend.send(frame(6, topic, grown));
  expect(heard).toEqual([3, 4, 5]);
});

/** Every look that is still to come, one after the other. */
async function looksAgain(): Promise<void> {
  for (const wait of LOOKS_MS) {
    clock.pass(wait);
    await settled();
  }
}

test('whoever is signed out stays out until a new login', async () => {
  signedIn = false;
  backend.breakOff();
  await settled();
  await looksAgain();
  expect(connection.link).toBe('signed_out');
  clock.pass(60_000);
  await settled();
  expect(backend.opened).toHaveLength(1);
});

test('a page goes on that was cut off while another page of its browser signs in', async () => {
  signedIn = false;
  backend.breakOff();
  await settled();
  expect(connection.link).toBe('reconnecting');
  clock.pass(LOOKS_MS[0] ?? 0);
  await settled();
  expect(connection.link).toBe('reconnecting');
  signedIn = true;
  await looksAgain();
  clock.pass(patience(0));
  backend.open();
  expect(connection.link).toBe('live');
});

test('a page that is signed out goes on when another page of its browser signs in', async () => {
  signedIn = false;
  backend.breakOff();
  await settled();
  await looksAgain();
  expect(connection.link).toBe('signed_out');
  reread.mockClear();
  signedIn = true;
  backend.signedIn();
  expect(connection.link).toBe('reconnecting');
  backend.open();
  expect(connection.link).toBe('live');
  // Maybe as somebody else: what was known is not gone on from.
  expect(backend.opened.at(-1)).toBeNull();
  expect(reread).toHaveBeenCalledTimes(1);
});

test('who signs out while it is asked whether it is signed in stays out', async () => {
  backend.breakOff();
  connection.leave();
  await settled();
  clock.pass(60_000);
  expect(connection.link).toBe('signed_out');
  expect(backend.opened).toHaveLength(1);
});

test('silence counts as a broken stream', async () => {
  backend.send(frame(1));
  clock.pass(SILENCE_MS * 1.5);
  await settled();
  expect(connection.link).toBe('reconnecting');
});

test('patience grows and has an end', () => {
  expect([0, 1, 2, 3, 4, 5, 20].map(patience)).toEqual([500, 1000, 2000, 4000, 8000, 15_000, 15_000]);
});
