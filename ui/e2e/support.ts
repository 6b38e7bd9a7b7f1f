/** What the tests have in common: a signed-in page, a repository, an agent, a mission. */
import { execFileSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, type Page } from '@playwright/test';
import { program, talker } from './engine';

function fromEnvironment(name: string): string {
  const value = process.env[name];
  if (!value) throw new Error(`${name} is not set; the global setup sets it`);
  return value;
}

export const home = (): string => fromEnvironment('HIVEKEEPER_E2E_HOME');

/** A fresh login link; each works once. */
export function loginLink(): string {
  const text = execFileSync(program, [
    '--data-dir',
    fromEnvironment('HIVEKEEPER_E2E_DATA'),
    'login',
  ]).toString();
  const match = /http:\/\/\S+#login=\w+/.exec(text);
  if (!match) throw new Error(`no login link in: ${text}`);
  return match[0];
}

export async function signIn(page: Page, link = loginLink()): Promise<void> {
  await page.goto(link);
  await expect(page.getByTestId('nav-deck')).toBeVisible();
}

/** A real repository with one commit. */
export function repository(name: string): string {
  const directory = join(home(), name);
  mkdirSync(directory, { recursive: true });
  const git = (...args: string[]) =>
    execFileSync('git', ['-c', 'user.name=Test', '-c', 'user.email=test@example.invalid', ...args], {
      cwd: directory,
    });
  git('init', '--quiet', '--initial-branch=main');
  writeFileSync(join(directory, 'README.md'), '# A repository of the tests\n');
  git('add', '.');
  git('commit', '--quiet', '--message', 'start');
  return directory;
}

export async function createAgent(page: Page, name: string, command: string): Promise<void> {
  await page.getByTestId('nav-agents').click();
  await page.getByTestId('new-agent').click();
  await page.getByTestId('agent-command').fill(command);
  await page.getByTestId('agent-name').fill(name);
  await page.getByTestId('agent-create').click();
  await expect(page.getByRole('heading', { level: 1, name })).toBeVisible();
}

/** An agent that speaks the protocol, does what its brief says, and asks about everything. */
export async function createTalker(page: Page, name: string): Promise<void> {
  await page.getByTestId('nav-agents').click();
  await page.getByTestId('new-agent').click();
  await page.getByTestId('agent-command').fill(talker);
  await page.getByText('Agent Client Protocol', { exact: true }).last().click();
  await page.getByTestId('agent-name').fill(name);
  await page.getByTestId('agent-permissions').selectOption('ask');
  await page.getByTestId('agent-create').click();
  await expect(page.getByRole('heading', { level: 1, name })).toBeVisible();
}

interface Work {
  title: string;
  brief: string;
  /** Whoever is free, unless it is said. */
  agent?: string;
  repository?: string;
  gate?: string;
}

export async function createMission(page: Page, work: Work): Promise<void> {
  await page.getByTestId('nav-missions').click();
  await page.getByTestId('new-mission').click();
  await page.getByTestId('mission-title').fill(work.title);
  await page.getByTestId('mission-brief').fill(work.brief);
  if (work.agent !== undefined) {
    const select = page.getByTestId('mission-agent');
    const value = await select.locator('option', { hasText: work.agent }).first().getAttribute('value');
    await select.selectOption(value);
  }
  if (work.repository !== undefined) {
    await page.getByTestId('mission-repository').fill(work.repository);
    await expect(page.getByTestId('repository-found')).toContainText('main');
  }
  if (work.gate !== undefined) {
    await page.getByTestId('gate-add-command').click();
    await page.getByTestId('gate-line').fill(work.gate);
  }
  await page.getByTestId('mission-create').click();
  await expect(page.getByTestId('mission-state')).toBeVisible();
}

export async function expectState(page: Page, state: string): Promise<void> {
  await expect(page.getByTestId('mission-state')).toHaveAttribute('data-state', state);
}
