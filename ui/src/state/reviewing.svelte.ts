/** What the captain has looked at and written about work under review, kept in this browser or window. */

export interface NoteOnLine {
  id: string;
  path: string;
  side: 'old' | 'new';
  line: number;
  text: string;
}

export interface Notes {
  /** The commit the marks are about. */
  commit: string;
  viewed: readonly string[];
  comments: readonly NoteOnLine[];
  text: string;
  /** When it was last changed, in milliseconds since 1970. */
  at: number;
}

const KEY = 'hivekeeper.reviews';
/** Reviews remembered; the oldest make room. */
export const KEPT = 50;

type Shelf = Pick<Storage, 'getItem' | 'setItem'>;

function isComment(raw: unknown): raw is NoteOnLine {
  const one = raw as Partial<NoteOnLine> | null;
  return (
    typeof one?.id === 'string' &&
    typeof one.path === 'string' &&
    (one.side === 'old' || one.side === 'new') &&
    typeof one.line === 'number' &&
    typeof one.text === 'string'
  );
}

/** What was stored, as far as it makes sense. */
export function readNotes(text: string | null): Record<string, Notes> {
  const found: Record<string, Notes> = {};
  try {
    for (const [id, raw] of Object.entries(JSON.parse(text ?? '{}') as Record<string, Partial<Notes>>)) {
      if (typeof raw?.commit !== 'string') continue;
      found[id] = {
        commit: raw.commit,
        viewed: (raw.viewed ?? []).filter((path) => typeof path === 'string'),
        comments: (raw.comments ?? []).filter(isComment),
        text: typeof raw.text === 'string' ? raw.text : '',
        at: typeof raw.at === 'number' ? raw.at : 0,
      };
    }
  } catch {
    return {};
  }
  return found;
}

/** One note an agent can read: what is said of it all, then line by line. */
export function composed(text: string, comments: readonly NoteOnLine[]): string {
  const lines = [...comments]
    .filter((comment) => comment.text.trim() !== '')
    .sort((a, b) => a.path.localeCompare(b.path) || a.line - b.line)
    .map(({ path, line, side, text: said }) => {
      const where = `${path}:${line}${side === 'old' ? ' (before the change)' : ''}`;
      return `${where}: ${said.trim().replace(/\n/g, '\n  ')}`;
    });
  return [text.trim(), lines.join('\n')].filter((part) => part !== '').join('\n\n');
}

const EMPTY: Omit<Notes, 'commit'> = { viewed: [], comments: [], text: '', at: 0 };

/** How a diff is laid out. */
export interface Layout {
  mode: 'unified' | 'split';
  wrap: boolean;
}

const LAYOUT_KEY = 'hivekeeper.diff';

/** What was stored, as far as it makes sense. */
export function readLayout(text: string | null): Layout {
  try {
    const raw = JSON.parse(text ?? '{}') as { mode?: unknown; wrap?: unknown };
    return { mode: raw.mode === 'split' ? 'split' : 'unified', wrap: raw.wrap === true };
  } catch {
    return { mode: 'unified', wrap: false };
  }
}

export class Reviewing {
  #layout = $state.raw<Layout>({ mode: 'unified', wrap: false });
  #all = $state.raw<Record<string, Notes>>({});
  #last = 0;

  constructor(private readonly shelf: Shelf) {
    this.#all = readNotes(shelf.getItem(KEY));
    this.#layout = readLayout(shelf.getItem(LAYOUT_KEY));
  }

  get layout(): Layout {
    return this.#layout;
  }

  layOut(change: Partial<Layout>): void {
    this.#layout = { ...this.#layout, ...change };
    this.shelf.setItem(LAYOUT_KEY, JSON.stringify(this.#layout));
  }

  /** Marks hold for one commit; what was written stays. */
  of(mission: string, commit: string): Notes {
    const known = this.#all[mission];
    if (known === undefined) return { ...EMPTY, commit };
    return known.commit === commit ? known : { ...known, commit, viewed: [] };
  }

  view(mission: string, commit: string, path: string, viewed: boolean): void {
    const notes = this.of(mission, commit);
    const others = notes.viewed.filter((one) => one !== path);
    this.#put(mission, { ...notes, viewed: viewed ? [...others, path] : others });
  }

  say(mission: string, commit: string, comment: Omit<NoteOnLine, 'id'>): void {
    const notes = this.of(mission, commit);
    this.#last += 1;
    const id = `${Date.now().toString(36)}-${this.#last}`;
    this.#put(mission, { ...notes, comments: [...notes.comments, { ...comment, id }] });
  }

  unsay(mission: string, commit: string, id: string): void {
    const notes = this.of(mission, commit);
    this.#put(mission, { ...notes, comments: notes.comments.filter((one) => one.id !== id) });
  }

  write(mission: string, commit: string, text: string): void {
    this.#put(mission, { ...this.of(mission, commit), text });
  }

  /** What was written has reached the agent. */
  sent(mission: string): void {
    const { [mission]: _sent, ...others } = this.#all;
    this.#all = others;
    this.#save();
  }

  #put(mission: string, notes: Notes): void {
    const all = { ...this.#all, [mission]: { ...notes, at: Date.now() } };
    const newest = Object.entries(all)
      .sort(([, a], [, b]) => b.at - a.at)
      .slice(0, KEPT);
    this.#all = Object.fromEntries(newest);
    this.#save();
  }

  #save(): void {
    try {
      this.shelf.setItem(KEY, JSON.stringify(this.#all));
    } catch {
      // The shelf is full or closed: it is remembered until the page is left.
    }
  }
}
