/** What must hold for a pack beyond its shape. Each rule is one function and names the rule it checks. */
import type { CaptureSchema, ColumnSpec } from '../capture/schema.js';
import { type PackIssue, withSuggestion } from './issue.js';
import type { CompiledProbe, EnumTable, Field, PackTest, ProbeSpec, SiteColumn, WhenSpec } from './model.js';
import type { TypeTable } from './prototype.js';
import { siteTable } from './site-tables.js';
import { didYouMean } from './suggest.js';
import { checkTestPaths } from './test-paths.js';
import { checkWhen } from './when.js';

/** A probe whose shape is right, with what compiling it for each architecture gave. */
export interface ProbeFacts {
  index: number;
  spec: ProbeSpec;
  /** Name in the prototype, where that could be read. */
  functionName?: string;
  compiled: readonly CompiledProbe[];
}

/** The parts of a pack whose shape is right. */
export interface PackFacts {
  table?: string;
  /** Columns of the pack's own table. */
  columns?: readonly SiteColumn[];
  result?: string;
  ok: readonly number[] | undefined;
  when: readonly WhenSpec[];
  enums: ReadonlyMap<string, EnumTable>;
  /** Names of the size tables. */
  sizes: ReadonlySet<string>;
  probes: readonly ProbeFacts[];
  tests: readonly { index: number; test: PackTest }[];
  types: TypeTable;
  schema: CaptureSchema;
}

export type Rule = (pack: PackFacts) => PackIssue[];

export const RULES: readonly Rule[] = [
  knownTable,
  freeTableName,
  newColumns,
  knownResult,
  okIsNamed,
  uniqueOps,
  uniqueSymbols,
  noReturnProbeOnCpp,
  soundWhen,
  soundTests,
  uniqueColumns,
  knownColumns,
  knownEnums,
  knownSizes,
  enumMatchesColumn,
  valueFitsColumn,
];

function knownTable({ table, columns, schema }: PackFacts): PackIssue[] {
  if (table === undefined || columns !== undefined || Object.hasOwn(schema.event_tables, table)) return [];
  const issue = { rule: 'unknown-table', message: `there is no event table ${table}`, at: ['table'] };
  const near = didYouMean(table, Object.keys(schema.event_tables));
  return [withSuggestion(issue, near ?? 'declare its columns under columns:')];
}

/** A pack's own table must not take a name the capture uses; DuckDB's names are the same in any case. */
function freeTableName({ table, columns, schema }: PackFacts): PackIssue[] {
  if (table === undefined || columns === undefined) return [];
  const name = table.toLowerCase();
  const taken = [...Object.keys(schema.tables), ...Object.keys(schema.event_tables), 'events'];
  if (!taken.includes(name) && !name.endsWith('_args')) return [];
  const message = name.endsWith('_args')
    ? `table names ending in _args are kept for ingero`
    : `table ${table} belongs to every capture; a pack cannot define it`;
  return [
    { rule: 'table-name', message, at: ['table'], suggestion: 'choose another name, or leave columns out' },
  ];
}

/** Columns of a pack's own table differ from each other and from those every event table has. */
function newColumns({ columns, schema }: PackFacts): PackIssue[] {
  const seen = new Set([...schema.event_columns.map(({ name }) => name), 'args_id', 'event_table']);
  return (columns ?? []).flatMap(({ name }, position) => {
    const again = seen.has(name.toLowerCase());
    seen.add(name.toLowerCase());
    const message = `there is a column ${name} already`;
    return again ? [{ rule: 'duplicate-column', message, at: ['columns', position, 'name'] }] : [];
  });
}

function knownResult({ result, ok = [0], enums }: PackFacts): PackIssue[] {
  if (result === undefined) return [];
  const table = enums.get(result);
  if (table === undefined) {
    const issue = { rule: 'unknown-enum', message: `there is no enum ${result}`, at: ['result'] };
    return [withSuggestion(issue, didYouMean(result, enums.keys()))];
  }
  if (ok.some((code) => Object.hasOwn(table, code))) return [];
  const message = `enum ${result} does not name ${ok.join(' or ')}, success`;
  return [{ rule: 'result-without-success', message, at: ['result'] }];
}

