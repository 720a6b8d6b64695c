import type { Arch } from '../packs/model.js';
import type { ByteSource } from './byte-source.js';
import { ElfError } from './elf-error.js';

/** One program header: how a piece of the file is mapped. Numbers are bytes. */
export interface Segment {
  type: number;
  flags: number;
  offset: number;
  vaddr: number;
  fileSize: number;
  memSize: number;
  align: number;
}

/** One section header. */
export interface Section {
  name: string;
  type: number;
  /** SHF_* */
  flags: number;
  /** Virtual address; 0 when it is not loaded. */
  address: number;
  offset: number;
  size: number;
  link: number;
  info: number;
}

/** The tables every other part of an ELF file is found through. */
export interface ElfLayout {
  machine: Arch;
  /** `dyn`: shared library or position-independent executable; `exec`: fixed-address executable. */
  type: 'dyn' | 'exec';
  segments: readonly Segment[];
  sections: readonly Section[];
}

export const PT_LOAD = 1;
export const PT_DYNAMIC = 2;
export const PT_INTERP = 3;
export const PT_NOTE = 4;
export const PF_X = 1;
export const PT_GNU_EH_FRAME = 0x6474e550;
export const SHT_PROGBITS = 1;
export const SHT_SYMTAB = 2;
export const SHT_RELA = 4;
export const SHT_NOTE = 7;
export const SHT_NOBITS = 8;
export const SHT_DYNSYM = 11;
export const SHT_GNU_VERDEF = 0x6ffffffd;
export const SHT_GNU_VERSYM = 0x6fffffff;
export const SHF_WRITE = 1;
export const SHF_ALLOC = 2;
export const SHF_EXECINSTR = 4;

const EHDR_SIZE = 64;
const PHDR_SIZE = 56;
const SHDR_SIZE = 64;
const PN_XNUM = 0xffff;
const SHN_XINDEX = 0xffff;
const MAX_HEADERS = 0x10000;
const MACHINES: Readonly<Record<number, Arch>> = { 62: 'x64', 183: 'arm64' };
const TYPES: Readonly<Record<number, 'dyn' | 'exec'>> = { 2: 'exec', 3: 'dyn' };

/**
 * A 64-bit field as a number. Addresses and sizes of user-space files fit 53 bits; a larger one is
 * a corrupt file (null), not a reason to carry BigInts everywhere.
 */
export function u64(bytes: Buffer, at: number): number | null {
  const high = bytes.readUInt32LE(at + 4);
  return high > 0x1fffff ? null : high * 0x100000000 + bytes.readUInt32LE(at);
}

function field(source: ByteSource, bytes: Buffer, at: number, what: string): number {
  const value = u64(bytes, at);
  if (value === null) throw new ElfError('elf-malformed', source.path, `${what} is out of range`);
  return value;
}

/**
 * Reads the ELF header, program headers and section headers (System V ABI, ELF-64 object file format).
 * Throws ElfError: `elf-unsupported` for a sound file of another kind, `elf-malformed` for a broken one.
 */
export function readLayout(source: ByteSource): ElfLayout {
  if (source.size < EHDR_SIZE)
    throw new ElfError('elf-malformed', source.path, 'too short to be an ELF file');
  const header = source.read(0, EHDR_SIZE, 'the ELF header');
  if (header.readUInt32BE(0) !== 0x7f454c46) {
    throw new ElfError('elf-malformed', source.path, 'not an ELF file');
  }
  if (header[4] !== 2 || header[5] !== 1) {
    throw new ElfError('elf-unsupported', source.path, 'not a 64-bit little-endian ELF file');
  }
  const type = TYPES[header.readUInt16LE(16)];
  if (type === undefined) {
    throw new ElfError('elf-unsupported', source.path, 'neither a shared library nor an executable');
  }
  const machine = MACHINES[header.readUInt16LE(18)];
  if (machine === undefined) {
    throw new ElfError('elf-unsupported', source.path, `built for ELF machine ${header.readUInt16LE(18)}`);
  }
  const counts = headerCounts(source, header);
  return {
    machine,
    type,
    segments: readSegments(source, header, counts.segments),
    sections: readSections(source, header, counts),
  };
}

