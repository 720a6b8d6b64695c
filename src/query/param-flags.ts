import { Flags } from '@oclif/core';
import type { NamedQuery } from './named-query.js';
import { type ParamDoc, rangeText } from './param-type.js';

/** The flag a parameter is given with: `min_ms` is `--min-ms`. */
export const flagOf = (param: string): string => param.replaceAll('_', '-');

/** A line that says what a parameter is: its meaning, unit, range and default. */
export function describeParam(param: ParamDoc): string {
  const facts = [
    param.unit,
    param.range === undefined ? undefined : rangeText(param.range),
    `default ${param.default ?? 'null'}`,
  ].filter((fact) => fact !== undefined);
  return `${param.doc} [${facts.join('; ')}]`;
}

/** A flag for each parameter of a query, under its own name (`--min-ms 5`). */
export function paramFlags(query: NamedQuery) {
  return Object.fromEntries(
    query.params.map((param) => [
      flagOf(param.name),
      Flags.string({ description: describeParam(param), helpGroup: 'PARAMETER' }),
    ]),
  );
}

/** What these flags were given, as `name=value`. */
export function givenParams(query: NamedQuery, flags: Readonly<Record<string, unknown>>): string[] {
  return query.params.flatMap(({ name }) => {
    const value = flags[flagOf(name)];
    return typeof value === 'string' ? [`${name}=${value}`] : [];
  });
}
