/** Work is reviewed, merged and sent back; everything is stopped; missions are imported; places are cleaned up. */
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, type Page, test } from '@playwright/test';
import { createAgent, createMission, expectState, repository, signIn } from './support';

const git = (directory: string, ...args: string[]) =>
  execFileSync('git', args, { cwd: directory }).toString().trim();
const AUTHOR =
  'GIT_AUTHOR_NAME=w GIT_AUTHOR_EMAIL=w@example.invalid GIT_COMMITTER_NAME=w GIT_COMMITTER_EMAIL=w@example.invalid';

/** An agent that writes what its brief says into a file and commits it. */
const writer = (page: Page, name: string, file: string) =>
  createAgent(
    page,
    name,
    `env ${AUTHOR} sh -c "cat > ${file}; git add ${file}; git commit -qm 'write ${file}'"`,
  );

async function openReview(page: Page, title: string) {
  await page.getByTestId('nav-review').click();
  await page.getByTestId('review-item').filter({ hasText: title }).click();
  await expect(page.getByTestId('diff')).toBeVisible();
}

test('work is looked through with the keyboard and accepted with a merge of exactly what was reviewed', async ({
  page,
}) => {
  await signIn(page);
  const directory = repository('reviewed');
  await writer(page, 'merger', 'answer.txt');
  await createMission(page, {
    title: 'Merge me',
    brief: 'forty-two',
    agent: 'merger',
    repository: directory,
  });
  await expectState(page, 'in_review');
  await openReview(page, 'Merge me');
  await expect(page.getByTestId('diff')).toContainText('forty-two');
  await expect(page.getByTestId('merge-line')).toContainText('has not moved');
  await page.keyboard.press('v');
  await expect(page.getByTestId('viewed-count')).toHaveText('1 viewed');
  await page.keyboard.press('?');
  await expect(page.getByRole('dialog', { name: 'Keys' })).toContainText('Send back');
  await page.keyboard.press('Escape');
  await page.keyboard.press('A');
  await expect(page.getByTestId('accept-merge')).toContainText('main');
  await page.keyboard.press('Enter');
  await expectState(page, 'done');
  expect(readFileSync(join(directory, 'answer.txt'), 'utf8')).toContain('forty-two');
  expect(git(directory, 'log', '-1', '--format=%s', 'main^2')).toBe('write answer.txt');
});

test('a change made after the review sends the work back to its gates instead of merging it', async ({
  page,
}) => {
  await signIn(page);
  const directory = repository('changed');
  await writer(page, 'changer', 'late.txt');
  await createMission(page, { title: 'Change me', brief: 'first', agent: 'changer', repository: directory });
  await expectState(page, 'in_review');
  const place = await page
    .getByTestId('attempt')
    .locator('code[title*="worktrees"]')
    .first()
    .getAttribute('title');
  await openReview(page, 'Change me');
  writeFileSync(join(place ?? '', 'late.txt'), 'something nobody reviewed\n');
  await page.getByTestId('review-accept').click();
  await page.getByTestId('accept-confirm').click();
  await expect(page.getByTestId('accept-refused')).toBeVisible();
  // Once the gates have run again, the new work is not accepted by pressing once more: it was not looked at.
  await expect(page.getByTestId('moved')).toBeVisible();
  await expect(page.getByTestId('accept-confirm')).toBeDisabled();
  await page.keyboard.press('Escape');
  await expect(page.getByTestId('review-file')).toContainText('late.txt');
  expect(existsSync(join(directory, 'late.txt'))).toBe(false);
});

test('work is sent back with comments on its lines, and the agent gets them as one note', async ({
  page,
}) => {
  await signIn(page);
  const directory = repository('sent-back');
  await writer(page, 'listener', 'words.txt');
  await createMission(page, {
    title: 'Improve me',
    brief: 'a first try',
    agent: 'listener',
    repository: directory,
  });
  await expectState(page, 'in_review');
  await openReview(page, 'Improve me');
  await page.getByTestId('diff').focus();
  await page.keyboard.press('c');
  await page.getByTestId('comment-text').fill('say it in one word');
  await page.keyboard.press('Control+Enter');
  await expect(page.getByTestId('diff')).toContainText('say it in one word');
  await page.getByTestId('diff').focus();
  await page.keyboard.press('S');
  await page.getByTestId('answer-text').fill('Nearly there.');
  await page.getByTestId('answer-confirm').click();
  await expect(page.getByTestId('notice-ok').first()).toContainText('goes back');
  // It is tried again with what was said.
  await page.getByTestId('nav-missions').click();
  await page.getByTestId('mission-card').filter({ hasText: 'Improve me' }).click();
  await expect(page.getByTestId('attempt')).toHaveCount(2);
  await expectState(page, 'in_review');
  // It writes down what it is told, so the note is in its work, as it was composed.
  await openReview(page, 'Improve me');
  await expect(page.getByTestId('diff')).toContainText('Nearly there.');
  await expect(page.getByTestId('diff')).toContainText('words.txt:1: say it in one word');
});

