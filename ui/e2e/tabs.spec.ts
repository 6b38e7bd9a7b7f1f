/** Several pages of one browser, which have one login. */
import { expect, test } from '@playwright/test';
import { loginLink, signIn } from './support';

test('a page that is open goes on when another page of its browser signs in anew', async ({ context }) => {
  const first = await context.newPage();
  await signIn(first);
  const second = await context.newPage();
  await signIn(second);
  // The first one's stream was ended with the login it began with; it is told what happens all the same.
  await second.getByTestId('nav-agents').click();
  await second.getByTestId('new-agent').click();
  await second.getByTestId('agent-command').fill('true');
  await second.getByTestId('agent-name').fill('from-the-second-page');
  await second.getByTestId('agent-create').click();
  await first.getByTestId('nav-agents').click();
  await expect(first.getByTestId('agent-table')).toContainText('from-the-second-page');
  await expect(first.getByTestId('signed-out')).toHaveCount(0);
});

test('a page that is signed out goes on when another page of its browser signs in', async ({ context }) => {
  const first = await context.newPage();
  const link = loginLink();
  await first.goto(new URL(link).origin);
  await expect(first.getByTestId('signed-out')).toBeVisible();
  const second = await context.newPage();
  await signIn(second, link);
  await expect(first.getByTestId('nav-deck')).toBeVisible();
  await expect(first.getByTestId('signed-out')).toHaveCount(0);
});
