/** The panels of the performance view: what each shows, in which unit. */
import { bytes, NONE, percent, scaled } from '../../kit/units';
import type { Source } from '../../state/signals';

export interface PanelSpec {
  id: string;
  title: string;
  /** What its numbers mean. */
  note: string;
  group: 'machine' | 'agents';
  /** With the word of each where they are not told apart by a label. */
  sources: readonly (Source & { word?: string })[];
  format: (value: number | null) => string;
  /** The unit of a column of numbers in an export. */
  unit: string;
  /** The least the upper end of the axis may be. */
  top?: number;
}

const speed = (value: number | null): string => (value === null ? NONE : `${bytes(value)}/s`);
const perMinute = (value: number | null): string => (value === null ? NONE : scaled(value * 60));

export const PANELS: readonly PanelSpec[] = [
  {
    id: 'machine-cpu',
    title: 'Processor',
    note: '100 % = all cores',
    group: 'machine',
    sources: [{ signal: 'machine_cpu_percent', word: 'in use' }],
    format: percent,
    unit: '%',
    top: 100,
  },
  {
    id: 'machine-memory',
    title: 'Memory',
    note: 'of the whole machine',
    group: 'machine',
    sources: [
      { signal: 'machine_memory_used_bytes', word: 'in use' },
      { signal: 'machine_memory_total_bytes', word: 'installed' },
    ],
    format: bytes,
    unit: 'B',
  },
  {
    id: 'machine-disk',
    title: 'Disk',
    note: 'all disks together',
    group: 'machine',
    sources: [
      { signal: 'machine_disk_read_bytes_total', rate: true, word: 'read' },
      { signal: 'machine_disk_written_bytes_total', rate: true, word: 'written' },
    ],
    format: speed,
    unit: 'B/s',
  },
  {
    id: 'machine-network',
    title: 'Network',
    note: 'without loopback',
    group: 'machine',
    sources: [
      { signal: 'machine_network_received_bytes_total', rate: true, word: 'received' },
      { signal: 'machine_network_sent_bytes_total', rate: true, word: 'sent' },
    ],
    format: speed,
    unit: 'B/s',
  },
  {
    id: 'agent-cpu',
    title: 'Processor by agent',
    note: '100 % = one core',
    group: 'agents',
    sources: [{ signal: 'agent_cpu_percent', by: 'agent' }],
    format: percent,
    unit: '%',
  },
  {
    id: 'agent-memory',
    title: 'Memory by agent',
    note: 'resident, of its process tree',
    group: 'agents',
    sources: [{ signal: 'agent_memory_bytes', by: 'agent' }],
    format: bytes,
    unit: 'B',
  },
  {
    id: 'agent-tokens',
    title: 'Tokens a minute by agent',
    note: 'read, cached and written',
    group: 'agents',
    // Reasoning is a part of what is written.
    sources: [{ signal: 'agent_tokens_total', rate: true, by: 'agent', without: { kind: 'reasoning' } }],
    format: perMinute,
    unit: '1/s',
  },
];
