/** Two who edit the same thing: neither writes over what was not seen. */
import { expect, type Page, test } from '@playwright/test';
import { createAgent, signIn } from './support';

async function openRules(page: Page): Promise<void> {
  await page.getByTestId('nav-settings').click();
  await page.getByTestId('settings-work').click();
  await expect(page.getByTestId('rules-running')).toBeVisible();
}

async function editAgent(page: Page, name: string): Promise<void> {
  await page.getByTestId('nav-agents').click();
  await page.getByRole('row').filter({ hasText: name }).click();
  await page.getByTestId('agent-edit').click();
  await expect(page.getByTestId('agent-role')).toBeVisible();
}

test('settings changed by somebody else meanwhile are shown, and saving keeps both changes', async ({
  page,
  browser,
}) => {
  await signIn(page);
  const other = await browser.newPage();
  await signIn(other);
  await openRules(page);
  await openRules(other);
  await other.getByTestId('rules-running').fill('13');
  await other.getByTestId('rules-save').click();
  await expect(other.getByTestId('rules-save')).toBeDisabled();

  await page.getByLabel('Starts per cycle').fill('49');
  await page.getByTestId('rules-save').click();
  const held = page.getByTestId('changed-meanwhile');
  await expect(held).toBeFocused();
  await expect(held).toContainText('Nothing of yours was saved');
  await expect(held.getByTestId('meanwhile-field')).toHaveCount(1);
  await expect(held.getByTestId('meanwhile-field')).toContainText('Attempts at once');
  await expect(held.getByTestId('meanwhile-field')).toContainText('13');
  await expect(page.getByLabel('Starts per cycle')).toHaveValue('49');
  await page.getByTestId('meanwhile-over').click();
  await expect(held).toHaveCount(0);
  await expect(page.getByTestId('rules-running')).toHaveValue('13');
  await expect(page.getByTestId('rules-save')).toBeDisabled();
  await other.reload();
  await openRules(other);
  await expect(other.getByLabel('Starts per cycle')).toHaveValue('49');
  await expect(other.getByTestId('rules-running')).toHaveValue('13');
  await other.close();
});

test('an agent changed by somebody else meanwhile can be loaded as it is now, or written over', async ({
  page,
  browser,
}) => {
  await signIn(page);
  await createAgent(page, 'contested', 'sh -c true');
  const other = await browser.newPage();
  await signIn(other);
  await editAgent(page, 'contested');
  await editAgent(other, 'contested');
  await other.getByTestId('agent-role').fill('theirs');
  await other.getByTestId('agent-save').click();
  await expect(other.getByTestId('agent-save')).toHaveCount(0);

  await page.getByTestId('agent-role').fill('mine');
  await page.getByTestId('agent-save').click();
  const field = page.getByTestId('meanwhile-field').filter({ hasText: 'Role' });
  await expect(field).toHaveAttribute('data-clash', 'true');
  await expect(field).toContainText('theirs');
  await expect(page.getByTestId('agent-role')).toHaveValue('mine');
  await page.getByTestId('meanwhile-take').click();
  await expect(page.getByTestId('agent-role')).toHaveValue('theirs');
  await expect(page.getByTestId('agent-save')).toBeDisabled();

  // Again, and this time with the captain's own word.
  await editAgent(other, 'contested');
  await other.getByTestId('agent-role').fill('theirs again');
  await other.getByTestId('agent-save').click();
  await expect(other.getByTestId('agent-save')).toHaveCount(0);
  await page.getByTestId('agent-role').fill('mine');
  await page.getByTestId('agent-save').click();
  await page.getByTestId('meanwhile-over').click();
  await expect(page.getByTestId('agent-save')).toHaveCount(0);
  await expect(page.getByText('mine', { exact: true })).toBeVisible();
  // What stands beside an edit is no edit: a paused agent is changed without a question.
  await page.getByTestId('agent-edit').click();
  await expect(page.getByTestId('agent-role')).toHaveValue('mine');
  await other.getByTestId('agent-pause').click();
  await expect(other.getByTestId('agent-resume')).toBeVisible();
  await page.getByTestId('agent-role').fill('mine still');
  await page.getByTestId('agent-save').click();
  await expect(page.getByTestId('agent-save')).toHaveCount(0);
  await other.close();
});
