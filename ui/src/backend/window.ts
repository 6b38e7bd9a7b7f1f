/** The backend of the desktop window: requests go to the engine in the same process. */
import { Channel, invoke, isTauri } from '@tauri-apps/api/core';
import {
  type Answer,
  type Backend,
  type From,
  type Live,
  type LiveHandlers,
  type Method,
  Unreachable,
} from './backend';
import type { Frame } from './types';

/** How many frames arrive between two confirmations; the shell waits at 256. */
const CONFIRM_EVERY = 32;

export const inWindow = (): boolean => isTauri();

/** Fails when the signal says so: the shell ends the request by itself, but nobody waits for it any more. */
const aborted = (signal: AbortSignal): Promise<never> =>
  new Promise((_, fail) => {
    signal.addEventListener('abort', () => fail(signal.reason), { once: true });
  });

class WindowBackend implements Backend {
  readonly kind = 'window';

  async request(
    method: Method,
    path: string,
    body?: string,
    headers: Record<string, string> = {},
    signal?: AbortSignal,
  ): Promise<Answer> {
    try {
      signal?.throwIfAborted();
      return await Promise.race([
        invoke<Answer>('request', { method, path, headers, body: body ?? null }),
        ...(signal ? [aborted(signal)] : []),
      ]);
    } catch (cause) {
      throw new Unreachable(cause);
    }
  }

  live(handlers: LiveHandlers, from: From | null, topics: readonly string[]): Live {
    let closed = false;
    let id: number | null = null;
    let count = 0;
    let asked = 0;
    // The shell sends null when the stream ends, and stays a bounded number of frames ahead of us.
    const channel = new Channel<Frame | null>();
    channel.onmessage = (frame) => {
      if (closed) return;
      if (frame === null) {
        handlers.onEnd();
        return;
      }
      handlers.onFrame(frame);
      count += 1;
      if (id !== null && count % CONFIRM_EVERY === 0) {
        invoke('live_ack', { id, count }).catch(() => undefined);
      }
    };
    const stop = () => {
      if (id !== null) invoke('live_stop', { id }).catch(() => undefined);
    };
    const beginning = {
      topics: from?.topics ?? topics,
      epoch: from?.epoch ?? null,
      since: from?.since ?? null,
    };
    invoke<number>('live', { channel, ...beginning }).then(
      (given) => {
        id = given;
        if (closed) stop();
        else handlers.onOpen();
      },
      () => {
        if (!closed) handlers.onEnd();
      },
    );
    return {
      tell(subscribe, unsubscribe) {
        if (id === null || closed) return;
        asked += 1;
        const ask = { subscribe, unsubscribe, correlation_id: String(asked) };
        invoke('live_tell', { id, ask }).catch(() => undefined);
      },
      close() {
        closed = true;
        stop();
      },
    };
  }

  saveFile(name: string, _mediaType: string, text: string): Promise<string | null> {
    return invoke<string | null>('save_file', { name, text });
  }

  pickDirectory = (): Promise<string | null> => invoke<string | null>('pick_directory');

  async openExternal(url: string): Promise<void> {
    await invoke('open_external', { url });
  }
}

export const windowBackend = (): Backend => new WindowBackend();
