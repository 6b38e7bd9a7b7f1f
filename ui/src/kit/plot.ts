/** How a uPlot chart looks here. */
import type uPlot from 'uplot';
import { guardLanguage } from './locale';
import { clockTime } from './time';
import { token } from './tokens';

/** Seconds since 1970, mean, least, most; nothing where there is no sample. */
export type PlotData = [number[], (number | null)[], (number | null)[], (number | null)[]];

/** uPlot reads the language when it is loaded, so it is guarded first. */
export async function loadPlot(): Promise<typeof uPlot> {
  guardLanguage();
  return (await import('uplot')).default;
}

export interface Look {
  width: number;
  height: number;
  colour: string;
  format: (value: number | null) => string;
  sync: string;
  /** The ends of the time axis, in seconds since 1970: what was asked for, whatever was measured in it. */
  span: () => [number, number];
  onhover: (index: number | null) => void;
}

export function options(look: Look): uPlot.Options {
  const stroke = token(look.colour);
  const axis = {
    stroke: token('--text-dim'),
    font: `${token('--t-micro')} ${token('--sans')}`,
    ticks: { show: false },
  };
  return {
    width: look.width,
    height: look.height,
    legend: { show: false },
    padding: [8, 28, 0, 0],
    cursor: {
      sync: { key: look.sync },
      drag: { x: false, y: false },
      points: { size: 6, fill: stroke },
      y: false,
    },
    scales: {
      x: { range: () => look.span() },
      y: { range: (_plot, _min, max) => [0, max > 0 ? max * 1.15 : 1] },
    },
    axes: [
      {
        ...axis,
        grid: { show: false },
        size: 22,
        space: 90,
        values: (_plot, at) => at.map((s) => clockTime(s * 1_000)),
      },
      {
        ...axis,
        grid: { stroke: token('--grid-line'), width: 1 },
        size: 64,
        space: 28,
        values: (_plot, at) => at.map((value) => look.format(value)),
      },
    ],
    series: [
      {},
      { stroke, width: 1.75, points: { show: false }, spanGaps: false },
      { stroke: 'transparent', points: { show: false }, spanGaps: false },
      { stroke: 'transparent', points: { show: false }, spanGaps: false },
    ],
    bands: [{ series: [3, 2], fill: `${stroke}2b` }],
    hooks: { setCursor: [(plot) => look.onhover(plot.cursor.idx ?? null)] },
  };
}
