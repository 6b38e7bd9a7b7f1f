import { beforeAll, beforeEach, expect, test } from 'vitest';
import { all, by, put, settled, stage, withoutLayout } from '../../state/testing/stage';
import { LINKS } from './links';
import PhoneBar from './PhoneBar.svelte';

beforeAll(withoutLayout);
beforeEach(() => {
  location.hash = '';
});

test('the bar of a phone has the first screens, everything else one touch further, and the end of everything', async () => {
  const on = stage();
  put(on, PhoneBar, {});
  const first = LINKS.filter((link) => link.first);
  expect(all('nav a').map(({ dataset }) => dataset.testid)).toEqual(first.map(({ view }) => `nav-${view}`));
  expect(by('nav-deck').getAttribute('aria-current')).toBe('page');
  by('stop-all').click();
  expect(on.hive.halting.stage.kind).toBe('asking');
  on.hive.halting.close();
  by('nav-more').click();
  await settled();
  for (const { view } of LINKS) expect(by(`nav-${view}`).getAttribute('href')).toBe(`#/${view}`);
  by('nav-devlogs').click();
  await settled();
  expect(all('[role="dialog"]')).toHaveLength(0);
});
