/** Which language a file is in, and its words as ranges of text: never as markup. */
import type { Root } from 'hast';
import type { LanguageFn } from 'highlight.js';
import { createLowlight } from 'lowlight';

/** What a word is; each has a colour, `--syn-…`. */
export type Syntax = 'comment' | 'keyword' | 'string' | 'number' | 'name' | 'type' | 'attr' | 'meta';

export interface Word {
  from: number;
  to: number;
  syntax: Syntax;
}

type Loader = () => Promise<{ default: LanguageFn }>;

/** Loaded one by one, when a file in it is shown. */
const LANGUAGES: Record<string, Loader> = {
  bash: () => import('highlight.js/lib/languages/bash'),
  c: () => import('highlight.js/lib/languages/c'),
  cmake: () => import('highlight.js/lib/languages/cmake'),
  cpp: () => import('highlight.js/lib/languages/cpp'),
  csharp: () => import('highlight.js/lib/languages/csharp'),
  css: () => import('highlight.js/lib/languages/css'),
  dart: () => import('highlight.js/lib/languages/dart'),
  dockerfile: () => import('highlight.js/lib/languages/dockerfile'),
  elixir: () => import('highlight.js/lib/languages/elixir'),
  erlang: () => import('highlight.js/lib/languages/erlang'),
  go: () => import('highlight.js/lib/languages/go'),
  graphql: () => import('highlight.js/lib/languages/graphql'),
  haskell: () => import('highlight.js/lib/languages/haskell'),
  ini: () => import('highlight.js/lib/languages/ini'),
  java: () => import('highlight.js/lib/languages/java'),
  javascript: () => import('highlight.js/lib/languages/javascript'),
  json: () => import('highlight.js/lib/languages/json'),
  julia: () => import('highlight.js/lib/languages/julia'),
  kotlin: () => import('highlight.js/lib/languages/kotlin'),
  less: () => import('highlight.js/lib/languages/less'),
  lua: () => import('highlight.js/lib/languages/lua'),
  makefile: () => import('highlight.js/lib/languages/makefile'),
  markdown: () => import('highlight.js/lib/languages/markdown'),
  nix: () => import('highlight.js/lib/languages/nix'),
  objectivec: () => import('highlight.js/lib/languages/objectivec'),
  ocaml: () => import('highlight.js/lib/languages/ocaml'),
  perl: () => import('highlight.js/lib/languages/perl'),
  php: () => import('highlight.js/lib/languages/php'),
  powershell: () => import('highlight.js/lib/languages/powershell'),
  protobuf: () => import('highlight.js/lib/languages/protobuf'),
  python: () => import('highlight.js/lib/languages/python'),
  r: () => import('highlight.js/lib/languages/r'),
  ruby: () => import('highlight.js/lib/languages/ruby'),
  rust: () => import('highlight.js/lib/languages/rust'),
  scala: () => import('highlight.js/lib/languages/scala'),
  scss: () => import('highlight.js/lib/languages/scss'),
  sql: () => import('highlight.js/lib/languages/sql'),
  swift: () => import('highlight.js/lib/languages/swift'),
  typescript: () => import('highlight.js/lib/languages/typescript'),
  xml: () => import('highlight.js/lib/languages/xml'),
  yaml: () => import('highlight.js/lib/languages/yaml'),
};

/** Languages by the end of a file's name, several ends in one text. */
const ENDS: Record<string, string> = {
  bash: 'sh bash zsh ksh bats',
  c: 'c h',
  cmake: 'cmake cmakelists.txt',
  cpp: 'cc cpp cxx hh hpp hxx ino cu',
  csharp: 'cs',
  css: 'css',
  dart: 'dart',
  dockerfile: 'dockerfile containerfile',
  elixir: 'ex exs',
  erlang: 'erl hrl',
  go: 'go',
  graphql: 'graphql gql',
  haskell: 'hs',
  ini: 'ini toml cfg conf editorconfig gitconfig properties cargo.lock',
  java: 'java',
  javascript: 'js mjs cjs jsx',
  json: 'json jsonc json5 webmanifest',
  julia: 'jl',
  kotlin: 'kt kts',
  less: 'less',
  lua: 'lua',
  makefile: 'makefile gnumakefile mk',
  markdown: 'md markdown',
  nix: 'nix',
  objectivec: 'm mm',
  ocaml: 'ml mli',
  perl: 'pl pm',
  php: 'php',
  powershell: 'ps1 psm1',
  protobuf: 'proto',
  python: 'py pyi pyw bzl',
  r: 'r',
  ruby: 'rb rake gemfile rakefile gemspec',
  rust: 'rs',
  scala: 'scala sbt',
  scss: 'scss',
  sql: 'sql',
  swift: 'swift',
  typescript: 'ts mts cts tsx',
  xml: 'xml html htm svg svelte vue xhtml plist csproj',
  yaml: 'yaml yml',
};

