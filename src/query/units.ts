import type { DuckDBValue } from '@duckdb/node-api';
import { demangle } from '../demangle/itanium.js';

const NS = [
  { size: 1e9, name: 's' },
  { size: 1e6, name: 'ms' },
  { size: 1e3, name: 'µs' },
] as const;
const BYTES = ['KiB', 'MiB', 'GiB', 'TiB', 'PiB'] as const;

function scaled(value: number, unit: string): string {
  const digits = Math.abs(value) >= 100 ? 0 : Math.abs(value) >= 10 ? 1 : 2;
  return `${value.toFixed(digits)} ${unit}`;
}

function duration(ns: number): string {
  const step = NS.find(({ size }) => Math.abs(ns) >= size);
  return step === undefined ? `${ns} ns` : scaled(ns / step.size, step.name);
}

function size(bytes: number): string {
  if (Math.abs(bytes) < 1024) return `${bytes} B`;
  let value = bytes / 1024;
  let step = 0;
  while (Math.abs(value) >= 1024 && step < BYTES.length - 1) {
    value /= 1024;
    step++;
  }
  return `${value.toFixed(1)} ${BYTES[step]}`;
}

/**
 * A value in the unit of its column as a person reads it: `ns` as "1.23 ms", `bytes` as "4.0 MiB", `address` as
 * hexadecimal, `%` and `GB/s` with their sign, `symbol` demangled. Undefined when the unit has no such form.
 */
export function humanize(value: DuckDBValue, unit: string | undefined): string | undefined {
  if (unit === 'symbol') return typeof value === 'string' ? (demangle(value) ?? undefined) : undefined;
  if (typeof value !== 'number' && typeof value !== 'bigint') return undefined;
  switch (unit) {
    case 'ns':
      return duration(Number(value));
    case 'bytes':
      return size(Number(value));
    case 'address':
      return `0x${value.toString(16)}`;
    case '%':
      return `${Number(value).toFixed(1)} %`;
    case 'GB/s':
      return scaled(Number(value), 'GB/s');
    default:
      return undefined;
  }
}
