import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { benchIngest, type IngestResult } from './ingest.js';

export interface LiveResult {
  alone: IngestResult;
  asked: IngestResult;
  /** Median from starting `ingero query` to its end, ms. */
  answerMs: number;
  answers: number;
}

const SQL = 'SELECT op, count(*), quantile_cont(duration_ns, [0.5, 0.99]) FROM cuda_events GROUP BY op';

/** The same ingest twice: alone, and with a reader that asks once a second. */
export async function benchLive(
  root: string,
  path: string,
  rate: number,
  seconds: number,
): Promise<LiveResult> {
  const alone = await benchIngest(root, path, rate, seconds);
  const times: number[] = [];
  let isOver = false;
  const asking = (async () => {
    while (!isOver) {
      await new Promise((resolve) => setTimeout(resolve, 1000));
      const started = performance.now();
      const code = await new Promise((resolve) => {
        const bin = join(root, 'build', 'release', 'bin', 'ingero');
        spawn(bin, ['query', path, SQL], { stdio: 'ignore' }).once('close', resolve);
      });
      if (code === 0) times.push(performance.now() - started);
    }
  })();
  const asked = await benchIngest(root, path, rate, seconds);
  isOver = true;
  await asking;
  times.sort((a, b) => a - b);
  return { alone, asked, answers: times.length, answerMs: times[times.length >> 1] ?? Number.NaN };
}
