/** Agents that talk: what they say is seen live, what they ask is answered in the inbox, what they are told arrives. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, type Page, test } from '@playwright/test';
import { talker } from './engine';
import { createAgent, createMission, createTalker, expectState, home, signIn } from './support';

/** What breaks the content policy, as the browser says. */
function violations(page: Page): string[] {
  const found: string[] = [];
  page.on('console', (message) => {
    if (message.text().includes('Content Security Policy')) found.push(message.text());
  });
  return found;
}

test('a conversation is seen live: messages, thoughts, tools, plans and usage', async ({ page }) => {
  await signIn(page);
  await createTalker(page, 'speaker');
  const brief = [
    '@think first I look',
    '@say Here is **bold** and <b>not bold</b>',
    '@plan Read;;Write',
    '@tool read look at it',
    '@fail-tool cannot do it',
    '@usage 1200 34',
    '@context 500 1000',
  ].join('\n');
  await createMission(page, { title: 'Talk', brief, agent: 'speaker' });
  const conversation = page.getByTestId('conversation');
  await expect(conversation).toContainText('<b>not bold</b>');
  await expect(conversation.locator('strong', { hasText: 'bold' }).first()).toBeVisible();
  await expect(conversation.locator('[data-kind="plan"]')).toContainText('Write');
  await expect(
    conversation.locator('[data-kind="tool_call"]').filter({ hasText: 'cannot do it' }),
  ).toContainText('failed');
  await conversation.getByTestId('thought').first().click();
  await expect(conversation).toContainText('first I look');
  await expect(page.getByTestId('usage')).toContainText('50 %');
});

test('a permission request appears in the inbox and is answered there by a key', async ({ page }) => {
  await signIn(page);
  await createTalker(page, 'asker');
  await createMission(page, {
    title: 'Ask once',
    brief: '@run touch asked.txt\n@say went on',
    agent: 'asker',
  });
  await expect(page.getByTestId('number-inbox')).toBeVisible();
  await page.keyboard.press('g');
  await page.keyboard.press('i');
  const item = page.getByTestId('inbox-item').filter({ hasText: 'touch asked.txt' });
  await item.click();
  await expect(page.getByTestId('inbox-peek')).toContainText('touch asked.txt');
  await page.keyboard.press('o');
  await expect(item).toHaveCount(0);
  await page.getByTestId('nav-agents').click();
  await page.getByRole('row').filter({ hasText: 'asker' }).click();
  await expect(page.getByTestId('conversation')).toContainText('went on');
});

test('two requests at once do not overwrite each other', async ({ page }) => {
  await signIn(page);
  await createTalker(page, 'doubler');
  await createMission(page, {
    title: 'Ask twice',
    brief: '@ask first thing;;second thing\n@say went on',
    agent: 'doubler',
  });
  await page.getByTestId('nav-inbox').click();
  const items = page.getByTestId('inbox-item').filter({ hasText: 'doubler' });
  await expect(items).toHaveCount(2);
  await items.filter({ hasText: 'first thing' }).click();
  await page.keyboard.press('d');
  await page.getByTestId('inbox-note').fill('not this one');
  await page.keyboard.press('Enter');
  await expect(items).toHaveCount(1);
  await items.filter({ hasText: 'second thing' }).click();
  await page.keyboard.press('o');
  await expect(items).toHaveCount(0);
  await page.getByTestId('nav-agents').click();
  await page.getByRole('row').filter({ hasText: 'doubler' }).click();
  await expect(page.getByTestId('conversation')).toContainText('went on');
});

test('a message to a working agent is queued, and shows when it was delivered', async ({ page }) => {
  await signIn(page);
  await createTalker(page, 'hearer');
  const go = join(home(), 'hearer-go');
  await createMission(page, { title: 'Listen', brief: `@until ${go}`, agent: 'hearer' });
  await expectState(page, 'running');
  await page.getByTestId('nav-agents').click();
  await page.getByRole('row').filter({ hasText: 'hearer' }).click();
  await page.getByTestId('message-text').fill('@say I heard you');
  await page.getByTestId('message-send').click();
  const message = page.getByTestId('message').first();
  await expect(message).toContainText('I heard you');
  writeFileSync(go, '');
  await expect(message).toHaveAttribute('data-state', /delivered|started|acknowledged/);
  await expect(message.locator('li.reached')).not.toHaveCount(1);
});

