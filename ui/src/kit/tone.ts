/** What a colour means. Each tone goes with a shape or a word, never alone. */
export type Tone = 'you' | 'work' | 'review' | 'ok' | 'warn' | 'bad' | 'idle';

/** Shapes drawn inside cells and badges. */
export type Glyph =
  | 'play'
  | 'ring'
  | 'dot'
  | 'pause'
  | 'bang'
  | 'question'
  | 'cross'
  | 'check'
  | 'dots'
  | 'slash'
  | 'stop'
  | 'half'
  | 'eye'
  | 'loop'
  | 'pen';

/** A shape as a path in a box of 16 by 16, with how it is drawn. */
export const GLYPHS: Record<Glyph, { d: string; fill: boolean }> = {
  play: { d: 'M5 3.2v9.6L13 8z', fill: true },
  ring: { d: 'M8 3.5a4.5 4.5 0 1 0 0 9a4.5 4.5 0 1 0 0-9z', fill: false },
  dot: { d: 'M8 4.5a3.5 3.5 0 1 0 0 7a3.5 3.5 0 1 0 0-7z', fill: true },
  pause: { d: 'M4.5 3.5h2.4v9H4.5zM9.1 3.5h2.4v9H9.1z', fill: true },
  bang: { d: 'M8 2.5v7M8 12.2v1.2', fill: false },
  question: { d: 'M5.2 5.4a2.8 2.8 0 1 1 4.3 2.4C8.5 8.5 8 9 8 10M8 12.600v.9', fill: false },
  cross: { d: 'M4 4l8 8M12 4l-8 8', fill: false },
  check: { d: 'M3.2 8.400l3.2 3.200L12.8 4.6', fill: false },
  dots: {
    d: 'M3.5 6.900h2.200v2.200H3.500zM6.9 6.900h2.200v2.200H6.900zM10.3 6.900h2.200v2.200h-2.200z',
    fill: true,
  },
  slash: { d: 'M8 3.500a4.5 4.5 0 1 0 0 9a4.5 4.5 0 1 0 0-9zM4.8 11.200l6.4-6.4', fill: false },
  stop: { d: 'M4 4h8v8H4z', fill: true },
  half: { d: 'M8 3.500a4.5 4.5 0 1 1-4.5 4.5', fill: false },
  eye: {
    d: 'M1.8 8S4 4 8 4s6.2 4 6.2 4S12 12 8 12 1.8 8 1.8 8zM8 6.600a1.4 1.4 0 1 0 0 2.800a1.4 1.4 0 1 0 0-2.800z',
    fill: false,
  },
  loop: { d: 'M12.5 8a4.5 4.5 0 1 1-1.4-3.200M11.4 1.900v3.100H8.3', fill: false },
  pen: { d: 'M3.5 12.500l.7-2.8 6.5-6.5 2.1 2.1-6.5 6.500z', fill: false },
};
