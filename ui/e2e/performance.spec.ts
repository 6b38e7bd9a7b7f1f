/** The performance view: one stretch of time for all panels, moved by text, mouse and keys. */
import { readFileSync } from 'node:fs';
import { expect, test } from '@playwright/test';
import { createAgent, createMission, expectState, signIn } from './support';

test('what the machine and an agent use is shown over one stretch of time, and saved', async ({ page }) => {
  const broken: string[] = [];
  page.on('console', (message) => {
    if (/Content Security Policy/.test(message.text())) broken.push(message.text());
  });
  page.on('pageerror', (error) => broken.push(error.message));
  await signIn(page);
  await createAgent(page, 'burner', 'sh -c "while :; do :; done"');
  await createMission(page, { title: 'Burn', brief: 'x', agent: 'burner' });
  await expectState(page, 'running');
  await page.keyboard.press('g');
  await page.keyboard.press('p');
  await expect(page.getByTestId('range')).toHaveValue('last 1 h');
  const machine = page.getByTestId('panel-machine-cpu');
  await expect(machine.locator('canvas')).toBeVisible();
  await expect(machine.getByTestId('legend-row')).toContainText('in use');
  await expect(page.getByTestId('range-state')).toHaveAttribute('data-state', 'live');

  // By text; what is wrong is said and nothing changes.
  await page.getByTestId('range').fill('whenever');
  await page.getByTestId('range').press('Enter');
  await expect(page.getByText('Write “last 2h”')).toBeVisible();
  await page.getByTestId('range').fill('last 2 min');
  await page.getByTestId('range').press('Enter');
  await expect(page.getByTestId('range')).toHaveValue('last 2 min');
  expect(page.url()).toContain('range=last+2+min');

  // Time stands still while somebody looks, and the crosshair is the same everywhere.
  const over = machine.locator('.u-over');
  await over.hover({ position: { x: 200, y: 40 } });
  await expect(page.getByTestId('range-state')).toHaveAttribute('data-state', 'held');
  await page.mouse.move(2, 2);
  await expect(page.getByTestId('range-state')).toHaveAttribute('data-state', 'live');

  // A drag zooms, a double click goes back.
  await over.scrollIntoViewIfNeeded();
  const box = await over.boundingBox();
  if (!box) throw new Error('the chart has no box');
  const y = box.y + box.height / 2;
  await page.mouse.move(box.x + box.width * 0.3, y);
  await page.mouse.down();
  await page.mouse.move(box.x + box.width * 0.6, y, { steps: 5 });
  await page.mouse.up();
  await expect(page.getByTestId('range')).toHaveValue(/ to /);
  await expect(page.getByTestId('range-state')).toHaveAttribute('data-state', 'still');
  await over.dblclick({ position: { x: 150, y: 40 } });
  await expect(page.getByTestId('range')).toHaveValue('last 2 min');
  // With Shift the wheel zooms and a drag moves.
  await page.keyboard.down('Shift');
  await page.mouse.wheel(0, 200);
  await expect(page.getByTestId('range')).toHaveValue(/ to /);
  const before = await page.getByTestId('range').inputValue();
  await page.mouse.down();
  await page.mouse.move(box.x + box.width * 0.9, y, { steps: 5 });
  await page.mouse.up();
  await page.keyboard.up('Shift');
  await expect(page.getByTestId('range')).not.toHaveValue(before);
  await page.getByTestId('range-follow').click();
  await expect(page.getByTestId('range')).toHaveValue(/^last/);

  // By keys.
  await page.getByTestId('range').fill('last 5 min');
  await page.getByTestId('range').press('Enter');
  const chart = machine.getByRole('application');
  await chart.focus();
  await page.keyboard.press('ArrowLeft');
  await expect(machine).toContainText('At this time');
  await page.keyboard.press('+');
  await expect(page.getByTestId('range')).toHaveValue(/ to /);
  await page.keyboard.press('0');
  await expect(page.getByTestId('range')).toHaveValue('last 5 min');

  // The agent's own curve; one of two is shown alone, and both again.
  const agents = page.getByTestId('panel-agent-cpu');
  await agents.scrollIntoViewIfNeeded();
  await expect(agents.getByTestId('legend-row').filter({ hasText: 'burner' })).toBeVisible();
  const memory = page.getByTestId('panel-machine-memory');
  const rows = memory.getByTestId('legend-row');
  await memory.scrollIntoViewIfNeeded();
  await expect(rows).toHaveCount(2);
  await rows.nth(0).getByRole('button').click();
  await expect(rows.nth(1)).toHaveAttribute('data-shown', 'false');
  await rows.nth(0).getByRole('button').click();
  await expect(rows.nth(1)).toHaveAttribute('data-shown', 'true');
  await rows
    .nth(1)
    .getByRole('button')
    .click({ modifiers: ['Control'] });
  await expect(rows.nth(1)).toHaveAttribute('data-shown', 'false');
  await expect(rows.nth(0)).toHaveAttribute('data-shown', 'true');

  // The same as a table and as files.
  await memory.getByTestId('panel-table').click();
  await expect(memory.getByRole('columnheader', { name: 'installed' })).toBeVisible();
  await memory.getByTestId('panel-table').click();
  let download = page.waitForEvent('download');
  await memory.getByTestId('panel-csv').click();
  const csv = readFileSync(await (await download).path(), 'utf8').split('\r\n');
  expect(csv[0]).toContain('installed max (B)');
  expect(csv.length).toBeGreaterThan(2);
  download = page.waitForEvent('download');
  await memory.getByTestId('panel-png').click();
  const png = readFileSync(await (await download).path());
  expect(png.subarray(1, 4).toString()).toBe('PNG');
  await expect(page.getByTestId('panel-agent-tokens').getByTestId('no-data')).toContainText('No data');
  expect(broken).toEqual([]);
});
