/** Markdown as harmless HTML: no raw HTML, no images, no styles, links to the web and to mail only. */
import createDOMPurify from 'dompurify';
import { Marked } from 'marked';

const escapeHtml = (text: string): string => text.replace(/[&<>"']/g, (char) => `&#${char.charCodeAt(0)};`);

/** Whether a link may be followed, after asking. */
export const followable = (href: string): boolean => /^(?:https|mailto):/i.test(href);

const marked = new Marked({
  gfm: true,
  renderer: {
    html: ({ text }) => escapeHtml(text),
    image: ({ text, href }) => escapeHtml(`[image: ${text || href}]`),
    link({ href, tokens }) {
      const inside = this.parser.parseInline(tokens);
      return followable(href) ? `<a href="${escapeHtml(href)}">${inside}</a>` : inside;
    },
  },
});

const TAGS = [
  'h1',
  'h2',
  'h3',
  'h4',
  'h5',
  'h6',
  'p',
  'ul',
  'ol',
  'li',
  'pre',
  'code',
  'em',
  'strong',
  'del',
  'blockquote',
  'hr',
  'br',
  'a',
  'table',
  'thead',
  'tbody',
  'tr',
  'th',
  'td',
];

export function render(markdown: string): string {
  const html = marked.parse(markdown, { async: false });
  return createDOMPurify(window).sanitize(html, {
    ALLOWED_TAGS: TAGS,
    ALLOWED_ATTR: ['href', 'start', 'align'],
    ALLOWED_URI_REGEXP: /^(?:https|mailto):/i,
    ALLOW_DATA_ATTR: false,
    ALLOW_ARIA_ATTR: false,
  });
}
