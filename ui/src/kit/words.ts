/** Which parts of a line changed, word by word. */
import { diffWordsWithSpace } from 'diff';

/** A range of a text, by UTF-16 index; `to` is behind its end. */
export interface Range {
  from: number;
  to: number;
}

export interface Changes {
  old: Range[];
  new: Range[];
}

/** Longer lines are not compared word by word. */
const CHARS_MAX = 1_000;
/** Words exchanged at most; where more differ, the lines have little to do with each other. */
const EDITS_MAX = 120;
/** The least part of the shorter line that must be the same for its differences to say anything. */
const SAME_MIN = 0.3;

/** The parts that differ between a line and its successor; nothing where they have little in common. */
export function changesBetween(old: string, now: string): Changes | null {
  if (old === now || old.length > CHARS_MAX || now.length > CHARS_MAX) return null;
  const parts = diffWordsWithSpace(old, now, { maxEditLength: EDITS_MAX });
  if (parts === undefined) return null;
  const changes: Changes = { old: [], new: [] };
  let [oldAt, nowAt, same] = [0, 0, 0];
  for (const { value, added, removed } of parts) {
    if (removed) changes.old.push({ from: oldAt, to: oldAt + value.length });
    else if (added) changes.new.push({ from: nowAt, to: nowAt + value.length });
    else same += value.trim().length;
    if (!added) oldAt += value.length;
    if (!removed) nowAt += value.length;
  }
  const shorter = Math.min(old.trim().length, now.trim().length);
  return same >= shorter * SAME_MIN && same > 0 ? changes : null;
}
