/** What happened to time, in words and as it is drawn. */
import type { TimeMark } from '../../kit/plotmarks';
import { absolute, duration } from '../../kit/time';
import type { SignalMark } from '../../state/signals';

const SIGNS: Record<SignalMark['kind'], string> = { suspended: 'zz', clock_stepped: '±', missed: '…' };

/** A mark is noted when it is over; what lasted is a stretch, a clock that was set is a moment. */
export function drawnMark({ at, kind, span_ms }: SignalMark): TimeMark {
  const to = Date.parse(at);
  return { from: kind === 'clock_stepped' ? to : to - Math.max(0, span_ms), to, sign: SIGNS[kind] };
}

export function markText({ at, kind, span_ms }: SignalMark): string {
  const long = duration(Math.abs(span_ms));
  switch (kind) {
    case 'suspended':
      return `the machine slept for ${long} until ${absolute(at)}`;
    case 'clock_stepped':
      return `the clock was set ${span_ms < 0 ? 'back' : 'forward'} by ${long} at ${absolute(at)}`;
    case 'missed':
      return `nothing was measured for ${long} until ${absolute(at)}`;
  }
}

/** The marks of all that was read, each once, the latest first. */
export function allMarks(readings: readonly ({ marks: readonly SignalMark[] } | null)[]): SignalMark[] {
  const found = new Map<string, SignalMark>();
  for (const reading of readings)
    for (const mark of reading?.marks ?? []) found.set(`${mark.at} ${mark.kind}`, mark);
  return [...found.values()].sort((a, b) => Date.parse(b.at) - Date.parse(a.at));
}
