import type { DuckDBPreparedStatement } from '@duckdb/node-api';
import { EXIT, IngeroError } from '../errors.js';
import { nearest } from '../packs/suggest.js';
import type { NamedQuery } from './named-query.js';
import { checkParam, type ParamDoc } from './param-type.js';

/** The value of every parameter of a query, as text; undefined is NULL. */
export type ParamValues = ReadonlyMap<ParamDoc, string | undefined>;

function wrong(message: string, query: NamedQuery, expected: string | undefined): IngeroError {
  const names = query.params.map((param) => param.name);
  return new IngeroError(message, {
    code: 'bad-parameter',
    exitCode: EXIT.sql,
    next:
      names.length === 0
        ? `${query.name} takes no parameters.`
        : `Parameters of ${query.name}: ${names.join(', ')}. \`ingero queries show ${query.name}\` explains them.`,
    ...(expected === undefined ? {} : { expected }),
  });
}

/**
 * Values for the parameters of a query from `name=value` arguments, defaults for the rest. The value
 * `null` is NULL where that is the default. Throws IngeroError (`bad-parameter`, `EXIT.sql`).
 */
export function resolveParams(query: NamedQuery, given: readonly string[]): ParamValues {
  const values = new Map<ParamDoc, string | undefined>(query.params.map((param) => [param, param.default]));
  const seen = new Set<string>();
  for (const argument of given) {
    const split = argument.indexOf('=');
    if (split < 1) throw wrong(`--param ${argument} has no value.`, query, '--param name=value');
    const name = argument.slice(0, split);
    const value = argument.slice(split + 1);
    const param = query.params.find((candidate) => candidate.name === name);
    if (param === undefined) {
      const near = nearest(
        name,
        query.params.map((candidate) => candidate.name),
      );
      const hint = near === undefined ? undefined : `did you mean ${near}?`;
      throw wrong(`${query.name} has no parameter ${JSON.stringify(name)}.`, query, hint);
    }
    if (seen.has(name)) throw wrong(`--param ${name} is given twice.`, query, undefined);
    seen.add(name);
    if (value === 'null' && param.default === undefined) continue;
    const expected = checkParam(param.type, value, param.range);
    if (expected !== undefined) {
      throw wrong(`--param ${name}=${JSON.stringify(value)} is not valid.`, query, expected);
    }
    values.set(param, value);
  }
  return values;
}

/** Binds values to the named parameters of a prepared statement; they never become part of the SQL text. */
export function bindParams(statement: DuckDBPreparedStatement, values: ParamValues): void {
  for (const [param, value] of values) {
    const index = statement.parameterIndex(param.name);
    if (value === undefined) {
      statement.bindNull(index);
      continue;
    }
    switch (param.type) {
      case 'INTEGER':
        statement.bindInteger(index, Number(value));
        break;
      case 'BIGINT':
        statement.bindBigInt(index, BigInt(value));
        break;
      case 'DOUBLE':
        statement.bindDouble(index, Number(value));
        break;
      case 'BOOLEAN':
        statement.bindBoolean(index, value === 'true');
        break;
      case 'VARCHAR':
        statement.bindVarchar(index, value);
        break;
    }
  }
}
