/** The only door to the engine: everything the interface reads or asks passes through a Backend. */
import type { Frame } from './types';

export type Method = 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';

export interface Answer {
  status: number;
  /** Names in lower case. */
  headers: Record<string, string>;
  body: string;
}

/** Where a stream goes on: the run of the engine, the number seen last in it, and what is known up to there. */
export interface From {
  epoch: string;
  since: number;
  topics: readonly string[];
}

/** An open stream. */
export interface Live {
  /** Changes what is told; what is new begins with a snapshot. */
  tell(subscribe: readonly string[], unsubscribe: readonly string[]): void;
  close(): void;
}

export interface LiveHandlers {
  onOpen(): void;
  onFrame(frame: Frame): void;
  /** The stream broke; nothing more comes from it. */
  onEnd(): void;
}

export interface Backend {
  readonly kind: 'window' | 'browser' | 'replay';
  request(
    method: Method,
    path: string,
    body?: string,
    headers?: Record<string, string>,
    signal?: AbortSignal,
  ): Promise<Answer>;
  /** Opens the live stream where it broke off, or with these topics. */
  live(handlers: LiveHandlers, from: From | null, topics: readonly string[]): Live;
  /** Gives a file to the captain; where it went, if that is known, or nothing when it was called off. */
  saveFile(name: string, mediaType: string, text: string): Promise<string | null>;
  /** Gives a picture to the captain; absent where only text can be given. */
  savePicture?: (name: string, picture: Blob) => Promise<void>;
  /** Lets the captain choose a directory; absent where the page cannot see directories. */
  pickDirectory?: () => Promise<string | null>;
  openExternal(url: string): Promise<void>;
  /** Calls back when another page signs this browser in, until the answer is called; absent where nobody signs in. */
  onSignIn?: (call: () => void) => () => void;
}

/** The answer never came: the engine is not there, or the connection broke. */
export class Unreachable extends Error {
  constructor(cause: unknown) {
    super('the engine does not answer', { cause });
    this.name = 'Unreachable';
  }
}
