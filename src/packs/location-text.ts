import { type Location, locateArguments, type Word } from './abi.js';
import type { Arch, ColumnValue, CompiledProbe, Condition, Field, Slot } from './model.js';
import { parsePrototype, type TypeTable } from './prototype.js';

const REGISTERS: Readonly<Record<Arch, readonly string[]>> = {
  x64: ['rdi', 'rsi', 'rdx', 'rcx', 'r8', 'r9'],
  arm64: ['x0', 'x1', 'x2', 'x3', 'x4', 'x5', 'x6', 'x7'],
};

/** Where an eightbyte of an argument is when the function is entered: `rdi`, `[rsp+8]`, `x0`. */
export function wordText(word: Word, arch: Arch): string {
  switch (word.kind) {
    case 'register':
      return REGISTERS[arch][word.index] ?? `register ${word.index}`;
    case 'stack': {
      // On x86-64 the call has pushed the return address.
      const offset = word.index * 8 + (arch === 'x64' ? 8 : 0);
      return `[${arch === 'x64' ? 'rsp' : 'sp'}${offset === 0 ? '' : `+${offset}`}]`;
    }
    case 'vector':
      return 'vector register';
  }
}

function locationText(location: Location, arch: Arch): string {
  if (location.by === 'reference') return `copy at the address in ${wordText(location.word, arch)}`;
  return location.words.map((word) => wordText(word, arch)).join(', ');
}

/** The parameters of a declaration and where they are, in order. Empty when it cannot be read. */
export function argumentTexts(
  prototype: string,
  types: TypeTable,
  arch: Arch,
): { name: string | null; location: string }[] {
  const parsed = parsePrototype(prototype, types).prototype;
  if (parsed === undefined) return [];
  const locations = locateArguments(parsed, arch);
  return parsed.params.map(({ name }, index) => ({
    name: name ?? null,
    location: locationText(locations[index] as Location, arch),
  }));
}

function placeText({ from, deref }: Slot, offset: number, arch: Arch): string {
  const word = 'index' in from ? wordText(from, arch) : from.kind;
  if (deref === undefined) return offset === 0 ? word : `${word} >> ${offset * 8}`;
  const distance = deref.offset + offset;
  return distance === 0 ? `*(${word})` : `*(${word} + ${distance})`;
}

function fieldText({ slot, offset, size, signed }: Field, slots: readonly Slot[], arch: Arch): string {
  const from = slots[slot];
  const place = from === undefined ? `slot ${slot}` : placeText(from, offset, arch);
  return `${signed ? 'i' : 'u'}${size * 8} ${place}${from?.deref?.at === 'return' ? ' at return' : ''}`;
}

/** How a column is computed, in terms of registers: `u64 rsi`, `u32 *(rdi + 8) * u32 rsi`. */
export function columnText(value: ColumnValue, { slots }: CompiledProbe, arch: Arch): string {
  const {
    column: _,
    fields,
    times,
    scale,
    unless,
    enum: names,
    text: string,
    redact,
    address: _a,
    ...others
  } = value;
  if (redact === 'drop') return 'dropped';
  const text = (field: Field): string => fieldText(field, slots, arch);
  const factors = [
    ...fields.map(text),
    ...(times === undefined ? [] : [String(times)]),
    ...(scale === undefined ? [] : [`size by ${text(scale.field)}`]),
  ];
  return [
    ...(string === undefined ? [factors.join(' * ')] : [stringText(string, slots, arch)]),
    ...(names === undefined ? [] : [`named by ${names}`]),
    ...(unless === undefined ? [] : [`NULL when ${unless.map(text).join(' or ')} is not 0`]),
    ...(redact === undefined ? [] : ['stored as a keyed hash']),
    ...Object.entries(others).map(([key, more]) => `${key} ${JSON.stringify(more)}`),
  ].join(', ');
}

/** What a success makes the current device: `i32 rdi`, `unknown`; null: it stays what it is. */
export function deviceText({ currentDevice, slots }: CompiledProbe, arch: Arch): string | null {
  if (currentDevice === undefined || currentDevice === 'unknown') return currentDevice ?? null;
  return fieldText(currentDevice, slots, arch);
}

/** `string rdx, up to 128 bytes`. */
function stringText(
  { slot, maxBytes }: NonNullable<ColumnValue['text']>,
  slots: readonly Slot[],
  arch: Arch,
): string {
  const from = slots[slot] as Slot;
  const offset = from.text?.offset ?? 0;
  const place = `${placeText(from, 0, arch)}${offset === 0 ? '' : ` + ${offset}`}`;
  return `string ${place}${from.text?.at === 'return' ? ' at return' : ''}, up to ${maxBytes} bytes`;
}

/** A condition in terms of registers: `u32 rsi ge 4`, `result ne 600`. */
export function conditionText(condition: Condition, { slots }: CompiledProbe, arch: Arch): string {
  const { subject, is, values } = condition;
  const left =
    subject === 'duration'
      ? 'duration in ns'
      : typeof subject === 'string'
        ? subject
        : 'field' in subject
          ? fieldText(subject.field, slots, arch)
          : 'result';
  return `${left} ${is} ${values.join(', ')}`;
}
