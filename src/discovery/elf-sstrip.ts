import type { ByteSource } from './byte-source.js';
import { type DynamicInfo, segmentAt } from './elf-dynamic.js';
import type { ElfLayout } from './elf-layout.js';
import { SYMBOL_SIZE, type SymbolTable } from './elf-symbols.js';

/** Hash values read at once. */
const CHAIN_CHUNK = 4096;

/**
 * The dynamic symbol table of a file whose section headers were removed (`sstrip`, some packers), from what
 * the loader itself goes by: PT_DYNAMIC and its hash table. Null when the file exports nothing.
 */
export function tablesFromDynamic(
  source: ByteSource,
  layout: ElfLayout,
  info: DynamicInfo,
): SymbolTable | null {
  const { symbols, hash, gnuHash, strings, stringsSize } = info.tables;
  if (symbols === null) return null;
  const at = fileOffset(layout, symbols);
  const stringsAt = fileOffset(layout, strings);
  if (at === null || stringsAt === null) return null;
  const count =
    hash !== null ? countFromHash(source, layout, hash) : countFromGnuHash(source, layout, gnuHash);
  if (count === 0) return null;
  return {
    symbols: { offset: at, size: count * SYMBOL_SIZE },
    strings: { offset: stringsAt, size: stringsSize },
  };
}

function fileOffset(layout: ElfLayout, vaddr: number): number | null {
  const segment = segmentAt(layout, vaddr);
  return segment === undefined ? null : segment.offset + (vaddr - segment.vaddr);
}

/** DT_HASH: nbucket, nchain, ...; nchain equals the number of symbols. */
function countFromHash(source: ByteSource, layout: ElfLayout, hash: number): number {
  const at = fileOffset(layout, hash);
  return at === null ? 0 : source.read(at, 8, 'the hash table').readUInt32LE(4);
}

/** DT_GNU_HASH has no count: the last symbol is the end of the chain of the highest bucket. */
function countFromGnuHash(source: ByteSource, layout: ElfLayout, gnuHash: number | null): number {
  const at = gnuHash === null ? null : fileOffset(layout, gnuHash);
  if (at === null) return 0;
  const header = source.read(at, 16, 'the GNU hash table');
  const buckets = header.readUInt32LE(0);
  const firstHashed = header.readUInt32LE(4);
  const bloomWords = header.readUInt32LE(8);
  const bucketsAt = at + 16 + bloomWords * 8;
  const table = source.read(bucketsAt, buckets * 4, 'the GNU hash buckets');
  let highest = 0;
  for (let i = 0; i < buckets; i++) highest = Math.max(highest, table.readUInt32LE(i * 4));
  if (highest < firstHashed) return firstHashed;
  const chainsAt = bucketsAt + buckets * 4;
  for (let first = highest; ; first += CHAIN_CHUNK) {
    const at = chainsAt + (first - firstHashed) * 4;
    const length = Math.min(CHAIN_CHUNK * 4, Math.floor((source.size - at) / 4) * 4);
    const chain = source.read(at, Math.max(length, 4), 'a GNU hash chain');
    for (let i = 0; i * 4 < chain.length; i++)
      if ((chain.readUInt32LE(i * 4) & 1) === 1) return first + i + 1;
  }
}
