import { IngeroError } from '../errors.js';
import { checkSignature, type SignatureReport } from '../trust/signature.js';
import type { TrustStore } from '../trust/trust-store.js';
import { canonicalTables, digestTable } from './digest.js';
import { readSeal } from './read-seal.js';
import { digestFiles, type Seal, sealPath, withDigests } from './seal.js';

/** A table that is not as it was sealed. */
export interface TableDifference {
  table: string;
  difference: 'changed' | 'missing' | 'added';
  sealed_rows: number | null;
  rows: number | null;
}

/** What came of checking a file against its seal. Field names are those of `--json`. */
export interface SealReport {
  path: string;
  sealed_at: string | null;
  /** Whether the seal can be read and the file is, byte by byte, the sealed one. */
  intact: boolean;
  /** One sentence for people. */
  detail: string;
  /** Tables that differ; null when they were not compared: the bytes are equal, or the file cannot be read. */
  tables: TableDifference[] | null;
  /** Of the seal file itself. */
  signature: SignatureReport;
}

/**
 * Checks a file against the seal beside it: the digests of the whole files first; where these differ, which table
 * does. Null when there is no seal. `spillIn` is a folder for what does not fit into memory.
 */
export async function checkAgainstSeal(
  path: string,
  store: TrustStore,
  spillIn: string,
): Promise<SealReport | null> {
  const file = sealPath(path);
  const seal = readSeal(file);
  if (seal === null) return null;
  const signature = await checkSignature(file, store);
  const report = (intact: boolean, detail: string, tables: TableDifference[] | null = null): SealReport => ({
    path: file,
    sealed_at: typeof seal === 'string' ? null : seal.sealed_at,
    intact,
    detail,
    tables,
    signature,
  });
  if (typeof seal === 'string') return report(false, `${file} ${seal}`);
  if (await sameFiles(path, seal)) return report(true, 'every byte is as it was sealed');
  try {
    const tables = await compareTables(path, seal, spillIn);
    const names = tables.map(({ table, difference }) => `${table} (${difference})`).join(', ');
    return report(
      false,
      tables.length === 0
        ? 'the bytes of the file differ; every table and view says what was sealed'
        : `what was sealed differs in: ${names}`,
      tables,
    );
  } catch (error) {
    if (!(error instanceof IngeroError)) throw error;
    return report(
      false,
      `the file is not the sealed one, and its tables cannot be compared: ${error.message}`,
    );
  }
}

/** The file may have been renamed since: its names in the seal do not count, but the `.wal` must be the sealed one. */
async function sameFiles(path: string, seal: Seal): Promise<boolean> {
  const found = await digestFiles(path);
  return (
    found.length === seal.files.length &&
    found.every(({ sha256 }, index) => {
      const sealed = seal.files[index];
      return sealed?.sha256 === sha256 && sealed.name.endsWith('.wal') === index > 0;
    })
  );
}

async function compareTables(path: string, seal: Seal, spillIn: string): Promise<TableDifference[]> {
  return withDigests(path, spillIn, async (workspace, capture) => {
    const sealed = new Map(seal.tables.map((table) => [table.table, table]));
    const differences: TableDifference[] = [];
    for (const source of canonicalTables(capture)) {
      const before = sealed.get(source.table);
      sealed.delete(source.table);
      const { rows, sha256, table } = await digestTable(workspace, source);
      if (before === undefined) differences.push({ table, difference: 'added', sealed_rows: null, rows });
      else if (before.sha256 !== sha256) {
        differences.push({ table, difference: 'changed', sealed_rows: before.rows, rows });
      }
    }
    for (const { table, rows } of sealed.values()) {
      differences.push({ table, difference: 'missing', sealed_rows: rows, rows: null });
    }
    return differences;
  });
}
