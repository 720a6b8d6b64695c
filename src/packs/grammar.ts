import { readFileSync } from 'node:fs';
import { Ajv, type ErrorObject, type ValidateFunction } from 'ajv';
import { PACKAGE_ROOT } from '../paths.js';
import { type PackIssue, withSuggestion } from './issue.js';
import { didYouMean } from './suggest.js';

/** Version of the pack grammar this ingero reads (the optional top-level key `schema`). */
export const GRAMMAR_VERSION = 1;

/** Schema errors that are explained; a file with more is no pack. */
const MAX_ERRORS = 1000;

type Grammar = 'probe-pack' | 'pack-overlay' | 'policy';

let ajv: Ajv | undefined;

/** The compiled schema of a file of YAML. An overlay's refers to the pack's. */
function validator(grammar: Grammar): ValidateFunction {
  if (ajv === undefined) {
    ajv = new Ajv({
      allErrors: true,
      verbose: true,
      strict: true,
      // Each takes as long as the rest of compiling the schemas, which tests check.
      validateSchema: false,
      code: { optimize: false },
      strictRequired: false,
      allowUnionTypes: true,
    });
    for (const name of ['probe-pack', 'pack-overlay', 'policy'] satisfies Grammar[]) {
      const text = readFileSync(`${PACKAGE_ROOT}/schema/${name}.schema.json`, 'utf8');
      ajv.addSchema(JSON.parse(text) as object);
    }
  }
  return ajv.getSchema(`${grammar}.schema.json`) as ValidateFunction;
}

/** Checks the shape of a value against `schema/GRAMMAR.schema.json`; `root` is what the whole is called. Reports everything that is wrong. */
export function checkShape(value: unknown, grammar: Grammar, root: string): PackIssue[] {
  const validate = validator(grammar);
  if (validate(value)) return [];
  return (validate.errors ?? []).slice(0, MAX_ERRORS).flatMap((error) => toIssue(error, root) ?? []);
}

/** Checks the shape of a pack against schema/probe-pack.schema.json. Reports everything that is wrong. */
export function checkGrammar(value: unknown): PackIssue[] {
  return checkShape(value, 'probe-pack', 'the pack');
}

/** Checks the shape of an overlay against schema/pack-overlay.schema.json. Reports everything that is wrong. */
export function checkOverlayGrammar(value: unknown): PackIssue[] {
  return checkShape(value, 'pack-overlay', 'the overlay');
}

/** Undefined for errors that only repeat another one in the terms of JSON Schema. */
function toIssue(error: ErrorObject, root: string): PackIssue | undefined {
  if (error.propertyName !== undefined || error.schemaPath.includes('/oneOf/')) return undefined;
  const at = error.instancePath
    .split('/')
    .slice(1)
    .map((segment) => segment.replaceAll('~1', '/').replaceAll('~0', '~'));
  const params = error.params as Readonly<Record<string, unknown>>;
  const parent = error.parentSchema as { properties?: object; description?: string } | undefined;
  const name = subject(at) ?? root;
  switch (error.keyword) {
    case 'additionalProperties': {
      const key = String(params.additionalProperty);
      const issue = { rule: 'unknown-key', message: `unknown key ${key}`, at: [...at, key], key: true };
      const isOverlay = at.length === 0 && key === 'overlays';
      return withSuggestion(
        issue,
        isOverlay
          ? 'the name of an overlay ends in .overlay.yaml'
          : didYouMean(key, Object.keys(parent?.properties ?? {})),
      );
    }
    case 'propertyNames': {
      const key = String(params.propertyName);
      const message = `${JSON.stringify(key)} cannot be a key of ${name}`;
      return { rule: 'wrong-value', message, at: [...at, key], key: true };
    }
    case 'required':
      return { rule: 'missing-key', message: `${name} has no ${String(params.missingProperty)}`, at };
    case 'oneOf':
      return { rule: 'one-value', message: `give one of ${alternatives(error.parentSchema)}`, at };
    case 'type':
      return withSuggestion(
        { rule: 'wrong-type', message: `${name} must be of type ${String(params.type)}`, at },
        params.type === 'string' && typeof error.data === 'number' ? 'put it in quotes' : undefined,
      );
    case 'enum': {
      const allowed = (params.allowedValues as unknown[]).map(String);
      const message = `${name} must be one of ${allowed.join(', ')}`;
      const suggestion = typeof error.data === 'string' ? didYouMean(error.data, allowed) : undefined;
      return withSuggestion({ rule: 'wrong-value', message, at }, suggestion);
    }
    case 'pattern':
      return withSuggestion(
        { rule: 'wrong-value', message: `${JSON.stringify(error.data)} is not a valid ${name}`, at },
        parent?.description,
      );
    case 'maxLength':
    case 'maxItems':
    case 'maxProperties':
      return { rule: 'too-long', message: `${name} ${error.message ?? 'is too long'}`, at };
    default:
      return withSuggestion(
        { rule: 'wrong-value', message: `${name} ${error.message ?? 'is not valid'}`, at },
        parent?.description,
      );
  }
}

/** The keys of which one has to be given: `arg, product and value`. */
function alternatives(schema: ErrorObject['parentSchema']): string {
  const { oneOf } = schema as { oneOf: { required: string[] }[] };
  return oneOf
    .flatMap(({ required }) => required)
    .join(', ')
    .replace(/, (\w+)$/, ' and $1');
}

/** What an error is about: the last key of its path; undefined for the whole file. */
function subject(at: readonly string[]): string | undefined {
  const last = at.at(-1);
  if (last === undefined) return undefined;
  if (at[0] === 'enums' && at.length === 3) return 'name';
  if (at[0] === 'sizes' && at.length === 3) return 'size';
  if (!/^[0-9]+$/.test(last)) return last;
  const list = at.at(-2) ?? '';
  return { probes: 'probe', libraries: 'library', symbols: 'symbol' }[list] ?? `${list} ${Number(last) + 1}`;
}