const BY_END = new Map(
  Object.entries(ENDS).flatMap(([language, ends]) => ends.split(' ').map((end) => [end, language] as const)),
);

/** The language of a file by its name; nothing for one that is not known. */
export function languageOf(path: string): string | null {
  const name = path.slice(path.lastIndexOf('/') + 1).toLowerCase();
  return BY_END.get(name) ?? BY_END.get(name.slice(name.lastIndexOf('.') + 1)) ?? null;
}

const lowlight = createLowlight();
const loading = new Map<string, Promise<boolean>>();

export const ready = (language: string): boolean => lowlight.registered(language);

/** Loads a language; answers whether it can be used. */
export function load(language: string): Promise<boolean> {
  const known = loading.get(language);
  if (known) return known;
  const loader = Object.hasOwn(LANGUAGES, language) ? LANGUAGES[language] : undefined;
  const asked = loader
    ? loader().then(
        (grammar) => {
          lowlight.register(language, grammar.default);
          return true;
        },
        () => false,
      )
    : Promise.resolve(false);
  loading.set(language, asked);
  return asked;
}

/** Text beyond this is not coloured: minified files cost seconds and say nothing. */
export const HIGHLIGHT_CHARS_MAX = 200_000;
const LINE_CHARS_MAX = 2_000;

/** The words of each line, in a language that is `ready`; lines without words where it is not. */
export function wordsOf(lines: readonly string[], language: string): Word[][] {
  const found: Word[][] = lines.map(() => []);
  const chars = lines.reduce((sum, line) => sum + line.length + 1, 0);
  if (!ready(language) || chars > HIGHLIGHT_CHARS_MAX || lines.some((line) => line.length > LINE_CHARS_MAX)) {
    return found;
  }
  let root: Root;
  try {
    root = lowlight.highlight(language, lines.join('\n'));
  } catch {
    // A grammar that fails on a text leaves it without colours.
    return found;
  }
  place(root, found);
  return found;
}

/** Walks the tree in the order of the text, and gives each line its part of every word. */
function place(root: Root, found: Word[][]): void {
  let [line, column] = [0, 0];
  const walk = (nodes: Root['children'], around: Syntax | null): void => {
    for (const node of nodes) {
      if (node.type === 'element') {
        const classes = node.properties.className;
        walk(node.children, Array.isArray(classes) ? syntaxOf(classes.map(String), around) : around);
      } else if (node.type === 'text') {
        for (const [i, piece] of node.value.split('\n').entries()) {
          if (i > 0) [line, column] = [line + 1, 0];
          if (around !== null && piece !== '') {
            found[line]?.push({ from: column, to: column + piece.length, syntax: around });
          }
          column += piece.length;
        }
      }
    }
  };
  walk(root.children, null);
}

const SCOPES: Record<Syntax, string> = {
  comment: 'comment quote doctag',
  keyword: 'keyword selector-tag built_in selector-pseudo',
  string: 'string regexp char link',
  number: 'number literal symbol bullet',
  name: 'title section name tag',
  type: 'type class',
  attr: 'attr attribute property variable template-variable selector-class selector-id selector-attr',
  meta: 'meta code formula',
};

const BY_SCOPE = new Map<string, Syntax>(
  Object.entries(SCOPES).flatMap(([syntax, scopes]) =>
    scopes.split(' ').map((scope) => [`hljs-${scope}`, syntax as Syntax] as const),
  ),
);

/** What an element's words are; code inside a string is no string. */
function syntaxOf(classes: readonly string[], around: Syntax | null): Syntax | null {
  if (classes.includes('hljs-subst')) return null;
  if (classes.includes('class_') || classes.includes('inherited__')) return 'type';
  for (const name of classes) {
    const syntax = BY_SCOPE.get(name);
    if (syntax) return syntax;
  }
  return around;
}
