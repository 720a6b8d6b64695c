import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse } from 'yaml';
import { PACKAGE_ROOT } from '../../src/paths.js';
import type { JsonResult } from '../../src/query/write.js';
import type { CaptureRows, Cell, Row } from '../support/capture-builder.js';

/** Folder of `NAME.yaml`, tiny captures to ask query NAME, and `NAME.expected`, what it answers. */
export const CASES_DIR = join(PACKAGE_ROOT, 'test', 'query', 'cases');

/** A tiny capture to ask a query, written as rows by table. */
export interface QueryCase {
  case: string;
  params: string[];
  rows: CaptureRows;
}

const UNITS: Readonly<Record<string, number>> = {
  ns: 1,
  us: 1e3,
  ms: 1e6,
  s: 1e9,
  KiB: 1024,
  MiB: 1024 ** 2,
  GiB: 1024 ** 3,
};

/** `5ms` is nanoseconds, `4MiB` bytes; anything else is taken as it is. */
function cell(value: Cell): Cell {
  const parts = typeof value === 'string' ? /^(-?\d+(?:\.\d+)?)(ns|us|ms|s|KiB|MiB|GiB)$/.exec(value) : null;
  return parts === null ? value : Math.round(Number(parts[1]) * (UNITS[parts[2] ?? ''] ?? 1));
}

const LAYERS: Readonly<Record<string, string>> = {
  cuda_events: 'runtime',
  cuda_driver_events: 'driver',
  nccl_events: 'nccl',
  torch_alloc_events: 'torch',
};

/** A row with `repeat: N` is N rows, `every` apart in time. */
function expand(rows: readonly Row[], table: string): Row[] {
  const base = Object.keys(LAYERS).indexOf(table) * 1000;
  return rows
    .map((row) => Object.fromEntries(Object.entries(row).map(([name, value]) => [name, cell(value)])))
    .flatMap(({ repeat, every, ...row }) =>
      Array.from({ length: Number(repeat ?? 1) }, (_, index) =>
        repeat === undefined
          ? row
          : { ...row, start_time: Number(row.start_time ?? 0) + index * Number(every) },
      ),
    )
    .map((row, index) =>
      table in LAYERS ? { layer: LAYERS[table] ?? '', call_id: base + index + 1, ...row } : row,
    );
}

/** Reads the cases of a query. */
export function readCases(name: string): QueryCase[] {
  const cases = parse(readFileSync(join(CASES_DIR, `${name}.yaml`), 'utf8'), { merge: true }) as {
    case: string;
    params?: string[];
    rows?: Record<string, Row[]>;
  }[];
  return cases.map(({ case: title, params = [], rows = {} }) => {
    const { cuda_events = [], capture, ...others } = rows;
    const tables: Record<string, Row[]> = {};
    const events: Record<string, Row[]> = {};
    for (const [table, list] of Object.entries(others)) {
      (table in LAYERS || table.startsWith('site_') ? events : tables)[table] = expand(list, table);
    }
    return {
      case: title,
      params,
      rows: {
        ...(capture === undefined ? {} : { capture: expand(capture, 'capture') }),
        cudaEvents: expand(cuda_events, 'cuda_events'),
        tables,
        events,
      },
    };
  });
}

/** A result as a readable, aligned table of its raw values. */
export function renderResult(title: string, params: readonly string[], result: JsonResult): string {
  const head = `# ${title}${params.length === 0 ? '' : ` (${params.join(', ')})`}`;
  const names = result.columns.map((column) => column.name);
  const text = (value: unknown): string =>
    value === null ? '-' : String(value).replace(/^2026-01-01T(\d\d:\d\d:\d\d\.\d{9})Z$/, '$1');
  const rows = [names, ...result.rows.map((row) => names.map((name) => text(row[name])))];
  const widths = names.map((_, index) => Math.max(...rows.map((row) => row[index]?.length ?? 0)));
  const lines = rows.map((row) =>
    row
      .map((value, index) => value.padEnd(widths[index] ?? 0))
      .join('  ')
      .trimEnd(),
  );
  return [head, ...lines, ...(result.rows.length === 0 ? ['(no rows)'] : [])].join('\n');
}
