import { resolve } from 'node:path';
import { writeNewFile } from '../capture/new-file.js';
import { checkRows, copyRows, createTables, planRebuild, type RebuildPlan } from '../capture/rebuild.js';
import { type CaptureSchema, type ColumnSpec, eventColumns, inRow } from '../capture/schema.js';
import { ident, literal } from '../capture/sql-text.js';
import {
  type AttachedCapture,
  folderOf,
  OUT,
  qualified,
  splitTables,
  Workspace,
  workFailure,
} from '../capture/workspace.js';
import { EXIT, IngeroError } from '../errors.js';
import { CLASSES, classOf, type DataClass } from './classes.js';
import { type HashKey, hashedValue, hashKey } from './keyed-hash.js';

export type Method = 'drop' | 'hash';

/** What to do with which column. */
export interface ColumnRule {
  table: string;
  column: ColumnSpec;
  class: DataClass | 'named';
  method: Method;
}

/** Classes and columns as the command line names them. */
export interface RedactionChoice {
  drop: readonly string[];
  hash: readonly string[];
  /** Classes left alone where nothing is chosen. */
  keep: readonly string[];
}

/** What is done when nothing is chosen. */
export const DEFAULT_METHODS: Readonly<Record<DataClass, Method>> = {
  'command-lines': 'drop',
  paths: 'hash',
  names: 'hash',
  addresses: 'hash',
  environment: 'drop',
};

/** One column of the result. Field names are those of `--json` and of the table `redactions`. */
export interface Redaction {
  table: string;
  column: string;
  class: string;
  method: Method;
  changed: number;
}

/** A value that was redacted in one column and can be read in another. */
export interface Residue {
  from: string;
  in: string;
  values: number;
}

export interface RedactionResult {
  redactions: Redaction[];
  residue: Residue[];
  key_id: string | null;
  events: number;
  /** Catalog tables that were left out because the schema does not know them. */
  left_out: readonly string[];
}

interface Candidate {
  table: string;
  column: ColumnSpec;
  class: DataClass | null;
}

function candidates({ schema, events }: Pick<RebuildPlan, 'schema' | 'events'>): Candidate[] {
  return [
    ...Object.entries(schema.tables).flatMap(([table, { columns }]) =>
      columns.map((column) => ({ table, column, class: classOf(table, column, false) })),
    ),
    ...events.flatMap(({ table }) =>
      eventColumns(schema, table).map((column) => ({ table, column, class: classOf(table, column, true) })),
    ),
  ];
}

function usage(message: string, expected: string): IngeroError {
  return new IngeroError(message, { code: 'bad-redaction', exitCode: EXIT.usage, expected });
}

/** Columns values can be taken out of without breaking how rows belong together. */
const REDACTABLE = /^(VARCHAR(\[\])?|UUID|U?(BIG)?INT(EGER)?)$/;

/**
 * Works out what is done with which column. A column that is named counts more than its class; nothing chosen means
 * {@link DEFAULT_METHODS} without the classes to keep. Throws `bad-redaction`.
 */
export function planRedaction(
  plan: Pick<RebuildPlan, 'schema' | 'events'>,
  choice: RedactionChoice,
): ColumnRule[] {
  const all = candidates(plan);
  const isClass = (name: string): name is DataClass => (CLASSES as readonly string[]).includes(name);
  for (const name of choice.keep)
    if (!isClass(name)) throw usage(`There is no class ${name}.`, CLASSES.join(', '));
  const byClass = new Map<DataClass, Method>();
  const rules = new Map<string, ColumnRule>();
  const choose = (name: string, method: Method): void => {
    if (isClass(name)) {
      byClass.set(name, method);
      return;
    }
    const found = all.find(({ table, column }) => `${table}.${column.name}` === name);
    if (found === undefined)
      throw usage(
        `There is no class or column ${name} in this capture.`,
        `${CLASSES.join(', ')}, or TABLE.COLUMN`,
      );
    if (isStructural(plan.schema, found) || !REDACTABLE.test(found.column.type)) {
      throw usage(
        `${name} holds the capture together and is not redacted.`,
        'a column with text, addresses or numbers of its own',
      );
    }
    rules.set(name, { table: found.table, column: found.column, class: found.class ?? 'named', method });
  };
  for (const name of choice.drop) choose(name, 'drop');
  for (const name of choice.hash) choose(name, 'hash');
  if (choice.drop.length + choice.hash.length === 0) {
    for (const name of CLASSES) if (!choice.keep.includes(name)) byClass.set(name, DEFAULT_METHODS[name]);
  }
  for (const { table, column, class: group } of all) {
    const method = group === null ? undefined : byClass.get(group);
    const key = `${table}.${column.name}`;
    if (group !== null && method !== undefined && !rules.has(key)) {
      rules.set(key, { table, column, class: group, method });
    }
  }
  return [...rules.values()];
}

/** Keys and what refers to them, and what the accounting rests on. */
function isStructural(schema: CaptureSchema, { table, column }: Candidate): boolean {
  return (
    column.references !== undefined ||
    (schema.tables[table]?.key?.includes(column.name) ?? false) ||
    ['probe_accounting', 'redactions', 'schema_migrations'].includes(table) ||
    ['call_id', 'parent_id', 'args_id', 'run_id', 'capture_id', 'schema_version', 'pid', 'tid'].includes(
      column.name,
    )
  );
}

