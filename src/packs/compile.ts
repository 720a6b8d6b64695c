import { EXIT, IngeroError } from '../errors.js';
import { type Location, locateArguments } from './abi.js';
import type { CType } from './ctype.js';
import type { PackIssue, TextIssue } from './issue.js';
import {
  type Arch,
  type CaptureSpec,
  type ColumnValue,
  type CompiledPack,
  type CompiledProbe,
  type Field,
  MAX_SLOTS,
  type Pack,
  type ProbeSpec,
  type Slot,
} from './model.js';
import { type Prototype, parsePrototype, parseTypes, type TypeTable } from './prototype.js';
import { resolvePath, type Source } from './resolve.js';
import { compileWhere, resolveWhere } from './where.js';

/**
 * Turns a validated pack into argument locations for one architecture. Pure.
 * Throws IngeroError `bad-pack` when the pack was not validated and is wrong (`parsePack` reports where).
 */
export function compilePack(pack: Pack, arch: Arch): CompiledPack {
  const { types, issues: typeIssues } = parseTypes(pack.types);
  const results = pack.probes.map((probe, index) => compileProbe(pack.name, probe, index, types, arch, pack));
  const messages = [...typeIssues, ...results.flatMap((result) => result.issues)].map(
    (issue) => `${issue.rule}: ${issue.message}`,
  );
  if (messages.length > 0) {
    throw new IngeroError(`pack ${pack.name} cannot be compiled for ${arch}: ${messages.join('; ')}`, {
      code: 'bad-pack',
      exitCode: EXIT.badPack,
    });
  }
  return { pack, arch, probes: results.flatMap((result) => result.probe ?? []) };
}

/**
 * Compiles one probe. `functionName` is the name in a readable prototype. `probe` is absent when its prototype cannot be used or a capture is wrong; `issues`
 * say why, with places in the pack (they may be empty when the cause lies in the `types:` block).
 */
export function compileProbe(
  pack: string,
  probe: ProbeSpec,
  index: number,
  types: TypeTable,
  arch: Arch,
  { sizes = {}, when = [], source }: Partial<Pick<Pack, 'sizes' | 'when' | 'source'>> = {},
): { probe?: CompiledProbe; functionName?: string; issues: PackIssue[] } {
  const at = ['probes', index] as const;
  const { prototype, issues: textIssues } = parsePrototype(probe.prototype, types);
  if (prototype === undefined) {
    return { issues: textIssues.map((issue) => ({ ...issue, at: [...at, 'prototype'] })) };
  }
  const issues: PackIssue[] = [];
  const gathered: { spec: CaptureSpec; column: Captured }[] = [];
  const locations = locateArguments(prototype, arch);
  for (const [position, spec] of (probe.capture ?? []).entries()) {
    const result = compileCapture(spec, prototype, locations, arch, probe.mode ?? 'call');
    for (const issue of result.issues) {
      issues.push({ ...issue, at: [...at, 'capture', position, ...issue.at] });
    }
    if (result.captured !== undefined) gathered.push({ spec, column: result.captured });
  }
  const functionName = prototype.name;
  const returns = returnValue(prototype.returns);
  const where = resolveWhere(
    probe.where ?? [],
    prototype,
    locations,
    arch,
    probe.mode ?? 'call',
    returns.returnBits,
  );
  issues.push(...where.issues.map((issue) => ({ ...issue, at: [...at, ...issue.at] })));
  if (issues.length > 0) return { functionName, issues };

  const slots = new SlotTable([
    ...gathered.flatMap(({ column: { factors, unless, scale } }) => [
      ...factors,
      ...unless,
      ...(scale ?? []),
    ]),
    ...where.conditions.flatMap(({ source }) => source ?? []),
  ]);
  const columns = gathered.map(
    ({ spec, column }): ColumnValue => ({
      column: spec.column,
      fields: column.factors.map((source) => slots.field(source)),
      ...constantFactor(spec),
      ...(column.scale === undefined
        ? {}
        : { scale: { field: slots.field(column.scale[0]), factors: sizes[spec.scale?.sizes ?? ''] ?? {} } }),
      ...(column.unless.length === 0 ? {} : { unless: column.unless.map((source) => slots.field(source)) }),
      ...(spec.enum === undefined ? {} : { enum: spec.enum }),
    }),
  );
  const conditions = compileWhere(where.conditions, (source) => slots.field(source), returns);
  if (slots.slots.length > MAX_SLOTS) {
    const message = `${prototype.name} needs ${slots.slots.length} argument slots on ${arch}; a probe has ${MAX_SLOTS}`;
    const issue = { rule: 'too-many-slots', message, at: [...at, 'capture'], suggestion: 'capture less' };
    return { functionName, issues: [issue] };
  }
  return {
    functionName,
    probe: {
      pack,
      op: probe.op ?? prototype.name,
      name: prototype.name,
      prototype: probe.prototype.trim().replaceAll(/\s+/g, ' '),
      symbols: probe.symbols ?? [prototype.name],
      required: probe.required ?? false,
      ...(probe.enabled === false ? { disabled: source?.disabled[index] ?? 'the pack' } : {}),
      mode: probe.mode ?? 'call',
      slots: slots.slots,
      when: [...when, ...(probe.when ?? [])],
      where: conditions,
      columns,
      ...returns,
    },
    issues: [],
  };
}

/** Only 32- and 64-bit integers: both ABIs leave the upper bits of narrower results undefined. */
function returnValue(type: CType): Pick<CompiledProbe, 'returnBits' | 'returnSigned'> {
  if (type.kind !== 'int' || (type.size !== 4 && type.size !== 8)) {
    return { returnBits: 0, returnSigned: false };
  }
  return { returnBits: type.size === 4 ? 32 : 64, returnSigned: type.signed === true };
}

