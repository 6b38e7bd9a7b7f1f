/** How the interface looks, kept in this browser or window. */

export type Theme = 'system' | 'light' | 'dark';
export type Palette = 'standard' | 'safe';
export type Motion = 'system' | 'reduced';
export type Density = 'comfortable' | 'compact';

interface Stored {
  theme: Theme;
  palette: Palette;
  motion: Motion;
  density: Density;
}

const KEY = 'hivekeeper.appearance';
const DEFAULTS: Stored = { theme: 'system', palette: 'standard', motion: 'system', density: 'comfortable' };

/** What was stored, as far as it makes sense. */
export function readStored(text: string | null): Stored {
  try {
    const raw = JSON.parse(text ?? '{}') as Partial<Record<keyof Stored, string>>;
    const pick = <T extends string>(value: string | undefined, allowed: readonly T[], fallback: T): T =>
      allowed.find((one) => one === value) ?? fallback;
    return {
      theme: pick(raw.theme, ['system', 'light', 'dark'], DEFAULTS.theme),
      palette: pick(raw.palette, ['standard', 'safe'], DEFAULTS.palette),
      motion: pick(raw.motion, ['system', 'reduced'], DEFAULTS.motion),
      density: pick(raw.density, ['comfortable', 'compact'], DEFAULTS.density),
    };
  } catch {
    return { ...DEFAULTS };
  }
}

export class Settings {
  #stored = $state.raw<Stored>(DEFAULTS);
  #systemDark = $state(false);
  /** What is really shown. */
  dark = $derived(this.#stored.theme === 'dark' || (this.#stored.theme === 'system' && this.#systemDark));
  /** Changes whenever colours or sizes do; canvases draw again on it. */
  look = $derived(`${this.dark}/${this.#stored.palette}/${this.#stored.density}`);

  start(): void {
    this.#stored = readStored(localStorage.getItem(KEY));
    const dark = matchMedia('(prefers-color-scheme: dark)');
    this.#systemDark = dark.matches;
    dark.addEventListener('change', (event) => {
      this.#systemDark = event.matches;
      this.#apply();
    });
    this.#apply();
  }

  get theme(): Theme {
    return this.#stored.theme;
  }
  get palette(): Palette {
    return this.#stored.palette;
  }
  get motion(): Motion {
    return this.#stored.motion;
  }
  get density(): Density {
    return this.#stored.density;
  }

  set(change: Partial<Stored>): void {
    this.#stored = { ...this.#stored, ...change };
    localStorage.setItem(KEY, JSON.stringify(this.#stored));
    this.#apply();
  }

  toggleTheme(): void {
    this.set({ theme: this.dark ? 'light' : 'dark' });
  }

  #apply(): void {
    const { dataset } = document.documentElement;
    dataset.theme = this.dark ? 'dark' : 'light';
    dataset.palette = this.palette;
    dataset.motion = this.motion;
    dataset.density = this.density;
  }
}
