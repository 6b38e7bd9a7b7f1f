/** The keys of the inbox. */

export const INBOX_KEYS: readonly { keys: string; does: string }[] = [
  { keys: 'j', does: 'Next' },
  { keys: 'k', does: 'The one before' },
  { keys: 'Enter', does: 'Look closer, or open it' },
  { keys: 'Esc', does: 'Back to the list' },
  { keys: 'o', does: 'Allow it once' },
  { keys: 'a', does: 'Allow it always: choose the pattern and how far it reaches' },
  { keys: 'd', does: 'Deny it, with a note' },
  { keys: 'n', does: 'Not now' },
  { keys: '1 9', does: 'Give this answer to a question' },
];

export type InboxAsk =
  | { kind: 'move'; by: 1 | -1 }
  | { kind: 'peek' }
  | { kind: 'back' }
  | { kind: 'once' }
  | { kind: 'always' }
  | { kind: 'deny' }
  | { kind: 'not_now' }
  | { kind: 'option'; index: number };

const ASKS: Record<string, InboxAsk> = {
  j: { kind: 'move', by: 1 },
  ArrowDown: { kind: 'move', by: 1 },
  k: { kind: 'move', by: -1 },
  ArrowUp: { kind: 'move', by: -1 },
  Enter: { kind: 'peek' },
  Escape: { kind: 'back' },
  o: { kind: 'once' },
  a: { kind: 'always' },
  d: { kind: 'deny' },
  n: { kind: 'not_now' },
};

/** What a key asks for; nothing where it is typed into something, means something else, or is held down. */
export function asked(event: KeyboardEvent): InboxAsk | null {
  if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey) return null;
  const { target } = event;
  if (target instanceof HTMLElement) {
    if (['TEXTAREA', 'SELECT', 'INPUT'].includes(target.tagName) || target.isContentEditable) return null;
    // A button or a link that has the focus is pressed by Enter; a diff moves by its own keys.
    if (event.key === 'Enter' && target.closest('a, button, summary')) return null;
  }
  if (document.querySelector('[role="dialog"]')) return null;
  const ask = /^[1-9]$/.test(event.key)
    ? ({ kind: 'option', index: Number(event.key) - 1 } as const)
    : (ASKS[event.key] ?? null);
  // Holding a key moves on, but never answers one request after the other.
  if (event.repeat && ask?.kind !== 'move') return null;
  return ask;
}
