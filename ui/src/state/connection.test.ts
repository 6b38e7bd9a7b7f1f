import { beforeEach, expect, test, vi } from 'vitest';
import { ReplayBackend } from '../backend/replay';
import type { Frame, Payload } from '../backend/types';
import { type Clockwork, Connection, patience, SILENCE_MS } from './connection.svelte';

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

const swarm = { kind: 'swarm', overview: {}, agents: [] } as unknown as Payload;
const frame = (seq: number, payload: Payload = swarm, epoch = 'one'): Frame => ({
  version: 1,
  epoch,
  seq,
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
    (frames) => applied.push(frames.map(({ seq }) => seq)),
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
  expect(backend.opened).toEqual([null, { epoch: 'one', since: 7 }]);
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

test.each([
  ['a reset', frame(2, { kind: 'reset' })],
  ['a gap', frame(5)],
  ['another run of the engine', frame(2, swarm, 'two')],
])('%s makes everything be read again', (_name, next) => {
  backend.send(frame(1), next);
  expect(reread).toHaveBeenCalledTimes(2);
});

test('frames in order are not a reason to read again', () => {
  backend.send(frame(1), frame(2), frame(3));
  expect(reread).toHaveBeenCalledTimes(1);
});

test('whoever is signed out stays out until a new login', async () => {
  signedIn = false;
  backend.breakOff();
  await settled();
  expect(connection.link).toBe('signed_out');
  clock.pass(60_000);
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
