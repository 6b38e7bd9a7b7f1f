import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import type { CommandCheck } from '../backend/types';
import { CHECK_AFTER_MS, CommandChecking } from './commandcheck.svelte';

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

const found = (program: string): CommandCheck => ({ program, args: [] });

test('a command line is asked about once it is no longer typed, without what surrounds it', async () => {
  const asked: [string, string | null][] = [];
  const checking = new CommandChecking({
    checkCommand: async (line, directory) => {
      asked.push([line, directory]);
      return found(line);
    },
  });
  checking.ask('a', '');
  checking.ask(' ab ', ' /tmp ');
  await vi.advanceTimersByTimeAsync(CHECK_AFTER_MS);
  expect(asked).toEqual([['ab', '/tmp']]);
  expect(checking.value?.program).toBe('ab');
  checking.ask('  ', '');
  expect(checking.value).toBeNull();
  await vi.advanceTimersByTimeAsync(CHECK_AFTER_MS);
  expect(asked).toHaveLength(1);
});

test('an answer about a line that was changed meanwhile is not shown, nor one after it was stopped', async () => {
  const answers: ((check: CommandCheck) => void)[] = [];
  const checking = new CommandChecking({
    checkCommand: () => new Promise((answer) => answers.push(answer)),
  });
  checking.ask('old', '');
  await vi.advanceTimersByTimeAsync(CHECK_AFTER_MS);
  checking.ask('new', '');
  await vi.advanceTimersByTimeAsync(CHECK_AFTER_MS);
  answers[1]?.(found('new'));
  answers[0]?.(found('old'));
  await vi.advanceTimersByTimeAsync(0);
  expect(checking.value?.program).toBe('new');
  checking.ask('last', '');
  await vi.advanceTimersByTimeAsync(CHECK_AFTER_MS);
  checking.stop();
  answers[2]?.(found('last'));
  await vi.advanceTimersByTimeAsync(0);
  expect(checking.value).toBeNull();
});

test('what keeps it from being asked is said, until something else is typed', async () => {
  const checking = new CommandChecking({ checkCommand: () => Promise.reject(new Error('gone')) });
  checking.ask('a', '');
  await vi.advanceTimersByTimeAsync(CHECK_AFTER_MS);
  expect(checking.problem).toBe('gone');
  checking.ask('b', '');
  expect(checking.problem).toBeNull();
});