/** Return codes are told apart only where the pack names them. */
function okIsNamed({ result, ok, enums, probes }: PackFacts): PackIssue[] {
  const table = enums.get(result ?? '');
  const check = (codes: readonly number[], at: readonly (string | number)[]): PackIssue[] => {
    if (result === undefined) {
      const suggestion = 'name the codes: result: and an enum';
      return [{ rule: 'bad-ok', message: 'ok needs result, an enum of return codes', at, suggestion }];
    }
    return codes.flatMap((code, position) =>
      table === undefined || Object.hasOwn(table, code)
        ? []
        : [{ rule: 'bad-ok', message: `enum ${result} does not name ${code}`, at: [...at, position] }],
    );
  };
  return [
    ...(ok === undefined ? [] : check(ok, ['ok'])),
    ...probes.flatMap(({ index, spec }) =>
      spec.ok === undefined ? [] : check(spec.ok, ['probes', index, 'ok']),
    ),
  ];
}

function opOf(probe: ProbeFacts): string | undefined {
  return probe.spec.op ?? probe.functionName;
}

function uniqueOps({ probes }: PackFacts): PackIssue[] {
  const seen = new Set<string>();
  return probes.flatMap((probe) => {
    const op = opOf(probe);
    if (op === undefined) return [];
    const key = probe.spec.op === undefined ? 'prototype' : 'op';
    const issue = {
      rule: 'duplicate-op',
      message: `two probes are named ${op}`,
      at: ['probes', probe.index, key],
      suggestion: 'list all symbols of one function under symbols, or give each probe its own op',
    };
    const again = seen.has(op);
    seen.add(op);
    return again ? [issue] : [];
  });
}

/** Symbols of a probe with their places. */
function symbolsOf(probe: ProbeFacts): { symbol: string; at: (string | number)[] }[] {
  const at = ['probes', probe.index];
  if (probe.spec.symbols === undefined) {
    return probe.functionName === undefined ? [] : [{ symbol: probe.functionName, at: [...at, 'prototype'] }];
  }
  return probe.spec.symbols.flatMap((symbol, position) =>
    typeof symbol === 'string' ? [{ symbol, at: [...at, 'symbols', position] }] : [],
  );
}

function uniqueSymbols({ probes }: PackFacts): PackIssue[] {
  const seen = new Set<string>();
  return probes.flatMap(symbolsOf).flatMap(({ symbol, at }) => {
    const again = seen.has(symbol);
    seen.add(symbol);
    return again ? [{ rule: 'duplicate-symbol', message: `symbol ${symbol} is probed twice`, at }] : [];
  });
}

/**
 * The unwinder cannot pass the trampoline of a return probe: a C++ exception that reaches a function
 * probed at its return ends the traced process.
 */
function noReturnProbeOnCpp({ probes }: PackFacts): PackIssue[] {
  return probes.flatMap((probe) => {
    if (probe.spec.mode === 'entry') return [];
    const patterns = (probe.spec.symbols ?? []).flatMap((symbol, position) =>
      typeof symbol === 'string'
        ? []
        : [{ symbol: symbol.demangled, at: ['probes', probe.index, 'symbols', position] }],
    );
    const named = symbolsOf(probe).filter(({ symbol }) => symbol.startsWith('_Z'));
    const [cpp] = [...named, ...patterns];
    if (cpp === undefined) return [];
    return [
      {
        rule: 'cpp-return-probe',
        message: `${cpp.symbol} is a C++ function: a return probe kills the process when it throws`,
        at: cpp.at,
        suggestion: 'set mode: entry',
      },
    ];
  });
}

function soundWhen({ when, probes }: PackFacts): PackIssue[] {
  return [
    ...checkWhen(when, ['when']),
    ...probes.flatMap(({ index, spec }) => checkWhen(spec.when ?? [], ['probes', index, 'when'])),
  ];
}

