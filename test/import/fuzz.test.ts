import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { IngeroError } from '../../src/errors.js';
import { Account } from '../../src/import/go-agent/account.js';
import { CATALOG_TABLES } from '../../src/import/go-agent/catalog.js';
import { importGoAgentCapture } from '../../src/import/go-agent/convert.js';
import { gather, scanTable } from '../../src/import/go-agent/gather.js';
import { explained, openSource } from '../../src/import/go-agent/source-file.js';
import { readFrames } from '../../src/import/go-agent/stacks.js';
import { scratchDir } from '../query/helpers.js';
import { sqlite, writeAgentFile } from './support/go-agent-file.js';
import { singleNode } from './support/scenario.js';

const dir = scratchDir();
/** No file may take longer: a reader that runs in circles does. */
const MOST_MS = 5000;

/** Numbers from a seed (mulberry32), so that a failure can be looked at again. */
function random(seed: number): (below: number) => number {
  let state = seed >>> 0;
  return (below) => {
    state = (state + 0x6d2b79f5) >>> 0;
    let bits = Math.imul(state ^ (state >>> 15), state | 1);
    bits = (bits + Math.imul(bits ^ (bits >>> 7), bits | 61)) ^ bits;
    return Math.floor((((bits ^ (bits >>> 14)) >>> 0) / 2 ** 32) * below);
  };
}

/** A copy with damage as disks, copies and programs do it. */
function corrupt(sound: Buffer, pageSize: number, seed: number): Buffer {
  const pick = random(seed);
  const bytes = Buffer.from(sound);
  const pages = Math.floor(bytes.length / pageSize);
  const page = (): number => pick(pages) * pageSize;
  switch (seed % 8) {
    case 0:
      return bytes.subarray(0, pick(bytes.length));
    case 1:
      for (let flips = 1 + pick(8); flips > 0; flips--) {
        const at = pick(bytes.length);
        bytes[at] = (bytes[at] as number) ^ (1 << pick(8));
      }
      return bytes;
    case 2:
      bytes.fill(pick(256), page(), page() + pageSize);
      return bytes;
    case 3: {
      const copied = Buffer.from(bytes.subarray(page(), page() + pageSize));
      copied.copy(bytes, page());
      return bytes;
    }
    case 4:
      // Page headers and cell pointers.
      for (let writes = 1 + pick(6); writes > 0; writes--) bytes[page() + pick(24)] = pick(256);
      return bytes;
    case 5:
      // The file header and the list of tables.
      for (let writes = 1 + pick(4); writes > 0; writes--) bytes[16 + pick(pageSize - 16)] = pick(256);
      return bytes;
    case 6:
      // Cell contents: lengths, types, page numbers.
      for (let writes = 1 + pick(40); writes > 0; writes--)
        bytes[page() + pick(pageSize)] = pick(2) === 0 ? 0xff : 0x80 + pick(128);
      return bytes;
    default:
      return Buffer.concat([
        bytes.subarray(0, page()),
        Buffer.alloc(pageSize * pick(4)),
        bytes.subarray(page()),
      ]);
  }
}

/** Reads everything a conversion reads; returns the code of the error, or null. */
async function readAll(path: string, salvage: boolean): Promise<string | null> {
  try {
    const { database } = await openSource(path, salvage);
    try {
      await explained(path, salvage, async () => {
        const account = new Account();
        const { runs } = await gather(database, account, () => {});
        const context = { runs, schedstat: new Map() };
        for (const name of database.tables.keys()) {
          const convert = CATALOG_TABLES[name];
          await scanTable(database, name, account, (reader, row) => {
            if (name === 'stack_traces') readFrames(reader.text(row, 'ips'), reader.text(row, 'frames'));
            convert?.(reader, row, context);
          });
        }
      });
    } finally {
      database.close();
    }
    return null;
  } catch (error) {
    if (error instanceof IngeroError) return error.code;
    throw error;
  }
}

const CODES = [null, 'capture-damaged', 'not-a-capture', 'capture-newer'];

describe('damaged files', () => {
  const sound = join(dir, 'sound.db');
  const path = join(dir, 'damaged.db');
  let original: Buffer;

  beforeAll(() => {
    writeAgentFile(sound, '0.17', singleNode('0.17'), 'PRAGMA page_size = 1024;');
    // Rows on more than one level of pages, and some on overflow pages.
    sqlite(
      sound,
      `WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 300)
       INSERT INTO events (id, timestamp, pid, tid, source, op, duration, arg0, stack_hash, node)
       SELECT 'node-a:' || (1000 + i), 1790000000000000000 + i * 1000, 500, 500, 1, 3, 5000, i, i % 5, 'node-a' FROM n;
       INSERT INTO stack_traces SELECT 1000 + id, '', printf('[{"s":"%.*c","f":"lib.so"}]', 3000, 'f') FROM system_snapshots;`,
    );
    original = readFileSync(sound);
  });

  test('2,000 of them: an error that says so, or what can be read; no crash, no hang, no change', async () => {
    const outcomes = new Map<string, number>();
    for (let seed = 0; seed < 2000; seed++) {
      const bytes = corrupt(original, 1024, seed);
      writeFileSync(path, bytes);
      for (const salvage of [false, true]) {
        const started = performance.now();
        const code = await readAll(path, salvage);
        const outcome = `${salvage ? 'salvaged' : 'read'}: ${code}`;
        outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);
        expect(CODES, `seed ${seed}`).toContain(code);
        expect(performance.now() - started, `seed ${seed}`).toBeLessThan(MOST_MS);
      }
      if (!readFileSync(path).equals(bytes)) throw new Error(`seed ${seed}: the file was changed`);
    }
    // Damage is noticed, and most files can be saved.
    expect(outcomes.get('read: capture-damaged')).toBeGreaterThan(800);
    expect(outcomes.get('salvaged: null')).toBeGreaterThan(1200);
  }, 120_000);

  test('what is salvaged makes a sound capture that says what is missing', async () => {
    const out = join(dir, 'salvaged.duckdb');
    let converted = 0;
    for (let seed = 2000; seed < 2014; seed++) {
      writeFileSync(path, corrupt(original, 1024, seed));
      rmSync(out, { force: true });
      rmSync(`${out}.wal`, { force: true });
      const report = await importGoAgentCapture({ source: path, out, salvage: true }).catch(
        (error: unknown) => {
          if (error instanceof IngeroError && CODES.concat('import-empty').includes(error.code)) return null;
          throw error;
        },
      );
      if (report !== null) converted++;
    }
    expect(converted).toBeGreaterThan(6);
  }, 120_000);
});