test('stop all ends what runs from any screen with one confirmation, and only a resume lets it go on', async ({
  page,
}) => {
  await signIn(page);
  await createAgent(page, 'runner', 'sh -c "echo on; exec sleep 300"');
  await createMission(page, { title: 'Run on', brief: 'run', agent: 'runner' });
  await expectState(page, 'running');
  // A half-written mission stays: the button is above its dialog, and what was typed is kept.
  await page.getByTestId('nav-missions').click();
  await page.getByTestId('new-mission').click();
  await page.getByTestId('mission-title').fill('Half written');
  await page.getByTestId('stop-all').click();
  await expect(page.getByTestId('stop-note')).toBeFocused();
  await page.keyboard.press('Escape');
  await expect(page.getByTestId('stop-note')).toHaveCount(0);
  await expect(page.getByTestId('mission-title')).toHaveValue('Half written');
  await page.getByTestId('mission-title').focus();
  await page.keyboard.press('Control+Shift+Period');
  await page.getByTestId('stop-note').fill('lunch');
  await page.keyboard.press('Enter');
  await expect(page.getByTestId('stop-result')).toContainText('none');
  await page.getByTestId('stop-close').click();
  await page.keyboard.press('Escape');
  await expect(page.getByTestId('halted-banner')).toBeVisible();
  await page.getByTestId('nav-deck').click();
  await expect(page.getByTestId('swarm-state')).toHaveText('halted');
  await page.getByTestId('resume-swarm').click();
  await expect(page.getByTestId('halted-banner')).toHaveCount(0);
});

test('an import is previewed, applied, and makes no duplicates when it is repeated', async ({ page }) => {
  await signIn(page);
  await page.goto(`${new URL(page.url()).origin}/#/import`);
  await page.getByTestId('import-text').fill('# Paint the hive\nYellow.\n\n# Count the bees\nAll of them.\n');
  await page.getByTestId('import-preview').click();
  await expect(page.getByTestId('import-item')).toHaveCount(2);
  await expect(page.getByTestId('import-sum')).toHaveAttribute('data-applied', 'false');
  await page.getByTestId('import-apply').click();
  await expect(page.getByTestId('import-sum')).toContainText('2 created');
  await page.getByRole('button', { name: 'Import something else' }).click();
  await page.getByTestId('import-text').fill('# Paint the hive\nYellow.\n\n# Count the bees\nAll of them.\n');
  await page.getByTestId('import-preview').click();
  await expect(page.getByTestId('import-sum')).toContainText('2 unchanged');
  await expect(page.getByTestId('import-apply')).toBeDisabled();
  await page.getByTestId('nav-missions').click();
  await expect(page.getByTestId('mission-card').filter({ hasText: 'Paint the hive' })).toHaveCount(1);
});

test('a clean-up says what would go and what is kept, and what went is restored whole', async ({ page }) => {
  await signIn(page);
  const directory = repository('tidied');
  await writer(page, 'tidier', 'kept.txt');
  await createMission(page, {
    title: 'Only here',
    brief: 'nowhere else',
    agent: 'tidier',
    repository: directory,
  });
  await expectState(page, 'in_review');
  await createAgent(page, 'idler', 'true');
  await createMission(page, {
    title: 'Left nothing',
    brief: 'nothing',
    agent: 'idler',
    repository: directory,
    gate: 'true',
  });
  await expectState(page, 'done');
  await page.getByTestId('nav-places').click();
  await expect(page.getByTestId('worktree-table')).toContainText('Left nothing');
  await page.getByTestId('clean-open').click();
  await expect(page.getByTestId('clean-remove')).toContainText('Left nothing');
  await expect(page.getByTestId('clean-kept')).toContainText('Only here');
  await page.getByTestId('clean-apply').click();
  await expect(page.getByTestId('clean-done')).toContainText('moved to the trash');
  await page.getByRole('button', { name: 'Show the trash' }).click();
  const item = page.getByTestId('trash-item').filter({ hasText: 'Left nothing' });
  await item.getByTestId('trash-restore').click();
  await expect(page.getByTestId('notice-ok').first()).toContainText('Restored');
  await expect(item).toHaveCount(0);
});

test('a topic collects a vote with its reason and is closed with a recorded decision', async ({ page }) => {
  await signIn(page);
  await createAgent(page, 'voter', 'true');
  await page.getByTestId('nav-topics').click();
  await page.getByTestId('new-topic').click();
  await page.getByTestId('topic-title').fill('Which way?');
  await page.getByTestId('topic-options').fill('left\nright');
  await page.getByTestId('topic-create').click();
  await page.getByTestId('vote-agent').selectOption({ label: 'voter' });
  await page.getByTestId('vote-option').selectOption('right');
  await page.getByTestId('vote-why').fill('the left one ends');
  await page.getByTestId('vote-cast').click();
  await expect(page.getByTestId('vote')).toContainText('the left one ends');
  await page.getByTestId('topic-close').click();
  await expect(page.getByTestId('decision')).toContainText('right');
});
