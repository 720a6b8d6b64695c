/**
 * What a trace of a pack would attach where, and what it would read: `ingero probes compile`. Pure.
 */
import type { CostClass } from '../discovery/model.js';
import { patternText } from '../packs/describe.js';
import { argumentTexts, columnText, conditionText, deviceText } from '../packs/location-text.js';
import type { Arch, CompiledPack, CompiledProbe } from '../packs/model.js';
import type { ProbeOrigins } from '../packs/origins.js';
import { parseTypes } from '../packs/prototype.js';
import { whenText } from '../packs/when.js';
import type { PlannedFile } from './libraries.js';
import { hasStack, type PlannedProbe, requiredMissing } from './plan.js';

/**
 * What one hit of a probe costs the traced thread, ns, by the instruction under it. Measured in a virtual machine
 * with Linux 6.18; hosts without a hypervisor take about a third.
 */
export const HIT_NS: Readonly<Record<CostClass, number>> = { emulated: 700, 'single-step': 9500 };

/** Field names of the report are those of `--json`. */
export interface CompileReport {
  pack: {
    name: string;
    version: string;
    table: string;
    path: string;
    /** Of the pack in force, and of the file at `path`: they differ when overlays change it. */
    sha256: string;
    file_sha256: string;
    /** In the order they are applied. */
    overlays: readonly { path: string; sha256: string }[];
  };
  arch: Arch;
  /** Cost of one hit by cost class, ns. */
  hit_ns: Readonly<Record<CostClass, number>>;
  probes: ProbeReport[];
  libraries: LibraryPlan[];
  /** Required functions that no library has: a trace refuses to start. */
  required_missing: string[];
  /** Places libraries were looked for in; empty when one was given. */
  searched: readonly string[];
  ignored: readonly { path: string; reason: string }[];
}

/** What is read at a function, wherever it is found. */
export interface ProbeReport {
  op: string;
  prototype: string;
  symbols: readonly string[];
  mode: 'call' | 'entry';
  required: boolean;
  /** Whether it is probed at all. */
  enabled: boolean;
  /** Where each value is written: key of the pack -> `file:line`. */
  origins: ProbeOrigins;
  arguments: { name: string | null; location: string }[];
  /** Return code: `i32`, `u64` ...; null when none is recorded. */
  returns: string | null;
  /** 8-byte values gathered per call. */
  slots: number;
  columns: { column: string; value: string }[];
  /** Return codes that are no errors; empty: every return is a success. */
  ok: readonly number[];
  /** One of so many calls is recorded. */
  sample: number;
  /** Whether the stack of every call is recorded. */
  stack: boolean;
  /** What a success makes the current device of its thread: where the ordinal is, or `unknown`; null: nothing. */
  current_device: string | null;
  /** What all has to hold for a library file to be probed. */
  when: string[];
  /** What all has to hold for a call to be recorded. */
  where: string[];
}

/** What goes into one library file. */
export interface LibraryPlan {
  path: string;
  build_id: string | null;
  soname: string | null;
  version: string | null;
  found_by: string;
  /** Why the file cannot be probed; null when it can. */
  problem: string | null;
  sites: SiteReport[];
  skipped: { op: string; symbol: string | null; reason: string }[];
}

/** One function to probe. */
export interface SiteReport {
  op: string;
  symbol: string;
  /** Other names of the function that the pack asks for. */
  aliases: readonly string[];
  /** Virtual address in the file, hex. */
  address: string;
  /** Where in the file the probe goes: the function's offset and the bytes skipped. */
  file_offset: number;
  skip_bytes: number;
  cost_class: CostClass;
  /** Probes hit by a call: its entry, and its return in mode call. */
  hits_per_call: number;
  estimated_ns_per_call: number;
}

/** Describes the plans of one pack. */
export function compileReport(
  compiled: CompiledPack,
  origins: readonly ProbeOrigins[],
  planned: readonly PlannedFile[],
  search: Pick<CompileReport, 'searched' | 'ignored'> = { searched: [], ignored: [] },
): CompileReport {
  const { pack, arch, probes } = compiled;
  const { types } = parseTypes(pack.types);
  const missing = requiredMissing(
    [compiled],
    planned.map(({ plan }) => plan),
  );
  return {
    pack: {
      name: pack.name,
      version: pack.version,
      table: pack.table,
      path: pack.source.path,
      sha256: pack.source.sha256,
      file_sha256: pack.source.fileSha256,
      overlays: pack.source.overlays,
    },
    arch,
    hit_ns: HIT_NS,
    probes: probes.map((probe, index) => ({
      op: probe.op,
      prototype: probe.prototype,
      symbols: [...probe.symbols, ...probe.patterns.map(patternText)],
      mode: probe.mode,
      required: probe.required,
      enabled: probe.disabled === undefined,
      origins: origins[index] ?? {},
      arguments: argumentTexts(probe.prototype, types, arch),
      returns: returnText(probe),
      slots: probe.slots.length,
      columns: probe.columns.map((value) => ({
        column: value.column,
        value: columnText(value, probe, arch),
      })),
      ok: probe.ok,
      sample: probe.sample,
      stack: hasStack(probe),
      current_device: deviceText(probe, arch),
      when: probe.when.map(whenText),
      where: probe.where.map((condition) => conditionText(condition, probe, arch)),
    })),
    libraries: planned.map(describeFile),
    required_missing: missing.map(({ op }) => op),
    searched: search.searched,
    ignored: search.ignored,
  };
}

function returnText({ mode, returnBits, returnSigned }: CompiledProbe): string | null {
  if (mode === 'entry' || returnBits === 0) return null;
  return `${returnSigned ? 'i' : 'u'}${returnBits}`;
}

function describeFile({ plan, error }: PlannedFile): LibraryPlan {
  const { file, probes, skipped } = plan;
  return {
    path: file.path,
    build_id: file.buildId,
    soname: file.soname,
    version: file.version,
    found_by: file.foundBy,
    problem: error,
    sites: probes.map(describeSite),
    skipped: skipped.map(({ compiled, symbol, reason }) => ({ op: compiled.op, symbol, reason })),
  };
}

function describeSite({ compiled, site }: PlannedProbe): SiteReport {
  const isCall = compiled.mode === 'call';
  return {
    op: compiled.op,
    symbol: site.symbol,
    aliases: site.aliases ?? [],
    address: `0x${site.address.toString(16)}`,
    file_offset: site.fileOffset,
    skip_bytes: site.skip,
    cost_class: site.cost,
    hits_per_call: isCall ? 2 : 1,
    // A return lands in the kernel's own trampoline, where nothing has to be single-stepped.
    estimated_ns_per_call: HIT_NS[site.cost] + (isCall ? HIT_NS.emulated : 0),
  };
}