/** Counts that overflow 16 bits live in section header 0 (e_phnum = PN_XNUM, e_shnum = 0). */
function headerCounts(source: ByteSource, header: Buffer) {
  const counts = {
    segments: header.readUInt16LE(56),
    sections: header.readUInt16LE(60),
    names: header.readUInt16LE(62),
  };
  const sectionOffset = field(source, header, 40, 'e_shoff');
  if (sectionOffset === 0) return { ...counts, sections: 0 };
  if (counts.sections !== 0 && counts.segments !== PN_XNUM && counts.names !== SHN_XINDEX) return counts;
  const first = source.read(sectionOffset, SHDR_SIZE, 'section header 0');
  if (counts.sections === 0) counts.sections = field(source, first, 32, 'the section count');
  if (counts.segments === PN_XNUM) counts.segments = first.readUInt32LE(44);
  if (counts.names === SHN_XINDEX) counts.names = first.readUInt32LE(40);
  return counts;
}

function headerTable(
  source: ByteSource,
  at: number,
  count: number,
  size: number,
  declared: number,
  what: string,
) {
  if (declared !== size)
    throw new ElfError('elf-malformed', source.path, `${what} have size ${declared}, not ${size}`);
  if (count > MAX_HEADERS) throw new ElfError('elf-malformed', source.path, `${count} ${what}`);
  return source.read(at, count * size, `the ${what}`);
}

function readSegments(source: ByteSource, header: Buffer, count: number): Segment[] {
  if (count === 0) return [];
  const at = field(source, header, 32, 'e_phoff');
  const table = headerTable(source, at, count, PHDR_SIZE, header.readUInt16LE(54), 'program headers');
  const segments: Segment[] = [];
  for (let i = 0; i < count; i++) {
    const base = i * PHDR_SIZE;
    segments.push({
      type: table.readUInt32LE(base),
      flags: table.readUInt32LE(base + 4),
      offset: field(source, table, base + 8, 'p_offset'),
      vaddr: field(source, table, base + 16, 'p_vaddr'),
      fileSize: field(source, table, base + 32, 'p_filesz'),
      memSize: field(source, table, base + 40, 'p_memsz'),
      align: field(source, table, base + 48, 'p_align'),
    });
  }
  return segments;
}

function readSections(
  source: ByteSource,
  header: Buffer,
  counts: { sections: number; names: number },
): Section[] {
  if (counts.sections === 0) return [];
  const at = field(source, header, 40, 'e_shoff');
  const table = headerTable(
    source,
    at,
    counts.sections,
    SHDR_SIZE,
    header.readUInt16LE(58),
    'section headers',
  );
  const raw = Array.from({ length: counts.sections }, (_, i) => ({
    nameOffset: table.readUInt32LE(i * SHDR_SIZE),
    type: table.readUInt32LE(i * SHDR_SIZE + 4),
    flags: table.readUInt32LE(i * SHDR_SIZE + 8),
    address: field(source, table, i * SHDR_SIZE + 16, 'sh_addr'),
    offset: field(source, table, i * SHDR_SIZE + 24, 'sh_offset'),
    size: field(source, table, i * SHDR_SIZE + 32, 'sh_size'),
    link: table.readUInt32LE(i * SHDR_SIZE + 40),
    info: table.readUInt32LE(i * SHDR_SIZE + 44),
  }));
  const strings = raw[counts.names];
  const names =
    strings === undefined || strings.type === SHT_NOBITS
      ? Buffer.alloc(0)
      : source.read(strings.offset, strings.size, 'the section names');
  return raw.map(({ nameOffset, ...section }) => ({ name: cString(names, nameOffset), ...section }));
}

/** The NUL-terminated string at `at`; empty when `at` is outside `bytes`. */
export function cString(bytes: Buffer, at: number): string {
  if (at >= bytes.length) return '';
  const end = bytes.indexOf(0, at);
  return bytes.toString('utf8', at, end < 0 ? bytes.length : end);
}
