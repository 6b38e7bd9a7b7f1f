/** What is shown of an agent over time: what its processes use, and what it said of its work. */
import { bytes, count, NONE, percent, scaled } from '../../kit/units';
import { selector, speed } from '../../state/signals';
import type { Limits } from '../../state/types';
import { type PanelSpec, perMinute, speedText, usd } from './spec';

export interface Measure extends PanelSpec {
  /** Whether it is what the agent said, which it may never say, and not what was measured of its processes. */
  said: boolean;
}

const READ = ['uncached_input', 'cache_read', 'cache_write'];
/** How full a context is when it is time to think of a new attempt. */
const CONTEXT_FULL = { value: 90, label: '90 %', tone: 'warn' } as const;

interface Capped {
  id: string;
  limits: Limits | undefined;
}

/** All over the same stretch of time, one under the other; limits are those the agent is held to. */
export function measuresOf({ id, limits = {} }: Capped): readonly Measure[] {
  const is = { agent: id };
  const level = (signal: string) => [{ expr: selector(signal, { is }) }];
  const rate = (signal: string) => [{ expr: speed(signal, { is }) }];
  const { memory_bytes, processes } = limits;
  const limit = (value: number | null | undefined, label: string) =>
    value === null || value === undefined ? [] : [{ value, label, tone: 'bad' as const }];
  return [
    {
      id: 'cpu',
      title: 'Processor',
      note: '100 % = one core',
      sources: level('agent_cpu_percent'),
      format: percent,
      unit: '%',
      said: false,
    },
    {
      id: 'memory',
      title: 'Memory',
      note: 'resident',
      sources: level('agent_memory_bytes'),
      format: bytes,
      unit: 'B',
      thresholds: limit(memory_bytes, `limit ${bytes(memory_bytes)}`),
      said: false,
    },
    {
      id: 'processes',
      title: 'Processes',
      note: 'in its tree',
      sources: level('agent_processes'),
      format: count,
      unit: '',
      thresholds: limit(processes, `limit ${count(processes)}`),
      said: false,
    },
    {
      id: 'disk',
      title: 'Disk',
      note: 'read and written',
      sources: [
        { expr: speed('agent_disk_read_bytes_total', { is }), word: 'read' },
        { expr: speed('agent_disk_written_bytes_total', { is }), word: 'written' },
      ],
      format: speedText,
      unit: 'B/s',
      said: false,
    },
    {
      id: 'output',
      title: 'Output',
      note: 'what it prints',
      sources: rate('agent_output_bytes_total'),
      format: speedText,
      unit: 'B/s',
      said: false,
    },
    {
      id: 'tokens',
      title: 'Tokens a minute',
      note: 'read and written',
      sources: [
        { expr: speed('agent_tokens_total', { is: { ...is, kind: READ } }), word: 'read' },
        { expr: speed('agent_tokens_total', { is: { ...is, kind: 'output' } }), word: 'written' },
      ],
      format: perMinute,
      unit: '1/s',
      said: true,
    },
    {
      id: 'context',
      title: 'Context',
      note: 'how full it is',
      sources: level('agent_context_percent'),
      format: percent,
      unit: '%',
      top: 100,
      thresholds: [CONTEXT_FULL],
      said: true,
    },
    {
      id: 'tools',
      title: 'Tool calls a minute',
      note: '',
      sources: rate('agent_tool_calls_total'),
      format: (value) => (value === null ? NONE : scaled(value * 60)),
      unit: '1/s',
      said: true,
    },
    {
      id: 'cost',
      title: 'Cost',
      note: 'of all its attempts',
      // What the agent says where it says it, and what our prices come to.
      sources: [
        { expr: selector('agent_cost_usd_total', { is: { ...is, by: 'agent' } }), word: 'as it says' },
        { expr: selector('agent_cost_usd_total', { is: { ...is, by: 'prices' } }), word: 'by our prices' },
      ],
      format: usd,
      unit: '$',
      said: true,
    },
    {
      id: 'progress',
      title: 'Progress',
      note: 'as it said',
      sources: level('agent_progress_percent'),
      format: percent,
      unit: '%',
      top: 100,
      said: true,
    },
  ];
}
