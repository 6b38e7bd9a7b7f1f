/** What is shown of an agent over time: what its processes use, and what it said of its work. */
import { bytes, count, dollars, percent } from '../../kit/units';
import type { AgentSignal } from '../../state/resources.svelte';
import type { SeriesRange } from '../../state/types';
import { momentOf } from './align';

export type Measured = ReadonlyMap<AgentSignal, readonly SeriesRange[]>;

export interface Measure {
  title: string;
  note: string;
  /** A token's name. */
  colour: string;
  format: (value: number | null) => string;
  /** Whether it is what the agent said, which it may never say, and not what was measured of its processes. */
  said: boolean;
  /** What it is made from. */
  signal: AgentSignal;
  of: (measured: Measured) => SeriesRange | null;
}

const READ = ['uncached_input', 'cache_read', 'cache_write'];

const plain = (signal: AgentSignal) => (measured: Measured) => measured.get(signal)?.[0] ?? null;

/** The series with one of these values of a label, added up. */
const labelled = (signal: AgentSignal, label: string, values: readonly string[]) => (measured: Measured) =>
  counted((measured.get(signal) ?? []).filter(({ key }) => values.includes(key.labels[label] ?? '')));

/** Totals added up, each as it was last in a bucket: between two samples there is nothing to average. */
export function counted(series: readonly SeriesRange[]): SeriesRange | null {
  const [first] = series;
  if (!first) return null;
  const totals = new Map<number, { value: number; count: number }>();
  for (const { buckets } of series) {
    for (const { at, last, count: samples } of buckets) {
      const moment = momentOf(at, first.step_ms);
      const before = totals.get(moment);
      totals.set(moment, {
        value: (before?.value ?? 0) + last,
        count: Math.max(before?.count ?? 0, samples),
      });
    }
  }
  const buckets = [...totals]
    .sort(([one], [other]) => one - other)
    .map(([moment, { value, count: samples }]) => {
      const at = new Date(moment).toISOString();
      return { at, min: value, max: value, mean: value, last: value, count: samples };
    });
  return { ...first, buckets };
}

/** What it cost as the agent says; by our prices where it does not say. */
function cost(measured: Measured): SeriesRange | null {
  return (
    labelled('agent_cost_usd_total', 'by', ['agent'])(measured) ??
    labelled('agent_cost_usd_total', 'by', ['prices'])(measured)
  );
}

const total = (signal: AgentSignal) => (measured: Measured) => counted(measured.get(signal) ?? []);
const tokens = (...kinds: string[]) => labelled('agent_tokens_total', 'kind', kinds);
const usd = (value: number | null) => dollars(value === null ? null : value * 1_000_000);

export const MEASURES: readonly Measure[] = [
  {
    title: 'Processor',
    note: '100 % = one core',
    colour: '--series-1',
    format: percent,
    said: false,
    signal: 'agent_cpu_percent',
    of: plain('agent_cpu_percent'),
  },
  {
    title: 'Memory',
    note: 'resident',
    colour: '--series-2',
    format: bytes,
    said: false,
    signal: 'agent_memory_bytes',
    of: plain('agent_memory_bytes'),
  },
  {
    title: 'Processes',
    note: 'in its tree',
    colour: '--series-3',
    format: count,
    said: false,
    signal: 'agent_processes',
    of: plain('agent_processes'),
  },
  {
    title: 'Tokens read',
    note: 'of the attempt so far',
    colour: '--series-1',
    format: count,
    said: true,
    signal: 'agent_tokens_total',
    of: tokens(...READ),
  },
  {
    title: 'From the cache',
    note: 'of those read',
    colour: '--series-1',
    format: count,
    said: true,
    signal: 'agent_tokens_total',
    of: tokens('cache_read'),
  },
  {
    title: 'Tokens written',
    note: 'of the attempt so far',
    colour: '--series-2',
    format: count,
    said: true,
    signal: 'agent_tokens_total',
    of: tokens('output'),
  },
  {
    title: 'Cost',
    note: 'of the attempt so far',
    colour: '--series-3',
    format: usd,
    said: true,
    signal: 'agent_cost_usd_total',
    of: cost,
  },
  {
    title: 'Tool calls',
    note: 'of the attempt so far',
    colour: '--series-1',
    format: count,
    said: true,
    signal: 'agent_tool_calls_total',
    of: total('agent_tool_calls_total'),
  },
  {
    title: 'Turns',
    note: 'of the attempt so far',
    colour: '--series-2',
    format: count,
    said: true,
    signal: 'agent_turns_total',
    of: total('agent_turns_total'),
  },
  {
    title: 'Progress',
    note: 'as it said',
    colour: '--series-3',
    format: percent,
    said: true,
    signal: 'agent_progress_percent',
    of: plain('agent_progress_percent'),
  },
];
