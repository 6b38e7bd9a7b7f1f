import { describe, expect, test } from 'vitest';
import { Api, Refusal } from '../backend/api';
import { ReplayBackend } from '../backend/replay';
import { WorkApi } from '../backend/workapi';
import type { ChangedFile, HaltView, PatchView } from '../backend/worktypes';
import { Halting } from './halting.svelte';
import { PATCHES_KEPT, Patches } from './patches.svelte';
import { composed, KEPT, type NoteOnLine, Reviewing, readLayout, readNotes } from './reviewing.svelte';
import { parseRoute } from './router.svelte';

function shelf() {
  const kept = new Map<string, string>();
  return {
    kept,
    getItem: (key: string) => kept.get(key) ?? null,
    setItem: (key: string, value: string) => void kept.set(key, value),
  };
}

const note = (path: string, line: number, text: string, side: NoteOnLine['side'] = 'new'): NoteOnLine => ({
  id: `${path}${line}`,
  path,
  side,
  line,
  text,
});

test.each([
  ['#/review/M-7K2P', { view: 'review', id: 'M-7K2P' }],
  ['#/topics', { view: 'topics', id: null }],
  ['#/places', { view: 'places' }],
  ['#/import', { view: 'import' }],
])('%s is read', (hash, route) => expect(parseRoute(hash)).toEqual(route));

describe('a review', () => {
  test('forgets what was viewed when the commit changes, and keeps what was written', () => {
    const notes = new Reviewing(shelf());
    notes.view('m', 'one', 'a.rs', true);
    notes.say('m', 'one', { path: 'a.rs', side: 'new', line: 3, text: 'why?' });
    notes.write('m', 'one', 'nearly');
    expect(notes.of('m', 'one').viewed).toEqual(['a.rs']);
    const next = notes.of('m', 'two');
    expect(next.viewed).toEqual([]);
    expect(next.comments.map(({ text }) => text)).toEqual(['why?']);
    expect(next.text).toBe('nearly');
  });

  test('is there again after the page was left, and gone once it was sent', () => {
    const place = shelf();
    const before = new Reviewing(place);
    before.view('m', 'one', 'a.rs', true);
    before.say('m', 'one', { path: 'a.rs', side: 'new', line: 3, text: 'why?' });
    before.layOut({ mode: 'split' });
    const after = new Reviewing(place);
    expect(after.of('m', 'one').viewed).toEqual(['a.rs']);
    expect(after.layout).toEqual({ mode: 'split', wrap: false });
    const [comment] = after.of('m', 'one').comments;
    after.unsay('m', 'one', comment?.id ?? '');
    expect(after.of('m', 'one').comments).toEqual([]);
    after.sent('m');
    expect(new Reviewing(place).of('m', 'one').viewed).toEqual([]);
  });

  test('makes room for newer ones', () => {
    const place = shelf();
    const notes = new Reviewing(place);
    for (let i = 0; i < KEPT + 5; i += 1) notes.view(`m${i}`, 'c', 'a', true);
    expect(Object.keys(readNotes(place.kept.get('hivekeeper.reviews') ?? null))).toHaveLength(KEPT);
    expect(notes.of(`m${KEPT + 4}`, 'c').viewed).toEqual(['a']);
  });

  test.each([null, 'not json', '[]', '{"m":1}', '{"m":{"commit":"c","comments":[{"id":1}],"viewed":[3]}}'])(
    'does not trip over %s in the store',
    (text) => {
      const notes = readNotes(text);
      expect(Object.values(notes).every((one) => one.comments.length === 0 && one.viewed.length === 0)).toBe(
        true,
      );
      expect(readLayout(text)).toEqual({ mode: 'unified', wrap: false });
    },
  );

  test('is sent back as one note: the whole first, then line by line in order', () => {
    const comments = [note('b.rs', 2, 'two\nlines'), note('a.rs', 9, ' gone ', 'old'), note('a.rs', 1, ' ')];
    expect(composed(' Nearly. ', comments)).toBe(
      'Nearly.\n\na.rs:9 (before the change): gone\nb.rs:2: two\n  lines',
    );
    expect(composed('', [])).toBe('');
  });
});

const halted: HaltView = { trees: 2, ended: 5, survivors: [], took_ms: 41, recorded: true };

