/** What the entries of a conversation look like and are called. */
import type Bot from '@lucide/svelte/icons/bot';
import Brain from '@lucide/svelte/icons/brain';
import FileInput from '@lucide/svelte/icons/file-input';
import FileText from '@lucide/svelte/icons/file-text';
import Globe from '@lucide/svelte/icons/globe';
import Hexagon from '@lucide/svelte/icons/hexagon';
import Pencil from '@lucide/svelte/icons/pencil';
import Search from '@lucide/svelte/icons/search';
import SquareTerminal from '@lucide/svelte/icons/square-terminal';
import Trash from '@lucide/svelte/icons/trash-2';
import Wrench from '@lucide/svelte/icons/wrench';
import { duration } from '../../kit/time';
import type { Glyph, Tone } from '../../kit/tone';
import { count, dollars, NONE } from '../../kit/units';
import type {
  Body,
  BodyKind,
  ContextFill,
  EntryAt,
  Source,
  Tokens,
  ToolCall,
  ToolKind,
  ToolState,
} from '../../state/types';

export const TOOLS: Record<ToolKind, { word: string; icon: typeof Bot }> = {
  read: { word: 'reads', icon: FileText },
  edit: { word: 'changes files', icon: Pencil },
  delete: { word: 'removes files', icon: Trash },
  move: { word: 'moves files', icon: FileInput },
  search: { word: 'searches', icon: Search },
  execute: { word: 'runs a command', icon: SquareTerminal },
  think: { word: 'thinks', icon: Brain },
  fetch: { word: 'fetches', icon: Globe },
  own: { word: 'uses a tool of Hivekeeper', icon: Hexagon },
  other: { word: 'uses another tool', icon: Wrench },
};

export const TOOL_STATES: Record<ToolState, { word: string; tone: Tone; glyph: Glyph }> = {
  pending: { word: 'waits', tone: 'idle', glyph: 'dots' },
  running: { word: 'runs', tone: 'work', glyph: 'play' },
  completed: { word: 'done', tone: 'ok', glyph: 'check' },
  failed: { word: 'failed', tone: 'bad', glyph: 'cross' },
  abandoned: { word: 'given up', tone: 'idle', glyph: 'slash' },
};

export const KINDS: Record<BodyKind, string> = {
  prompt: 'prompt',
  message: 'message',
  thought: 'thought',
  tool_call: 'tool',
  plan: 'plan',
  request: 'request',
  usage: 'usage',
  state: 'state',
  output: 'output',
  unsupported: 'not understood',
};

/** The word for a kind of entry, also for one that is not known here. */
export const kindWord = (kind: string): string => (KINDS as Record<string, string>)[kind] ?? kind;

export function sourceName(from: Source): string {
  switch (from.kind) {
    case 'captain':
      return 'You';
    case 'agent':
      return from.name;
    case 'system':
      return 'Hivekeeper';
  }
}

/** How long a tool took, or takes until now; nothing where it never began. */
export function tookOf(call: ToolCall, now: number): string | null {
  if (!call.started_at) return null;
  const end = call.ended_at ? Date.parse(call.ended_at) : call.state === 'running' ? now : null;
  return end === null ? null : duration(Math.max(0, end - Date.parse(call.started_at)));
}

/** All that was read; nothing where no kind of it is known. */
export function inputOf(tokens: Tokens): number | null {
  const known = [tokens.uncached_input, tokens.cache_read, tokens.cache_write].filter(
    (n) => typeof n === 'number',
  );
  return known.length === 0 ? null : known.reduce((sum, n) => sum + n, 0);
}

/** How full a context is; nothing where its size is not known. */
export const fillOf = (context: ContextFill | null | undefined): number | null =>
  context && context.size > 0 ? Math.min(1, context.used / context.size) : null;

export function usageLine(body: Extract<Body, { kind: 'usage' }>): string {
  const fill = fillOf(body.context);
  const parts = [`${count(inputOf(body.tokens))} tokens in`, `${count(body.tokens.output)} out`];
  if (body.context) {
    parts.push(
      fill === null ? `context ${count(body.context.used)}` : `context ${Math.floor(fill * 100)} % full`,
    );
  }
  const cost = dollars(body.reported_cost_micros);
  if (cost !== NONE) parts.push(`${cost} as the agent says`);
  return parts.join(' · ');
}

/** Characters in a line of text, about. */
const LINE_CHARS = 100;
const LINE = 20;
const lines = (text: string): number =>
  text.split('\n', 400).reduce((sum, line) => sum + 1 + Math.floor(line.length / LINE_CHARS), 0);

/** How high an entry is before it was seen, in pixels. */
export function guessOf({ entry: { body } }: EntryAt): number {
  switch (body.kind) {
    case 'prompt':
      return 56 + LINE * Math.min(12, lines(body.text));
    case 'message':
      return 44 + LINE * lines(body.text);
    case 'plan':
      return 40 + LINE * body.steps.length;
    case 'request':
      return 56;
    default:
      return 36;
  }
}
