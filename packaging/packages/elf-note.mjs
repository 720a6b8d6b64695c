/**
 * Puts a note into an ELF executable, where the loader maps it: that is where Node.js looks for the program of a single
 * executable (postject-api.h in its sources). The note goes to the end of the file, with the name of the loader and the
 * other notes; the table of segments grows by one into the place these had, and stays where every kernel finds it.
 * Code and data are not touched. Written for the executables of nodejs.org, and checks that it has one.
 */

/** Of elf.h, for 64 bits, little endian. */
const PT_LOAD = 1;
const PT_INTERP = 3;
const PT_NOTE = 4;
const PT_PHDR = 6;
const PF_R = 4;
const HEADER = { phoff: 32, shoff: 40, phentsize: 54, phnum: 56, shnum: 60, shstrndx: 62 };
const ENTRY = {
  type: 0,
  flags: 4,
  offset: 8,
  address: 16,
  physical: 24,
  fileSize: 32,
  memorySize: 40,
  align: 48,
};
const ENTRY_BYTES = 56;
/** The largest page of the platforms. */
const PAGE = 0x10000;

const up = (value, to) => Math.ceil(value / to) * to;

/** The executable with the note `name` in it. `elf` and `content` are Buffers. */
export function withNote(elf, name, content) {
  const table = readTable(elf);
  const interp = one(table, PT_INTERP);
  const notes = one(table, PT_NOTE);
  const tableEnd = HEADER_BYTES + table.length * ENTRY_BYTES;
  expect(interp.offset === tableEnd, 'the name of the loader follows the segments');
  expect(notes.offset === up(interp.offset + interp.fileSize, 4), 'notes follow the name of the loader');
  expect(interp.fileSize + notes.fileSize >= ENTRY_BYTES, 'there is room for a segment');

  const title = Buffer.from(`${name}\0`);
  const head = Buffer.alloc(12);
  head.writeUInt32LE(title.length, 0);
  head.writeUInt32LE(content.length, 4);
  const moved = [
    padded(elf.subarray(interp.offset, interp.offset + interp.fileSize)),
    elf.subarray(notes.offset, notes.offset + notes.fileSize),
    ...[head, padded(title), padded(content)],
  ];
  const added = Buffer.concat(moved);

  const at = up(elf.length, PAGE);
  const last = table.filter(({ type }) => type === PT_LOAD).at(-1);
  const address = up(last.address + last.memorySize, PAGE);
  const place = (entry, skip, bytes) => ({
    ...entry,
    ...{
      offset: at + skip,
      address: address + skip,
      physical: address + skip,
      fileSize: bytes,
      memorySize: bytes,
    },
  });
  const segment = { type: PT_LOAD, flags: PF_R, align: PAGE };
  const grown = table.flatMap((entry) => {
    if (entry === interp) return [place(entry, 0, entry.fileSize)];
    if (entry === notes) return [place(entry, moved[0].length, added.length - moved[0].length)];
    if (entry === last) return [entry, place(segment, 0, added.length)];
    if (entry.type === PT_PHDR) {
      const bytes = entry.fileSize + ENTRY_BYTES;
      return [{ ...entry, fileSize: bytes, memorySize: bytes }];
    }
    return [entry];
  });

  const out = Buffer.alloc(at + added.length);
  elf.copy(out);
  added.copy(out, at);
  grown.forEach((entry, index) => {
    writeEntry(out, HEADER_BYTES + index * ENTRY_BYTES, entry);
  });
  out.writeUInt16LE(grown.length, HEADER.phnum);
  moveSections(out, interp, { offset: at, address });
  moveSections(out, notes, { offset: at + moved[0].length, address: address + moved[0].length });
  return out;
}

const HEADER_BYTES = 64;

/** Sections that lie in a segment that was moved. */
function moveSections(elf, segment, to) {
  const [offset, count] = [Number(elf.readBigUInt64LE(HEADER.shoff)), elf.readUInt16LE(HEADER.shnum)];
  for (let at = offset; at < offset + count * 64; at += 64) {
    const skip = Number(elf.readBigUInt64LE(at + 24)) - segment.offset;
    if (elf.readUInt32LE(at + 4) === 0 || skip < 0 || skip >= segment.fileSize) continue;
    elf.writeBigUInt64LE(BigInt(to.address + skip), at + 16);
    elf.writeBigUInt64LE(BigInt(to.offset + skip), at + 24);
  }
}

function readTable(elf) {
  expect(
    elf.subarray(0, 6).equals(Buffer.from('\x7fELF\x02\x01', 'latin1')),
    'it is ELF, 64 bits, little endian',
  );
  expect(Number(elf.readBigUInt64LE(HEADER.phoff)) === HEADER_BYTES, 'segments follow the header');
  expect(elf.readUInt16LE(HEADER.phentsize) === ENTRY_BYTES, 'an entry has 56 bytes');
  return Array.from({ length: elf.readUInt16LE(HEADER.phnum) }, (_, index) => {
    const at = HEADER_BYTES + index * ENTRY_BYTES;
    const wide = Object.entries(ENTRY)
      .slice(2)
      .map(([key, skip]) => [key, Number(elf.readBigUInt64LE(at + skip))]);
    return { type: elf.readUInt32LE(at), flags: elf.readUInt32LE(at + 4), ...Object.fromEntries(wide) };
  });
}

function writeEntry(elf, at, entry) {
  elf.writeUInt32LE(entry.type, at + ENTRY.type);
  elf.writeUInt32LE(entry.flags, at + ENTRY.flags);
  for (const [key, skip] of Object.entries(ENTRY).slice(2))
    elf.writeBigUInt64LE(BigInt(entry[key]), at + skip);
}

/** Notes are aligned to four bytes. */
function padded(bytes) {
  return Buffer.concat([bytes, Buffer.alloc(up(bytes.length, 4) - bytes.length)]);
}

function one(table, type) {
  const found = table.filter((entry) => entry.type === type);
  expect(found.length === 1, `there is one segment of type ${type}`);
  return found[0];
}

function expect(condition, what) {
  if (!condition) throw new Error(`This executable is not built as expected: not true that ${what}.`);
}
