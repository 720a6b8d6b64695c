/**
 * What to attach where, worked out from compiled packs and the symbols found in library files. Pure: no
 * function here touches the kernel or the file system.
 */
import type { EventTablePlan } from '../capture/ddl.js';
import type { ProbeDecoding } from '../capture/event-decoder.js';
import type { LibrariesRow, PacksRow, ProbesRow } from '../capture/rows.js';
import { type CaptureSchema, eventColumns } from '../capture/schema.js';
import type { LibraryFile, ProbeSite } from '../discovery/model.js';
import type { ProbeLocations } from '../discovery/probe-sites.js';
import type { PatternSymbols } from '../discovery/symbol-patterns.js';
import { patternText } from '../packs/describe.js';
import type { CompiledPack, CompiledProbe, Pack, SymbolPattern, WhenSpec } from '../packs/model.js';

/** One function to probe in one library file. */
export interface PlannedProbe {
  id: number;
  compiled: CompiledProbe;
  site: ProbeSite;
}

/** A function of a pack that gets no probe, and why. */
export interface SkippedProbe {
  id: number;
  compiled: CompiledProbe;
  symbol: string | null;
  reason: string;
  /** The pack itself leaves it out: nothing is missing. */
  isIntended?: true;
  /** It is there, and cannot be probed. */
  isError?: boolean;
}

/** What planning has to know of a library file. */
export interface FileView {
  locate(probe: CompiledProbe): ProbeLocations;
  /** What a pattern of the pack stands for. */
  match(pattern: SymbolPattern): PatternSymbols;
  /** Why the pack does not want these probes here; null when it does. */
  unmet(when: readonly WhenSpec[]): string | null;
}

/** A library file, the pack it was found for, and what goes into it. */
export interface FilePlan {
  libraryId: number;
  pack: CompiledPack;
  file: LibraryFile;
  probes: readonly PlannedProbe[];
  skipped: readonly SkippedProbe[];
}

/** Hands out the ids of a capture, in order of appearance. */
export class Ids {
  #next = 0;

  /** Largest id that fits is `limit - 1`; null when all are used. */
  constructor(readonly limit: number) {}

  take(): number | null {
    return this.#next < this.limit ? this.#next++ : null;
  }
}

/** Plans the probes of one pack in one library file. Probes beyond the kernel map's room are skipped with that reason. */
export function planFile(
  pack: CompiledPack,
  file: LibraryFile,
  view: FileView,
  libraryIds: Ids,
  probeIds: Ids,
  skippedIds: () => number,
): FilePlan {
  const probes: PlannedProbe[] = [];
  const skipped: SkippedProbe[] = [];
  /** A function that one probe names is not probed again for the pattern of another. */
  const taken = new Map<bigint, string>();
  const isPattern = ({ patterns }: CompiledProbe): boolean => patterns.length > 0;
  const ordered = [...pack.probes].sort((a, b) => Number(isPattern(a)) - Number(isPattern(b)));
  for (const compiled of ordered) {
    const unwanted = compiled.disabled ?? view.unmet(compiled.when);
    if (unwanted !== null) {
      skipped.push({
        id: skippedIds(),
        compiled,
        symbol: firstName(compiled),
        reason: unwanted,
        isIntended: true,
      });
      continue;
    }
    for (const pattern of compiled.patterns) {
      const { problem } = view.match(pattern);
      if (problem !== null) {
        skipped.push({ id: skippedIds(), compiled, symbol: patternText(pattern), ...problem });
      }
    }
    const { sites, missing } = view.locate(compiled);
    for (const site of sites) {
      const other = taken.get(site.address);
      if (isPattern(compiled) && other !== undefined) {
        const reason = `it is probed already, as ${other}`;
        skipped.push({ id: skippedIds(), compiled, symbol: site.symbol, reason });
        continue;
      }
      taken.set(site.address, compiled.op);
      const id = probeIds.take();
      if (id !== null) probes.push({ id, compiled, site });
      else {
        skipped.push({
          id: skippedIds(),
          compiled,
          symbol: site.symbol,
          reason: 'more probes than the BPF object has room for',
        });
      }
    }
    for (const [symbol, reason] of missing) skipped.push({ id: skippedIds(), compiled, symbol, reason });
  }
  return { libraryId: libraryIds.take() ?? 0, pack, file, probes, skipped };
}

/** The first symbol of a probe, or its first pattern. */
function firstName({ symbols, patterns }: CompiledProbe): string | null {
  const [pattern] = patterns;
  return symbols[0] ?? (pattern === undefined ? null : patternText(pattern));
}

/** Required functions that no library has, and that the pack leaves out in none: a trace refuses to start. */
export function requiredMissing(
  packs: readonly CompiledPack[],
  plans: readonly FilePlan[],
): readonly CompiledProbe[] {
  const settled = new Set(
    plans.flatMap(({ probes, skipped }) => [
      ...probes.map(({ compiled }) => compiled),
      ...skipped.filter(({ isIntended }) => isIntended).map(({ compiled }) => compiled),
    ]),
  );
  return packs.flatMap(({ probes }) =>
    probes.filter((probe) => probe.required && probe.disabled === undefined && !settled.has(probe)),
  );
}

