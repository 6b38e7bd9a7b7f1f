/** At 390 px: nothing runs out of the screen, and what a captain needs on the way is within reach of a thumb. */
import { type Browser, expect, type Locator, type Page, test } from '@playwright/test';
import { createAgent, createMission, createTalker, expectState, repository, signIn } from './support';

const PHONE = { width: 390, height: 844 };
/** The least height of something to be touched, in CSS pixels. */
const TOUCH = 36;

async function onPhone(browser: Browser): Promise<Page> {
  const context = await browser.newContext({ viewport: PHONE, hasTouch: true, isMobile: true });
  return context.newPage();
}

/** What runs out of the screen or is cut off at the edge of its panel, other than what can be scrolled there. */
const overflowing = (page: Page): Promise<string[]> =>
  page.evaluate(() => {
    const found: string[] = [];
    const name = (of: Element) =>
      `${of.tagName.toLowerCase()} ${of.getAttribute('data-testid') ?? ''} ${(of.textContent ?? '').trim().slice(0, 40)}`;
    if (document.documentElement.scrollWidth > innerWidth) found.push('the page itself');
    for (const one of Array.from(
      document.querySelectorAll('button, a, input, select, textarea, h1, h2, h3, dd, p'),
    )) {
      const box = one.getBoundingClientRect();
      if (box.width === 0 || box.height === 0 || one.closest('.sr, canvas')) continue;
      let edge = innerWidth;
      let scrolled = false;
      for (let up = one.parentElement; up; up = up.parentElement) {
        const { overflowX, textOverflow } = getComputedStyle(up);
        if (
          textOverflow === 'ellipsis' ||
          (/auto|scroll/.test(overflowX) && up.scrollWidth > up.clientWidth + 1)
        )
          scrolled = true;
        else if (/hidden|clip/.test(overflowX)) edge = Math.min(edge, up.getBoundingClientRect().right);
      }
      if (!scrolled && (box.right > edge + 1 || box.left < -1)) found.push(name(one));
    }
    // A panel cuts off what it has no room for: a squashed one shows nothing.
    for (const panel of Array.from(document.querySelectorAll('section.panel')))
      if (panel.scrollHeight > panel.clientHeight + 2)
        found.push(`the panel ${panel.getAttribute('aria-label')} is squashed`);
    return found;
  });

/** In the lower half of the screen, as a whole, and large enough. */
async function expectInReach(target: Locator): Promise<void> {
  await expect(target).toBeVisible();
  const box = await target.boundingBox();
  expect(box?.height ?? 0).toBeGreaterThanOrEqual(TOUCH);
  expect(box?.y ?? 0).toBeGreaterThan(PHONE.height / 2);
  expect((box?.y ?? 0) + (box?.height ?? 0)).toBeLessThanOrEqual(PHONE.height);
}

test('a paired phone sees the status, answers, pauses and stops; an unpaired one gets nothing', async ({
  page,
  browser,
}) => {
  await signIn(page);
  await createTalker(page, 'pocket');
  await createMission(page, {
    title: 'Ask on the way',
    brief: '@run touch pocket.txt\n@hang',
    agent: 'pocket',
  });
  await expectState(page, 'needs_input');
  await page.getByTestId('nav-settings').click();
  await page.getByTestId('settings-access').click();
  await page.getByTestId('pair-browser').click();
  await page.getByTestId('pair-name').fill('my phone');
  await page.getByText('See and work', { exact: true }).click();
  await page.getByTestId('pair-make').click();
  await expect(page.getByTestId('pair-qr')).toBeVisible();
  const link = (await page.getByTestId('pair-url').textContent()) ?? '';

  const stranger = await onPhone(browser);
  await stranger.goto(new URL(link).origin);
  await expect(stranger.getByTestId('signed-out')).toBeVisible();
  expect(await overflowing(stranger)).toEqual([]);
  await stranger.context().close();

  const phone = await onPhone(browser);
  await phone.goto(link);
  // The status.
  await expect(phone.getByTestId('swarm-state')).toBeVisible();
  await expect(phone.getByTestId('number-inbox')).toBeVisible();
  await expect(phone.getByTestId('role-banner')).toContainText('operator');
  // An answer.
  await expectInReach(phone.getByTestId('nav-inbox'));
  await phone.getByTestId('nav-inbox').click();
  await phone.getByTestId('inbox-item').filter({ hasText: 'touch pocket.txt' }).click();
  await expect(phone.getByTestId('inbox-peek')).toContainText('touch pocket.txt');
  for (const answer of ['once', 'always', 'deny', 'not-now'])
    await expectInReach(phone.getByTestId(`inbox-${answer}`));
  await phone.getByTestId('inbox-once').click();
  await expect(phone.getByTestId('inbox-item').filter({ hasText: 'touch pocket.txt' })).toHaveCount(0);
  // A pause.
  await phone.getByTestId('nav-agents').click();
  await phone.getByRole('row').filter({ hasText: 'pocket' }).click();
  await expectInReach(phone.getByTestId('agent-pause'));
  await phone.getByTestId('agent-pause').click();
  await expect(phone.getByTestId('agent-resume')).toBeVisible();
  // And the end of everything.
  await expectInReach(phone.getByTestId('stop-all'));
  await phone.getByTestId('stop-all').click();
  await expectInReach(phone.getByTestId('stop-confirm'));
  await phone.getByTestId('stop-confirm').click();
  await expect(phone.getByTestId('stop-result')).toBeVisible();
  await phone.getByTestId('stop-close').click();
  await expect(phone.getByTestId('halted-banner')).toBeVisible();
  await phone.getByTestId('resume-swarm').click();
  await expect(phone.getByTestId('halted-banner')).toHaveCount(0);

  // It is one of the browsers that are signed in, until the captain says otherwise.
  await page.keyboard.press('Escape');
  const login = page.getByTestId('login').filter({ hasText: 'my phone' });
  await login.getByTestId('login-end').click();
  await expect(login).toHaveCount(0);
  await expect(phone.getByTestId('signed-out')).toBeVisible();
  await phone.context().close();
});

