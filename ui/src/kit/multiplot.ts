/** How a chart of several curves looks and is steered with the mouse. */
import type uPlot from 'uplot';
import { drawThresholds, drawTimeMarks, lonely, nears, type Threshold, type TimeMark } from './plotmarks';
import { clockTime } from './time';
import { ticks } from './timeaxis';
import { token } from './tokens';

/**
 * Seconds since 1970, then mean, least and most of each curve: null in a gap, undefined where only others were
 * measured, which is none.
 */
export type MultiData = (number | null | undefined)[][];

/** A part of the time axis, in milliseconds since 1970. */
export interface Stretch {
  from: number;
  to: number;
}

export interface Steering {
  onzoomto: (stretch: Stretch) => void;
  /** By a factor, about a part of the width (0 to 1). */
  onzoom: (by: number, part: number) => void;
  /** By parts of the length. */
  onpan: (parts: number) => void;
  onreset: () => void;
}

export interface MultiLook {
  width: number;
  height: number;
  /** The tokens of the curves' colours, and their dashes. */
  curves: readonly { colour: string; dash: readonly number[] }[];
  format: (value: number | null) => string;
  /** Whether its numbers are bytes, which are counted in powers of 1,024. */
  binary: boolean;
  /** The least the upper end of the axis may be; nothing where it follows what is shown. */
  top: number | null;
  /** Where it is one of several over the same axis: the height of a strip, its time only where it is said. */
  strip: boolean;
  timeAxis: boolean;
  thresholds: () => readonly Threshold[];
  marks: () => readonly TimeMark[];
  sync: string;
  stretch: () => Stretch;
  onhover: (index: number | null) => void;
  steering: Steering;
}

/** A drag of less than this many pixels is a click. */
const DRAG_MIN = 4;
/** A sample further than this from the crosshair is not one of that moment. */
const NEAR_PX = 24;
/** One notch of a wheel. */
export const NOTCH = 1.25;
const LABEL_PX = 76;
/** Round numbers of bytes. */
const BINARY: number[] = [0, 1, 2, 3, 4, 5].flatMap((power) =>
  [1, 2, 4, 5, 8, 10, 16, 20, 25, 32, 50, 64, 100, 128, 256, 512].map((n) => n * 1_024 ** power),
);
/** How far above the highest sample the axis reaches. */
const ROOM = 1.08;

export function multiOptions(look: MultiLook): uPlot.Options {
  const axis = {
    stroke: token('--text-dim'),
    font: `${token('--t-micro')} ${token('--sans')}`,
    ticks: { show: false },
  };
  const strokes = look.curves.map(({ colour }) => token(colour));
  const hidden = { stroke: 'transparent', points: { show: false }, spanGaps: false };
  return {
    width: look.width,
    height: look.height,
    legend: { show: false },
    padding: [8, 12, look.timeAxis ? 0 : 8, 0],
    cursor: {
      // What is dragged here is not dragged in the other charts: the range is shared anyway.
      sync: {
        key: look.sync,
        filters: { pub: (type) => type === 'mousemove' || type === 'mouseleave', sub: () => true },
      },
      drag: { x: true, y: false, setScale: false },
      points: { size: 6 },
      hover: { prox: NEAR_PX },
      y: false,
      bind: {
        mousedown: (plot, _target, handler) => (event) => {
          if (event.button !== 0) return null;
          if (event.shiftKey) drag(plot, event, look.steering.onpan);
          else handler(event);
          return null;
        },
        dblclick: () => () => {
          look.steering.onreset();
          return null;
        },
      },
    },
    scales: {
      x: {
        range: () => {
          const { from, to } = look.stretch();
          return [from / 1_000, to / 1_000];
        },
      },
      y: { range: (_plot, min, max) => height(look, min ?? 0, max ?? 0) },
    },
    axes: [
      {
        ...axis,
        grid: { stroke: token('--grid-line'), width: 1 },
        size: look.timeAxis ? 24 : 0,
        splits: (plot) => splits(plot).map(({ at }) => at / 1_000),
        values: (plot, at) => {
          if (!look.timeAxis) return at.map(() => '');
          const words = new Map(splits(plot).map((tick) => [tick.at / 1_000, tick.label]));
          return at.map((s) => words.get(s) ?? clockTime(s * 1_000));
        },
      },
      {
        ...axis,
        grid: { stroke: token('--grid-line'), width: 1 },
        size: 72,
        space: look.strip ? 24 : 28,
        ...(look.binary ? { incrs: BINARY } : {}),
        values: (_plot, at) => at.map((value) => look.format(value)),
      },
    ],
    series: [
      {},
      ...look.curves.flatMap(({ dash }, i) => [
        {
          stroke: strokes[i],
          width: 1.75,
          dash: [...dash],
          points: {
            show: true,
            size: 4,
            fill: strokes[i],
            filter: (plot: uPlot, at: number) => {
              const [from, to] = plot.series[at]?.idxs ?? [0, 0];
              return lonely(plot.data[at] ?? [], from, to);
            },
          },
          spanGaps: false,
        },
        hidden,
        hidden,
      ]),
    ],
    bands: look.curves.map((_, i) => ({ series: [3 * i + 3, 3 * i + 2], fill: `${strokes[i]}24` })),
    hooks: {
      setCursor: [(plot) => look.onhover(near(plot))],
      setSelect: [
        (plot) => {
          const { left, width } = plot.select;
          const at = (x: number) => plot.posToVal(x, 'x') * 1_000;
          const stretch = { from: at(left), to: at(left + width) };
          plot.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
          if (width >= DRAG_MIN) look.steering.onzoomto(stretch);
        },
      ],
      ready: [(plot) => wheel(plot, look.steering)],
      drawClear: [(plot) => drawTimeMarks(plot, look.marks())],
      draw: [(plot) => drawThresholds(plot, look.thresholds())],
    },
  };
}

