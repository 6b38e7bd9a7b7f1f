/** What is said of work under review. */
import { type DiffFile, parsePatch } from '../../kit/diff';
import type { LineMark } from '../../kit/diffrows';
import { plural } from '../../kit/units';
import type {
  ChangedFile,
  ChangeStatus,
  MergeView,
  MergeWish,
  PatchView,
  RadarConflict,
} from '../../state/types';

export const STATUSES: Record<ChangeStatus, { letter: string; word: string }> = {
  added: { letter: 'A', word: 'added' },
  modified: { letter: 'M', word: 'modified' },
  deleted: { letter: 'D', word: 'deleted' },
  renamed: { letter: 'R', word: 'renamed' },
  copied: { letter: 'C', word: 'copied' },
  type_changed: { letter: 'T', word: 'became another kind of file' },
};

export const MERGES: Record<MergeWish, { word: string; about: string }> = {
  merge: { word: 'Merge', about: 'With a merge commit that has the reviewed commit as its second parent.' },
  squash: { word: 'Squash', about: 'As one commit of the agent’s author.' },
  rebase: {
    word: 'Rebase',
    about: 'Commit by commit on top of the branch; as they are where it has not moved.',
  },
  none: { word: 'Do not merge', about: 'The work is accepted and stays on its own branch.' },
};

/** A name of a commit that fits into a line. */
export const short = (commit: string | null | undefined): string => commit?.slice(0, 10) ?? '';

/** What merging would do, and whether it can be done. */
export function mergeWords(merge: MergeView | null | undefined): {
  text: string;
  can: boolean;
  tone: 'ok' | 'warn' | 'bad';
} {
  if (!merge) return { text: 'There is no branch to merge into.', can: false, tone: 'warn' };
  const { preview, target } = merge;
  if (!preview)
    return {
      text: `Merging into ${target} cannot be looked at: ${merge.problem ?? 'no reason given'}`,
      can: false,
      tone: 'bad',
    };
  if (preview.already_merged)
    return { text: `${target} has all of this work already.`, can: true, tone: 'ok' };
  if (preview.conflicts.length > 0)
    return {
      text: `Conflicts with ${target} in ${plural(preview.conflicts.length, 'file')}: ${some(preview.conflicts)}`,
      can: false,
      tone: 'bad',
    };
  if (preview.checkout_dirty_files.length > 0)
    return {
      text: `Merging into ${target} would overwrite ${plural(preview.checkout_dirty_files.length, 'uncommitted file')} of your checkout: ${some(preview.checkout_dirty_files)}`,
      can: false,
      tone: 'bad',
    };
  if (preview.can_fast_forward)
    return { text: `Merges into ${target} without conflicts; it has not moved.`, can: true, tone: 'ok' };
  const moved = preview.target_moved
    ? `${target} has moved by ${plural(preview.commits_behind, 'commit')}; `
    : '';
  return {
    text: `${moved}merges into ${target} without conflicts.`,
    can: true,
    tone: moved === '' ? 'ok' : 'warn',
  };
}

const NAMED = 5;
const some = (names: readonly string[]): string =>
  `${names.slice(0, NAMED).join(', ')}${names.length > NAMED ? ` and ${names.length - NAMED} more` : ''}`;

/** What a file's conflicts are between, apart from this mission. */
export const others = (conflict: RadarConflict, mission: string) =>
  conflict.between.filter((party) => party.short_id !== mission);

/** The lines of one file that other missions change too. Their numbers are those before the change. */
export function marksOf(radar: readonly RadarConflict[], file: ChangedFile, mission: string): LineMark[] {
  // What the diff is compared with may be another commit than theirs: then the numbers say nothing.
  const here = radar.filter(
    (conflict) => !conflict.by_file_only && (conflict.path === file.path || conflict.path === file.old_path),
  );
  return here.flatMap((conflict) =>
    conflict.lines
      .filter((lines) => lines.short_id !== mission)
      .flatMap((lines) => {
        const party = conflict.between.find((one) => one.short_id === lines.short_id && one.n === lines.n);
        const whose = `${lines.short_id}${party ? ` ${party.title}` : ''}`;
        return lines.ranges.map(({ start, end }) => ({
          path: file.path,
          side: 'old' as const,
          // A range that ends before it starts is a place between two lines.
          from: end < start ? Math.max(1, start - 1) : start,
          to: end < start ? start : end,
          label: `${whose} ${end < start ? 'adds lines here' : 'changes these lines too'}`,
          tone: conflict.overlapping ? ('warn' as const) : ('review' as const),
        }));
      }),
  );
}

/** A patch as the files the viewer shows; what was cut off says so. */
export function filesOf(patch: PatchView, file: ChangedFile): DiffFile[] {
  const files = parsePatch(patch.text);
  const last = files.at(-1);
  if (last && patch.truncated) last.truncated = true;
  if (files.length > 0) return files;
  return [
    {
      oldPath: file.status === 'added' ? null : (file.old_path ?? file.path),
      newPath: file.status === 'deleted' ? null : file.path,
      status: file.status === 'type_changed' ? 'modified' : file.status,
      mode: null,
      binary: file.binary || patch.binary,
      truncated: patch.truncated,
      hunks: [],
    },
  ];
}