test('nothing runs out of any screen of a phone', async ({ page }) => {
  await page.setViewportSize({ width: 1280, height: 800 });
  await signIn(page);
  const directory = repository('narrow');
  await createAgent(
    page,
    'an-agent-with-a-long-name-that-has-to-go-somewhere',
    'env GIT_AUTHOR_NAME=w GIT_AUTHOR_EMAIL=w@example.invalid GIT_COMMITTER_NAME=w GIT_COMMITTER_EMAIL=w@example.invalid sh -c "cat > a-file-with-a-very-long-name-indeed-so-that-it-has-to-be-cut.txt; git add .; git commit -qm x"',
  );
  await createMission(page, {
    title: 'A mission whose title is so long that no phone could ever show it in one line of text',
    brief: 'words '.repeat(40),
    agent: 'an-agent-with-a-long-name',
    repository: directory,
  });
  await expectState(page, 'in_review');
  const mission = page.url().split('/').at(-1);
  await page.getByTestId('nav-agents').click();
  const row = page.getByRole('row').filter({ hasText: 'an-agent-with-a-long-name' });
  const agent = (await row.getAttribute('href'))?.split('/').at(-1) ?? '';
  await page.setViewportSize(PHONE);
  await expect(page.getByTestId('phone-bar')).toBeVisible();
  const parts = [
    'appearance',
    'agents',
    'work',
    'access',
    'configuration',
    'hooks',
    'secrets',
    'log',
    'privacy',
    'care',
    'about',
  ];
  const screens = [
    'deck',
    'inbox',
    'missions?view=list',
    'missions?view=board',
    `missions/${mission}`,
    'agents',
    `agents/${agent}`,
    'review',
    `review/${mission}`,
    'performance',
    'devlogs',
    'topics',
    'places',
    'import',
    'settings',
    ...parts.map((part) => `settings/${part}`),
  ];
  for (const screen of screens) {
    await page.evaluate((hash) => {
      location.hash = `#/${hash}`;
    }, screen);
    await expect(page.getByTestId('heading')).toBeVisible();
    await expect(page.getByText('Reading…', { exact: true })).toHaveCount(0);
    expect(await overflowing(page), screen).toEqual([]);
    await expectInReach(page.getByTestId('stop-all'));
  }
  // What is too wide is noticed.
  await page.evaluate(() => {
    const wide = document.createElement('button');
    wide.textContent = 'as wide as a table';
    wide.style.width = '500px';
    document.querySelector('main')?.append(wide);
  });
  expect(await overflowing(page)).not.toEqual([]);
});

test('on a phone every screen is reached, and a mission is made', async ({ page }) => {
  await page.setViewportSize(PHONE);
  await signIn(page);
  for (const view of ['review', 'performance', 'devlogs', 'topics', 'places', 'settings']) {
    await page.getByTestId('nav-more').click();
    await page.getByTestId(`nav-${view}`).click();
    await expect(page.getByRole('dialog')).toHaveCount(0);
    await expect(page.getByTestId('heading')).toBeVisible();
  }
  await page.getByTestId('settings-about').click();
  await expect(page.getByTestId('about')).toContainText('Version');
  await page.getByRole('link', { name: 'All settings' }).click();
  await expect(page.getByTestId('settings-log')).toBeVisible();
  await page.getByTestId('nav-missions').click();
  await expectInReach(page.getByTestId('new-mission'));
  await page.getByTestId('new-mission').click();
  await page.getByTestId('mission-title').fill('Made on the way');
  await page.getByTestId('mission-brief').fill('with one thumb');
  expect(await overflowing(page)).toEqual([]);
  await expectInReach(page.getByTestId('mission-create'));
  await page.getByTestId('mission-create').click();
  await expect(page.getByTestId('mission-state')).toBeVisible();
});
