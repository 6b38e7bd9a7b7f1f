import { describe, expect, test } from 'vitest';
import { Refusal, type Versioned } from '../backend/api';
import { Edit } from './edit.svelte';

interface Thing {
  name: string;
  size: number;
  /** Not edited here. */
  used?: number;
}
interface Draft {
  name: string;
  size: string;
}
const draftOf = ({ name, size }: Thing): Draft => ({ name, size: String(size) });
const FIRST: Thing = { name: 'a', size: 1 };

/** What is kept elsewhere, with a version that grows. */
class Elsewhere {
  version = 1;
  value: Thing | null = FIRST;
  readonly sent: (string | null)[] = [];

  look = async (): Promise<Versioned<Thing>> => {
    if (this.value === null) throw new Refusal(404, 'not_found', 'gone', null, []);
    return { value: this.value, version: `"${this.version}"` };
  };

  change(value: Thing | null): void {
    this.value = value;
    this.version += 1;
  }

  send = (value: Thing) => async (version: string | null) => {
    this.sent.push(version);
    if (version !== null && version !== `"${this.version}"`)
      throw new Refusal(412, 'changed_meanwhile', 'it was changed meanwhile', null, []);
    this.change(value);
    return value;
  };
}

async function begun(): Promise<{ there: Elsewhere; edit: Edit<Thing, Draft> }> {
  const there = new Elsewhere();
  const edit = new Edit(FIRST, there.look, draftOf);
  await edit.begin();
  return { there, edit };
}

describe('an edit', () => {
  test('is sent for the version that was read when it began', async () => {
    const { there, edit } = await begun();
    expect(await edit.save(there.send({ name: 'b', size: 1 }))).toEqual({ name: 'b', size: 1 });
    expect(there.sent).toEqual(['"1"']);
  });

  test('of something another one changed is not applied, and shows what changed on both sides', async () => {
    const { there, edit } = await begun();
    there.change({ name: 'theirs', size: 2 });
    expect(await edit.save(there.send({ name: 'mine', size: 1 }))).toBeNull();
    expect(there.value).toEqual({ name: 'theirs', size: 2 });
    expect(edit.differences({ name: 'mine', size: '1' })).toEqual([
      { key: 'name', was: 'a', now: 'theirs', mine: 'mine', clash: true },
      { key: 'size', was: '1', now: '2', mine: '1', clash: false },
    ]);
    // Nothing more is sent until it is said what becomes of it.
    expect(await edit.save(there.send({ name: 'mine', size: 1 }))).toBeNull();
    expect(there.sent).toEqual(['"1"']);
  });

  test('can take what is there now, and begins from it', async () => {
    const { there, edit } = await begun();
    there.change({ name: 'theirs', size: 2 });
    await edit.save(there.send(FIRST));
    expect(edit.take()).toEqual({ name: 'theirs', size: '2' });
    expect(edit.other).toBeNull();
    await edit.save(there.send({ name: 'theirs', size: 3 }));
    expect(there.value).toEqual({ name: 'theirs', size: 3 });
  });

  test('written over what is there now leaves what was not changed here as the other one made it', async () => {
    const { there, edit } = await begun();
    there.change({ name: 'theirs', size: 2 });
    await edit.save(there.send(FIRST));
    expect(edit.over({ name: 'mine', size: '1' })).toEqual({ name: 'mine', size: '2' });
    await edit.save(there.send({ name: 'mine', size: 2 }));
    expect(there.sent).toEqual(['"1"', '"2"']);
  });

  test('is caught again when a third one changes it before it is written over', async () => {
    const { there, edit } = await begun();
    there.change({ name: 'theirs', size: 2 });
    await edit.save(there.send(FIRST));
    const mine = edit.over({ name: 'mine', size: '1' });
    there.change({ name: 'a third', size: 2 });
    expect(await edit.save(there.send({ name: mine.name, size: 2 }))).toBeNull();
    expect(edit.differences(mine).map(({ now }) => now)).toEqual(['a third']);
  });

  test('goes through where only what is not edited here was changed', async () => {
    const { there, edit } = await begun();
    there.change({ ...FIRST, used: 7 });
    expect(await edit.save(there.send({ name: 'mine', size: 1 }))).not.toBeNull();
    expect(there.sent).toEqual(['"1"', '"2"']);
  });

  test('of what was removed is said so, and can make it again', async () => {
    const { there, edit } = await begun();
    there.change(null);
    expect(await edit.save(there.send({ name: 'mine', size: 1 }))).toBeNull();
    expect(edit.gone).toBe(true);
    edit.again();
    expect(await edit.save(there.send({ name: 'mine', size: 1 }))).not.toBeNull();
    expect(there.sent.at(-1)).toBeNull();
  });

  test('reads the version before it is sent where that could not be read at first', async () => {
    const there = new Elsewhere();
    let reads = 0;
    const edit = new Edit(
      FIRST,
      () => (++reads === 1 ? Promise.reject(new Error('no answer')) : there.look()),
      draftOf,
    );
    await edit.begin();
    await edit.save(there.send(FIRST));
    expect(there.sent).toEqual(['"1"']);
  });

  test('that is refused for another reason says that reason', async () => {
    const { edit } = await begun();
    const refused = new Refusal(400, 'invalid', 'no', null, []);
    await expect(edit.save(() => Promise.reject(refused))).rejects.toBe(refused);
  });
});
