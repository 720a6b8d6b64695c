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
  MAX_TEXTS,
  type Pack,
  type ProbeSpec,
  type Slot,
} from './model.js';
import { type Prototype, parsePrototype, parseTypes, type TypeTable } from './prototype.js';
import { resolvePath, resolveText, resultText, resultValue, type Source } from './resolve.js';
import { compileWhere, isAtEntry, isDecidedAtEntry, resolveWhere } from './where.js';

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

/** The same with the stack of every call, at all probes that have a slot left for it and do not refuse it (`stack: off`). */
export function withStacks(compiled: CompiledPack): CompiledPack {
  const probes = compiled.probes.map((probe) =>
    probe.stack === 'off' || probe.slots.length >= MAX_SLOTS || probe.slots.at(-1)?.from.kind === 'trace'
      ? probe
      : { ...probe, slots: [...probe.slots, { from: { kind: 'trace' as const } }] },
  );
  return { ...compiled, probes };
}

/**
 * The same without return probes: rows of calls have no duration, result or error. A function whose calls are chosen by
 * one of these is not probed.
 */
export function withoutReturns(compiled: CompiledPack): CompiledPack {
  const probes = compiled.probes.map((probe): CompiledProbe => {
    if (probe.mode === 'entry') return probe;
    const { currentDevice, ...rest } = probe;
    const disabled = probe.where.every(isDecidedAtEntry)
      ? {}
      : { disabled: 'its calls are chosen by how they return, and return probes are left out' };
    return { ...rest, mode: 'entry', ...disabled };
  });
  return { ...compiled, probes };
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
  {
    sizes = {},
    when = [],
    source,
    result,
    ok = [0],
  }: Partial<Pick<Pack, 'sizes' | 'when' | 'source' | 'result' | 'ok'>> = {},
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
  const device = resolveCurrentDevice(probe, prototype, locations, arch);
  issues.push(...device.issues.map((issue) => ({ ...issue, at: [...at, 'current_device', ...issue.at] })));
  if (issues.length > 0) return { functionName, issues };

  // What is compared at entry comes first: the rest is not read for calls that are rejected.
  const compared = (early: boolean): Source[] =>
    where.conditions.flatMap(({ spec, source }) => (isAtEntry(spec) === early ? (source ?? []) : []));
  const slots = new SlotTable([
    ...compared(true),
    ...gathered.flatMap(({ column: { factors, unless, scale } }) => [
      ...factors,
      ...unless,
      ...(scale ?? []),
    ]),
    ...compared(false),
    ...(device.source ?? []),
  ]);
  const conditions = compileWhere(where.conditions, (source) => slots.field(source), returns);
  const columns = gathered.map(({ spec, column }) => compileColumn(spec, column, slots, sizes));
  const currentDevice = device.source === undefined ? device.change : slots.field(device.source[0]);
  if (probe.stack === 'always') slots.trace();
  if (slots.slots.length > MAX_SLOTS || slots.texts > MAX_TEXTS) {
    const message =
      slots.texts > MAX_TEXTS
        ? `${prototype.name} has ${slots.texts} strings; a probe has at most ${MAX_TEXTS}`
        : `${prototype.name} needs ${slots.slots.length} argument slots on ${arch}; a probe has ${MAX_SLOTS}`;
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
      symbols: (probe.symbols ?? [prototype.name]).filter((symbol) => typeof symbol === 'string'),
      patterns: (probe.symbols ?? []).filter((symbol) => typeof symbol !== 'string'),
      required: probe.required ?? false,
      ...(probe.enabled === false
        ? { disabled: `enabled: false in ${source?.disabled[index] ?? 'the pack'}` }
        : {}),
      mode: probe.mode ?? 'call',
      slots: slots.slots,
      when: [...when, ...(probe.when ?? [])],
      where: conditions,
      columns,
      ...returns,
      ok: result === undefined || returns.returnBits === 0 ? [] : (probe.ok ?? ok),
      sample: Number(probe.sample?.slice('1/'.length) ?? 1),
      ...(probe.stack === undefined ? {} : { stack: probe.stack }),
      ...(currentDevice === undefined ? {} : { currentDevice }),
    },
    issues: [],
  };
}

