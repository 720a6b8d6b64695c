import type { DuckDBDataChunk } from '@duckdb/node-api';
import { EXIT, IngeroError } from '../errors.js';
import type { QueryResult, ResultColumn } from './execute.js';
import { type FormatName, type Row, TEXT_FORMATS } from './format.js';
import { rowObject } from './formats/json-text.js';
import { writeParquet } from './formats/parquet.js';
import { fileSink, ReaderGone, type Sink, stdoutSink } from './sink.js';
import type { Json } from './values.js';

export interface WriteOptions {
  format: FormatName;
  /** File to create; standard output when undefined. */
  output: string | undefined;
  humanUnits: boolean;
}

/** A result cut off after some rows; `truncated` is true once there were more. */
export interface LimitedResult extends QueryResult {
  readonly truncated: boolean;
}

/** The first `maxRows` rows of a result; all when 0. */
export function limitRows(result: QueryResult, maxRows: number): LimitedResult {
  let truncated = false;
  return {
    ...result,
    get truncated() {
      return truncated;
    },
    async *chunks(): AsyncGenerator<DuckDBDataChunk, void, undefined> {
      let left = maxRows === 0 ? Number.POSITIVE_INFINITY : maxRows;
      for await (const chunk of result.chunks()) {
        if (chunk.rowCount > left) {
          truncated = true;
          if (left === 0) return;
          chunk.rowCount = left;
        }
        left -= chunk.rowCount;
        yield chunk;
        if (truncated) return;
      }
    },
  };
}

/**
 * Writes a result in a format to standard output or a new file and returns the number of rows written.
 * A reader that goes away (`| head`) ends the writing without error.
 *
 * Throws IngeroError: `EXIT.output` for the file, and what reading the result throws.
 */
export async function writeResult(result: QueryResult, options: WriteOptions): Promise<number> {
  if (options.format === 'parquet') {
    if (options.output === undefined) {
      throw new IngeroError('Parquet cannot be written to standard output.', {
        code: 'output-needed',
        exitCode: EXIT.usage,
        next: 'Name a file with --output FILE.',
      });
    }
    return writeParquet(result, options.output);
  }
  const sink = options.output === undefined ? stdoutSink() : fileSink(options.output);
  try {
    const rows = await writeText(result, options.format, sink, options.humanUnits);
    sink.close();
    return rows;
  } catch (error) {
    sink.discard();
    if (error instanceof ReaderGone) return 0;
    throw error;
  }
}

async function writeText(
  result: QueryResult,
  format: keyof typeof TEXT_FORMATS,
  sink: Sink,
  humanUnits: boolean,
): Promise<number> {
  const writer = TEXT_FORMATS[format](result.columns, { width: sink.width, humanUnits });
  const write = async (text: string): Promise<void> => {
    if (text !== '') await sink.write(text);
  };
  let count = 0;
  await write(writer.head());
  for await (const chunk of result.chunks()) {
    const rows: readonly Row[] = chunk.getRows();
    count += rows.length;
    await write(writer.rows(rows));
  }
  await write(writer.tail());
  return count;
}

/** What `--json` prints: the columns with their documentation, and the rows. */
export interface JsonResult {
  columns: { name: string; type: string; unit?: string; description?: string }[];
  rows: Record<string, Json>[];
  row_count: number;
  /** Whether there were more rows than --max-rows. */
  truncated: boolean;
  /** Of a capture that is still being recorded: when the rows are from. */
  live_as_of?: string;
  /** What a reader has to know of the capture: losses and sampling. Only of named queries. */
  notes?: string[];
}

/** Reads a whole result into the `--json` shape. */
export async function toJsonResult(result: LimitedResult): Promise<JsonResult> {
  const rows: Record<string, Json>[] = [];
  for await (const chunk of result.chunks()) {
    for (const row of chunk.getRows()) rows.push(rowObject(result.columns, row));
  }
  return {
    columns: result.columns.map(jsonColumn),
    rows,
    row_count: rows.length,
    truncated: result.truncated,
  };
}

function jsonColumn(column: ResultColumn): JsonResult['columns'][number] {
  const { name, type, unit, description } = column;
  return {
    name,
    type,
    ...(unit === undefined ? {} : { unit }),
    ...(description === undefined ? {} : { description }),
  };
}
