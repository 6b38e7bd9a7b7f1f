/** The captain's own panels: expressions with their titles and limits, kept in this browser or window. */

export interface Expression {
  id: string;
  title: string;
  expr: string;
  /** What should not be exceeded; nothing where there is no limit. */
  limit: number | null;
}

const KEY = 'hivekeeper.expressions';
/** Own panels at most. */
export const EXPRESSIONS_MAX = 24;
/** The longest expression, in bytes, as the engine has it. */
export const EXPR_BYTES_MAX = 4_096;

/** What was stored, as far as it makes sense. */
export function readExpressions(text: string | null): Expression[] {
  try {
    const raw: unknown = JSON.parse(text ?? '[]');
    if (!Array.isArray(raw)) return [];
    return raw.filter(isExpression).slice(0, EXPRESSIONS_MAX);
  } catch {
    return [];
  }
}

function isExpression(one: unknown): one is Expression {
  if (typeof one !== 'object' || one === null) return false;
  const { id, title, expr, limit } = one as Partial<Record<keyof Expression, unknown>>;
  const text = (value: unknown) => typeof value === 'string' && value !== '';
  return text(id) && text(title) && text(expr) && (limit === null || Number.isFinite(limit));
}

export class Expressions {
  list = $state.raw<readonly Expression[]>([]);

  constructor(private readonly storage: Pick<Storage, 'getItem' | 'setItem'>) {
    this.list = readExpressions(storage.getItem(KEY));
  }

  get full(): boolean {
    return this.list.length >= EXPRESSIONS_MAX;
  }

  /** Adds a panel, or puts it in the place of the one with its id. */
  put(one: Expression): void {
    const known = this.list.some(({ id }) => id === one.id);
    this.#keep(
      known
        ? this.list.map((other) => (other.id === one.id ? one : other))
        : [...this.list, one].slice(0, EXPRESSIONS_MAX),
    );
  }

  remove(id: string): void {
    this.#keep(this.list.filter((one) => one.id !== id));
  }

  #keep(list: readonly Expression[]): void {
    this.list = list;
    this.storage.setItem(KEY, JSON.stringify(list));
  }
}
