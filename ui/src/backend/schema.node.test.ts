// @vitest-environment node
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import openapiTS, { astToString, COMMENT_HEADER } from 'openapi-typescript';
import { expect, test } from 'vitest';

test('the types are those of the API’s description', async () => {
  const description = new URL('../../../docs/openapi.json', import.meta.url);
  const generated = COMMENT_HEADER + astToString(await openapiTS(description));
  const kept = readFileSync(fileURLToPath(new URL('./schema.ts', import.meta.url)), 'utf8');
  expect(kept, 'run `npm run schema`').toBe(generated);
}, 30_000);
