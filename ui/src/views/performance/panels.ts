/** The panels of the performance view: what each asks, and how it is written. */
import { duration } from '../../kit/time';
import { bytes, count, NONE, percent } from '../../kit/units';
import { type Format, type PanelSpec, perMinute, speedText, usd } from '../../parts/chart/spec';
import { selector, speed } from '../../state/signals';

export interface Group {
  id: 'machine' | 'agents' | 'missions' | 'engine';
  title: string;
  panels: readonly PanelSpec[];
}

/** From where on a machine has too much to do, as the shipped rules of alerts have it. */
const BUSY = [
  { value: 85, label: '85 %', tone: 'warn' },
  { value: 95, label: '95 %', tone: 'bad' },
] as const;
const MEMORY_FULL = 0.9;
const WHILE_WORKING = 'It is measured while an agent works.';

const seconds: Format = (value) => (value === null ? NONE : duration(value * 1_000));
const perHour: Format = (value) => (value === null ? NONE : usd(value * 3_600));
/** The value below which a share of what a histogram saw in the last while lies. */
const quantile = (share: number, histogram: string, last: string): string =>
  `histogram_quantile(${share}, sum by (le) (rate(${histogram}_bucket[${last}])))`;

const machine: Group = {
  id: 'machine',
  title: 'This machine',
  panels: [
    {
      id: 'machine-cpu',
      title: 'Processor',
      note: '100 % = all cores',
      sources: [{ expr: 'machine_cpu_percent', word: 'in use' }],
      format: percent,
      unit: '%',
      top: 100,
      thresholds: BUSY,
    },
    {
      id: 'machine-memory',
      title: 'Memory',
      note: 'of the whole machine',
      sources: [
        { expr: 'machine_memory_used_bytes', word: 'in use' },
        { expr: 'machine_memory_total_bytes', word: 'installed' },
      ],
      format: bytes,
      unit: 'B',
      thresholds: (of) => {
        const all = of('installed');
        return all ? [{ value: all.last * MEMORY_FULL, label: '90 %', tone: 'bad' }] : [];
      },
    },
    {
      id: 'machine-disk',
      title: 'Disk',
      note: 'all disks together',
      sources: [
        { expr: speed('machine_disk_read_bytes_total'), word: 'read' },
        { expr: speed('machine_disk_written_bytes_total'), word: 'written' },
      ],
      format: speedText,
      unit: 'B/s',
    },
    {
      id: 'machine-network',
      title: 'Network',
      note: 'without loopback',
      sources: [
        { expr: speed('machine_network_received_bytes_total'), word: 'received' },
        { expr: speed('machine_network_sent_bytes_total'), word: 'sent' },
      ],
      format: speedText,
      unit: 'B/s',
    },
  ],
};

/** All agents, or those that are compared. */
function agents(only: readonly string[]): Group {
  const is: Readonly<Record<string, readonly string[]>> = only.length > 0 ? { agent: only } : {};
  const level = (signal: string) => [{ expr: selector(signal, { is }), by: 'agent' }];
  const rate = (signal: string, not = {}) => [{ expr: speed(signal, { is, not }, 'agent'), by: 'agent' }];
  return {
    id: 'agents',
    title: 'Agents',
    panels: [
      {
        id: 'agent-cpu',
        title: 'Processor by agent',
        note: '100 % = one core',
        sources: level('agent_cpu_percent'),
        format: percent,
        unit: '%',
        empty: WHILE_WORKING,
      },
      {
        id: 'agent-memory',
        title: 'Memory by agent',
        note: 'resident, of its process tree',
        sources: level('agent_memory_bytes'),
        format: bytes,
        unit: 'B',
        empty: WHILE_WORKING,
      },
      {
        id: 'agent-tokens',
        title: 'Tokens a minute by agent',
        note: 'read, cached and written',
        // Reasoning is a part of what is written.
        sources: rate('agent_tokens_total', { kind: 'reasoning' }),
        format: perMinute,
        unit: '1/s',
        empty: WHILE_WORKING,
      },
      {
        id: 'agent-context',
        title: 'Context by agent',
        note: 'how full it is',
        sources: level('agent_context_percent'),
        format: percent,
        unit: '%',
        top: 100,
        empty: 'It is known of agents that say so.',
      },
      {
        id: 'agent-output',
        title: 'Output by agent',
        note: 'what it prints',
        sources: rate('agent_output_bytes_total'),
        format: speedText,
        unit: 'B/s',
        empty: WHILE_WORKING,
      },
      {
        id: 'agent-cost',
        title: 'Cost an hour by agent',
        note: 'by our prices',
        sources: [
          { expr: speed('agent_cost_usd_total', { is: { ...is, by: 'prices' } }, 'agent'), by: 'agent' },
        ],
        format: perHour,
        unit: '$/s',
        empty: 'It is known where an agent says its tokens and its model has a price.',
      },
    ],
  };
}

const missions: Group = {
  id: 'missions',
  title: 'Missions',
  panels: [
    {
      id: 'missions-state',
      title: 'Missions by state',
      note: 'how many there are',
      sources: [{ expr: 'missions', by: 'state' }],
      format: count,
      unit: '1',
    },
    {
      id: 'missions-lead',
      title: 'Time to done',
      note: 'of those done in the six hours before',
      sources: [
        { expr: quantile(0.5, 'mission_lead_seconds', '6h'), word: 'half of them within' },
        { expr: quantile(0.95, 'mission_lead_seconds', '6h'), word: '95 % within' },
      ],
      format: seconds,
      unit: 's',
      empty: 'Nothing was done in the six hours before.',
    },
  ],
};

const engine: Group = {
  id: 'engine',
  title: 'The engine itself',
  panels: [
    {
      id: 'engine-memory',
      title: 'Memory of the engine',
      note: 'resident',
      sources: [{ expr: 'engine_memory_bytes', word: 'in use' }],
      format: bytes,
      unit: 'B',
    },
    {
      id: 'engine-latency',
      title: 'How fast it answers',
      note: '95 % within, over five minutes',
      sources: [
        { expr: quantile(0.95, 'engine_api_seconds', '5m'), word: 'requests' },
        { expr: quantile(0.95, 'engine_append_seconds', '5m'), word: 'changes written' },
      ],
      format: seconds,
      unit: 's',
    },
  ],
};

export const groupsOf = (compared: readonly string[]): readonly Group[] => [
  machine,
  agents(compared),
  missions,
  engine,
];
