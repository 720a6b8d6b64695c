import type { ByteSource } from '../byte-source.js';
import {
  type ElfLayout,
  type Section,
  SHF_ALLOC,
  SHF_EXECINSTR,
  SHF_WRITE,
  SHT_PROGBITS,
  SHT_RELA,
  u64,
} from '../elf-layout.js';
import { findStrings } from '../elf-symbols.js';

const CHUNK = 8 * 1024 * 1024;
/** Longest instruction looked for. */
const INSTRUCTION_BYTES = 8;
const RELA_BYTES = 24;
const R_X86_64_RELATIVE = 8;

/** Virtual addresses at which each name stands as a string of its own in constant data. */
export function namesInConstants(
  source: ByteSource,
  layout: ElfLayout,
  names: ReadonlySet<string>,
): Map<number, string> {
  const places = new Map<number, string>();
  for (const section of layout.sections.filter(isConstantData)) {
    for (const [at, name] of findStrings(source, section, names)) {
      // The whole string, not the end of a longer one.
      const before = at === 0 ? 0 : source.read(section.offset + at - 1, 1, 'constant data')[0];
      if (before === 0) places.set(section.address + at, name);
    }
  }
  return places;
}

/**
 * Addresses of the instructions that refer to each name: by its address (`lea NAME(%rip), %reg`, CUDA 13), or, for
 * names nothing refers to directly, by a pointer to it in data (`mov SLOT(%rip), %reg`, CUDA 11 and 12).
 */
export function referencesTo(
  source: ByteSource,
  layout: ElfLayout,
  places: ReadonlyMap<number, string>,
): Map<string, number[]> {
  const direct = scanCode(source, layout, places, isAddressLoad);
  const rest = new Map([...places].filter(([, name]) => !direct.has(name)));
  if (rest.size === 0) return direct;
  const slots = pointersTo(source, layout, rest);
  if (slots.size === 0) return direct;
  return new Map([...direct, ...scanCode(source, layout, slots, isValueLoad)]);
}

/** Length of the instruction at `at` when it loads what lies at a distance from itself; 0 when it is another. */
type Recognise = (bytes: Buffer, at: number) => number;

/** `lea disp(%rip), %r64`. */
const isAddressLoad: Recognise = (bytes, at) =>
  ((bytes[at] as number) & 0xfb) === 0x48 &&
  bytes[at + 1] === 0x8d &&
  ((bytes[at + 2] as number) & 0xc7) === 5
    ? 7
    : 0;

/** `mov disp(%rip), %r64`, and `movq disp(%rip), %xmm`. */
const isValueLoad: Recognise = (bytes, at) => {
  const first = bytes[at] as number;
  if ((first & 0xfb) === 0x48 && bytes[at + 1] === 0x8b)
    return ((bytes[at + 2] as number) & 0xc7) === 5 ? 7 : 0;
  if (first !== 0xf3 || bytes[at + 1] !== 0x0f || bytes[at + 2] !== 0x7e) return 0;
  return ((bytes[at + 3] as number) & 0xc7) === 5 ? 8 : 0;
};

function scanCode(
  source: ByteSource,
  layout: ElfLayout,
  targets: ReadonlyMap<number, string>,
  recognise: Recognise,
): Map<string, number[]> {
  const found = new Map<string, number[]>();
  for (const section of layout.sections.filter(isCode)) {
    for (const { bytes, address, last } of chunks(source, section)) {
      const end = last ? bytes.length - INSTRUCTION_BYTES + 1 : bytes.length - INSTRUCTION_BYTES;
      for (let at = 0; at < end; at++) {
        const length = recognise(bytes, at);
        if (length === 0) continue;
        const name = targets.get(address + at + length + bytes.readInt32LE(at + length - 4));
        if (name === undefined) continue;
        const places = found.get(name);
        if (places === undefined) found.set(name, [address + at]);
        else places.push(address + at);
      }
    }
  }
  return found;
}

/** Slots in data that hold the address of a name: relocated at load, or in place. */
function pointersTo(
  source: ByteSource,
  layout: ElfLayout,
  places: ReadonlyMap<number, string>,
): Map<number, string> {
  const slots = new Map<number, string>();
  for (const section of layout.sections) {
    const isRelocations = section.type === SHT_RELA && (section.flags & SHF_ALLOC) !== 0;
    if (!isRelocations && !isData(section)) continue;
    for (const { bytes, address } of chunks(source, section)) {
      const step = isRelocations ? RELA_BYTES : 8;
      for (let at = 0; at + step <= bytes.length; at += step) {
        if (isRelocations && bytes.readUInt32LE(at + 8) !== R_X86_64_RELATIVE) continue;
        const name = places.get(u64(bytes, isRelocations ? at + 16 : at) ?? -1);
        if (name === undefined) continue;
        const slot = isRelocations ? u64(bytes, at) : address + at;
        if (slot !== null) slots.set(slot, name);
      }
    }
  }
  return slots;
}

/** A section piece by piece; pieces overlap by an instruction where code is meant, and hold whole relocations. */
function* chunks(
  source: ByteSource,
  section: Section,
): Generator<{ bytes: Buffer; address: number; last: boolean }> {
  const overlap = isCode(section) ? INSTRUCTION_BYTES : 0;
  const step = Math.floor(CHUNK / RELA_BYTES) * RELA_BYTES;
  for (let at = 0; at < section.size; at += step) {
    const length = Math.min(step + overlap, section.size - at);
    yield {
      bytes: source.read(section.offset + at, length, section.name),
      address: section.address + at,
      last: at + step >= section.size,
    };
  }
}

function hasFlags(section: Section, set: number, clear: number): boolean {
  return section.type === SHT_PROGBITS && (section.flags & set) === set && (section.flags & clear) === 0;
}

const isConstantData = (section: Section): boolean =>
  hasFlags(section, SHF_ALLOC, SHF_WRITE | SHF_EXECINSTR) && section.name.includes('rodata');
const isCode = (section: Section): boolean => hasFlags(section, SHF_ALLOC | SHF_EXECINSTR, 0);
const isData = (section: Section): boolean => hasFlags(section, SHF_ALLOC | SHF_WRITE, SHF_EXECINSTR);
