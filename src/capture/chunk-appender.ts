import type { DuckDBConnection } from '@duckdb/node-api';
import duckdb from '@duckdb/node-bindings';

/** Rows of one DuckDB vector; a chunk never holds more. */
export const CHUNK_ROWS = 2048;
const VALIDITY_BYTES = CHUNK_ROWS / 8;

/**
 * Appends typed arrays to a table, a chunk at a time, copied as bytes into the chunk's vectors: no value
 * becomes a JavaScript object on the way (docs/decisions.md, "columnar append").
 */
export class ChunkAppender {
  readonly #appender: duckdb.Appender;
  readonly #chunk: duckdb.DataChunk;
  readonly #vectors: readonly duckdb.Vector[];

  private constructor(appender: duckdb.Appender) {
    this.#appender = appender;
    const count = duckdb.appender_column_count(appender);
    const types = Array.from({ length: count }, (_, index) => duckdb.appender_column_type(appender, index));
    this.#chunk = duckdb.create_data_chunk(types);
    this.#vectors = types.map((_, index) => duckdb.data_chunk_get_vector(this.#chunk, index));
  }

  /** Opens an appender on `schema.table`. */
  static async open(connection: DuckDBConnection, table: string, schema: string): Promise<ChunkAppender> {
    const appender = await connection.createAppender(table, schema);
    // The bindings' handle: DuckDBAppender has no way to append bytes.
    return new ChunkAppender((appender as unknown as { appender: duckdb.Appender }).appender);
  }

  /**
   * Appends `rows` (<= 2048) rows. `columns[i]` holds the values of column i; `validity[i]`, where given, one
   * bit per row (1: not NULL).
   */
  append(rows: number, columns: readonly ColumnBytes[]): void {
    duckdb.data_chunk_reset(this.#chunk);
    duckdb.data_chunk_set_size(this.#chunk, rows);
    for (let index = 0; index < columns.length; index++) {
      const column = columns[index] as ColumnBytes;
      const vector = this.#vectors[index] as duckdb.Vector;
      if (column.texts === undefined) {
        duckdb.copy_data_to_vector(vector, 0, column.data, 0, rows * column.width);
      } else {
        column.texts.forEach((text, row) => {
          duckdb.vector_assign_string_element(vector, row, text);
        });
      }
      if (column.validity !== null) {
        duckdb.vector_ensure_validity_writable(vector);
        duckdb.copy_data_to_vector_validity(vector, 0, column.validity, 0, VALIDITY_BYTES);
      }
    }
    duckdb.append_data_chunk(this.#appender, this.#chunk);
  }

  /** Commits what was appended. */
  flush(): void {
    duckdb.appender_flush_sync(this.#appender);
  }

  close(): void {
    duckdb.appender_close_sync(this.#appender);
  }
}

/** One column of a chunk as bytes. */
export interface ColumnBytes {
  data: ArrayBuffer;
  /** Bytes per value. */
  width: number;
  /** One bit per row, 2048 bits; null when the column has no NULLs. */
  validity: ArrayBuffer | null;
  /** In place of bytes: the values of a VARCHAR column, with holes where they are NULL. */
  texts?: readonly string[];
}
