import type { ByteSource } from './byte-source.js';
import { ElfError } from './elf-error.js';
import { u64 } from './elf-layout.js';
import { STT_FUNC, STT_GNU_IFUNC, SYMBOL_SIZE, type SymbolTable, symbolPieces } from './elf-symbols.js';

/** Where the functions of a file begin and end, in order of their addresses. Their names stay in the file. */
export interface FunctionTable {
  /** Virtual addresses; no two are equal. */
  readonly starts: Float64Array;
  /** Virtual addresses behind the last byte. */
  readonly ends: Float64Array;
  /** Offsets in the file of the names. */
  readonly names: Float64Array;
}

/** Entries that are looked at: sorting so many takes a second. libtorch_cuda has 226,500. */
const MAX_ENTRIES = 500_000;
const STB_LOCAL = 0;

/** Reads where the functions of all these tables are. Throws ElfError on a damaged file. */
export function readFunctions(source: ByteSource, tables: Iterable<SymbolTable>): FunctionTable {
  const starts: number[] = [];
  const sizes: number[] = [];
  const names: number[] = [];
  const locals: boolean[] = [];
  for (const table of tables) {
    const { symbols, strings } = table;
    if (Math.floor(symbols.size / SYMBOL_SIZE) > MAX_ENTRIES)
      throw new ElfError('elf-malformed', source.path, 'the symbol table is too large');
    for (const { bytes } of symbolPieces(source, table)) {
      for (let at = 0; at < bytes.length; at += SYMBOL_SIZE) {
        const info = bytes[at + 4] ?? 0;
        const type = info & 0xf;
        if ((type !== STT_FUNC && type !== STT_GNU_IFUNC) || bytes.readUInt16LE(at + 6) === 0) continue;
        const address = u64(bytes, at + 8);
        const name = bytes.readUInt32LE(at);
        if (address === null || address === 0 || name >= strings.size) continue;
        starts.push(address);
        sizes.push(u64(bytes, at + 16) ?? 0);
        names.push(strings.offset + name);
        locals.push(info >> 4 === STB_LOCAL);
      }
    }
  }
  return inOrder(starts, sizes, names, locals);
}

/** Of several names of one function the first that others can link to is kept. */
function inOrder(starts: number[], sizes: number[], names: number[], locals: boolean[]): FunctionTable {
  const order = Uint32Array.from(starts.keys()).sort(
    (a, b) => (starts[a] as number) - (starts[b] as number) || Number(locals[a]) - Number(locals[b]) || a - b,
  );
  const kept = order.filter((entry, at) => at === 0 || starts[order[at - 1] as number] !== starts[entry]);
  const begin = Float64Array.from(kept, (entry) => starts[entry] as number);
  return {
    starts: begin,
    // Written in assembly, a function may have no size: it reaches up to the next one.
    ends: Float64Array.from(kept, (entry, at) => {
      const size = sizes[entry] as number;
      return size > 0 ? (starts[entry] as number) + size : (begin[at + 1] ?? (starts[entry] as number) + 1);
    }),
    names: Float64Array.from(kept, (entry) => names[entry] as number),
  };
}

/** Place in the table of the function that has its code at a virtual address; undefined where no symbol says so. */
export function functionAt({ starts, ends }: FunctionTable, address: number): number | undefined {
  let low = 0;
  let high = starts.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((starts[middle] as number) <= address) low = middle + 1;
    else high = middle;
  }
  return low > 0 && address < (ends[low - 1] as number) ? low - 1 : undefined;
}
