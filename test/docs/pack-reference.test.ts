import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { PACKAGE_ROOT } from '../../src/paths.js';

/** The parts of JSON Schema the grammars are written in. */
interface Schema {
  $ref?: string;
  title?: string;
  description?: string;
  type?: string | string[];
  enum?: readonly (string | number)[];
  const?: unknown;
  default?: unknown;
  examples?: readonly unknown[];
  properties?: Record<string, Schema>;
  additionalProperties?: boolean | Schema;
  required?: readonly string[];
  items?: Schema;
  minimum?: number;
  maximum?: number;
  minItems?: number;
  maxItems?: number;
  maxLength?: number;
  oneOf?: readonly { required: readonly string[] }[];
  definitions?: Record<string, Schema>;
}

const FILES = ['probe-pack.schema.json', 'pack-overlay.schema.json'] as const;
const SCHEMAS = Object.fromEntries(
  FILES.map((file) => [file, JSON.parse(readFileSync(join(PACKAGE_ROOT, 'schema', file), 'utf8')) as Schema]),
);
const PAGE = join(PACKAGE_ROOT, 'docs/pack-reference.md');

/** A schema with its `$ref` followed; its own keys, such as the description, win. */
function resolved(schema: Schema, file: string): { schema: Schema; file: string } {
  if (schema.$ref === undefined) return { schema, file };
  const [other, pointer = ''] = schema.$ref.split('#');
  const home = other || file;
  let target = SCHEMAS[home] as unknown as Record<string, unknown>;
  for (const key of pointer.split('/').slice(1)) target = target[key] as Record<string, unknown>;
  const { $ref: _, ...own } = schema;
  return { schema: { ...(target as Schema), ...own }, file: home };
}

function typeText({
  type,
  enum: values,
  const: only,
  minimum,
  maximum,
  maxItems,
  maxLength,
}: Schema): string {
  if (values !== undefined) return values.map((value) => `\`${value}\``).join(', ');
  if (only !== undefined) return `\`${String(only)}\``;
  const kinds = (Array.isArray(type) ? type : [type ?? 'any']).map(
    (kind) =>
      ({ object: 'mapping', array: 'list', string: 'text', boolean: 'true or false', null: 'null' })[kind] ??
      kind,
  );
  const isSafe = maximum === Number.MAX_SAFE_INTEGER;
  const limits = [
    ...(minimum === undefined || isSafe ? [] : [`from ${minimum}`]),
    ...(maximum === undefined || isSafe ? [] : [`to ${maximum}`]),
    ...(maxItems === undefined ? [] : [`at most ${maxItems}`]),
    ...(maxLength === undefined ? [] : [`at most ${maxLength} characters`]),
  ];
  return [kinds.join(' or '), ...limits].join(', ');
}

/** `Default: x.` of a description is a column of its own. */
function splitDescription(text: string): { meaning: string; fallback: string } {
  const match = /\s*Default: ((?:[^.]|\.(?!\s|$))+)\.?\s*$/.exec(text);
  if (match === null) return { meaning: text, fallback: '' };
  return { meaning: text.slice(0, match.index), fallback: match[1] ?? '' };
}

const cell = (text: string): string => text.replaceAll('|', '\\|').replaceAll('\n', ' ');

function rowsOf(schema: Schema, file: string, path: string): string[] {
  const { properties = {}, required = [] } = schema;
  return Object.entries(properties).flatMap(([key, property]) => {
    const place = path === '' ? key : `${path}.${key}`;
    return keyRows(property, file, place, required.includes(key));
  });
}

function keyRows(property: Schema, file: string, place: string, isRequired: boolean): string[] {
  const { schema, file: home } = resolved(property, file);
  expect(schema.description, place).toBeDefined();
  const { meaning, fallback } = splitDescription(schema.description ?? '');
  const example = schema.examples?.[0];
  const row = `| \`${place}\` | ${cell(typeText(schema))} | ${isRequired ? 'required' : cell(fallback)} | ${cell(meaning)} | ${example === undefined ? '' : `\`${cell(JSON.stringify(example))}\``} |`;
  const items = schema.items === undefined ? undefined : resolved(schema.items, home);
  const values =
    typeof schema.additionalProperties === 'object' ? resolved(schema.additionalProperties, home) : undefined;
  return [
    row,
    ...rowsOf(schema, home, place),
    ...(items === undefined ? [] : rowsOf(items.schema, items.file, `${place}[]`)),
    ...(values === undefined ? [] : rowsOf(values.schema, values.file, `${place}.NAME`)),
  ];
}

function section(file: (typeof FILES)[number]): string {
  const schema = SCHEMAS[file] as Schema;
  const rows = rowsOf(schema, file, '');
  return [
    `## ${schema.title}`,
    '',
    schema.description ?? '',
    '',
    '| key | type | default | meaning | example |',
    '|---|---|---|---|---|',
    ...rows,
    '',
  ].join('\n');
}

test('docs/pack-reference.md lists every key of the schemas', async () => {
  const page = [
    '<!-- Generated from schema/*.schema.json; regenerate: npx vitest run test/docs/pack-reference.test.ts -u -->',
    '# Keys of packs and overlays',
    '',
    'Every key with its type, its default, what it means and an example. How they work together is told in the',
    "[author's guide](probe-packs.md). `[]` stands for an element of a list, `NAME` for a name of your own.",
    '',
    ...FILES.map(section),
  ].join('\n');
  await expect(page).toMatchFileSnapshot(PAGE);
});

test('the grammar is frozen: a change of a schema is a change of this snapshot', async () => {
  for (const file of FILES) {
    const strip = (value: unknown): unknown => {
      if (Array.isArray(value)) return value.map(strip);
      if (typeof value !== 'object' || value === null) return value;
      const entries = Object.entries(value).filter(
        ([key, inner]) => !(key === 'description' && typeof inner === 'string') && key !== 'examples',
      );
      return Object.fromEntries(entries.map(([key, inner]) => [key, strip(inner)]));
    };
    await expect(`${JSON.stringify(strip(SCHEMAS[file]), null, 1)}\n`).toMatchFileSnapshot(
      join(PACKAGE_ROOT, 'test/docs/grammar', file.replace('.schema.json', '.grammar.txt')),
    );
  }
});
