import { chmodSync, closeSync, mkdtempSync, renameSync, rmSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { type DuckDBConnection, DuckDBInstance, DuckDBTypeId } from '@duckdb/node-api';
import { ident, literal } from '../../capture/sql-text.js';
import type { QueryResult } from '../execute.js';
import { createOutput, outputFailure } from '../sink.js';

/** Memory of the instance that collects rows; what does not fit goes to a temporary file beside the output. */
const MEMORY_LIMIT = '256MB';

/**
 * Writes a result to a new Parquet file (zstd), private to this user. The capture's own instance stays
 * fenced: rows pass through a second, in-memory instance that never sees the user's SQL.
 *
 * Returns the number of rows. Throws IngeroError with `EXIT.output`; nothing is left behind on failure.
 */
export async function writeParquet(result: QueryResult, path: string): Promise<number> {
  // Taking the name first makes the refusal to overwrite certain.
  closeSync(createOutput(path));
  try {
    const scratch = makeScratch(path);
    try {
      const file = join(scratch, basename(path));
      const rows = await collect(result, scratch, file, path);
      try {
        chmodSync(file, 0o600);
        renameSync(file, path);
      } catch (cause) {
        throw outputFailure(path, cause);
      }
      return rows;
    } finally {
      rmSync(scratch, { recursive: true, force: true });
    }
  } catch (error) {
    rmSync(path, { force: true });
    throw error;
  }
}

function makeScratch(path: string): string {
  try {
    return mkdtempSync(join(dirname(path), '.ingero-parquet-'));
  } catch (cause) {
    throw outputFailure(path, cause);
  }
}

async function collect(result: QueryResult, scratch: string, file: string, path: string): Promise<number> {
  const instance = await DuckDBInstance.create(':memory:', {
    memory_limit: MEMORY_LIMIT,
    threads: '1',
    temp_directory: join(scratch, 'spill'),
    secret_directory: '',
    extension_directory: '',
    autoinstall_known_extensions: 'false',
    autoload_known_extensions: 'false',
  });
  const connection = await instance.connect();
  try {
    const columns = result.columns.map((column, index) => {
      const type = result.types[index];
      // The type of a bare NULL cannot be that of a stored column.
      return `${ident(column.name)} ${type?.typeId === DuckDBTypeId.SQLNULL ? 'INTEGER' : String(type)}`;
    });
    await connection.run(`CREATE TABLE result (${columns.join(', ')})`);
    const rows = await append(result, connection);
    await connection
      .run(`COPY result TO ${literal(file)} (FORMAT parquet, COMPRESSION zstd)`)
      .catch((cause: unknown) => {
        throw outputFailure(path, cause);
      });
    return rows;
  } finally {
    connection.closeSync();
    instance.closeSync();
  }
}

async function append(result: QueryResult, connection: DuckDBConnection): Promise<number> {
  const appender = await connection.createAppender('result');
  let rows = 0;
  for await (const chunk of result.chunks()) {
    appender.appendDataChunk(chunk);
    rows += chunk.rowCount;
  }
  appender.closeSync();
  return rows;
}
