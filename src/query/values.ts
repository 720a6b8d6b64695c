import {
  DuckDBArrayValue,
  DuckDBDecimalValue,
  DuckDBListValue,
  DuckDBMapValue,
  DuckDBStructValue,
  DuckDBTimestampMillisecondsValue,
  DuckDBTimestampNanosecondsValue,
  DuckDBTimestampSecondsValue,
  DuckDBTimestampTZValue,
  DuckDBTimestampValue,
  DuckDBUnionValue,
  type DuckDBValue,
} from '@duckdb/node-api';

export type Json = null | boolean | number | string | Json[] | { [key: string]: Json };

/** ISO 8601 in UTC with all the digits the type holds; infinities keep their names. */
function isoTime(text: string, digits: number): string {
  const parts = /^(\d+-\d\d-\d\d) (\d\d:\d\d:\d\d)(?:\.(\d+))?$/.exec(text);
  if (parts === null) return text;
  const fraction = digits === 0 ? '' : `.${(parts[3] ?? '').padEnd(digits, '0')}`;
  return `${parts[1]}T${parts[2]}${fraction}Z`;
}

function timestamp(value: DuckDBValue): string | undefined {
  if (value instanceof DuckDBTimestampNanosecondsValue) return isoTime(value.toString(), 9);
  if (value instanceof DuckDBTimestampValue) return isoTime(value.toString(), 6);
  // Its own toString() uses the time zone of this process; the instant is the same in UTC.
  if (value instanceof DuckDBTimestampTZValue) {
    return isoTime(new DuckDBTimestampValue(value.micros).toString(), 6);
  }
  if (value instanceof DuckDBTimestampMillisecondsValue) return isoTime(value.toString(), 3);
  if (value instanceof DuckDBTimestampSecondsValue) return isoTime(value.toString(), 0);
  return undefined;
}

/** A decimal as a number where a double holds all its digits. */
function decimal(text: string): Json {
  return text.replace(/\D/g, '').replace(/^0+/, '').length <= 15 ? Number(text) : text;
}

/**
 * A value as JSON. Integers beyond 2^53 and NaN or infinities are strings, because JSON readers would
 * change or refuse them; timestamps are ISO 8601 in UTC; maps are arrays of `{key, value}`.
 */
export function toJson(value: DuckDBValue): Json {
  if (value === null || typeof value === 'boolean' || typeof value === 'string') return value;
  if (typeof value === 'number') return Number.isFinite(value) ? value : String(value);
  if (typeof value === 'bigint') {
    const number = Number(value);
    return Number.isSafeInteger(number) ? number : value.toString();
  }
  const time = timestamp(value);
  if (time !== undefined) return time;
  if (value instanceof DuckDBDecimalValue) return decimal(value.toString());
  if (value instanceof DuckDBListValue || value instanceof DuckDBArrayValue) return value.items.map(toJson);
  if (value instanceof DuckDBStructValue) {
    return Object.fromEntries(Object.entries(value.entries).map(([key, item]) => [key, toJson(item)]));
  }
  if (value instanceof DuckDBMapValue) {
    return value.entries.map((entry) => ({ key: toJson(entry.key), value: toJson(entry.value) }));
  }
  if (value instanceof DuckDBUnionValue) return toJson(value.value);
  return String(value);
}

/** A value as text without loss: all digits of integers and decimals, nested values as JSON. NULL is undefined. */
export function toText(value: DuckDBValue): string | undefined {
  if (value === null) return undefined;
  if (typeof value === 'object') {
    if (value instanceof DuckDBDecimalValue) return value.toString();
    const json = toJson(value);
    return typeof json === 'string' ? json : JSON.stringify(json);
  }
  return String(value);
}