test('the terminal shows output and accepts input, within the content policy', async ({ page }) => {
  const broken = violations(page);
  // As in the window, where assigning to one of its names throws.
  await page.addInitScript(() => Object.freeze(Object.prototype));
  await signIn(page);
  await page.getByTestId('nav-agents').click();
  await page.getByTestId('new-agent').click();
  await page
    .getByTestId('agent-command')
    .fill(`sh -c "printf '\\033[38;2;120;40;0mready\\033[0m '; read line; echo got $line"`);
  await page.getByTestId('agent-terminal').check();
  await page.getByTestId('agent-name').fill('termite');
  await page.getByTestId('agent-create').click();
  await createMission(page, { title: 'Type', brief: 'nothing', agent: 'termite' });
  const terminal = page.getByTestId('terminal');
  await expect(terminal.locator('.xterm-rows')).toContainText('ready');
  await expect(terminal.locator('.xterm-rows span', { hasText: 'ready' }).first()).toHaveCSS(
    'color',
    'rgb(120, 40, 0)',
  );
  await terminal.click();
  await page.keyboard.type('hello');
  await page.keyboard.press('Enter');
  await expect(terminal.locator('.xterm-rows')).toContainText('got hello');
  expect(broken).toEqual([]);
});

test('a broadcast shows a result for each agent', async ({ page }) => {
  await signIn(page);
  await createAgent(page, 'herald', 'sh -c true');
  await page.getByTestId('nav-agents').click();
  await page.getByTestId('broadcast').click();
  await page.getByTestId('broadcast-text').fill('Good morning');
  const agents = Number((await page.getByTestId('broadcast-send').textContent())?.match(/\d+/)?.[0]);
  await page.getByTestId('broadcast-send').click();
  await expect(page.getByTestId('broadcast-result')).toHaveCount(agents);
  await expect(page.getByTestId('broadcast-result').filter({ hasText: 'herald' })).toBeVisible();
});

test('a rule is made and removed in the settings', async ({ page }) => {
  await signIn(page);
  await page.getByTestId('nav-settings').click();
  await page.getByTestId('settings-agents').click();
  await page.getByTestId('rule-pattern').fill('run: cargo test *');
  await page.getByTestId('rule-add').click();
  const rule = page.getByTestId('permission-rule').filter({ hasText: 'cargo test' });
  await expect(rule).toBeVisible();
  await rule.getByTestId('rule-remove').click();
  await expect(rule).toHaveCount(0);
});

const runtime = (page: Page, name: string) =>
  page.locator(`[data-testid="settings-runtime"][data-name="${name}"]`);

test('a preset is started for a test, and what came of it is said', async ({ page }) => {
  await signIn(page);
  await page.getByTestId('nav-settings').click();
  await page.getByTestId('settings-agents').click();
  const good = runtime(page, 'e2e-talker');
  await expect(good).toContainText('found');
  await good.getByTestId('runtime-test').click();
  await expect(good.getByTestId('runtime-trial')).toContainText('works');
  const stranger = runtime(page, 'e2e-stranger');
  await stranger.getByTestId('runtime-test').click();
  await expect(stranger.getByRole('alert')).toContainText('logged in');
  const mute = runtime(page, 'e2e-mute');
  await mute.getByTestId('runtime-test').click();
  await expect(mute.getByTestId('runtime-trial')).toContainText('of at most 60 s');
  await mute.getByTestId('runtime-stop').click();
  await expect(mute).toContainText('The test was stopped');
  await expect(mute.getByTestId('runtime-test')).toBeVisible();
});

