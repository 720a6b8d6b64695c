import { EXIT, IngeroError } from '../errors.js';

const UNITS: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };
/** Longest delay a timer can have (2^31 - 1 ms), about 24 days. */
const MAX_MS = 2 ** 31 - 1;

/** Parses `5m`, `90s`, `1h30m`, `250ms` into milliseconds. Throws `bad-duration`. */
export function parseDuration(text: string): number {
  const parts = [...text.matchAll(/(\d+(?:\.\d+)?)(ms|s|m|h|d)/g)];
  const isWhole = parts.length > 0 && parts.map((part) => part[0]).join('') === text;
  const ms = isWhole
    ? parts.reduce((sum, [, number, unit]) => sum + Number(number) * (UNITS[unit as string] as number), 0)
    : Number.NaN;
  if (!(ms > 0 && ms <= MAX_MS)) {
    throw new IngeroError(`"${text}" is not a duration.`, {
      code: 'bad-duration',
      exitCode: EXIT.usage,
      expected: 'a number with a unit (ms, s, m, h, d), at most 24 days: 5m, 90s, 1h30m',
      next: 'Leave --duration out to record until Ctrl-C.',
    });
  }
  return ms;
}
