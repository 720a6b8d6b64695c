import {
  type DuckDBDataChunk,
  type DuckDBPreparedStatement,
  type DuckDBResult,
  type DuckDBType,
  DuckDBTypeId,
} from '@duckdb/node-api';
import { EXIT, IngeroError } from '../errors.js';
import type { Budget } from './budget.js';
import { damaged } from './capture-file.js';
import { needsNewerSchema } from './needs-newer.js';
import type { OpenCapture } from './open.js';
import { parseFailure, sqlFailure } from './sql-error.js';
import { prepareReading } from './statement.js';

/** A column of a result, and what the documentation of a named query says of it. */
export interface ResultColumn {
  /** Unique in the result: a repeated name gets a suffix. */
  name: string;
  /** DuckDB type; `ENUM` without its values. */
  type: string;
  /** Whether the values are numbers. */
  numeric: boolean;
  unit?: string;
  description?: string;
}

/** A running query: its columns, and its rows a chunk at a time, computed as they are read. */
export interface QueryResult {
  readonly columns: readonly ResultColumn[];
  readonly types: readonly DuckDBType[];
  /** Each chunk is valid until the next is asked for. */
  chunks(): AsyncGenerator<DuckDBDataChunk, void, undefined>;
}

const NUMERIC: ReadonlySet<DuckDBTypeId> = new Set([
  DuckDBTypeId.TINYINT,
  DuckDBTypeId.SMALLINT,
  DuckDBTypeId.INTEGER,
  DuckDBTypeId.BIGINT,
  DuckDBTypeId.HUGEINT,
  DuckDBTypeId.UTINYINT,
  DuckDBTypeId.USMALLINT,
  DuckDBTypeId.UINTEGER,
  DuckDBTypeId.UBIGINT,
  DuckDBTypeId.UHUGEINT,
  DuckDBTypeId.FLOAT,
  DuckDBTypeId.DOUBLE,
  DuckDBTypeId.DECIMAL,
]);

function describeColumns(result: DuckDBResult): ResultColumn[] {
  return result.deduplicatedColumnNames().map((name, index) => {
    const type = result.columnType(index);
    return {
      name,
      type: type.typeId === DuckDBTypeId.ENUM ? 'ENUM' : String(type),
      numeric: NUMERIC.has(type.typeId),
    };
  });
}

/**
 * Lets go of a chunk's memory. Its strings are freed here. Its vectors are freed when V8 collects the
 * wrapper, which V8 puts off because it does not see them: an unused buffer of that size shows it.
 */
function release(chunk: DuckDBDataChunk): void {
  const bytes = chunk.rowCount * chunk.columnCount * 8;
  chunk.reset();
  new ArrayBuffer(bytes);
}

function describe(result: DuckDBResult): Pick<QueryResult, 'columns' | 'types'> {
  try {
    return { columns: describeColumns(result), types: result.columnTypes() };
  } catch (cause) {
    throw new IngeroError('The result has a column of a type that has no values to show.', {
      code: 'sql-error',
      exitCode: EXIT.sql,
      next: 'Cast the column, for example to VARCHAR.',
      cause,
    });
  }
}

const DAMAGE = new Set(['IO', 'Corruption', 'Serialization', 'INTERNAL', 'FATAL']);

/**
 * Starts the one reading statement in `sql` on a fenced capture. `bind` sets the parameters of the
 * prepared statement. Rows are computed while they are read, in bounded memory.
 *
 * Throws IngeroError: `EXIT.sql` for the statement, `EXIT.badCapture` when a block of the file cannot be
 * read, `EXIT.interrupted` for Ctrl-C and timeout; the same while chunks are read.
 */
export async function execute(
  capture: OpenCapture,
  sql: string,
  budget: Budget,
  bind: (statement: DuckDBPreparedStatement) => void = () => {},
): Promise<QueryResult> {
  const step = <T>(work: () => Promise<T>): Promise<T> =>
    budget.run(work).catch((cause: unknown) => {
      const failure = parseFailure(cause);
      if (DAMAGE.has(failure.type)) throw damaged(capture.path, failure.message, cause);
      throw needsNewerSchema(capture, cause) ?? sqlFailure(sql, cause);
    });
  const { statement, result } = await step(async () => {
    const statement = await prepareReading(capture.connection, sql);
    bind(statement);
    try {
      return { statement, result: await statement.stream() };
    } catch (cause) {
      statement.destroySync();
      throw cause;
    }
  });
  return {
    ...describe(result),
    async *chunks() {
      try {
        for (;;) {
          const chunk = await step(() => result.fetchChunk());
          if (chunk === null || chunk.rowCount === 0) return;
          yield chunk;
          release(chunk);
        }
      } finally {
        // The memory of its tables would be held until V8 collects the statement, and lack the next one.
        statement.destroySync();
      }
    },
  };
}
