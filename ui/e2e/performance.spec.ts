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
  await page.mouse.move(2, 2);
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
  const tokens = page.getByTestId('panel-agent-tokens');
  await tokens.scrollIntoViewIfNeeded();
  await expect(tokens.getByTestId('no-data')).toContainText('No data');

  // Only what is in sight is asked for.
  const asked: string[] = [];
  page.on('request', (request) => {
    const url = new URL(request.url());
    if (url.pathname === '/api/v1/signals/query_range') asked.push(url.searchParams.get('expr') ?? '');
  });
  await machine.scrollIntoViewIfNeeded();
  await expect.poll(() => asked.includes('machine_cpu_percent')).toBe(true);
  expect(asked.some((expr) => expr.includes('engine_api_seconds'))).toBe(false);

  // One agent alone, in the address as well.
  await page.getByTestId('compare').fill('burner');
  await page.getByTestId('compare').press('Enter');
  await expect(page.getByRole('button', { name: 'Without burner' })).toBeVisible();
  expect(page.url()).toContain('agents=');
  await agents.scrollIntoViewIfNeeded();
  await expect.poll(() => asked.some((expr) => /agent_cpu_percent\{agent="/.test(expr))).toBe(true);
  await page.getByTestId('compare').fill('nobody');
  await page.getByTestId('compare').press('Enter');
  await expect(page.getByText('No agent is called “nobody”.')).toBeVisible();
  await page.getByTestId('compare-all').click();
  await expect(page.getByTestId('compare-all')).toHaveCount(0);
  expect(broken).toEqual([]);
});

test('an expression of one’s own is a panel; what is wrong is said at its place', async ({ page }) => {
  await signIn(page);
  await page.getByTestId('nav-performance').click();
  await page.getByTestId('range').fill('last 5 min');
  await page.getByTestId('range').press('Enter');
  await page.getByTestId('expression-new').click();
  const expression = page.getByTestId('expression');
  await expression.fill('rate(machine_load)');
  await expression.press('Enter');
  await expect(page.getByTestId('expression-place').locator('mark')).toHaveText(/./);
  // The name of a signal is completed.
  await expression.fill('machine_lo');
  await page.getByRole('list', { name: 'Signals' }).getByRole('button').first().click();
  await expect(expression).toHaveValue('machine_load');
  await page.getByTestId('expression-title').fill('How much waits');
  await page.getByTestId('expression-limit').fill('500');
  await page.getByTestId('expression-save').click();
  const panel = page.getByRole('region', { name: 'How much waits' });
  await expect(panel.locator('canvas')).toBeVisible();
  await expect(panel.getByTestId('legend-row')).toHaveCount(3);
  await expect(panel.getByTestId('legend-row').first()).toContainText('minutes');
  // It is there again.
  await page.reload();
  await expect(panel).toBeVisible();
  await panel.getByTestId('expression-edit').click();
  await page.getByTestId('expression').fill('sum(machine_load)');
  await page.getByTestId('expression-save').click();
  await panel.scrollIntoViewIfNeeded();
  await expect(panel.getByTestId('legend-row')).toHaveCount(1);
  await panel.getByTestId('expression-remove').click();
  await expect(panel).toHaveCount(0);
});

test('what an agent uses and says stands on one time axis, zoomed as one', async ({ page }) => {
  await signIn(page);
  await page.getByTestId('nav-agents').click();
  await page.getByTestId('agent-table').getByText('burner').click();
  const charts = page.getByTestId('resource-charts');
  await charts.scrollIntoViewIfNeeded();
  await expect(charts.locator('figure[data-measure="cpu"] canvas')).toBeVisible();
  await expect(charts.locator('figure[data-measure="memory"] canvas')).toBeVisible();
  await expect(page.getByTestId('resource-unsaid')).toContainText('tokens a minute');
  const strip = charts.locator('figure[data-measure="cpu"]').getByRole('application');
  await strip.focus();
  await page.keyboard.press('+');
  await expect(page.getByTestId('resource-reset')).toBeVisible();
  await page.getByTestId('resource-reset').click();
  await expect(page.getByTestId('resource-reset')).toHaveCount(0);
  // Each strip is read anew after that, one after the other.
  await expect(async () => {
    const download = page.waitForEvent('download');
    await page.getByTestId('resource-csv').click();
    const csv = readFileSync(await (await download).path(), 'utf8').split('\r\n');
    expect(csv[0]).toContain('Processor (%) max');
  }).toPass();
  await page.getByRole('link', { name: 'Compare it with others' }).click();
  await expect(page.getByRole('button', { name: 'Without burner' })).toBeVisible();
});

test('the honeycomb is coloured by a signal, and a row of the list has its last minutes', async ({
  page,
}) => {
  await signIn(page);
  await expect(page.getByTestId('comb-by').locator('option')).not.toHaveCount(1);
  await page.getByTestId('comb-by').selectOption('agent_memory_bytes');
  const legend = page.getByTestId('heat-legend');
  await expect(legend).toContainText('Memory');
  await expect(legend.getByRole('img')).toHaveAttribute('aria-label', /From 0 B? ?to .*the larger the dot/);
  // The value is told by the keys as well.
  const comb = page.getByRole('application', { name: /agents?\./ });
  await comb.focus();
  await expect(comb).toContainText('Memory: ');
  await page.getByTestId('comb-by').selectOption('');
  await expect(legend).toHaveCount(0);
  await page.getByTestId('nav-agents').click();
  const row = page.getByTestId('agent-table').getByRole('row').filter({ hasText: 'burner' });
  await expect(row.getByRole('img', { name: /Processor in the last 10 minutes: up to/ })).toBeVisible();
});
