import type { ByteSource } from './byte-source.js';
import { type ElfLayout, PT_NOTE, SHT_NOTE } from './elf-layout.js';

const NT_GNU_BUILD_ID = 3;
/** Note segments of real files are below 1 kB; a build-id behind more than this is not looked for. */
const MAX_NOTES = 64 * 1024;
/** The longest digest linkers write is 64 bytes (`--build-id=0x...`). */
const MAX_BUILD_ID = 64;

/**
 * The GNU build-id in hex, or null. Looked for in PT_NOTE segments and, for files without them, in note
 * sections. Damaged notes are passed over: a build-id identifies a file, nothing depends on having one.
 */
export function readBuildId(source: ByteSource, layout: ElfLayout): string | null {
  const places = [
    ...layout.segments
      .filter((s) => s.type === PT_NOTE)
      .map((s) => ({ offset: s.offset, size: s.fileSize, align: s.align })),
    ...layout.sections
      .filter((s) => s.type === SHT_NOTE)
      .map((s) => ({ offset: s.offset, size: s.size, align: 4 })),
  ];
  for (const place of places) {
    const size = Math.min(place.size, MAX_NOTES, source.size - place.offset);
    if (size <= 0) continue;
    const id = buildIdIn(source.read(place.offset, size, 'a note'), place.align === 8 ? 8 : 4);
    if (id !== null) return id;
  }
  return null;
}

function buildIdIn(notes: Buffer, align: number): string | null {
  const padded = (n: number) => Math.ceil(n / align) * align;
  let at = 0;
  while (at + 12 <= notes.length) {
    const nameSize = notes.readUInt32LE(at);
    const size = notes.readUInt32LE(at + 4);
    const type = notes.readUInt32LE(at + 8);
    const description = padded(at + 12 + nameSize);
    if (description + size > notes.length) return null;
    const isGnu = nameSize === 4 && notes.toString('latin1', at + 12, at + 16) === 'GNU\0';
    if (isGnu && type === NT_GNU_BUILD_ID && size > 0 && size <= MAX_BUILD_ID) {
      return notes.toString('hex', description, description + size);
    }
    at = padded(description + size);
  }
  return null;
}
