/** The house: who is signed in, how the settings became what they are, hooks, secrets, the log, the engine itself. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, type Page, test } from '@playwright/test';
import { createMission, home, loginLink, signIn } from './support';

async function openPart(page: Page, part: string): Promise<void> {
  await page.getByTestId('nav-settings').click();
  await page.getByTestId(`settings-${part}`).click();
  await expect(page.getByTestId('settings-part')).toHaveAttribute('data-part', part);
}

test('a browser that is signed out elsewhere is so at once, and signing out of this one ends it', async ({
  page,
  browser,
}) => {
  await signIn(page);
  await openPart(page, 'access');
  const mine = page.getByTestId('login').filter({ hasText: 'this browser' });
  await expect(mine).toHaveCount(1);
  const before = await page.getByTestId('login').count();
  const other = await browser.newPage();
  await signIn(other, loginLink());
  await expect(page.getByTestId('login')).toHaveCount(before + 1);
  // The one that signed in last was used last, so it comes right after this one.
  await page.locator('[data-testid="login"][data-current="false"]').first().getByTestId('login-end').click();
  await expect(other.getByTestId('signed-out')).toBeVisible();
  await other.close();
  await mine.getByTestId('login-end').click();
  await expect(page.getByTestId('signed-out')).toBeVisible();
  await page.reload();
  await expect(page.getByTestId('signed-out')).toBeVisible();
});

test('each change of the settings is listed with who made it, and going back restores exactly what was', async ({
  page,
}) => {
  await signIn(page);
  await openPart(page, 'work');
  const field = page.getByTestId('rules-running');
  for (const many of ['7', '9']) {
    await field.fill(many);
    await page.getByTestId('rules-save').click();
    await expect(page.getByTestId('rules-save')).toBeDisabled();
  }
  await openPart(page, 'configuration');
  const newest = page.getByTestId('config-change').first();
  await expect(newest).toContainText('you');
  await expect(newest).toContainText('Attempts at once');
  await expect(newest).toContainText('9');
  const changes = await page.getByTestId('config-change').count();
  await page.getByTestId('config-undo').click();
  await page.getByTestId('config-restore-confirm').click();
  await expect(page.getByTestId('config-change')).toHaveCount(changes + 1);
  await openPart(page, 'work');
  await expect(field).toHaveValue('7');
});

test('the configuration is exported, and taken over after a look at what it would change', async ({
  page,
}) => {
  await signIn(page);
  await openPart(page, 'configuration');
  const download = page.waitForEvent('download');
  await page.getByTestId('config-export').click();
  const path = await (await download).path();
  const config = JSON.parse(readFileSync(path, 'utf8'));
  expect(config.version).toBe(1);
  const changed = join(home(), 'changed.json');
  writeFileSync(changed, JSON.stringify({ ...config, settings: { ...config.settings, trash_days: 11 } }));
  await page.getByTestId('config-file').setInputFiles(changed);
  await expect(page.getByTestId('config-preview')).toContainText('Days in the trash');
  await page.getByTestId('config-apply').click();
  await expect(page.getByTestId('config-change').first()).toContainText('11');
  await page
    .getByTestId('config-file')
    .setInputFiles({ name: 'no.json', mimeType: 'application/json', buffer: Buffer.from('{') });
  await expect(page.getByRole('alert')).toContainText('not JSON');
});

test('a hook runs when something happens, and one that is tried and fails shows what it printed', async ({
  page,
}) => {
  await signIn(page);
  await openPart(page, 'hooks');
  const seen = join(home(), 'seen.json');
  await page.getByTestId('new-hook').click();
  await page.getByTestId('hook-name').fill('write it down');
  await page.getByTestId('hook-command').fill(`sh -c 'cat >> ${seen}'`);
  await page.getByTestId('hook-kind-mission_created').check();
  await page.getByTestId('hook-save').click();
  const hook = page.getByTestId('hook').filter({ hasText: 'write it down' });
  await expect(hook).toHaveAttribute('data-state', 'on');
  await createMission(page, { title: 'Seen by a hook', brief: 'x' });
  await openPart(page, 'hooks');
  await hook.getByTestId('hook-runs').click();
  await expect(hook.getByTestId('hook-run').first()).toHaveAttribute('data-ok', 'true');
  expect(readFileSync(seen, 'utf8')).toContain('mission');

  await page.getByTestId('new-hook').click();
  await page.getByTestId('hook-name').fill('always fails');
  await page.getByTestId('hook-command').fill("sh -c 'echo no such door; exit 3'");
  await page.getByTestId('hook-save').click();
  const bad = page.getByTestId('hook').filter({ hasText: 'always fails' });
  await bad.getByTestId('hook-test').click();
  await expect(page.getByTestId('notice-bad').first()).toContainText('exit code 3');
  await expect(bad.getByTestId('hook-run').first()).toContainText('no such door');
});

test('a secret is kept, listed by its name alone, and forgotten', async ({ page }) => {
  await signIn(page);
  await openPart(page, 'secrets');
  await page.getByTestId('secret-name').fill('E2E_KEY');
  await page.getByTestId('secret-value').fill('not-for-anybody');
  await page.getByTestId('secret-keep').click();
  const secret = page.getByTestId('secret').filter({ hasText: 'E2E_KEY' });
  await expect(secret).toBeVisible();
  await expect(page.getByTestId('secret-value')).toHaveValue('');
  await expect(page.getByTestId('secret-store')).not.toBeEmpty();
  expect(await page.content()).not.toContain('not-for-anybody');
  await secret.getByTestId('secret-forget').click();
  await page.getByTestId('secret-forget-confirm').click();
  await expect(secret).toHaveCount(0);
});

test('the log is read and filtered, and how much is written is changed for a while', async ({ page }) => {
  await signIn(page);
  await openPart(page, 'log');
  await page.getByTestId('log-level-change').click();
  await page.getByTestId('log-level-filter').fill('debug');
  await page.getByTestId('log-level-save').click();
  await expect(page.getByTestId('log-level')).toContainText('debug');
  await expect(page.getByTestId('log-level')).toContainText('until');
  await page.getByTestId('log-least').selectOption('trace');
  await expect(page.getByTestId('log-line').first()).toBeVisible();
  await page.getByTestId('log-text').fill('nothing-that-was-ever-written');
  await expect(page.getByText('No such lines')).toBeVisible();
});

test('privacy says what leaves this machine, and about shows the engine’s own figures', async ({ page }) => {
  await signIn(page);
  await openPart(page, 'privacy');
  await expect(page.getByTestId('privacy-leaves')).toContainText('nothing by itself');
  await expect(page.getByTestId('privacy-kept')).toContainText('ledger.db');
  await openPart(page, 'about');
  await expect(page.getByTestId('about-uses')).toContainText('MiB');
  await expect(page.getByTestId('about-api')).toContainText('ms');
});

test('an agent that runs elsewhere is made, shows its token once, and is offline until its heartbeat comes', async ({
  page,
  request,
}) => {
  await signIn(page);
  await page.getByTestId('nav-agents').click();
  await page.getByTestId('new-agent').click();
  await page.getByText('attached', { exact: true }).click();
  await page.getByTestId('attach-name').fill('night shift');
  await page.getByTestId('attach-create').click();
  const shown = page.getByTestId('attached-token');
  await expect(shown).toContainText('attached_agent.py');
  const token = (await shown.locator('code').first().textContent()) ?? '';
  await page.getByTestId('attach-done').click();
  await expect(page.getByRole('heading', { level: 1, name: 'night shift' })).toBeVisible();
  await expect(page.getByTestId('attachment')).not.toContainText(token);
  await expect(page.getByTestId('agent-status')).toHaveAttribute('data-state', 'offline');
  const beat = await request.post(`${new URL(page.url()).origin}/api/v1/attached/heartbeat`, {
    headers: { Authorization: `Bearer ${token}` },
    data: {},
  });
  expect(beat.status()).toBe(200);
  // A mission may wait for it already.
  await expect(page.getByTestId('agent-status')).toHaveAttribute('data-state', /idle|starting/);
});