describe('stopping everything', () => {
  test('asks once, sends why, and shows what came of it', async () => {
    const backend = new ReplayBackend().on('POST', '/api/v1/swarm/halt', halted);
    let read = 0;
    const halting = new Halting(new WorkApi(backend), () => {
      read += 1;
    });
    halting.ask();
    halting.note = ' lunch ';
    await Promise.all([halting.stop(), halting.stop()]);
    expect(backend.asked).toEqual([{ method: 'POST', path: '/api/v1/swarm/halt', body: { note: 'lunch' } }]);
    expect(halting.stage).toEqual({ kind: 'stopped', result: halted });
    expect(read).toBe(1);
    halting.close();
    expect(halting.open).toBe(false);
  });

  test('does not wait for other requests that hang', async () => {
    const backend = new ReplayBackend()
      .onCall('GET', '/api/v1/overview', () => new Promise(() => undefined))
      .on('POST', '/api/v1/swarm/halt', halted);
    void new Api(backend).overview();
    const halting = new Halting(new WorkApi(backend), () => undefined);
    halting.ask();
    await halting.stop();
    expect(halting.stage.kind).toBe('stopped');
  });

  test('says that it is not known what was stopped when no answer came, and can be tried again', async () => {
    let fails = true;
    const work = {
      halt: async () => {
        if (fails) throw new Error('the engine does not answer');
        return halted;
      },
      resumeSwarm: async () => undefined,
    };
    const halting = new Halting(work, () => undefined);
    halting.ask();
    await halting.stop();
    expect(halting.stage).toMatchObject({ kind: 'failed', problem: expect.any(Refusal) });
    fails = false;
    await halting.stop();
    expect(halting.stage.kind).toBe('stopped');
  });

  test('cannot be closed while it is under way', () => {
    const halting = new Halting(
      { halt: () => new Promise(() => undefined), resumeSwarm: async () => undefined },
      () => undefined,
    );
    halting.ask();
    void halting.stop();
    halting.close();
    expect(halting.stage.kind).toBe('stopping');
  });
});

describe('patches', () => {
  const file = (path: string, exact = true): ChangedFile => ({
    path,
    exact,
    status: 'modified',
    binary: false,
  });
  const patch = (path: string): PatchView => ({
    attempt_id: 'a',
    base: 'b',
    commit: 'c',
    path,
    text: '',
    truncated: false,
    binary: false,
  });

  test('are read once each, and the oldest make room', async () => {
    const read: string[] = [];
    const patches = new Patches({
      patch: async (_attempt: string, path: string) => {
        read.push(path);
        return patch(path);
      },
    });
    for (let i = 0; i <= PATCHES_KEPT; i += 1) await patches.read('a', 'c', file(`f${i}`));
    await patches.read('a', 'c', file(`f${PATCHES_KEPT}`));
    expect(read).toHaveLength(PATCHES_KEPT + 1);
    expect(patches.of('c', file('f0'))).toBeNull();
    expect(patches.of('c', file('f1'))?.kind).toBe('read');
    expect(patches.of('other', file('f1'))).toBeNull();
  });

  test('that failed can be asked for again; a path that is not exact is not asked for', async () => {
    let asked = 0;
    const patches = new Patches({
      patch: async (_attempt: string, path: string) => {
        asked += 1;
        if (asked === 1) throw new Error('no');
        return patch(path);
      },
    });
    await patches.read('a', 'c', file('x'));
    expect(patches.of('c', file('x'))?.kind).toBe('failed');
    await patches.read('a', 'c', file('x'));
    expect(patches.of('c', file('x'))?.kind).toBe('read');
    await patches.read('a', 'c', file('y', false));
    expect(asked).toBe(2);
  });
});

test('every page of worktrees and of the trash is read', async () => {
  const tree = { attempt_id: 'a' };
  const backend = new ReplayBackend()
    .on('GET', '/api/v1/worktrees', { items: [tree], bytes: 2, next: 'p2' })
    .on('GET', '/api/v1/worktrees?cursor=p2', { items: [tree, tree], bytes: 3 })
    .on('GET', '/api/v1/trash', { items: [{ id: 't' }] });
  const work = new WorkApi(backend);
  const all = await work.worktrees();
  expect([all.items.length, all.bytes, all.next ?? null]).toEqual([3, 5, null]);
  expect(await work.trash()).toHaveLength(1);
});
