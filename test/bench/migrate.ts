import { spawn, spawnSync } from 'node:child_process';
import { readFileSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { DuckDBInstance } from '@duckdb/node-api';
import { readCaptureSchema } from '../../src/capture/schema.js';
import { buildLargeCapture } from '../support/large-capture.js';
import { median } from './report.js';

const POLL_MS = 20;

export interface MigrateResult {
  events: number;
  bytes: number;
  /** `ingero migrate` from start to end, the comparison of both files included. */
  seconds: number;
  /** Its memory at most. */
  peakMib: number;
  /** The same tables by `COPY FROM DATABASE`, without anything around it. */
  copySeconds: number;
  /** `ingero info` on this file, and `ingero --version`. */
  infoMs: number;
  versionMs: number;
}

/** A capture of schema 1 to the newest, against the plainest copy DuckDB can make of it. */
export async function benchMigrate(root: string, scratch: string, events: number): Promise<MigrateResult> {
  const bin = `${root}/build/release/bin/ingero`;
  const source = join(scratch, 'v1.duckdb');
  const migrated = join(scratch, 'v2.duckdb');
  const copied = join(scratch, 'copy.duckdb');
  await buildLargeCapture(source, events, readCaptureSchema(1));
  const copySeconds = await plainCopy(source, copied);
  const { seconds, peakMib } = await measured(bin, ['migrate', source, '--out', migrated]);
  const result = {
    events,
    bytes: statSync(source).size,
    seconds,
    peakMib,
    copySeconds,
    infoMs: commandMs(bin, ['info', migrated]),
    versionMs: commandMs(bin, ['--version']),
  };
  for (const file of [source, migrated, copied]) rmSync(file);
  return result;
}

async function plainCopy(source: string, copy: string): Promise<number> {
  const instance = await DuckDBInstance.create(':memory:', { threads: '2', memory_limit: '512MB' });
  const connection = await instance.connect();
  await connection.run(`ATTACH '${source}' AS a (READ_ONLY)`);
  const before = performance.now();
  await connection.run(`ATTACH '${copy}' AS b`);
  await connection.run('COPY FROM DATABASE a TO b');
  await connection.run('CHECKPOINT b');
  const seconds = (performance.now() - before) / 1000;
  connection.closeSync();
  instance.closeSync();
  return seconds;
}

/** Runs a command; its time, and the most memory it had resident (VmHWM of proc(5)). */
function measured(bin: string, args: readonly string[]): Promise<{ seconds: number; peakMib: number }> {
  return new Promise((done, failed) => {
    const before = performance.now();
    const child = spawn(bin, args, { stdio: 'ignore' });
    let peakKib = 0;
    const timer = setInterval(() => {
      try {
        const status = readFileSync(`/proc/${child.pid}/status`, 'utf8');
        peakKib = Math.max(peakKib, Number(/VmHWM:\s+(\d+)/.exec(status)?.[1] ?? 0));
      } catch {
        // It has ended.
      }
    }, POLL_MS);
    child.on('close', (code) => {
      clearInterval(timer);
      if (code !== 0) failed(new Error(`${bin} ${args.join(' ')} ended with ${code}`));
      else done({ seconds: (performance.now() - before) / 1000, peakMib: peakKib / 1024 });
    });
  });
}

function commandMs(bin: string, args: readonly string[]): number {
  const once = (): number => {
    const before = performance.now();
    const { status } = spawnSync(bin, args, { stdio: 'ignore' });
    if (status !== 0) throw new Error(`${bin} ${args.join(' ')} ended with ${status}`);
    return performance.now() - before;
  };
  return median([once(), once(), once(), once(), once()]);
}