/** Tests call what there is, and expect columns that exist. */
function soundTests(pack: PackFacts): PackIssue[] {
  const columns = [...pack.schema.event_columns, ...(columnsOf(pack) ?? [])].map(({ name }) => name);
  const ops = new Map(pack.probes.flatMap((probe) => [[opOf(probe), probe.spec]] as const));
  return pack.tests.flatMap(({ index, test }): PackIssue[] => {
    const at = ['tests', index];
    const probe = ops.get(test.call);
    if (probe === undefined) {
      const issue = { rule: 'unknown-op', message: `no probe is named ${test.call}`, at: [...at, 'call'] };
      return [
        withSuggestion(
          issue,
          didYouMean(
            test.call,
            [...ops.keys()].flatMap((op) => op ?? []),
          ),
        ),
      ];
    }
    const unknown = Object.keys(test.row ?? {}).filter((name) => !columns.includes(name));
    return [
      ...checkTestPaths(test, probe, pack.types).map((issue) => ({ ...issue, at: [...at, ...issue.at] })),
      ...(columnsOf(pack) === undefined ? [] : unknown).map((name) =>
        withSuggestion(
          {
            rule: 'unknown-column',
            message: `table ${pack.table} has no column ${name}`,
            at: [...at, 'row', name],
            key: true,
          },
          didYouMean(name, columns),
        ),
      ),
    ];
  });
}

/** Every capture with its place. */
function capturesOf({ index, spec }: ProbeFacts) {
  return (spec.capture ?? []).map((capture, position) => ({
    capture,
    at: (...keys: string[]) => ['probes', index, 'capture', position, ...keys],
  }));
}

function uniqueColumns({ probes }: PackFacts): PackIssue[] {
  return probes.flatMap((probe) => {
    const seen = new Set<string>();
    return capturesOf(probe).flatMap(({ capture: { column }, at }) => {
      const again = seen.has(column);
      seen.add(column);
      const message = `column ${column} is captured twice`;
      return again ? [{ rule: 'duplicate-column', message, at: at('column') }] : [];
    });
  });
}

/** The columns a pack for this table may fill; undefined when the table itself is unknown. */
function columnsOf({ table, columns, schema }: PackFacts): readonly ColumnSpec[] | undefined {
  if (columns !== undefined) return siteTable('', columns).columns;
  if (table === undefined || !Object.hasOwn(schema.event_tables, table)) return undefined;
  return schema.event_tables[table]?.columns;
}

function knownColumns(pack: PackFacts): PackIssue[] {
  const columns = columnsOf(pack);
  if (columns === undefined) return [];
  const names = columns.map((column) => column.name);
  return pack.probes.flatMap(capturesOf).flatMap(({ capture: { column }, at }) => {
    if (names.includes(column)) return [];
    if (pack.schema.event_columns.some((own) => own.name === column)) {
      const message = `column ${column} is filled by ingero itself`;
      return [{ rule: 'unknown-column', message, at: at('column') }];
    }
    const message = `table ${pack.table} has no column ${column}`;
    const suggestion = didYouMean(column, names);
    return [withSuggestion({ rule: 'unknown-column', message, at: at('column') }, suggestion)];
  });
}

function knownEnums({ enums, probes }: PackFacts): PackIssue[] {
  return probes.flatMap(capturesOf).flatMap(({ capture, at }) => {
    if (capture.enum === undefined) return [];
    const table = enums.get(capture.enum);
    if (table !== undefined) {
      if (capture.value === undefined || Object.hasOwn(table, capture.value)) return [];
      const message = `enum ${capture.enum} does not name ${capture.value}`;
      return [{ rule: 'unknown-enum', message, at: at('value') }];
    }
    const issue = { rule: 'unknown-enum', message: `there is no enum ${capture.enum}`, at: at('enum') };
    return [withSuggestion(issue, didYouMean(capture.enum, enums.keys()))];
  });
}

function knownSizes({ sizes, probes }: PackFacts): PackIssue[] {
  return probes.flatMap(capturesOf).flatMap(({ capture: { scale }, at }) => {
    if (scale === undefined || sizes.has(scale.sizes)) return [];
    const message = `there are no sizes ${scale.sizes}`;
    const issue = { rule: 'unknown-sizes', message, at: at('scale', 'sizes') };
    return [withSuggestion(issue, didYouMean(scale.sizes, sizes))];
  });
}

