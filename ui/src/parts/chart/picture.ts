/** A chart as a picture: with its title and its legend, on its background. */
import { token } from '../../kit/tokens';
import type { Drawn } from './curves';

const EDGE = 16;
const LINE = 18;

/** Draws it at the density of the screen; nothing where the browser has no canvas. */
export function drawn(
  chart: HTMLCanvasElement,
  title: string,
  when: string,
  legend: readonly Pick<Drawn, 'name' | 'colour'>[],
): HTMLCanvasElement | null {
  const scale = devicePixelRatio;
  const canvas = document.createElement('canvas');
  const context = canvas.getContext('2d');
  if (!context) return null;
  const [width, height] = [chart.width / scale + 2 * EDGE, chart.height / scale];
  const lines = rows(context, legend, width);
  canvas.width = width * scale;
  canvas.height = (height + 2 * EDGE + LINE + lines.length * LINE + EDGE) * scale;
  context.scale(scale, scale);
  context.fillStyle = token('--bg-raised');
  context.fillRect(0, 0, canvas.width, canvas.height);
  context.textBaseline = 'middle';
  context.font = `600 14px ${token('--sans')}`;
  context.fillStyle = token('--text');
  context.fillText(title, EDGE, EDGE + LINE / 2);
  context.font = `12px ${token('--sans')}`;
  context.fillStyle = token('--text-dim');
  context.textAlign = 'right';
  context.fillText(when, width - EDGE, EDGE + LINE / 2);
  context.textAlign = 'left';
  context.drawImage(chart, EDGE, EDGE + LINE + EDGE / 2, chart.width / scale, height);
  for (const [i, line] of lines.entries()) {
    const y = EDGE + LINE + EDGE + height + i * LINE + LINE / 2;
    for (const { name, colour, x } of line) {
      context.fillStyle = token(colour);
      context.fillRect(x, y - 1.5, 14, 3);
      context.fillStyle = token('--text');
      context.fillText(name, x + 20, y);
    }
  }
  return canvas;
}

/** The legend in lines that fit the width. */
function rows(
  context: CanvasRenderingContext2D,
  legend: readonly Pick<Drawn, 'name' | 'colour'>[],
  width: number,
): { name: string; colour: string; x: number }[][] {
  context.font = `12px ${token('--sans')}`;
  const lines: { name: string; colour: string; x: number }[][] = [[]];
  let x = EDGE;
  for (const { name, colour } of legend) {
    const wide = 20 + context.measureText(name).width + EDGE;
    if (x > EDGE && x + wide > width) {
      lines.push([]);
      x = EDGE;
    }
    lines.at(-1)?.push({ name, colour, x });
    x += wide;
  }
  return lines;
}

/** The bytes of a picture. */
export const png = (canvas: HTMLCanvasElement): Promise<Blob | null> =>
  new Promise((done) => canvas.toBlob(done, 'image/png'));
