/** Who gets in, what can be done without a mouse, and what text from agents cannot do. */
import { expect, test } from '@playwright/test';
import { createAgent, createMission, expectState, loginLink, signIn } from './support';

test('a login link lets a browser in once, and nobody gets in without one', async ({ page, browser }) => {
  const link = loginLink();
  await page.goto(new URL(link).origin);
  await expect(page.getByTestId('signed-out')).toContainText('hivekeeper login');
  await signIn(page, link);
  expect(page.url()).not.toContain('login=');
  await page.reload();
  await expect(page.getByTestId('nav-deck')).toBeVisible();

  const other = await browser.newPage();
  await other.goto(link);
  await expect(other.getByTestId('signed-out')).toBeVisible();
  await other.close();
});

test('a mission is made with the keyboard alone', async ({ page }) => {
  await signIn(page);
  await createAgent(page, 'typist', 'sh -c "cat; echo"');
  await page.keyboard.press('g');
  await page.keyboard.press('d');
  await expect(page.getByTestId('nav-deck')).toHaveAttribute('aria-current', 'page');
  await page.keyboard.press('Control+k');
  await expect(page.getByTestId('palette-input')).toBeFocused();
  await page.keyboard.type('new mission for typist');
  await expect(page.getByTestId('palette-option').first()).toContainText('typist');
  await page.keyboard.press('Enter');
  await expect(page.getByTestId('mission-title')).toBeFocused();
  await page.keyboard.type('Typed');
  await page.keyboard.press('Tab');
  await page.keyboard.type('nothing but keys');
  await page.getByTestId('mission-title').focus();
  await page.keyboard.press('Enter');
  await expect(page.getByTestId('transcript')).toContainText('nothing but keys');
  // Without a gate the captain answers; that too by keys.
  await expectState(page, 'in_review');
  await page.keyboard.press('Control+k');
  await page.keyboard.type('accept');
  await page.keyboard.press('Enter');
  await expectState(page, 'done');
  await expect(page.getByTestId('evidence-grade')).toHaveText('human');
  await page.keyboard.press('?');
  await expect(page.getByRole('dialog', { name: 'Keys' })).toBeVisible();
  await page.keyboard.press('Escape');
  await expect(page.getByRole('dialog')).toHaveCount(0);
});

test('markup in titles, briefs and output is text and runs nothing', async ({ page }) => {
  const problems: string[] = [];
  page.on('console', (message) => {
    if (message.text().includes('Content Security Policy')) problems.push(message.text());
  });
  page.on('dialog', (dialog) => {
    problems.push(dialog.message());
    void dialog.dismiss();
  });
  await signIn(page);
  const evil = '<img src=x onerror="window.pwned=1"><script>window.pwned=1</script>';
  await createAgent(
    page,
    'mallory',
    `sh -c "cat; printf '\\033[31mred\\033[0m \\033]0;title\\007\\342\\200\\256\\n'"`,
  );
  await createMission(page, { title: `${evil} title`, brief: `${evil} brief`, agent: 'mallory' });
  await expect(page.getByTestId('transcript')).toContainText(evil);
  await expect(page.getByTestId('transcript')).toContainText('red');
  await expect(page.getByTestId('transcript')).toContainText('U+202E');
  await expectState(page, 'in_review');
  await page.getByTestId('nav-devlogs').click();
  await expect(page.getByTestId('devlog-item').filter({ hasText: 'onerror' }).first()).toBeVisible();
  await page.getByTestId('devlog-item').filter({ hasText: 'onerror' }).first().click();
  await expect(page.getByTestId('devlog-text')).toBeVisible();
  for (const view of ['deck', 'missions', 'agents', 'devlogs']) {
    await page.getByTestId(`nav-${view}`).click();
    await expect(page.getByTestId(`nav-${view}`)).toHaveAttribute('aria-current', 'page');
    expect(await page.locator('main img, main script').count()).toBe(0);
  }
  expect(await page.evaluate('window.pwned')).toBeUndefined();
  expect(problems).toEqual([]);
});

test('an unknown program is named while it is typed', async ({ page }) => {
  await signIn(page);
  await page.getByTestId('nav-agents').click();
  await page.getByTestId('new-agent').click();
  await page.getByTestId('agent-command').fill('no-such-program-anywhere --now');
  await expect(page.getByRole('dialog')).toContainText('no-such-program-anywhere');
});