/** Row of `libraries` for a file. */
export function libraryRow(
  plan: Pick<FilePlan, 'libraryId' | 'pack' | 'file'>,
  state: 'traced' | 'failed' | 'ignored',
  reason: string | null,
): LibrariesRow {
  const { file } = plan;
  return {
    library_id: plan.libraryId,
    path: file.path,
    dev: BigInt(file.dev),
    inode: BigInt(file.inode),
    size_bytes: BigInt(file.sizeBytes),
    build_id: file.buildId,
    soname: file.soname,
    version: file.version,
    found_by: file.foundBy,
    pack: plan.pack.pack.name,
    state,
    reason,
  };
}

/** Row of `probes` for a probe that was attached or refused by the kernel. */
export function probeRow(plan: FilePlan, probe: PlannedProbe, error: string | null): ProbesRow {
  return {
    ...describeProbe(plan, probe.compiled),
    probe_id: probe.id,
    symbol: probe.site.symbol,
    state: error === null ? 'attached' : 'failed',
    reason: error,
    address: probe.site.address,
    file_offset: BigInt(probe.site.fileOffset),
    skip_bytes: probe.site.skip,
    cost_class: probe.site.cost,
  };
}

/** Row of `probes` for a function that got no probe. */
export function skippedRow(plan: FilePlan, skipped: SkippedProbe): ProbesRow {
  return {
    ...describeProbe(plan, skipped.compiled),
    probe_id: skipped.id,
    symbol: skipped.symbol,
    state: skipped.isError ? 'failed' : 'skipped',
    reason: skipped.reason,
  };
}

/** Rows of `probes` for a pack without any library file. */
export function unfoundRows(pack: CompiledPack, reason: string, skippedIds: () => number): ProbesRow[] {
  return pack.probes.map((compiled) => ({
    probe_id: skippedIds(),
    pack: pack.pack.name,
    op: compiled.op,
    symbol: firstName(compiled),
    prototype: compiled.prototype,
    library_id: null,
    state: 'skipped',
    reason: compiled.disabled ?? reason,
    mode: compiled.mode,
  }));
}

function describeProbe(
  plan: FilePlan,
  compiled: CompiledProbe,
): Pick<ProbesRow, 'pack' | 'op' | 'prototype' | 'library_id' | 'mode'> {
  return {
    pack: plan.pack.pack.name,
    op: compiled.op,
    prototype: compiled.prototype,
    library_id: plan.libraryId,
    mode: compiled.mode,
  };
}

/** What the recorder needs to decode a probe's records. */
export function decodingOf(pack: Pack, probe: PlannedProbe): ProbeDecoding {
  return {
    probeId: probe.id,
    table: pack.table,
    op: probe.compiled.op,
    layer: pack.layer,
    returnBits: probe.compiled.returnBits,
    returnSigned: probe.compiled.returnSigned,
    results: pack.enums[pack.result ?? ''] ?? {},
    ok: probe.compiled.ok,
    sampleWeight: probe.compiled.sample,
    stackSlot: hasStack(probe.compiled) ? probe.compiled.slots.length - 1 : null,
    columns: probe.compiled.columns,
    enums: pack.enums,
  };
}

/** Whether the stacks of a probe's calls are recorded. */
export function hasStack({ slots }: CompiledProbe): boolean {
  return slots.at(-1)?.from.kind === 'trace';
}

/** Row of `packs`. */
export function packRow(pack: Pack, signer: string | null): PacksRow {
  return {
    pack: pack.name,
    version: pack.version,
    layer: pack.layer,
    event_table: pack.table,
    path: pack.source.path,
    sha256: pack.source.sha256,
    yaml: pack.source.text,
    file_sha256: pack.source.fileSha256,
    overlays: pack.source.overlays.map(({ path }) => path),
    overlay_sha256: pack.source.overlays.map(({ sha256 }) => sha256),
    signer,
  };
}

/** The event tables of a run and the names their NAME columns can hold, in the order the packs give them. */
export function planEventTables(schema: CaptureSchema, packs: readonly CompiledPack[]): EventTablePlan[] {
  const tables = [...new Set(packs.map(({ pack }) => pack.table))];
  return tables.map((table) => {
    const mine = packs.filter(({ pack }) => pack.table === table);
    const names: Record<string, string[]> = {
      op: unique(mine.flatMap(({ probes }) => probes.map(({ op }) => op))),
      layer: unique(mine.map(({ pack }) => pack.layer)),
      error: unique(
        mine.flatMap(({ pack, probes }) =>
          Object.entries(pack.enums[pack.result ?? ''] ?? {}).flatMap(([code, name]) =>
            probes.every(({ ok }) => ok.length === 0 || ok.includes(Number(code))) ? [] : [name],
          ),
        ),
      ),
    };
    for (const column of eventColumns(schema, table)) {
      if (column.type !== 'NAME' || column.values !== undefined || column.name in names) continue;
      names[column.name] = unique(
        mine.flatMap(({ pack, probes }) =>
          probes
            .flatMap(({ columns }) => columns)
            .filter((value) => value.column === column.name && value.enum !== undefined)
            .flatMap((value) => Object.values(pack.enums[value.enum as string] ?? {})),
        ),
      );
    }
    return { table, names };
  });
}

function unique(values: readonly string[]): string[] {
  return [...new Set(values)];
}
