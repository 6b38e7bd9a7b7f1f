/** What a honeycomb can be coloured by, in words. */
import { count, scaled } from '../../kit/units';
import type { Heated } from '../../state/heat.svelte';
import { formatOf, usd } from './spec';

const WORDS: Readonly<Record<string, string>> = {
  agent_cpu_percent: 'Processor',
  agent_cpu_seconds_total: 'Processor time',
  agent_memory_bytes: 'Memory',
  agent_context_percent: 'Context',
  agent_progress_percent: 'Progress',
  agent_requests_waiting: 'What waits for you',
  agent_tokens_total: 'Tokens',
  agent_cost_usd_total: 'Cost',
  agent_output_bytes_total: 'Output',
};

/** `agent_disk_read_bytes_total` is *Disk read*. */
export function heatWord({ signal }: Pick<Heated, 'signal'>): string {
  const known = WORDS[signal];
  if (known) return known;
  const plain = signal
    .replace(/^agent_/, '')
    .replace(/_(bytes|seconds|percent|usd)?(_?total)?$/, '')
    .replace(/_(bytes|seconds|percent)$/, '')
    .replaceAll('_', ' ');
  return plain.charAt(0).toUpperCase() + plain.slice(1);
}

/** A value with its unit, in few characters. */
export function heatText({ unit }: Pick<Heated, 'unit'>, value: number): string {
  if (unit === '$ an hour') return `${usd(value)}/h`;
  if (unit === 'a minute') return `${scaled(value)}/min`;
  if (unit === '' && Number.isInteger(value)) return count(value);
  return formatOf(unit)(value);
}
