import { expect, test } from 'vitest';
import { EXPRESSIONS_MAX, Expressions, readExpressions } from './expressions.svelte';

function storage(text: string | null = null) {
  let kept = text;
  return {
    getItem: () => kept,
    setItem: (_key: string, value: string) => {
      kept = value;
    },
  };
}
const one = (id: string, title = id) => ({ id, title, expr: 'machine_load', limit: null });

test('own panels are kept, changed in their place and removed', () => {
  const on = storage();
  const expressions = new Expressions(on);
  expressions.put(one('a'));
  expressions.put(one('b'));
  expressions.put(one('a', 'changed'));
  expect(new Expressions(on).list.map(({ title }) => title)).toEqual(['changed', 'b']);
  expressions.remove('a');
  expect(new Expressions(on).list.map(({ id }) => id)).toEqual(['b']);
});

test('there are not more than a screen can be asked for', () => {
  const expressions = new Expressions(storage());
  for (let i = 0; i <= EXPRESSIONS_MAX; i += 1) expressions.put(one(String(i)));
  expect(expressions.list).toHaveLength(EXPRESSIONS_MAX);
  expect(expressions.full).toBe(true);
});

test.each([
  ['no json'],
  ['{}'],
  ['[1, null, {"id": "a"}]'],
  ['[{"id":"a","title":"","expr":"x","limit":null}]'],
])('what makes no sense is left out: %s', (text) => expect(readExpressions(text)).toEqual([]));
