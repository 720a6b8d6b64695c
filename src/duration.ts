import { EXIT, IngeroError } from './errors.js';

const UNITS: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };
/** Longest delay a timer can have (2^31 - 1 ms), about 24 days. */
export const LONGEST_MS = 2 ** 31 - 1;

/** What a duration looks like, for those who wrote something else. */
export const DURATION_FORM = 'numbers with units (ms, s, m, h, d), at most 24 days: 5m, 90s, 1h30m';

/**
 * Milliseconds of a duration: `5m`, `90s`, `1h30m`, `250ms`. Undefined when it is none, nothing (`0s`), or longer than a
 * timer can be ({@link LONGEST_MS}).
 */
export function parseDuration(text: string): number | undefined {
  const parts = [...text.matchAll(/(\d+(?:\.\d+)?)(ms|s|m|h|d)/g)];
  if (parts.map(([part]) => part).join('') !== text) return undefined;
  const ms = parts.reduce(
    (sum, [, number, unit]) => sum + Number(number) * (UNITS[unit as string] as number),
    0,
  );
  return ms > 0 && ms <= LONGEST_MS ? ms : undefined;
}

/** Milliseconds of a duration given on the command line. Throws `bad-duration`; `next` is what else can be done. */
export function durationFlag(text: string, next: string): number {
  const ms = parseDuration(text);
  if (ms !== undefined) return ms;
  throw new IngeroError(`${JSON.stringify(text)} is not a duration.`, {
    code: 'bad-duration',
    exitCode: EXIT.usage,
    expected: DURATION_FORM,
    next,
  });
}
