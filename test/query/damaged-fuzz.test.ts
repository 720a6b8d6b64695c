import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, expect, test } from 'vitest';
import { readCaptureSchema } from '../../src/capture/schema.js';
import { SCHEMA_VERSION } from '../../src/capture/version.js';
import { EXIT, IngeroError } from '../../src/errors.js';
import { migrateFile } from '../../src/migrate/run.js';
import { readInfo } from '../../src/query/info.js';
import { buildCapture } from '../support/capture-builder.js';
import { scratchDir, sha256, sql } from './helpers.js';

/** Corrupted files; INGERO_FUZZ=2000 for the figure in docs/decisions.md. */
const CASES = Number(process.env.INGERO_FUZZ ?? 100);
/** A reader that takes longer hangs. */
const LIMIT_MS = 20_000;
const dir = scratchDir();
let good: Buffer;

beforeAll(async () => {
  const path = join(dir, 'good.duckdb');
  await buildCapture(
    path,
    {
      cudaEvents: Array.from({ length: 2000 }, (_, index) => ({
        op: ['cudaMalloc', 'cudaFree', 'cudaMemcpy'][index % 3] as string,
        bytes: index,
        ptr: index * 512,
      })),
      processes: [{ pid: 100 }],
      probeAccounting: [{ hits: 2000, rows: 2000 }],
    },
    readCaptureSchema(1),
  );
  good = readFileSync(path);
});

/** Numbers from a seed (xorshift32), so that a failing case can be made again. */
function numbers(seed: number): (below: number) => number {
  let state = (seed * 2654435761) | 1;
  return (below) => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) % below;
  };
}

/** What can happen to a file: cut, bits turned, a sector of another file, zeros, bytes behind it, sectors swapped. */
function corrupt(seed: number): Buffer {
  const below = numbers(seed);
  const bytes = Buffer.from(good);
  const at = below(3) === 0 ? below(12_288) : below(bytes.length);
  const length = 1 + below(4096);
  switch (seed % 6) {
    case 0:
      return bytes.subarray(0, at);
    case 1:
      for (let flip = 0; flip <= below(20); flip++) {
        const place = below(4) === 0 ? below(12_288) : below(bytes.length);
        bytes[place] = (bytes[place] as number) ^ (1 << below(8));
      }
      return bytes;
    case 2:
      for (let i = at; i < Math.min(bytes.length, at + length); i++) bytes[i] = below(256);
      return bytes;
    case 3:
      return bytes.fill(0, at, Math.min(bytes.length, at + length));
    case 4:
      return Buffer.concat([bytes, Buffer.from(Array.from({ length }, () => below(256)))]);
    default:
      bytes.copy(bytes, below(bytes.length), at, at + length);
      return bytes;
  }
}

/** Reading succeeds, or fails as documented. */
async function outcome(read: Promise<unknown>): Promise<string> {
  try {
    await read;
    return 'read';
  } catch (error) {
    if (error instanceof IngeroError && error.exitCode === EXIT.badCapture) return error.code;
    throw error;
  }
}

test(
  `${CASES} corrupted files: each is read or refused, in time, and none is changed`,
  async () => {
    const seen: Record<string, number> = {};
    for (let seed = 1; seed <= CASES; seed++) {
      const folder = mkdtempSync(join(dir, 'case-'));
      const path = join(folder, 'run.duckdb');
      writeFileSync(path, corrupt(seed));
      const digest = sha256(path);
      const started = performance.now();
      const outcomes = [
        await outcome(readInfo(path)),
        await outcome(
          sql(
            path,
            'SELECT op, kind, count(*), sum(bytes), max(ptr), max(duration_ns) FROM cuda_events GROUP BY ALL',
          ),
        ),
        await outcome(
          sql(path, 'SELECT count(*), max(COLUMNS(*)::VARCHAR) FROM events, processes, probe_accounting'),
        ),
        ...(seed % 5 === 0
          ? [
              await outcome(
                migrateFile(path, {
                  out: undefined,
                  inPlace: seed % 10 === 0,
                  dryRun: seed % 10 === 0,
                  to: SCHEMA_VERSION,
                  salvage: false,
                  onProgress: () => {},
                }),
              ),
            ]
          : []),
      ];
      expect(performance.now() - started, `seed ${seed}`).toBeLessThan(LIMIT_MS);
      expect(sha256(path), `seed ${seed}`).toBe(digest);
      const left = readdirSync(folder).filter((name) => name !== 'run.duckdb' && name !== 'run.v2.duckdb');
      expect(left, `seed ${seed}`).toEqual([]);
      for (const name of outcomes) seen[name] = (seen[name] ?? 0) + 1;
      rmSync(folder, { recursive: true });
    }
    // Some damage is where nothing is read; most is found.
    expect(seen['capture-damaged']).toBeGreaterThan(CASES / 2);
    expect(seen.read).toBeGreaterThan(0);
  },
  CASES * 1000,
);
