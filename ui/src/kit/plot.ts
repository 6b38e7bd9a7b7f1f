/** uPlot, loaded when the first chart is drawn. */
import type uPlot from 'uplot';
import { guardLanguage } from './locale';

/** uPlot reads the language when it is loaded, so it is guarded first. */
export async function loadPlot(): Promise<typeof uPlot> {
  guardLanguage();
  return (await import('uplot')).default;
}