/** From nothing up to what is shown, and to the thresholds it comes near. */
function height(look: MultiLook, min: number, max: number): [number, number] {
  const near = look.thresholds().filter((one) => nears(max, one));
  const most = Math.max(look.top ?? 0, max, ...near.map(({ value }) => value));
  const least = min < 0 ? min * ROOM : 0;
  return [least, most > 0 ? (most === look.top ? most : most * ROOM) : least < 0 ? 0 : 1];
}

/** The sample under the crosshair; nothing where there is none near it. */
function near(plot: uPlot): number | null {
  const { idx, left = -1 } = plot.cursor;
  if (idx === null || idx === undefined || left < 0) return null;
  return Math.abs(plot.valToPos(plot.data[0][idx] ?? 0, 'x') - left) <= NEAR_PX ? idx : null;
}

const splits = (plot: uPlot) => {
  const { min = 0, max = 1 } = plot.scales.x ?? {};
  return ticks(
    { from: (min ?? 0) * 1_000, to: (max ?? 1) * 1_000 },
    plot.bbox.width / devicePixelRatio,
    LABEL_PX,
  );
};

/** With Shift the time is moved by the mouse, as paper would be. */
function drag(plot: uPlot, begun: MouseEvent, onpan: (parts: number) => void): void {
  begun.preventDefault();
  let at = begun.clientX;
  const width = Math.max(1, plot.over.clientWidth);
  const move = (event: MouseEvent) => {
    if (event.clientX === at) return;
    onpan((at - event.clientX) / width);
    at = event.clientX;
  };
  const end = () => {
    removeEventListener('mousemove', move);
    removeEventListener('mouseup', end);
  };
  addEventListener('mousemove', move);
  addEventListener('mouseup', end);
}

/** With Shift the wheel zooms about the moment under the mouse; without it the page is scrolled. */
function wheel(plot: uPlot, steering: Steering): void {
  plot.over.addEventListener(
    'wheel',
    (event) => {
      if (!event.shiftKey) return;
      // With Shift some systems turn the wheel sideways.
      const turned = event.deltaY === 0 ? event.deltaX : event.deltaY;
      if (turned === 0) return;
      event.preventDefault();
      const { left, width } = plot.over.getBoundingClientRect();
      const part = Math.min(1, Math.max(0, (event.clientX - left) / Math.max(1, width)));
      steering.onzoom(turned > 0 ? NOTCH : 1 / NOTCH, part);
    },
    { passive: false },
  );
}
