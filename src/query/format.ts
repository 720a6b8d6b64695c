import type { DuckDBValue } from '@duckdb/node-api';
import type { ResultColumn } from './execute.js';
import { csv } from './formats/csv.js';
import { json } from './formats/json.js';
import { jsonl } from './formats/jsonl.js';
import { markdown } from './formats/markdown.js';
import { table } from './formats/table.js';

export type Row = readonly DuckDBValue[];

export interface FormatOptions {
  /** Columns of the terminal to fit into; undefined when there is none. */
  width: number | undefined;
  /** Show numbers in readable units where the column states its unit (table and markdown only). */
  humanUnits: boolean;
}

/** Text of a result, written front to back: `head`, then `rows` any number of times, then `tail`. */
export interface TextWriter {
  head(): string;
  rows(rows: readonly Row[]): string;
  tail(): string;
}

export type TextFormat = (columns: readonly ResultColumn[], options: FormatOptions) => TextWriter;

/** Formats that are text, by name. */
export const TEXT_FORMATS = { table, json, jsonl, csv, markdown } as const;

/** Every format a result can be written in. */
export const FORMATS = [...(Object.keys(TEXT_FORMATS) as (keyof typeof TEXT_FORMATS)[]), 'parquet'] as const;

export type FormatName = (typeof FORMATS)[number];
