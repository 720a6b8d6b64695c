import { readFileSync, statSync } from 'node:fs';
import { SEAL_FORMAT, SEAL_VERSION, type Seal } from './seal.js';

/** A seal lists tables and packs; anything larger is another file. */
const MAX_SEAL_BYTES = 16 * 1024 * 1024;
const HEX = /^[0-9a-f]{64}$/;

type Fields = Readonly<Record<string, unknown>>;
const isFields = (value: unknown): value is Fields => typeof value === 'object' && value !== null;
const list = (value: unknown): readonly unknown[] | null => (Array.isArray(value) ? value : null);
const isCount = (value: unknown): boolean => Number.isSafeInteger(value) && (value as number) >= 0;

/** Reads a seal file: the seal, or what is wrong with it as a sentence without subject. Null when there is none. */
export function readSeal(path: string): Seal | string | null {
  const stat = statSync(path, { throwIfNoEntry: false });
  if (stat === undefined) return null;
  if (!stat.isFile() || stat.size > MAX_SEAL_BYTES) return 'is no seal file';
  try {
    return checkSeal(JSON.parse(readFileSync(path, 'utf8')));
  } catch (error) {
    return `cannot be read: ${(error as Error).message}`;
  }
}

/** Checks the shape of a parsed seal. */
export function checkSeal(value: unknown): Seal | string {
  if (!isFields(value) || value.format !== SEAL_FORMAT) return `is not in the format ${SEAL_FORMAT}`;
  if (value.version !== SEAL_VERSION)
    return `has version ${String(value.version)}; this ingero reads ${SEAL_VERSION}`;
  const files = list(value.files);
  const hasFile = (file: unknown): boolean =>
    isFields(file) && typeof file.name === 'string' && isCount(file.bytes) && HEX.test(String(file.sha256));
  if (files === null || files.length === 0 || !files.every(hasFile)) return 'lists no files with digests';
  const tables = list(value.tables);
  const hasTable = (table: unknown): boolean =>
    isFields(table) &&
    typeof table.table === 'string' &&
    isCount(table.rows) &&
    HEX.test(String(table.sha256));
  if (tables === null || !tables.every(hasTable)) return 'lists no tables with digests';
  if (list(value.runs) === null || list(value.packs) === null) return 'lists no runs or packs';
  if (typeof value.sealed_at !== 'string' || typeof value.sealed_by !== 'string')
    return 'does not say who sealed it when';
  return value as unknown as Seal;
}
