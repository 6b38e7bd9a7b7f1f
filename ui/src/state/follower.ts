/**
 * Conversations as they grow: what is new comes over the live stream, without asking for it.
 *
 * The stream tells entries with their revisions. Where it begins anew, what may have been missed in between is
 * read once, by revision, so that nothing is missing and nothing is there twice.
 */
import type { AgentApi } from '../backend/agentapi';
import type { ConversationChanges, EntryAt } from '../backend/agenttypes';
import type { Frame } from '../backend/types';

/** The most entries of one reading; where there are so many there may be more. */
const READ_MAX = 500;
/** Entries that wait to be taken; beyond that they are read instead. */
const WAITING_MAX = 5_000;

export type Follow = (topic: string, onFrame: (frame: Frame) => void) => () => void;

interface Feed {
  entries: EntryAt[];
  revision: number;
  /** Something may have been missed: it is to be read. */
  behind: boolean;
  wake: (() => void) | null;
}

export class Follower {
  #feeds = new Map<AbortSignal, Feed>();
  conversation: AgentApi['conversation'];

  constructor(
    private readonly api: Pick<AgentApi, 'conversation' | 'changes'>,
    private readonly follow: Follow,
  ) {
    this.conversation = api.conversation;
  }

  /** What changed after a revision; waits for it when nothing has, as long as is said. */
  changes = async (
    id: string,
    revision: number,
    waitMs: number,
    signal?: AbortSignal,
  ): Promise<ConversationChanges> => {
    if (waitMs === 0 || signal === undefined) return this.api.changes(id, revision, 0, signal);
    const feed = this.#feed(id, signal);
    const until = performance.now() + waitMs;
    for (;;) {
      signal.throwIfAborted();
      if (feed.behind) {
        feed.behind = false;
        try {
          const read = await this.api.changes(id, revision, 0, signal);
          feed.behind ||= read.entries.length >= READ_MAX;
          if (read.entries.length > 0 || read.revision < revision) return read;
        } catch (error) {
          feed.behind = true;
          throw error;
        }
        continue;
      }
      const some = feed.entries.filter((one) => one.revision > revision);
      feed.entries = [];
      if (some.length > 0) return { entries: some, revision: Math.max(revision, feed.revision) };
      const left = until - performance.now();
      if (left <= 0) return { entries: [], revision };
      await this.#news(feed, left);
    }
  };

  #feed(id: string, signal: AbortSignal): Feed {
    const known = this.#feeds.get(signal);
    if (known) return known;
    const feed: Feed = { entries: [], revision: 0, behind: false, wake: null };
    this.#feeds.set(signal, feed);
    const stop = this.follow(`transcript:${id}`, ({ payload }) => {
      if (payload.kind === 'conversation' || payload.kind === 'refused') feed.behind = true;
      else if (payload.kind === 'transcript') {
        feed.entries.push(...payload.entries);
        feed.revision = Math.max(feed.revision, payload.revision);
        if (feed.entries.length > WAITING_MAX) {
          feed.entries = [];
          feed.behind = true;
        }
      } else return;
      feed.wake?.();
    });
    signal.addEventListener(
      'abort',
      () => {
        stop();
        this.#feeds.delete(signal);
        feed.wake?.();
      },
      { once: true },
    );
    return feed;
  }

  #news(feed: Feed, ms: number): Promise<void> {
    return new Promise((done) => {
      const timer = setTimeout(() => feed.wake?.(), ms);
      feed.wake = () => {
        clearTimeout(timer);
        feed.wake = null;
        done();
      };
    });
  }
}
