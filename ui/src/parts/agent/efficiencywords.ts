/** How well an agent works, in lines: each figure with the cases it rests on, what it was before, and its peers. */
import { duration } from '../../kit/time';
import { count, dollars, NONE, scaled } from '../../kit/units';
import type { Efficiency } from '../../state/types';

export interface EfficiencyLine {
  id: string;
  title: string;
  about: string;
  value: string;
  /** On what it rests. */
  rests: string;
  /** How it changed, and whether that is better; nothing where one of the two is not known. */
  trend: { text: string; way: 'better' | 'worse' | 'same' } | null;
  /** How it stands beside the others. */
  peers: string;
}

type Key = keyof Efficiency['trend'] & keyof Efficiency['peers'];
const known = (value: number | null | undefined): value is number => value !== null && value !== undefined;
const or = (value: number | null | undefined, as: (value: number) => string): string =>
  known(value) ? as(value) : NONE;
const share = (value: number): string => `${(value * 100).toFixed(value === 1 || value === 0 ? 0 : 1)} %`;
const seconds = (value: number): string => duration(value * 1_000);
const usd = (value: number): string => dollars(value * 1_000_000);

const SHARES = ['success', 'evidence', 'rework', 'idle_share'];
/** Of everything else, less is better. */
const MORE_IS_BETTER = ['missions_per_hour', 'success', 'evidence'];
/** A change of less than this part of what it was is none worth a word. */
const SAME_PERCENT = 1;

function trendOf(it: Efficiency, key: Key, as: (value: number) => string): EfficiencyLine['trend'] {
  const { before, change, percent } = it.trend[key];
  if (!known(before) || !known(change)) return null;
  const from = `was ${as(before)}`;
  if (change === 0 || (known(percent) && Math.abs(percent) < SAME_PERCENT))
    return { text: from, way: 'same' };
  const up = change > 0;
  const grown = SHARES.includes(key)
    ? `${up ? '+' : '−'}${Math.abs(change * 100).toFixed(1)} points`
    : known(percent)
      ? `${up ? '+' : '−'}${Math.abs(percent).toFixed(0)} %`
      : '';
  return {
    text: grown === '' ? from : `${grown}, ${from}`,
    way: up === MORE_IS_BETTER.includes(key) ? 'better' : 'worse',
  };
}

function peersOf(it: Efficiency, key: Key, as: (value: number) => string): string {
  const { median, n, rank } = it.peers[key];
  if (n === 0 || !known(median)) return 'no other agent has this figure';
  const place = known(rank) ? `, place ${count(rank)} of ${count(n + 1)}` : '';
  return `others ${as(median)} (${count(n)})${place}`;
}

export function efficiencyLines(it: Efficiency): EfficiencyLine[] {
  const range = (low: number | null | undefined, high: number | null | undefined) =>
    known(low) && known(high) ? `, ${share(low)} to ${share(high)} in 95 of 100 cases` : '';
  const line = (
    key: Key,
    [title, about]: readonly [string, string],
    value: number | null | undefined,
    rests: string,
    as: (value: number) => string,
  ): EfficiencyLine => ({
    id: key,
    title,
    about,
    value: or(value, as),
    rests,
    trend: trendOf(it, key, as),
    peers: peersOf(it, key, as),
  });
  const of = (n: number, what: string) => `${count(n)} ${what}`;
  const { missions_per_hour: pace, success, evidence, rework, cycle_time: cycle } = it;
  const { tokens_per_accepted: tokens, cost_per_accepted: cost, idle_share: idle } = it;
  const unsaid = ({ unknown }: { unknown: number }) =>
    unknown > 0 ? `; at least that, ${of(unknown, 'attempts said nothing')}` : '';
  return [
    line(
      'missions_per_hour',
      ['Missions an hour', 'accepted, while it was there'],
      pace.value,
      of(pace.n, 'accepted'),
      scaled,
    ),
    line(
      'success',
      ['Success', 'of what came to an end'],
      success.value,
      of(success.n, 'attempts') + range(success.low, success.high),
      share,
    ),
    line(
      'evidence',
      ['Proved', 'by more than its own word'],
      evidence.value,
      of(evidence.n, 'accepted') + range(evidence.low, evidence.high),
      share,
    ),
    line(
      'rework',
      ['Rework', 'took more than one try'],
      rework.value,
      of(rework.n, 'accepted') + range(rework.low, rework.high),
      share,
    ),
    line(
      'cycle_time',
      ['Time to accepted', 'half took less'],
      cycle.p50,
      of(cycle.n, 'accepted') + (known(cycle.p90) ? `, nine in ten within ${seconds(cycle.p90)}` : ''),
      seconds,
    ),
    line(
      'tokens_per_accepted',
      ['Tokens a mission', 'also what came to nothing'],
      tokens.value,
      of(tokens.n, 'accepted') + unsaid(tokens),
      scaled,
    ),
    line(
      'cost_per_accepted',
      ['Cost a mission', 'by our prices, or as it says'],
      cost.value,
      of(cost.n, 'accepted') + unsaid(cost),
      usd,
    ),
    line(
      'idle_share',
      ['Idle', 'of the time it was there'],
      idle.value,
      of(idle.n, 'stretches of work'),
      share,
    ),
  ];
}
