/** Missions seen four ways, written with a check, and looked into. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from '@playwright/test';
import { createAgent, createMission, expectState, home, repository, signIn } from './support';

const AUTHOR =
  'env GIT_AUTHOR_NAME=b GIT_AUTHOR_EMAIL=b@example.invalid GIT_COMMITTER_NAME=b GIT_COMMITTER_EMAIL=b@example.invalid';

test('a mission that is nearly there already is shown, and created only when asked twice', async ({
  page,
}) => {
  await signIn(page);
  await createAgent(page, 'writer', 'sh -c "echo noted"');
  const text =
    'Collect every complaint about the export dialog and answer each of them in one friendly sentence';
  await createMission(page, { title: 'Answer the complaints', brief: text, agent: 'writer' });
  const first = page.url();
  await page.keyboard.press('n');
  await page.getByTestId('mission-title').fill('Answer the complaints');
  await page.getByTestId('mission-brief').fill(`${text}.`);
  await expect(page.getByTestId('mission-twins')).toContainText('Answer the complaints');
  await expect(page.getByTestId('mission-suggestion')).toContainText('writer');
  // A menu in the sheet closes alone.
  await page.getByTestId('gate-add').click();
  await expect(page.getByTestId('gate-add-diff')).toBeFocused();
  await page.keyboard.press('Escape');
  await expect(page.getByTestId('gate-add-diff')).toBeHidden();
  await expect(page.getByTestId('mission-title')).toBeVisible();
  await page.getByTestId('mission-create').click();
  await expect(page.getByTestId('mission-refused')).toContainText('nearly the same');
  await expect(page.getByTestId('mission-create')).toHaveText('Create anyway');
  expect(page.url()).toBe(first);
  // Closed by accident, it is offered again.
  await page.keyboard.press('Escape');
  await page.keyboard.press('n');
  await page.getByTestId('mission-go-on').click();
  await expect(page.getByTestId('mission-title')).toHaveValue('Answer the complaints');
  await page.getByTestId('mission-create').click();
  await expect(page.getByTestId('mission-create')).toHaveText('Create anyway');
  await page.getByTestId('mission-create').click();
  await expect(page.getByRole('dialog')).toHaveCount(0);
  expect(page.url()).not.toBe(first);
});

test('the graph shows what comes first, the timeline who worked when, and the filter stays in the address', async ({
  page,
}) => {
  await signIn(page);
  const go = join(home(), 'layer');
  await createAgent(page, 'mason', `sh -c "while [ ! -e ${go} ]; do sleep 0.05; done; echo laid"`);
  await createMission(page, { title: 'Lay the foundation', brief: 'with care', agent: 'mason' });
  await expectState(page, 'running');
  await page.keyboard.press('n');
  await page.getByTestId('mission-title').fill('Raise the roof');
  await page.getByTestId('mission-brief').fill('once the walls stand');
  await page.getByTestId('mission-labels').fill('building');
  await page.getByTestId('mission-after').fill('foundation');
  await page.keyboard.press('Enter');
  await page.getByTestId('mission-create').click();
  await expect(page.getByTestId('mission-reason')).toContainText('waiting for');
  await expect(page.getByTestId('why-waiting')).toContainText('waiting for');
  await expect(page.getByTestId('dependency')).toContainText('Lay the foundation');

  await page.getByTestId('nav-missions').click();
  await page.keyboard.press('3');
  const graph = page.getByTestId('mission-graph');
  await expect(graph.getByRole('button', { name: /Raise the roof.*After Lay the foundation/ })).toBeVisible();
  await graph.getByRole('button', { name: /^Lay the foundation.*Before Raise the roof/ }).focus();
  await page.keyboard.press('Enter');
  await expect(page.getByTestId('heading')).toHaveText('Lay the foundation');
  await page.goBack();
  await expect(graph).toBeVisible();

  await page.keyboard.press('4');
  const lanes = page.getByTestId('mission-timeline');
  await expect(lanes).toContainText('Lay the foundation');
  await expect(lanes.locator('[data-bar]').first()).toBeVisible();
  await page.keyboard.press('1');
  await page.getByTestId('mission-label').selectOption('building');
  await expect(page.getByTestId('mission-card')).toHaveCount(1);
  expect(page.url()).toContain('label=building');
  await page.reload();
  await expect(page.getByTestId('mission-card')).toHaveCount(1);

  writeFileSync(go, '');
  await page.getByText('Show all').click();
  await page.getByTestId('mission-card').filter({ hasText: 'Lay the foundation' }).first().click();
  await expectState(page, 'in_review');
});

test('evidence opens with what its gate printed, and a checkpoint can be made and gone back to', async ({
  page,
}) => {
  await signIn(page);
  await createAgent(
    page,
    'prover',
    `${AUTHOR} sh -c "cat > answer.txt; git add -A; git commit -qm work; echo finished"`,
  );
  await page.getByTestId('nav-missions').click();
  await page.getByTestId('new-mission').click();
  await page.getByTestId('mission-title').fill('Prove the claim');
  await page.getByTestId('mission-brief').fill('with numbers');
  const select = page.getByTestId('mission-agent');
  await select.selectOption(
    await select.locator('option', { hasText: 'prover' }).first().getAttribute('value'),
  );
  await page.getByTestId('mission-repository').fill(repository('proofs'));
  await expect(page.getByTestId('repository-found')).toContainText('main');
  await page.getByTestId('mission-policy').selectOption('strict');
  await expect(page.getByTestId('policy-gates')).toContainText('human:');
  await page.getByTestId('gate-add-command').click();
  await page.getByTestId('gate-line').fill('seq 1 40000; echo 12 passed');
  await page.getByTestId('gate-proof').fill('{n} passed');
  await expect(page.getByTestId('gate-written').first()).toHaveText(
    'command(proof="{n} passed"): seq 1 40000; echo 12 passed',
  );
  await page.getByTestId('mission-create').click();
  await expectState(page, 'in_review');
  const item = page.getByTestId('evidence-item').filter({ hasText: 'seq 1 40000' });
  await expect(item).toHaveAttribute('data-verdict', 'passed');
  await expect(item).toContainText('12 checks');
  await item.getByTestId('evidence-open').click();
  const output = page.getByTestId('evidence-output');
  await expect(output).toContainText('12 passed');
  await page.keyboard.press('Escape');

  await page.getByTestId('checkpoint-make').click();
  await page.getByTestId('checkpoint-note').fill('as it was handed in');
  await page.getByTestId('checkpoint-confirm').click();
  await expect(page.getByTestId('checkpoint').first()).toContainText('as it was handed in');
  await page.getByTestId('checkpoint-restore').first().click();
  await page.getByTestId('checkpoint-restore-confirm').click();
  await expect(page.getByText('went back to checkpoint')).toBeVisible();
});

test('a mission is changed, sent back with comments, and deleted to the trash', async ({ page }) => {
  await signIn(page);
  await createAgent(page, 'poet', 'sh -c "cat; echo"');
  await createMission(page, { title: 'Write a verse', brief: 'about bees', agent: 'poet' });
  await expectState(page, 'in_review');
  await page.getByTestId('mission-more').click();
  await page.getByTestId('mission-more-edit').click();
  await page.getByTestId('mission-title').fill('Write two verses');
  await page.getByTestId('mission-create').click();
  await expect(page.getByTestId('heading')).toHaveText('Write two verses');
  await page.getByTestId('mission-send_back').click();
  await expect(page.getByTestId('ask-confirm')).toBeDisabled();
  await page.getByTestId('ask-note').fill('the second line does not scan');
  await page.getByTestId('ask-confirm').click();
  await expect(page.getByTestId('attempt')).toHaveCount(2);
  await expectState(page, 'in_review');
  await expect(page.getByTestId('attempt-handoff').first()).toContainText('does not scan');
  await page.getByTestId('mission-reject').click();
  await page.getByTestId('ask-confirm').click();
  await expectState(page, 'failed');
  await page.getByTestId('mission-more').click();
  await page.getByTestId('mission-more-remove').click();
  await page.getByTestId('mission-remove-confirm').click();
  await expect(page.getByTestId('heading')).toHaveText('Missions');
  await expect(page.getByTestId('mission-card').filter({ hasText: 'Write two verses' })).toHaveCount(0);
});

test('a card is moved with the keyboard, and the menu says what cannot be asked', async ({ page }) => {
  await signIn(page);
  await page.getByTestId('nav-missions').click();
  await page.getByTestId('new-mission').click();
  await page.getByTestId('mission-title').fill('Keep me for later');
  await page.getByTestId('mission-brief').fill('not now');
  await page.getByTestId('mission-draft').check();
  await page.getByTestId('mission-create').click();
  await expectState(page, 'draft');
  await page.getByTestId('nav-missions').click();
  await page.keyboard.press('1');
  const holder = page.getByTestId('column-draft').locator('.holder').filter({ hasText: 'Keep me for later' });
  await holder.getByTestId('mission-move').focus();
  await page.keyboard.press('Enter');
  const done = holder.getByTestId('mission-move-done');
  await expect(done).toHaveAttribute('aria-disabled', 'true');
  await page.keyboard.press('Escape');
  await expect(done).toBeHidden();
  await page.keyboard.press('Enter');
  await expect(holder.getByTestId('mission-move-queue')).toBeFocused();
  await page.keyboard.press('End');
  await page.keyboard.press('Enter');
  await page.getByTestId('ask-confirm').click();
  await expect(
    page.getByTestId('column-failed').getByTestId('mission-card').filter({ hasText: 'Keep me for later' }),
  ).toBeVisible();
});
