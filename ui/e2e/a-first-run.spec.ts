/** What a person sees first, and the demo swarm from its start to its end. */
import { expect, test } from '@playwright/test';
import { createAgent, signIn } from './support';

test('the screens say what will appear, and the demo swarm comes and goes', async ({ page }) => {
  await signIn(page);
  await page.getByTestId('nav-missions').click();
  await expect(page.getByText('No missions yet')).toBeVisible();
  await page.getByTestId('nav-devlogs').click();
  await expect(page.getByText('No devlogs yet')).toBeVisible();
  await page.getByTestId('nav-settings').click();
  await page.getByText('Dark', { exact: true }).click();
  await expect(page.locator('html')).toHaveAttribute('data-theme', 'dark');
  await page.getByTestId('nav-deck').click();
  await page.getByTestId('demo-start').click();
  await expect(page.getByTestId('demo-banner')).toBeVisible();
  await page.getByTestId('nav-missions').click();
  await expect(page.getByTestId('mission-card').first()).toBeVisible();
  // Real work: something of it reaches its end.
  await expect(page.getByTestId('column-done').getByTestId('mission-card').first()).toBeVisible({
    timeout: 45_000,
  });
  await page.getByTestId('demo-remove').click();
  await expect(page.getByTestId('demo-banner')).toHaveCount(0);
  await expect(page.getByTestId('demo-start')).toBeVisible();
});

test('a refused drop puts the card back and says why', async ({ page }) => {
  await signIn(page);
  await createAgent(page, 'holder', 'sh -c "exec sleep 300"');
  await page.getByTestId('nav-missions').click();
  await page.getByTestId('new-mission').click();
  await page.getByTestId('mission-title').fill('Hold');
  await page.getByTestId('mission-brief').fill('hold');
  await page.getByTestId('mission-create').click();
  await expect(page.getByTestId('mission-state')).toHaveAttribute('data-state', 'running');
  await page.getByTestId('nav-missions').click();
  const card = page.getByTestId('mission-card').filter({ hasText: 'Hold' });
  await card.dragTo(page.getByTestId('column-done'));
  await expect(page.getByTestId('notice-bad')).toContainText('accept');
  await expect(
    page.getByTestId('column-working').getByTestId('mission-card').filter({ hasText: 'Hold' }),
  ).toBeVisible();
  // What runs is ended only after asking; kept, the card is where it was.
  await card.dragTo(page.getByTestId('column-failed'));
  await page.getByRole('button', { name: 'Keep it' }).click();
  await expect(
    page.getByTestId('column-working').getByTestId('mission-card').filter({ hasText: 'Hold' }),
  ).toBeVisible();
  await card.dragTo(page.getByTestId('column-failed'));
  await page.getByTestId('ask-confirm').click();
  await expect(
    page.getByTestId('column-failed').getByTestId('mission-card').filter({ hasText: 'Hold' }),
  ).toBeVisible();
});
