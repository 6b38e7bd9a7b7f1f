/** How components get at the hive. */
import { createContext } from 'svelte';
import type { Hive } from './hive.svelte';

export const [hive, setHive] = createContext<Hive>();
