/** Starts `hivekeeper serve` for a run of the tests, and ends it with everything it started. */
import { spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';

const START_MS = 30_000;
const STOP_MS = 15_000;

export const program = resolve(
  import.meta.dirname,
  '..',
  process.env.HIVEKEEPER_BIN ?? '../target/debug/hivekeeper',
);

/** Speaks the protocol and does what the brief says, line by line. */
export const talker = join(dirname(program), 'hivekeeper-fake-acp');

/** Presets of the user's own: one that answers, one that never does, one that wants a login first. */
const presets = [
  { name: 'e2e-talker', title: 'A talker', args: [] },
  { name: 'e2e-mute', title: 'A mute', args: ['--never-initialize'] },
  { name: 'e2e-stranger', title: 'A stranger', args: ['--login'] },
]
  .map(
    ({ name, title, args }) =>
      `[[runtime]]\nname = "${name}"\ntitle = "${title}"\nkind = "acp"\nprogram = ${JSON.stringify(talker)}\nargs = ${JSON.stringify(args)}\nhealth = ["--version"]\n`,
  )
  .join('\n');

export default async function start(): Promise<() => Promise<void>> {
  const home = mkdtempSync(join(tmpdir(), 'hivekeeper-e2e-'));
  const data = join(home, 'data');
  mkdirSync(data, { mode: 0o700 });
  writeFileSync(join(data, 'runtimes.toml'), presets);
  const engine = spawn(program, ['--data-dir', data, 'serve', '--listen', '127.0.0.1:0'], {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: { ...process.env, LANG: 'C.UTF-8' },
  });
  const link = await new Promise<string>((found, failed) => {
    let text = '';
    const timer = setTimeout(
      () => failed(new Error(`no login link within ${START_MS} ms: ${text}`)),
      START_MS,
    );
    engine.stdout.on('data', (piece: Buffer) => {
      text += piece.toString();
      const match = /http:\/\/\S+#login=\w+/.exec(text);
      if (match) {
        clearTimeout(timer);
        found(match[0]);
      }
    });
    engine.on('error', failed);
    engine.on('exit', (code) => failed(new Error(`${program} ended with ${code}: ${text}`)));
  });
  process.env.HIVEKEEPER_E2E_LINK = link;
  process.env.HIVEKEEPER_E2E_DATA = data;
  process.env.HIVEKEEPER_E2E_HOME = home;
  return async () => {
    const ended = new Promise((done) => engine.once('exit', done));
    engine.kill('SIGTERM');
    const timer = setTimeout(() => engine.kill('SIGKILL'), STOP_MS);
    await ended;
    clearTimeout(timer);
    rmSync(home, { recursive: true, force: true });
  };
}
