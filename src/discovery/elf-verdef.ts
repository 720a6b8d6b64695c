import type { ByteSource } from './byte-source.js';
import { ElfError } from './elf-error.js';
import { cString, type ElfLayout, SHT_GNU_VERDEF } from './elf-layout.js';

const VERDEF_SIZE = 20;
const VERDAUX_SIZE = 8;
const VER_FLG_BASE = 1;
const MAX_TABLE = 1024 * 1024;

/**
 * Names of the symbol versions a library defines (`GLIBC_2.34`), without the one for the file itself. Empty when it
 * has none. Layout: LSB symbol versioning, `Elf64_Verdef`. Throws ElfError `elf-malformed`.
 */
export function readVersionDefinitions(source: ByteSource, layout: ElfLayout): string[] {
  const section = layout.sections.find(({ type }) => type === SHT_GNU_VERDEF);
  const strings = section === undefined ? undefined : layout.sections[section.link];
  if (section === undefined || strings === undefined) return [];
  if (section.size > MAX_TABLE || strings.size > MAX_TABLE * 64) {
    throw new ElfError('elf-malformed', source.path, 'the version definitions are too large');
  }
  const bytes = source.read(section.offset, section.size, 'the version definitions');
  const text = source.read(strings.offset, strings.size, 'the names of versions');
  const names: string[] = [];
  for (let at = 0; at + VERDEF_SIZE <= bytes.length; ) {
    const flags = bytes.readUInt16LE(at + 2);
    const aux = at + bytes.readUInt32LE(at + 12);
    if (aux + VERDAUX_SIZE > bytes.length) break;
    if ((flags & VER_FLG_BASE) === 0) names.push(cString(text, bytes.readUInt32LE(aux)));
    const next = bytes.readUInt32LE(at + 16);
    if (next === 0) break;
    at += next;
  }
  return names;
}