/** A dropped value: NULL, or where the column takes none an empty one. */
function droppedValue({ nullable, type }: ColumnSpec): string {
  if (nullable) return 'NULL';
  if (type === 'VARCHAR[]') return '[]::VARCHAR[]';
  if (type === 'VARCHAR') return "'(redacted)'";
  return type === 'UUID' ? "'00000000-0000-0000-0000-000000000000'::UUID" : `0::${type}`;
}

/**
 * Writes a redacted copy of a capture; the original is only read. Throws as opening a capture does, `output-exists`,
 * `output-unwritable`, `output-space`, `bad-redaction`, and `schema-differs` for an older capture.
 */
export async function redactCapture(
  file: string,
  out: string,
  choice: RedactionChoice,
  keyFile: string | undefined,
  version: string,
): Promise<RedactionResult> {
  const key = hashKey(keyFile);
  return writeNewFile(out, async (temporary) => {
    const workspace = await Workspace.open({ inputs: [file], output: temporary, spillIn: folderOf(out) });
    try {
      const input = workspace.inputs[0] as AttachedCapture;
      const plan = await planRebuild(workspace);
      const rules = planRedaction(plan, choice);
      await createTables(workspace, plan);
      const lookup = new Map(rules.map((rule) => [`${rule.table}.${rule.column.name}`, rule]));
      const copied = await copyRows(
        workspace,
        input,
        plan,
        (table, column, value) => {
          const rule = lookup.get(`${table}.${column.name}`);
          if (rule === undefined) return value;
          return rule.method === 'drop' ? droppedValue(column) : hashedValue(key, column);
        },
        [],
      );
      const events = await checkRows(workspace, [copied]);
      const redactions = await countChanges(workspace, input, rules);
      await record(workspace, redactions, key, version);
      const residue = await findResidue(workspace, input, plan, rules);
      await workspace.finishOutput();
      const hashed = redactions.some(({ method }) => method === 'hash');
      return { redactions, residue, key_id: hashed ? key.id : null, events, left_out: plan.unknown };
    } catch (cause) {
      throw workFailure(cause, resolve(file), out);
    } finally {
      workspace.close();
    }
  });
}

/** Where a rule's values are stored in a capture; null when this one does not have the column. */
function storedIn({ tables, alias }: AttachedCapture, table: string, column: ColumnSpec): string | null {
  const { catalog, events } = splitTables(tables);
  const event = events.find(({ name }) => name === table);
  const stored =
    event === undefined
      ? catalog.find(({ name }) => name === table)
      : inRow(column)
        ? event.rows
        : event.args;
  return stored?.columns.some(({ name }) => name === column.name) ? qualified(alias, stored) : null;
}

async function countChanges(
  workspace: Workspace,
  input: AttachedCapture,
  rules: readonly ColumnRule[],
): Promise<Redaction[]> {
  const redactions: Redaction[] = [];
  for (const { table, column, class: group, method } of rules) {
    const source = storedIn(input, table, column);
    if (source === null) continue;
    const changed = await workspace.number(`SELECT count(${ident(column.name)}) FROM ${source}`);
    if (changed > 0) redactions.push({ table, column: column.name, class: group, method, changed });
  }
  return redactions;
}

async function record(
  workspace: Workspace,
  redactions: readonly Redaction[],
  key: HashKey,
  version: string,
): Promise<void> {
  for (const { table, column, class: group, method, changed } of redactions) {
    await workspace.connection.run(
      `INSERT INTO ${OUT}.main.redactions (table_name, column_name, class, method, changed, key_id, applied_at, ingero_version)
       VALUES (${[table, column, group, method].map(literal).join(', ')}, ${changed},
               ${method === 'hash' ? literal(key.id) : 'NULL'}, make_timestamp_ns(epoch_ns(now())), ${literal(version)})`,
    );
  }
}

/** Shorter values are found everywhere by chance. */
const SHORTEST_RESIDUE = 4;

/**
 * Looks for redacted texts in the columns of the new file that may hold such data and were kept: a host name in a path
 * that was not asked to be hashed, for example.
 */
async function findResidue(
  workspace: Workspace,
  input: AttachedCapture,
  plan: RebuildPlan,
  rules: readonly ColumnRule[],
): Promise<Residue[]> {
  const ruled = new Set(rules.map(({ table, column }) => `${table}.${column.name}`));
  const isText = ({ type }: ColumnSpec): boolean => type === 'VARCHAR' || type === 'VARCHAR[]';
  const texts = (source: string, column: ColumnSpec): string =>
    `SELECT DISTINCT v FROM (SELECT ${column.type === 'VARCHAR' ? ident(column.name) : `unnest(${ident(column.name)})`} AS v FROM ${source})
     WHERE v IS NOT NULL`;
  const kept = candidates(plan).filter(
    ({ table, column, class: group }) =>
      group !== null && isText(column) && !ruled.has(`${table}.${column.name}`),
  );
  const residue: Residue[] = [];
  for (const rule of rules.filter(({ column }) => isText(column))) {
    const from = storedIn(input, rule.table, rule.column);
    if (from === null) continue;
    for (const { table, column } of kept) {
      const source = storedIn(input, table, column);
      if (source === null) continue;
      const values = await workspace.number(
        `SELECT count(*) FROM (${texts(from, rule.column)}) r WHERE length(r.v) >= ${SHORTEST_RESIDUE}
         AND EXISTS (SELECT 1 FROM (${texts(source, column)}) k WHERE contains(k.v, r.v))`,
      );
      if (values > 0)
        residue.push({ from: `${rule.table}.${rule.column.name}`, in: `${table}.${column.name}`, values });
    }
  }
  return residue;
}
