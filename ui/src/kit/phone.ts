/** Whether there is only as much room as on a phone. The style sheets have the same width in their media queries. */
import { MediaQuery } from 'svelte/reactivity';

export const phone: { readonly current: boolean } =
  typeof matchMedia === 'function' ? new MediaQuery('(max-width: 640px)') : { current: false };
