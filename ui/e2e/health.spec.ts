/** Health: checks made, looked at, failed, put under maintenance and removed; the engine's parts; an agent's figures. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from '@playwright/test';
import { createAgent, home, signIn } from './support';

test('a check is made, found failed with its reason, repaired, paused by maintenance and removed', async ({
  page,
}) => {
  const file = join(home(), 'watched.txt');
  await signIn(page);
  await page.keyboard.press('g');
  await page.keyboard.press('h');
  await expect(page.getByTestId('heading')).toHaveText('Health');
  // The parts of the engine say how they are by themselves.
  await expect(page.getByRole('region', { name: 'The engine' }).getByTestId('check').first()).toBeVisible();
  await expect(page.getByText('No checks of your own')).toBeVisible();

  await page.getByTestId('check-new').click();
  await page.getByTestId('check-name').fill('the watched file');
  await page.getByTestId('check-kind').selectOption('file_age');
  await page.getByTestId('check-path').fill(file);
  await page.getByTestId('check-interval').fill('often');
  await expect(page.getByText('Write a whole number.')).toBeVisible();
  await expect(page.getByTestId('check-save')).toBeDisabled();
  await page.getByTestId('check-interval').fill('30');
  await page.getByTestId('check-failures').fill('1');
  await page.getByTestId('check-save').click();
  const row = page.getByTestId('check').filter({ hasText: 'the watched file' });
  await expect(row).toBeVisible();
  await row.click();

  // It is not there: failed, with the reason, and among its looks and its changes.
  await page.getByTestId('check-run').click();
  await expect(page.getByTestId('check-state').first()).toHaveAttribute('data-state', 'failed');
  await expect(page.getByTestId('check-reason')).not.toHaveText('It is in order.');
  await expect(page.getByRole('img', { name: /looks?, .* not in order/ })).toBeVisible();
  await expect(page.getByTestId('check-changes')).toContainText('failed');

  writeFileSync(file, 'x');
  await page.getByTestId('check-run').click();
  await page.getByTestId('check-run').click();
  await expect(page.getByTestId('check-state').first()).toHaveAttribute('data-state', 'ok');

  // Changed, and said what was wrong where it cannot be.
  await page.getByTestId('check-edit').click();
  await page.getByTestId('check-path').fill('not/absolute');
  await page.getByTestId('check-save').click();
  await expect(page.getByRole('alert').filter({ hasText: 'no absolute path' })).toBeVisible();
  await page.getByTestId('check-path').fill(file);
  await page.getByTestId('check-name').fill('the file');
  await page.getByTestId('check-save').click();
  await expect(page.getByTestId('heading')).toHaveText('the file');

  await page.getByTestId('nav-health').click();
  await page.getByTestId('maintenance').click();
  await page.getByTestId('maintenance-note').fill('the disk is moved');
  await page.getByTestId('maintenance-add').click();
  await expect(page.getByTestId('maintenance-list')).toContainText('the disk is moved');
  await page.keyboard.press('Escape');
  await expect(page.getByTestId('check').filter({ hasText: 'the file' })).toContainText('maintenance');
  await page.getByTestId('maintenance').click();
  await page.getByTestId('maintenance-remove').click();
  await expect(page.getByTestId('maintenance-list')).toHaveCount(0);
  await page.keyboard.press('Escape');

  await page.getByTestId('check').filter({ hasText: 'the file' }).click();
  await page.getByTestId('check-remove').click();
  await page.getByTestId('check-remove-sure').click();
  await expect(page.getByTestId('heading')).toHaveText('Health');
  await expect(page.getByText('No checks of your own')).toBeVisible();
});

test('checks are filtered by how they are, and an agent’s figures are of what came to an end', async ({
  page,
}) => {
  await signIn(page);
  await createAgent(page, 'fresh', 'sh -c "exit 0"');
  await expect(page.getByRole('region', { name: 'Efficiency' })).toContainText('No attempt of it ended');
  await page.getByTestId('nav-health').click();
  await page.getByTestId('count-ok').click();
  await expect(page.getByTestId('count-ok')).toHaveAttribute('aria-pressed', 'true');
  await expect(page.getByTestId('check').first()).toContainText('ok');
  await page.getByRole('searchbox', { name: 'Filter checks' }).fill('nothing is called so');
  await expect(page.getByText('Nothing fits')).toBeVisible();
});
