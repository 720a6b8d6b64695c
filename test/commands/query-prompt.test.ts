import { spawn } from 'node:child_process';
import { mkdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { scratchDir } from '../query/helpers.js';
import { buildCapture } from '../support/capture-builder.js';
import { buildCli, type Cli } from '../support/cli.js';

const dir = scratchDir();
const home = join(dir, 'home');
const path = join(dir, 'run.duckdb');
let cli: Cli;

beforeAll(async () => {
  mkdirSync(home);
  cli = await buildCli();
  await buildCapture(path, {
    cudaEvents: [
      { op: 'cudaMalloc', bytes: 3 << 20, duration_ns: 1_500_000, start_time: 2_000_000_000 },
      { op: 'cudaFree' },
    ],
  });
});
afterAll(() => cli.remove());

/** A prompt on a pseudo-terminal of 160 columns. */
function terminal(env: Record<string, string | undefined>) {
  const command = `stty cols 160 rows 40; exec '${process.execPath}' '${cli.bin}' query '${path}'`;
  const child = spawn('script', ['-qec', command, '/dev/null'], {
    env: { ...process.env, TERM: 'xterm', ...env },
  });
  let said = '';
  let seen = 0;
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    said += text;
  });
  return {
    /** Types, a key at a time: what comes at once counts as pasted, and is not completed. */
    async type(text: string): Promise<void> {
      for (const key of text) {
        child.stdin.write(key);
        await sleep(5);
      }
    },
    /** Waits for a pattern in what was printed since the last wait, and returns that. */
    async until(pattern: RegExp): Promise<string> {
      for (const deadline = Date.now() + 20_000; ; await sleep(20)) {
        const fresh = said.slice(seen);
        const match = pattern.exec(fresh);
        if (match !== null) {
          seen += match.index + match[0].length;
          return fresh;
        }
        if (Date.now() > deadline) throw new Error(`no ${pattern} in: ${fresh}`);
      }
    },
    ended: new Promise<number | null>((done) => child.once('close', done)),
  };
}

const READY = /ingero> /;

test('statements over several lines, completion, commands, Ctrl-C, history', async () => {
  const prompt = terminal({ HOME: home, XDG_STATE_HOME: '' });
  await prompt.until(READY);
  await prompt.type('SELECT op,\n');
  await prompt.until(/\.\.\.> /);
  await prompt.type(
    'mib(bytes) AS size, ms(duration_ns) AS took, since_start(start_time) AS at_s FROM cuda_ev\t',
  );
  await prompt.type(" WHERE op = 'cudaMalloc';\n");
  expect(await prompt.until(/cudaMalloc +3 +1\.5 +2\s[\s\S]*ingero> /)).toContain('FROM cuda_events');
  await prompt.type('.tables\n');
  await prompt.until(/cuda_events +Calls of the CUDA runtime API[\s\S]*ingero> /);
  await prompt.type('.schema threads\n');
  await prompt.until(/threads +tid +INTEGER +Thread id[\s\S]*ingero> /);
  await prompt.type('.run cuda-api-s\t\n');
  await prompt.until(/cudaMalloc +1[\s\S]*ingero> /);
  await prompt.type('.queries\n');
  await prompt.until(/find-stalls +Single long waits[\s\S]*ingero> /);
  await prompt.type("COPY capture TO '/tmp/x';\n");
  await prompt.until(/Refused: COPY statements are not allowed[\s\S]*ingero> /);
  await prompt.type('SELECT pg_sleep(1000);\n');
  await sleep(500);
  await prompt.type('\u0003');
  await prompt.until(/The query was interrupted[\s\S]*ingero> /);
  await prompt.type('SELECT half a stat');
  await prompt.type('\u0003');
  await prompt.until(READY);
  await prompt.type('SELECT 6 * 7 AS answer;\n');
  await prompt.until(/answer[\s\S]*42[\s\S]*ingero> /);
  await prompt.type('.quit\n');
  expect(await prompt.ended).toBe(0);

  const history = join(home, '.local', 'state', 'ingero', 'query-history');
  expect(statSync(history).mode & 0o777).toBe(0o600);
  expect(readFileSync(history, 'utf8')).toContain('SELECT 6 * 7 AS answer;\n');
  const again = terminal({ HOME: home, XDG_STATE_HOME: '' });
  await again.until(READY);
  await again.type('\u001b[A\u001b[A\n');
  await again.until(/answer[\s\S]*42[\s\S]*ingero> /);
  await again.type('\u0004');
  expect(await again.ended).toBe(0);
});

test('without a home there is a prompt and no history', async () => {
  const prompt = terminal({ HOME: '/', XDG_STATE_HOME: undefined });
  await prompt.until(READY);
  await prompt.type('SELECT 1;\n');
  await prompt.until(/1\s[\s\S]*ingero> /);
  await prompt.type('\u0004');
  expect(await prompt.ended).toBe(0);
});