function compileColumn(
  spec: CaptureSpec,
  { factors, unless, scale }: Captured,
  slots: SlotTable,
  sizes: Pack['sizes'],
): ColumnValue {
  const { column, redact } = spec;
  if (redact === 'drop') return { column, fields: [], redact };
  const [first] = factors;
  const isText = first?.text !== undefined;
  return {
    column,
    fields: isText ? [] : factors.map((source) => slots.field(source)),
    ...(isText ? { text: slots.text(first) } : {}),
    ...(!isText && first?.integer === false ? { address: true as const } : {}),
    ...constantFactor(spec),
    ...(scale === undefined
      ? {}
      : { scale: { field: slots.field(scale[0]), factors: sizes[spec.scale?.sizes ?? ''] ?? {} } }),
    ...(unless.length === 0 ? {} : { unless: unless.map((source) => slots.field(source)) }),
    ...(spec.enum === undefined ? {} : { enum: spec.enum }),
    ...(redact === undefined ? {} : { redact }),
  };
}

/** What a success does to the device current on the thread; `source`: the ordinal. */
function resolveCurrentDevice(
  { current_device: spec, mode, where, sample }: ProbeSpec,
  prototype: Prototype,
  locations: readonly Location[],
  arch: Arch,
): { source?: [Source]; change?: 'unknown'; issues: PackIssue[] } {
  if (spec === undefined) return { issues: [] };
  const refuse = (message: string, at: string[] = []): { issues: PackIssue[] } => ({
    issues: [{ rule: 'bad-current-device', message, at }],
  });
  if (mode === 'entry') return refuse('mode entry does not see whether the call succeeded');
  // A call that is left out would change the device unseen.
  if (where !== undefined || sample !== undefined) {
    return refuse('a function that changes the current device is recorded whole, without where and sample');
  }
  if (spec.arg === undefined) return { change: 'unknown', issues: [] };
  const resolved = resolvePath(spec.arg, prototype, locations, arch, spec.at ?? 'entry');
  if ('issue' in resolved) return { issues: [placed(resolved.issue, ['arg'])] };
  if (!resolved.source.integer || resolved.source.size !== 4) {
    return refuse('the ordinal of a device is an integer of 32 bits', ['arg']);
  }
  return { source: [resolved.source], issues: [] };
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
  const whole = resolveWhole(spec, prototype, locations, arch, mode);
  if (whole !== undefined) return whole;
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

/** Strings and what the function returned; undefined for captures of other kinds. */
function resolveWhole(
  spec: CaptureSpec,
  prototype: Prototype,
  locations: readonly Location[],
  arch: Arch,
  mode: 'call' | 'entry',
): { captured?: Captured; issues: PackIssue[] } | undefined {
  const { arg, of, string, at = 'entry' } = spec;
  if (string === undefined && of === undefined) return undefined;
  const refuse = (rule: string, message: string, key: string): { issues: PackIssue[] } => ({
    issues: [{ rule, message, at: [key] }],
  });
  if (string !== undefined) {
    const other = (['product', 'value', 'times', 'scale', 'enum'] as const).find(
      (key) => spec[key] !== undefined,
    );
    if (other !== undefined) return refuse('not-a-text', `a string has no ${other}`, other);
  }
  if (of !== undefined && spec.at !== undefined) {
    return refuse('bad-at-return', 'what a function returns is read at return; remove at', 'at');
  }
  if (mode === 'entry' && (of !== undefined || at === 'return')) {
    return refuse('bad-at-return', 'mode entry does not probe the return', of === undefined ? 'at' : 'of');
  }
  const resolved =
    of !== undefined
      ? string === undefined
        ? resultValue(prototype)
        : resultText(prototype, string)
      : resolveText(arg as string, prototype, locations, arch, at, string as number);
  if ('issue' in resolved) return { issues: [placed(resolved.issue, [of === undefined ? 'arg' : 'of'])] };
  return { captured: { factors: [resolved.source], unless: [] }, issues: [] };
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

  /** Number of strings. */
  texts = 0;

  /** The text a source becomes; makes its slot when there is none yet. */
  text(source: Source): NonNullable<ColumnValue['text']> {
    const { from, deref, text } = source as Source & { text: NonNullable<Source['text']> };
    const read =
      deref === undefined ? {} : { deref: { at: deref.at, offset: deref.offset, size: 8 as const } };
    const slot = this.index({ from, ...read, text: { ...text, place: this.texts } });
    this.texts++;
    return { slot, place: this.texts - 1, maxBytes: text.maxBytes };
  }

  /** Makes the slot of the call stack; it comes after all others. */
  trace(): void {
    this.index({ from: { kind: 'trace' } });
  }

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
  if (source.deref === undefined || source.text !== undefined || source.from.kind === 'result')
    return undefined;
  const { at, offset } = source.deref;
  const block = Math.floor(offset / 8);
  if (Math.floor((offset + source.size - 1) / 8) !== block) return undefined;
  return `${JSON.stringify(source.from)} ${at} ${block}`;
}
