import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { brotliDecompressSync } from 'node:zlib';

/** Captures of real programs on a GPU, and what is known of them (test/fixtures/README.md). */
export const GPU_FIXTURES = join(import.meta.dirname, '../fixtures/gpu');

/** Unpacks one of them (`count`, `train`) into a folder and returns its path. */
export function unpackGpuCapture(name: string, folder: string): string {
  const path = join(folder, `${name}.duckdb`);
  writeFileSync(path, brotliDecompressSync(readFileSync(join(GPU_FIXTURES, `${name}.duckdb.br`))));
  return path;
}
