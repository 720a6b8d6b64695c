import type { Row } from '../../capture/capture-file.js';
import type { EventTablePlan } from '../../capture/ddl.js';
import type { ProbeDecoding } from '../../capture/event-decoder.js';
import { type CaptureSchema, eventColumns } from '../../capture/schema.js';
import { EXIT, IngeroError } from '../../errors.js';
import type { ColumnValue, Pack } from '../../packs/model.js';
import { ENUMS, hasResult, type Operation, operationOf, SLOT } from './operations.js';
import type { OpFacts, Run } from './runs.js';

/** Probe ids have 16 bits in a record. */
const MAX_PROBES = 0xffff;

/** A stand-in for the probe an operation of a run was recorded with. */
export interface PlannedProbe {
  run: Run;
  facts: OpFacts;
  operation: Operation;
  decoding: ProbeDecoding;
}

export interface EventPlan {
  probes: readonly PlannedProbe[];
  /** Event tables the capture gets, with the names their columns can hold. */
  tables: readonly EventTablePlan[];
  packRows: readonly Row[];
  probeRows: readonly Row[];
}

/** Columns every event has besides those of its operation. */
const SHARED: readonly ColumnValue[] = [
  { column: 'process_id', fields: [{ slot: SLOT.process, offset: 0, size: 4, signed: true }] },
  { column: 'run_id', fields: [{ slot: SLOT.run, offset: 0, size: 4, signed: true }] },
  { column: 'stack_id', fields: [{ slot: SLOT.stack, offset: 0, size: 4, signed: false }] },
];

/** Pack name of the rows of a layer: they were recorded by no pack of ingero. */
const packName = (layer: string): string => `go-agent-${layer}`;

/**
 * Plans the event tables: a probe per operation and run, the tables and their ENUM names. `packs` are ingero's own, for
 * the names of result codes. Throws `import-too-many-runs`.
 */
export function planEvents(schema: CaptureSchema, runs: readonly Run[], packs: readonly Pack[]): EventPlan {
  const results = new Map(packs.map((pack) => [pack.table, pack.enums[pack.result ?? ''] ?? null]));
  const probes = runs
    .flatMap((run) => [...run.ops.values()].map((facts) => ({ run, facts })))
    .map(({ run, facts }, probeId): PlannedProbe => {
      const operation = operationOf(facts.source, facts.op);
      const returns = hasResult(facts.source);
      return {
        run,
        facts,
        operation,
        decoding: {
          probeId,
          table: operation.table,
          op: operation.name,
          layer: operation.layer,
          returnBits: returns ? 32 : 0,
          returnSigned: true,
          results: results.get(operation.table) ?? {},
          ok: returns ? [0] : [],
          sampleWeight: 1,
          stackSlot: null,
          columns: [...operation.columns, ...SHARED],
          enums: ENUMS,
        },
      };
    });
  if (probes.length > MAX_PROBES) {
    throw new IngeroError(
      `The file holds ${runs.length} sessions with ${probes.length} operations together.`,
      {
        code: 'import-too-many-runs',
        exitCode: EXIT.badCapture,
        expected: `at most ${MAX_PROBES} operations, counted for each session`,
        next: 'Convert the files it was merged from one by one.',
      },
    );
  }
  return {
    probes,
    tables: planTables(schema, probes),
    packRows: packRows(probes),
    probeRows: probes.map(({ run, operation, decoding }) => ({
      run_id: run.id,
      probe_id: decoding.probeId,
      pack: packName(operation.layer),
      op: operation.name,
      state: 'imported',
      reason: 'recorded by the older Go agent; which function of which file it probed is not known',
      mode: operation.time === 'instant' ? 'entry' : 'call',
    })),
  };
}

/** `cuda_events` is always there: most named queries read it, and an empty table is a truthful answer. */
function planTables(schema: CaptureSchema, probes: readonly PlannedProbe[]): EventTablePlan[] {
  const used = new Set(['cuda_events', ...probes.map(({ operation }) => operation.table)]);
  return Object.keys(schema.event_tables)
    .filter((table) => used.has(table))
    .map((table) => {
      const own = probes.filter(({ operation }) => operation.table === table);
      const names = (column: string): string[] => {
        if (column === 'op') return unique(own.map(({ operation }) => operation.name));
        if (column === 'layer') return unique(own.map(({ operation }) => operation.layer));
        if (column === 'error')
          return unique(own.flatMap(({ decoding }) => Object.values(decoding.results ?? {})));
        return unique(
          own.flatMap(({ operation }) =>
            operation.columns.flatMap((value) =>
              value.column === column && value.enum !== undefined
                ? Object.values(ENUMS[value.enum] ?? {})
                : [],
            ),
          ),
        );
      };
      const open = eventColumns(schema, table).filter(
        ({ type, values }) => type === 'NAME' && values === undefined,
      );
      return { table, names: Object.fromEntries(open.map(({ name }) => [name, names(name)])) };
    });
}

/** A pack row per run and layer, so that `probes.pack` leads somewhere; there is no YAML to keep. */
function packRows(probes: readonly PlannedProbe[]): Row[] {
  const rows = new Map<string, Row>();
  for (const { run, operation } of probes) {
    rows.set(`${run.id} ${operation.layer}`, {
      run_id: run.id,
      pack: packName(operation.layer),
      version: run.session?.agentVersion ?? 'unknown',
      layer: operation.layer,
      event_table: operation.table,
      overlays: [],
      overlay_sha256: [],
    });
  }
  return [...rows.values()];
}

function unique(values: readonly string[]): string[] {
  return [...new Set(values)];
}
