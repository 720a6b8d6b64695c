import type { PackPath } from './issue.js';
import type { Origin } from './load.js';
import type { CaptureSpec, ConditionSpec, Pack, ProbeSpec, SymbolPattern } from './model.js';
import { type ProbeOrigins, probeOrigins } from './origins.js';
import { parsePrototype, parseTypes } from './prototype.js';
import { whenText } from './when.js';

/** A probe with everything a pack may leave out filled in, as `--json` prints it. */
export interface ProbeDescription {
  op: string;
  prototype: string;
  symbols: string[];
  mode: 'call' | 'entry';
  required: boolean;
  enabled: boolean;
  /** What fills each column, in the words of the pack. */
  columns: { column: string; from: string }[];
  /** What all has to hold for a library file to be probed, the pack's own conditions included. */
  when: string[];
  /** What all has to hold for a call to be recorded. */
  where: string[];
  /** Further keys of the probe, as the pack gives them. */
  settings: Record<string, unknown>;
  origins: ProbeOrigins;
}

/** Describes the probes of a valid pack for people. */
export function describeProbes(pack: Pack, origin: (at: PackPath) => Origin): ProbeDescription[] {
  const { types } = parseTypes(pack.types);
  const origins = probeOrigins(pack, origin);
  return pack.probes.map((probe, index) => {
    const { prototype, op, symbols, mode, required, enabled, when, where, capture, ...others } =
      probe satisfies ProbeSpec;
    const ok = others.ok ?? pack.ok;
    const name = parsePrototype(prototype, types).prototype?.name ?? '';
    return {
      op: op ?? name,
      prototype: prototype.trim().replaceAll(/\s+/g, ' '),
      symbols: (symbols ?? [name]).map((symbol) =>
        typeof symbol === 'string' ? symbol : patternText(symbol),
      ),
      mode: mode ?? 'call',
      required: required ?? false,
      enabled: enabled ?? true,
      columns: (capture ?? []).map((spec) => ({ column: spec.column, from: describeCapture(spec) })),
      when: [...(pack.when ?? []), ...(when ?? [])].map(whenText),
      where: (where ?? []).map(describeCondition),
      settings: { ...others, ...(ok === undefined ? {} : { ok }) },
      origins: origins[index] ?? {},
    };
  });
}

/** A pattern as people are told of it: `demangled c10::*::malloc(*`. */
export function patternText({ demangled }: SymbolPattern): string {
  return `demangled ${demangled}`;
}

/** What a capture reads, on one line: `width * height, unless array`. Keys without words of their own are listed. */
export function describeCapture(spec: CaptureSpec): string {
  const { column: _, arg, of, product, at, enum: names, unless, string, redact, ...others } = spec;
  if (redact === 'drop') return 'dropped';
  return [
    ...(arg === undefined ? [] : [arg]),
    ...(of === undefined ? [] : ['what it returned']),
    ...(product === undefined ? [] : [product.join(' * ')]),
    ...Object.entries(others).map(
      ([key, value]) => `${key} ${typeof value === 'object' ? JSON.stringify(value) : String(value)}`,
    ),
    ...(string === undefined ? [] : [`a string of up to ${string} bytes`]),
    ...(at === 'return' ? ['read at return'] : []),
    ...(names === undefined ? [] : [`named by ${names}`]),
    ...(unless === undefined ? [] : [`NULL when ${unless.join(' or ')} is not 0`]),
    ...(redact === 'hash' ? ['stored as a keyed hash'] : []),
  ].join(', ');
}

function describeCondition({ arg, at, of, is, value, values }: ConditionSpec): string {
  return `${arg ?? of}${at === 'return' ? ' at return' : ''} ${is} ${(values ?? [value]).join(', ')}`;
}