function enumMatchesColumn(pack: PackFacts): PackIssue[] {
  const columns = new Map(columnsOf(pack)?.map((column) => [column.name, column]));
  return pack.probes.flatMap(capturesOf).flatMap(({ capture, at }) => {
    const column = columns.get(capture.column);
    if (column === undefined) return [];
    const issue = (message: string, key: string): PackIssue[] => [
      { rule: 'column-type', message, at: at(key) },
    ];
    if (capture.redact === 'hash' && !HASHES.has(column.type)) {
      return issue(`column ${column.name} (${column.type}) cannot hold a hash of 64 bits`, 'redact');
    }
    if ((capture.string === undefined) === (column.type === 'VARCHAR')) {
      return column.type === 'VARCHAR'
        ? issue(`column ${column.name} holds texts: the capture needs string`, 'column')
        : issue(`column ${column.name} (${column.type}) holds no texts`, 'string');
    }
    if (capture.string !== undefined) return [];
    if (capture.enum === undefined) {
      if (column.type !== 'NAME') return [];
      const message = `column ${column.name} holds names: the capture needs an enum`;
      return [{ rule: 'column-type', message, at: at('column') }];
    }
    if (column.type !== 'NAME') {
      const message = `column ${column.name} holds numbers (${column.type}), not names`;
      return [{ rule: 'column-type', message, at: at('enum'), suggestion: 'remove enum' }];
    }
    const strange = Object.values(pack.enums.get(capture.enum) ?? {}).find(
      (name) => column.values !== undefined && !column.values.includes(name),
    );
    if (strange === undefined) return [];
    const message = `enum ${capture.enum} has the name ${strange}, which column ${column.name} cannot hold`;
    return [
      { rule: 'column-type', message, at: at('enum'), suggestion: `one of: ${column.values?.join(', ')}` },
    ];
  });
}

/** Types that can hold a hash in place of a value. */
const HASHES: ReadonlySet<string> = new Set(['BIGINT', 'UBIGINT', 'VARCHAR']);

/** Bits and sign of DuckDB's integer types. */
const INTEGERS: Readonly<Record<string, { bits: number; signed: boolean }>> = {
  TINYINT: { bits: 8, signed: true },
  SMALLINT: { bits: 16, signed: true },
  INTEGER: { bits: 32, signed: true },
  BIGINT: { bits: 64, signed: true },
  UTINYINT: { bits: 8, signed: false },
  USMALLINT: { bits: 16, signed: false },
  UINTEGER: { bits: 32, signed: false },
  UBIGINT: { bits: 64, signed: false },
};

/** The narrowest C integer a constant fits into. */
function smallestField(value: number): Pick<Field, 'size' | 'signed'> {
  const signed = value < 0;
  const fitting = ([1, 2, 4] as const).find((size) =>
    signed ? value >= -(2 ** (size * 8 - 1)) : value < 2 ** (size * 8),
  );
  return { size: fitting ?? 8, signed };
}

function fits(field: Pick<Field, 'size' | 'signed'>, type: string): boolean {
  const column = INTEGERS[type];
  if (column === undefined) return false;
  const bits = field.size * 8;
  if (field.signed) return column.signed && bits <= column.bits;
  return column.signed ? bits < column.bits : bits <= column.bits;
}

function valueFitsColumn(pack: PackFacts): PackIssue[] {
  const columns = new Map(columnsOf(pack)?.map((column) => [column.name, column]));
  return pack.probes.flatMap((probe) => {
    const captures = capturesOf(probe);
    return probe.compiled.flatMap(({ columns: values }) =>
      values.flatMap((value, position) => {
        const column = columns.get(value.column);
        if (value.text !== undefined || value.redact !== undefined) return [];
        const constant = value.fields.length === 0 ? [smallestField(value.times ?? 1)] : [];
        const bad = [...value.fields, ...constant].find(
          (field) => column !== undefined && !fits(field, column.type),
        );
        if (column === undefined || column.type === 'NAME' || bad === undefined) return [];
        const number = `${bad.signed ? 'signed' : 'unsigned'} ${bad.size * 8}-bit value`;
        const message = `column ${column.name} (${column.type}) cannot hold every ${number}`;
        const { capture, at } = captures[position] ?? {};
        const key = (['arg', 'product', 'value'] as const).find((name) => capture?.[name] !== undefined);
        return [{ rule: 'column-type', message, at: at?.(key ?? 'column') ?? [] }];
      }),
    );
  });
}
