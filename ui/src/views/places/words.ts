/** What is said of a worktree. */
import { bytes, plural } from '../../kit/units';
import type { WorktreeView } from '../../state/types';

/** What is in it that is nowhere else, and so keeps it from being cleaned up. */
export function verdict(tree: WorktreeView): { text: string; free: boolean } {
  if (tree.problem) return { text: tree.problem, free: false };
  if (tree.kept_because.length > 0) return { text: tree.kept_because.join('; '), free: false };
  return { text: 'can go', free: true };
}

/** Added up where it is known. */
export const room = (trees: readonly Pick<WorktreeView, 'bytes'>[]): number =>
  trees.reduce((sum, tree) => sum + (tree.bytes ?? 0), 0);

/** The sentence above the one button of a clean-up. */
export function cleanUp(chosen: readonly WorktreeView[]): string {
  if (chosen.length === 0) return 'Nothing is chosen.';
  return `${plural(chosen.length, 'worktree')} with ${bytes(room(chosen))}`;
}
