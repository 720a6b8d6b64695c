import type { WriteStream } from 'node:tty';
import { humanize } from '../query/units.js';
import type { LiveTotals } from './session.js';

const MAX_OPS = 15;

/** Lines of the live display: one per operation, the busiest first. Pure. `rates`: calls per second by operation. */
export function renderLive(
  totals: LiveTotals,
  rates: ReadonlyMap<string, number>,
  elapsedMs: number,
  width: number,
  height: number,
): string[] {
  const rows = [...totals.ops]
    .sort((a, b) => b.calls - a.calls)
    .slice(0, Math.max(1, Math.min(MAX_OPS, height - 5)));
  const cells = [
    ['operation', 'calls', 'calls/s', 'p50', 'p99', 'errors'],
    ...rows.map((op) => [
      op.op,
      op.calls.toLocaleString('en'),
      Math.round(rates.get(op.op) ?? 0).toLocaleString('en'),
      duration(op.p50),
      duration(op.p99),
      op.errors === 0 ? '' : op.errors.toLocaleString('en'),
    ]),
  ];
  const widths =
    cells[0]?.map((_, column) => Math.max(...cells.map((line) => line[column]?.length ?? 0))) ?? [];
  const lines = cells.map((line) =>
    line
      .map((cell, column) =>
        column === 0 ? cell.padEnd(widths[0] ?? 0) : cell.padStart(widths[column] ?? 0),
      )
      .join('  '),
  );
  const hidden = totals.ops.length - rows.length;
  if (hidden > 0) lines.push(`... ${hidden} more`);
  lines.push(
    `${Math.floor(elapsedMs / 1000)} s  ${totals.rows.toLocaleString('en')} rows  ${
      totals.lost === 0 ? 'nothing lost' : `${totals.lost.toLocaleString('en')} LOST`
    }  ring ${Math.round(totals.ringHighWater * 100)} % at most`,
  );
  return lines.map((line) => line.slice(0, width));
}

function duration(ns: number | null): string {
  return ns === null ? '-' : (humanize(ns, 'ns') ?? '-');
}

/** Redraws the summary in place on a terminal. */
export class LiveDisplay {
  readonly #stream: WriteStream;
  readonly #startedAt = performance.now();
  #lines = 0;
  #last: { at: number; calls: Map<string, number> } = { at: performance.now(), calls: new Map() };

  constructor(stream: WriteStream) {
    this.#stream = stream;
  }

  show(totals: LiveTotals): void {
    const now = performance.now();
    const seconds = Math.max(0.001, (now - this.#last.at) / 1000);
    const calls = new Map(totals.ops.map((op) => [op.op, op.calls]));
    const rates = new Map(
      [...calls].map(([op, count]) => [op, (count - (this.#last.calls.get(op) ?? 0)) / seconds] as const),
    );
    this.#last = { at: now, calls };
    const lines = renderLive(totals, rates, now - this.#startedAt, this.#stream.columns, this.#stream.rows);
    this.#stream.write(`${this.#erase()}${lines.join('\n')}\n`);
    this.#lines = lines.length;
  }

  /** Removes the display, so that what follows starts on a clean line. */
  clear(): void {
    this.#stream.write(this.#erase());
    this.#lines = 0;
  }

  /** Cursor to the first line of the last drawing, and everything below erased (ECMA-48 CUU, ED). */
  #erase(): string {
    return this.#lines === 0 ? '' : `\x1b[${this.#lines}A\x1b[J`;
  }
}
