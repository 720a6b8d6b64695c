import type { ByteSource } from '../byte-source.js';
import { segmentAt } from '../elf-dynamic.js';
import { type ElfLayout, PT_GNU_EH_FRAME } from '../elf-layout.js';

/** Where a function begins and ends, as virtual addresses. */
export interface FunctionRange {
  start: number;
  end: number;
}

/** The functions of a file by address, from what exceptions are unwound by: it survives `strip`. */
export interface FunctionRanges {
  /** The function that holds the instruction at `address`, or null. */
  at(address: number): FunctionRange | null;
}

/** DW_EH_PE_sdata4 for pcrel, udata4 for the count, sdata4 | datarel for the table: what GNU ld and lld write. */
const VERSION_AND_ENCODINGS = 0x3b031b01;
const HEADER_BYTES = 12;
const ENTRY_BYTES = 8;
/** Length, pointer to the CIE, first address and number of bytes of an FDE, with 32-bit pointers. */
const FDE_BYTES = 16;

/**
 * Reads `.eh_frame_hdr` (LSB, "Exception Frames"): a sorted table of first addresses, each with the FDE that says
 * how long the function is. Null when the file has none of the usual form. Throws ElfError on a damaged file.
 */
export function readFunctionRanges(source: ByteSource, layout: ElfLayout): FunctionRanges | null {
  const segment = layout.segments.find(({ type }) => type === PT_GNU_EH_FRAME);
  if (segment === undefined || segment.fileSize < HEADER_BYTES) return null;
  const bytes = source.read(segment.offset, segment.fileSize, '.eh_frame_hdr');
  if (bytes.readUInt32LE(0) !== VERSION_AND_ENCODINGS) return null;
  const count = Math.min(bytes.readUInt32LE(8), Math.floor((bytes.length - HEADER_BYTES) / ENTRY_BYTES));
  const startOf = (index: number): number =>
    segment.vaddr + bytes.readInt32LE(HEADER_BYTES + index * ENTRY_BYTES);
  const rangeOf = (index: number): FunctionRange | null => {
    const start = startOf(index);
    const fde = segment.vaddr + bytes.readInt32LE(HEADER_BYTES + index * ENTRY_BYTES + 4);
    const home = segmentAt(layout, fde);
    if (home === undefined) return null;
    const frame = source.read(home.offset + (fde - home.vaddr), FDE_BYTES, 'a frame description');
    // The table and the description must agree on where the function begins.
    return fde + 8 + frame.readInt32LE(8) === start ? { start, end: start + frame.readUInt32LE(12) } : null;
  };
  return {
    at: (address) => {
      let low = 0;
      let high = count;
      while (low < high) {
        const middle = (low + high) >>> 1;
        if (startOf(middle) <= address) low = middle + 1;
        else high = middle;
      }
      const range = low === 0 ? null : rangeOf(low - 1);
      return range !== null && address < range.end ? range : null;
    },
  };
}
