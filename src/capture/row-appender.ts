import {
  type DuckDBAppender,
  type DuckDBConnection,
  type DuckDBEnumType,
  DuckDBTimestampNanosecondsValue,
  type DuckDBType,
  DuckDBUUIDValue,
  LIST,
  VARCHAR,
} from '@duckdb/node-api';
import type { CellValue, Row } from './capture-file.js';
import type { ColumnSpec, TableSpec } from './schema.js';

/** Rows after which what was appended is committed. */
const FLUSH_ROWS = 100_000;

type Value = NonNullable<CellValue>;
type Append = (appender: DuckDBAppender, value: Value, type: DuckDBType) => void;

/** How a value of each type that catalog columns have is appended. */
const APPEND: Readonly<Record<string, Append>> = {
  INTEGER: (appender, value) => appender.appendInteger(value as number),
  UINTEGER: (appender, value) => appender.appendUInteger(value as number),
  DOUBLE: (appender, value) => appender.appendDouble(value as number),
  BOOLEAN: (appender, value) => appender.appendBoolean(value as boolean),
  BIGINT: (appender, value) => appender.appendBigInt(BigInt(value as number | bigint)),
  UBIGINT: (appender, value) => appender.appendUBigInt(BigInt(value as number | bigint)),
  TIMESTAMP_NS: (appender, value) =>
    appender.appendTimestampNanoseconds(new DuckDBTimestampNanosecondsValue(value as bigint)),
  UUID: (appender, value) => appender.appendUUID(uuid(value as string)),
  'VARCHAR[]': (appender, value) => appender.appendList(value as readonly string[], LIST(VARCHAR)),
  NAME: (appender, value, type) => appender.appendEnum(value as string, type as DuckDBEnumType),
  VARCHAR: (appender, value) => appender.appendVarchar(value as string),
};

interface Column {
  name: string;
  append: Append;
  type: DuckDBType;
}

/** Appends rows to a catalog table: for tables with more rows than INSERT statements are good for. */
export class RowAppender {
  readonly #appender: DuckDBAppender;
  readonly #columns: readonly Column[];
  #rows = 0;

  private constructor(appender: DuckDBAppender, columns: readonly ColumnSpec[]) {
    this.#appender = appender;
    this.#columns = columns.map(({ name, type }, index) => {
      const append = APPEND[type];
      if (append === undefined) throw new Error(`cannot append to a column of type ${type}`);
      return { name, append, type: appender.columnType(index) };
    });
  }

  /** Opens an appender on a table of the main schema. */
  static async open(connection: DuckDBConnection, name: string, table: TableSpec): Promise<RowAppender> {
    return new RowAppender(await connection.createAppender(name), table.columns);
  }

  /** Appends a row; columns it leaves out are NULL. Throws DuckDB's error when a value does not fit its column. */
  append(row: Row): void {
    for (const { name, append, type } of this.#columns) {
      const value = row[name] ?? null;
      if (value === null) this.#appender.appendNull();
      else append(this.#appender, value, type);
    }
    this.#appender.endRow();
    if (++this.#rows % FLUSH_ROWS === 0) this.#appender.flushSync();
  }

  /** Commits and closes. */
  close(): void {
    this.#appender.closeSync();
  }
}

function uuid(text: string): DuckDBUUIDValue {
  return DuckDBUUIDValue.fromUint128(BigInt(`0x${text.replaceAll('-', '')}`));
}
