/** A mission from its first word to its devlog. */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from '@playwright/test';
import { createAgent, createMission, expectState, home, repository, signIn } from './support';

test('a mission runs on a real repository, is watched live, passes its gate and leaves a devlog', async ({
  page,
}) => {
  await signIn(page);
  // The agent waits for this file, so that what is seen before is seen while it runs.
  const go = join(home(), 'go');
  const script = `echo working on it; while [ ! -e ${go} ]; do sleep 0.05; done; cat > answer.txt; git add answer.txt; git commit -qm 'add the answer'; echo finished`;
  await createAgent(
    page,
    'builder',
    `env GIT_AUTHOR_NAME=b GIT_AUTHOR_EMAIL=b@example.invalid GIT_COMMITTER_NAME=b GIT_COMMITTER_EMAIL=b@example.invalid sh -c "${script}"`,
  );
  await createMission(page, {
    title: 'Write the answer',
    brief: 'forty-two',
    agent: 'builder',
    repository: repository('one'),
    gate: 'grep -q forty-two answer.txt',
  });
  await expectState(page, 'running');
  await expect(page.getByTestId('transcript')).toContainText('working on it');
  await expect(page.getByTestId('transcript')).not.toContainText('finished');

  writeFileSync(go, '');
  await expectState(page, 'done');
  await expect(page.getByTestId('transcript')).toContainText('finished');
  await expect(page.getByTestId('gate-result')).toHaveAttribute('data-verdict', 'passed');
  await expect(page.getByTestId('evidence-grade')).toHaveText('observed');
  await expect(page.getByTestId('attempt')).toContainText('add the answer');
  expect(existsSync(join(home(), 'one', 'answer.txt'))).toBe(false);

  await page.getByTestId('nav-devlogs').click();
  await page.getByTestId('devlog-item').filter({ hasText: 'Write the answer' }).first().click();
  await expect(page.getByTestId('devlog-text')).toContainText('Write the answer');
  for (const [testid, mark] of [
    ['devlog-export-md', '#'],
    ['devlog-export-html', '<!doctype html>'],
  ] as const) {
    const started = page.waitForEvent('download');
    await page.getByTestId(testid).click();
    const text = readFileSync(await (await started).path(), 'utf8');
    expect(text.toLowerCase()).toContain(mark);
    expect(text).toContain('Write the answer');
  }
});

test('a failing gate fails the mission and shows what it printed', async ({ page }) => {
  await signIn(page);
  await createAgent(page, 'optimist', 'sh -c "echo all is well"');
  await createMission(page, {
    title: 'Claim success',
    brief: 'say so',
    agent: 'optimist',
    repository: repository('two'),
    gate: 'echo the proof is missing; exit 3',
  });
  await expectState(page, 'failed');
  await expect(page.getByTestId('gate-result')).toHaveAttribute('data-verdict', 'failed');
  await page.getByTestId('gate-result').locator('summary').click();
  await expect(page.getByTestId('gate-output')).toContainText('the proof is missing');
  await expect(page.getByTestId('mission-retry')).toBeVisible();
  await page.getByTestId('nav-deck').click();
  await expect(page.getByTestId('activity')).toContainText('failed');
});

test('a running mission is cancelled after asking, with the reason kept', async ({ page }) => {
  await signIn(page);
  await createAgent(page, 'sleeper', 'sh -c "echo asleep; exec sleep 300"');
  await createMission(page, { title: 'Sleep', brief: 'sleep', agent: 'sleeper' });
  await expectState(page, 'running');
  await expect(page.getByTestId('transcript')).toContainText('asleep');
  await page.getByTestId('mission-cancel').click();
  await page.getByTestId('ask-note').fill('not needed any more');
  await page.getByTestId('ask-confirm').click();
  await expectState(page, 'cancelled');
  await expect(page.getByTestId('mission-reason')).toContainText('not needed any more');
  await expect(page.getByTestId('attempt')).toHaveAttribute('data-state', 'stopped');
});

test('what is no repository is refused before the mission is made', async ({ page }) => {
  await signIn(page);
  await page.getByTestId('nav-missions').click();
  await page.getByTestId('new-mission').click();
  await page.getByTestId('mission-repository').fill('/nowhere/at/all');
  await expect(page.getByRole('dialog')).toContainText('/nowhere/at/all');
  await expect(page.getByTestId('repository-found')).toHaveCount(0);
  await expect(page.getByTestId('mission-create')).toBeDisabled();
});