/** `value` is a product of no fields. */
function constantFactor({ value, times }: CaptureSpec): Pick<ColumnValue, 'times'> {
  if (value === undefined && times === undefined) return {};
  return { times: (value ?? 1) * (times ?? 1) };
}

interface Captured {
  factors: Source[];
  unless: Source[];
  /** What the size is looked up by. */
  scale?: [Source];
}

function compileCapture(
  spec: CaptureSpec,
  prototype: Prototype,
  locations: readonly Location[],
  arch: Arch,
  mode: 'call' | 'entry',
): { captured?: Captured; issues: PackIssue[] } {
  const issues: PackIssue[] = [];
  const when = spec.at ?? 'entry';
  const resolveAll = (paths: readonly string[], key: (position: number) => (string | number)[]): Source[] =>
    paths.flatMap((text, position) => {
      const result = resolvePath(text, prototype, locations, arch, when);
      if ('source' in result) return [result.source];
      issues.push(placed(result.issue, key(position)));
      return [];
    });

  const factors =
    spec.arg === undefined
      ? resolveAll(spec.product ?? [], (position) => ['product', position])
      : resolveAll([spec.arg], () => ['arg']);
  const unless = resolveAll(spec.unless ?? [], (position) => ['unless', position]);
  const [scale] = resolveAll(spec.scale === undefined ? [] : [spec.scale.arg], () => ['scale', 'arg']);
  if (issues.length > 0) return { issues };

  const isProduct = spec.product !== undefined || spec.times !== undefined || spec.scale !== undefined;
  if (isProduct && factors.some((source) => !source.integer)) {
    issues.push({
      rule: 'bad-product',
      message: 'a factor is a pointer',
      at: [spec.product === undefined ? 'arg' : 'product'],
    });
  }
  if (scale?.integer === false) {
    issues.push({ rule: 'bad-product', message: 'a size goes by an integer', at: ['scale', 'arg'] });
  }
  if (spec.at === 'return') issues.push(...checkAtReturn([...factors, ...unless], prototype, mode));
  if (spec.enum !== undefined && (isProduct || factors.some((source) => !source.integer))) {
    issues.push({
      rule: 'enum-not-integer',
      message: `enum ${spec.enum} needs one integer argument`,
      at: ['enum'],
    });
  }
  if (issues.length > 0) return { issues };
  return { captured: { factors, unless, ...(scale === undefined ? {} : { scale: [scale] }) }, issues };
}

function placed(issue: TextIssue, at: (string | number)[]): PackIssue {
  return { ...issue, at };
}

function checkAtReturn(
  sources: readonly Source[],
  prototype: Prototype,
  mode: 'call' | 'entry',
): PackIssue[] {
  const issue = (message: string, suggestion: string): PackIssue[] => [
    { rule: 'bad-at-return', message, at: ['at'], suggestion },
  ];
  if (mode === 'entry') {
    return issue('mode entry does not probe the return', 'use mode: call, or read at entry');
  }
  if (!sources.some((source) => source.throughPointer)) {
    return issue(
      'only memory behind a pointer can be read at return',
      'remove at: return, or write the path with * or ->',
    );
  }
  if (returnValue(prototype.returns).returnBits === 0 && prototype.returns.kind !== 'void') {
    return issue(
      `${prototype.name} returns no status: a successful call cannot be told from a failed one`,
      'read at entry',
    );
  }
  return [];
}

/** Collects the slots of one probe, each once. */
class SlotTable {
  readonly slots: Slot[] = [];
  private readonly indexes = new Map<string, number>();

  constructor(private readonly sources: readonly Source[]) {}

  /** The field a source becomes; makes its slot when there is none yet. */
  field(source: Source): Field {
    const { size, signed } = source;
    if (source.deref === undefined) {
      return { slot: this.index({ from: source.from }), offset: source.offset, size, signed };
    }
    const { at, offset } = source.deref;
    const shared = this.sharedOffset(source);
    const slot: Slot =
      shared === undefined
        ? { from: source.from, deref: { at, offset, size } }
        : { from: source.from, deref: { at, offset: shared, size: 8 } };
    return { slot: this.index(slot), offset: offset - (shared ?? offset), size, signed };
  }

  private index(slot: Slot): number {
    const key = JSON.stringify(slot);
    const known = this.indexes.get(key);
    if (known !== undefined) return known;
    this.slots.push(slot);
    this.indexes.set(key, this.slots.length - 1);
    return this.slots.length - 1;
  }

  /**
   * Offset of the aligned 8 bytes this source shares with another one behind the same pointer: one read
   * then serves both. Undefined when there is no other, or the 8 bytes reach past the object.
   */
  private sharedOffset(source: Source): number | undefined {
    const block = blockOf(source);
    if (block === undefined) return undefined;
    const others = this.sources.filter((other) => blockOf(other) === block);
    const offset = Math.floor((source.deref?.offset ?? 0) / 8) * 8;
    const fits = others.every((other) => offset + 8 <= (other.deref?.extent ?? 0));
    const distinct = new Set(others.map((other) => `${other.deref?.offset} ${other.size}`));
    return fits && distinct.size > 1 ? offset : undefined;
  }
}

/** Identifies the aligned 8 bytes a source lies in. Undefined for raw words and values across two blocks. */
function blockOf(source: Source): string | undefined {
  if (source.deref === undefined) return undefined;
  const { at, offset } = source.deref;
  const block = Math.floor(offset / 8);
  if (Math.floor((offset + source.size - 1) / 8) !== block) return undefined;
  return `${source.from.kind} ${source.from.index} ${at} ${block}`;
}