test('known programs that are not there are folded, with how to get them', async ({ page }) => {
  await signIn(page);
  await page.getByTestId('nav-agents').click();
  await page.getByTestId('new-agent').click();
  await expect(page.getByTestId('runtime-e2e-talker')).toBeVisible();
  const absent = page.getByTestId('runtimes-absent');
  await absent.locator('summary').click();
  await expect(absent.locator('code').first()).toContainText('install');
  await page.getByTestId('runtime-e2e-talker').click();
  await expect(page.getByTestId('preset-about')).toContainText('Starts');
  await expect(page.getByTestId('agent-name')).toHaveValue('e2e-talker');
});

test('an agent is edited; what was not changed stays, and a name is given once', async ({ page }) => {
  await signIn(page);
  await createTalker(page, 'editee');
  await createAgent(page, 'editor', 'sh -c true');
  await page.getByTestId('agent-edit').click();
  // A plain command can ask nothing: nothing of the kind is offered.
  await expect(page.getByTestId('agent-asks-nothing')).toBeVisible();
  await expect(page.getByTestId('agent-save')).toBeDisabled();
  await page.getByTestId('agent-name').fill('Editee');
  await expect(page.getByText('Another agent has this name.')).toBeVisible();
  await expect(page.getByTestId('agent-save')).toBeDisabled();
  await page.keyboard.press('Escape');
  await page.getByTestId('nav-agents').click();
  await page.getByRole('row').filter({ hasText: 'editee' }).click();
  await page.getByTestId('agent-edit').click();
  await expect(page.getByTestId('agent-permissions')).toHaveValue('ask');
  await page.getByTestId('agent-name').fill('edited');
  await page.getByTestId('agent-role').fill('writes tests');
  await page.getByTestId('agent-permissions').selectOption('auto_in_worktree');
  await page.getByTestId('agent-save').click();
  await expect(page.getByRole('heading', { level: 1, name: 'edited' })).toBeVisible();
  await expect(page.getByText('writes tests')).toBeVisible();
  await page.getByTestId('agent-edit').click();
  await expect(page.getByTestId('agent-permissions')).toHaveValue('auto_in_worktree');
  await expect(page.getByTestId('agent-command')).toHaveValue(talker);
});

test('a turn is cancelled after a question, and its mission is held', async ({ page }) => {
  await signIn(page);
  await createTalker(page, 'cancelled');
  await createMission(page, { title: 'Never over', brief: '@hang', agent: 'cancelled' });
  await expectState(page, 'running');
  await page.getByTestId('nav-agents').click();
  await page.getByRole('row').filter({ hasText: 'cancelled' }).click();
  await page.getByTestId('agent-cancel-turn').click();
  await expect(page.getByTestId('cancel-turn')).toContainText('its attempt ends with the turn');
  await page.getByRole('button', { name: 'Let it work' }).click();
  await expect(page.getByTestId('agent-cancel-turn')).toBeEnabled();
  await page.getByTestId('agent-cancel-turn').click();
  await page.getByTestId('cancel-turn-confirm').click();
  await expect(page.getByTestId('conversation')).toContainText('called off');
  await expect(page.getByTestId('agent-cancel-turn')).toHaveCount(0);
  await page.getByTestId('nav-missions').click();
  await page.getByTestId('mission-card').filter({ hasText: 'Never over' }).click();
  await expectState(page, 'paused');
});

test('what an agent asks is reached from its page and from its conversation', async ({ page }) => {
  await signIn(page);
  await createTalker(page, 'pleader');
  await createMission(page, { title: 'Plead', brief: '@run touch pleaded.txt', agent: 'pleader' });
  await expectState(page, 'needs_input');
  await page.getByTestId('nav-agents').click();
  await page.getByRole('row').filter({ hasText: 'pleader' }).click();
  await expect(page.getByTestId('agent-request')).toContainText('touch pleaded.txt');
  await page.getByTestId('entry-answer').click();
  await expect(page.getByTestId('inbox-peek')).toContainText('touch pleaded.txt');
  await page.keyboard.press('o');
  await expect(page.getByTestId('inbox-item').filter({ hasText: 'pleaded.txt' })).toHaveCount(0);
});
