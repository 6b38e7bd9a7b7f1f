/** The keys of a review. */

export const REVIEW_KEYS: readonly { keys: string; does: string }[] = [
  { keys: 'j', does: 'Next change, then the next file' },
  { keys: 'k', does: 'Change before' },
  { keys: 'n', does: 'Next file' },
  { keys: 'p', does: 'File before' },
  { keys: 'v', does: 'Viewed, and on to the next file' },
  { keys: 'c', does: 'Comment on this line' },
  { keys: 'A', does: 'Accept' },
  { keys: 'S', does: 'Send back' },
];

export type ReviewAsk =
  | 'next_change'
  | 'change_before'
  | 'next_file'
  | 'file_before'
  | 'viewed'
  | 'comment'
  | 'accept'
  | 'send_back';

const ASKS: Record<string, ReviewAsk> = {
  j: 'next_change',
  k: 'change_before',
  n: 'next_file',
  p: 'file_before',
  v: 'viewed',
  c: 'comment',
  A: 'accept',
  S: 'send_back',
};

/** What a key asks for; nothing where it is typed into something or means something else. */
export function asked(event: KeyboardEvent): ReviewAsk | null {
  if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey) return null;
  const target = event.target;
  if (
    target instanceof HTMLElement &&
    (['TEXTAREA', 'SELECT'].includes(target.tagName) || target.isContentEditable)
  )
    return null;
  // A letter means nothing to a check-box or a choice.
  if (target instanceof HTMLInputElement && !['checkbox', 'radio'].includes(target.type)) return null;
  if (document.querySelector('[role="dialog"]')) return null;
  return ASKS[event.key] ?? null;
}
