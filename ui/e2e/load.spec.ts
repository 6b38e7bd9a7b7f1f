/** What is loaded when: the first screen alone at first, and a screen that cannot be loaded says so. */
import { expect, test } from '@playwright/test';
import { loginLink, signIn } from './support';

test('a screen that cannot be loaded says so, and is loaded when it is tried again', async ({ page }) => {
  await page.route(/assets\/(Topics|NewTopic|TopicPage)-[^/]*\.js$/, (route) => route.abort());
  await signIn(page);
  await page.getByTestId('nav-topics').click();
  await expect(page.getByRole('alert')).toContainText('The topics could not be loaded');
  await expect(page.getByTestId('load-page')).toBeVisible();
  // Everything else goes on.
  await page.getByTestId('nav-devlogs').click();
  await expect(page.getByTestId('heading')).toHaveText(/Devlogs/);
  await page.getByTestId('nav-topics').click();
  await expect(page.getByTestId('load-again')).toBeVisible();
  await page.unroute(/assets\/(Topics|NewTopic|TopicPage)-[^/]*\.js$/);
  await page.getByTestId('load-again').click();
  await expect(page.getByTestId('heading')).toHaveText(/Topics/);
});

test('a dialog that cannot be loaded says so and can be closed', async ({ page }) => {
  await page.route(/assets\/NewTopic-[^/]*\.js$/, (route) => route.abort());
  await signIn(page);
  await page.keyboard.press('Control+k');
  await page.keyboard.type('new topic');
  await page.keyboard.press('Enter');
  await expect(page.getByRole('dialog')).toContainText('could not be loaded');
  await page.keyboard.press('Escape');
  await expect(page.getByRole('dialog')).toHaveCount(0);
});

test('the deck is there before any other screen is loaded', async ({ page }) => {
  const scripts: string[] = [];
  page.on('request', (request) => {
    if (request.resourceType() === 'script') scripts.push(new URL(request.url()).pathname);
  });
  await page.goto(loginLink());
  await expect(page.getByTestId('nav-deck')).toBeVisible();
  expect(scripts.filter((path) => /AgentPage|Settings|ReviewPage|uPlot|Terminal/.test(path))).toEqual([]);
  // The others come while nobody waits for them.
  await expect.poll(() => scripts.some((path) => /Settings/.test(path))).toBe(true);
});
