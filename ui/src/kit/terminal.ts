/**
 * A document for xterm that writes no style into the page's markup.
 *
 * Its renderer makes `<style>` elements and `style` attributes, which a policy of `style-src 'self'` refuses. xterm
 * can be given another document to make its elements with; this one is the page's own, except that a style element
 * fills a sheet that the page adopts, and a style attribute is set through the element's `style`. Both are allowed:
 * the policy is about markup.
 */

/** Colours of a terminal, each the name of a token. */
const COLOURS = {
  background: '--bg-log',
  foreground: '--text',
  cursor: '--accent',
  cursorAccent: '--on-accent',
  selectionBackground: '--select',
  scrollbarSliderBackground: '--line-strong',
  scrollbarSliderHoverBackground: '--text-faint',
  scrollbarSliderActiveBackground: '--text-dim',
  black: '--ansi-0',
  red: '--ansi-1',
  green: '--ansi-2',
  yellow: '--ansi-3',
  blue: '--ansi-4',
  magenta: '--ansi-5',
  cyan: '--ansi-6',
  white: '--ansi-7',
  brightBlack: '--text-faint',
  brightRed: '--ansi-1',
  brightGreen: '--ansi-2',
  brightYellow: '--ansi-3',
  brightBlue: '--ansi-4',
  brightMagenta: '--ansi-5',
  brightCyan: '--ansi-6',
  brightWhite: '--ansi-7',
} as const;

export const themeOf = (token: (name: string) => string): Record<keyof typeof COLOURS, string> =>
  Object.fromEntries(Object.entries(COLOURS).map(([name, from]) => [name, token(from)])) as Record<
    keyof typeof COLOURS,
    string
  >;

/** An element as the page itself makes it. */
const plain = (page: Document, name: string): HTMLElement =>
  Document.prototype.createElement.call(page, name);

/** Stands where the renderer wants a style element, and keeps its rules in an adopted sheet. */
function styleIn(page: Document): HTMLElement {
  const place = plain(page, 'span');
  place.hidden = true;
  const sheet = new CSSStyleSheet();
  page.adoptedStyleSheets = [...page.adoptedStyleSheets, sheet];
  let rules = '';
  Object.defineProperty(place, 'textContent', {
    get: () => rules,
    set: (text: string | null) => {
      rules = text ?? '';
      sheet.replaceSync(rules);
    },
  });
  place.remove = () => {
    page.adoptedStyleSheets = page.adoptedStyleSheets.filter((one) => one !== sheet);
    Element.prototype.remove.call(place);
  };
  return place;
}

/** An element whose style attribute is set through its style. */
function styled<E extends HTMLElement>(element: E): E {
  element.setAttribute = (name: string, value: string) => {
    if (name.toLowerCase() === 'style') element.style.cssText = value;
    else Element.prototype.setAttribute.call(element, name, value);
  };
  return element;
}

export function withoutInlineStyles(page: Document): Document {
  const createElement = (name: string) =>
    name.toLowerCase() === 'style' ? styleIn(page) : styled(plain(page, name));
  return new Proxy(page, {
    get(target, name) {
      if (name === 'createElement') return createElement;
      const value: unknown = Reflect.get(target, name, target);
      return typeof value === 'function' ? value.bind(target) : value;
    },
    set: (target, name, value) => Reflect.set(target, name, value, target),
  });
}

interface RowFactory {
  _document?: Document;
}
interface Inside {
  _core?: { _renderService?: { _renderer?: { value?: { _rowFactory?: RowFactory } } } };
}

/**
 * Opens a terminal with the given document everywhere. Two of its parts take the page's own document whatever they
 * are told: one makes a style element while the terminal is opened, so the page makes it our way for as long; the
 * other makes the rows, and would lose the colours of 24 bits. Says whether that one could be reached.
 */
export function openWith(
  terminal: { open(host: HTMLElement): void },
  host: HTMLElement,
  made: Document,
): boolean {
  const page = host.ownerDocument;
  Object.defineProperty(page, 'createElement', { configurable: true, value: made.createElement });
  try {
    terminal.open(host);
  } finally {
    Reflect.deleteProperty(page, 'createElement');
  }
  const factory = (terminal as Inside)._core?._renderService?._renderer?.value?._rowFactory;
  if (factory?._document === undefined) return false;
  factory._document = made;
  return true;
}
