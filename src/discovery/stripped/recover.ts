import type { ByteSource } from '../byte-source.js';
import { segmentAt } from '../elf-dynamic.js';
import type { ElfLayout } from '../elf-layout.js';
import { CALLBACK_IDS } from './callback-ids.js';
import { type FunctionRange, type FunctionRanges, readFunctionRanges } from './eh-frame.js';
import { namesInConstants, referencesTo } from './references.js';

/** Functions found without symbols, and why others that seem to be there were not accepted. */
export interface RecoveredFunctions {
  found: Map<string, FunctionRange>;
  /** Names the file holds whose function is not certain or not there -> why. */
  uncertain: Map<string, string>;
}

/** Compilers align functions, and not the pieces they move out of them. */
const ALIGNMENT = 16;
const MOV_EDI = 0xbf;
const CALL = 0xe8;
/** As many functions of the runtime must call the same helper for that helper to be known as the runtime's. */
const MIN_SIBLINGS = 20;

/** A function that refers to a name and looks as the runtime's function of that name does. */
interface Candidate extends FunctionRange {
  /** Addresses it calls. */
  calls: ReadonlySet<number>;
}

/**
 * Finds functions of the CUDA runtime in a file it is linked into and that was stripped. Each of them refers to
 * its own name, tells profilers its number when it begins and when it ends, and calls one helper they all call. A
 * function is accepted when it alone has all that for a name, and when no other name leads to it; the rest is
 * uncertain. Checked against the symbols of CUDA 11.8, 12.4 and 13.0. Throws ElfError on a damaged file.
 */
export function recoverFunctions(source: ByteSource, layout: ElfLayout): RecoveredFunctions {
  const places = namesInConstants(source, layout, new Set(CALLBACK_IDS.keys()));
  const present = [...new Set(places.values())];
  const refuseAll = (reason: string): RecoveredFunctions => ({
    found: new Map(),
    uncertain: new Map(present.map((name) => [name, reason])),
  });
  if (present.length === 0) return refuseAll('');
  if (layout.machine !== 'x64') return refuseAll('functions are found without symbols on x86-64 only');
  const ranges = readFunctionRanges(source, layout);
  if (ranges === null) return refuseAll('it has no table of functions (.eh_frame_hdr)');

  const references = referencesTo(source, layout, places);
  const candidates = new Map(
    present.map((name) => [name, candidatesFor(source, layout, ranges, name, references.get(name) ?? [])]),
  );
  const helper = commonHelper(candidates);
  if (helper === null) return refuseAll('too few functions look like those of the runtime');
  return choose(candidates, helper);
}

function candidatesFor(
  source: ByteSource,
  layout: ElfLayout,
  ranges: FunctionRanges,
  name: string,
  references: readonly number[],
): Candidate[] {
  const ids = CALLBACK_IDS.get(name) ?? [];
  const users = new Map<number, FunctionRange>();
  for (const address of references) {
    const range = ranges.at(address);
    if (range !== null) users.set(range.start, range);
  }
  return [...users.values()].flatMap(({ start, end }) => {
    const home = segmentAt(layout, start);
    if (home === undefined || start % ALIGNMENT !== 0) return [];
    const code = source.read(home.offset + (start - home.vaddr), end - start, 'a function');
    const fits = beginsWithPush(code) && ids.some((id) => timesHeld(code, id) >= 2);
    return fits ? [{ start, end, calls: callsOf(code, start) }] : [];
  });
}

/** What nearly every function of the runtime calls; null when there is nothing of the kind. */
function commonHelper(candidates: ReadonlyMap<string, readonly Candidate[]>): number | null {
  const callers = new Map<number, number>();
  for (const functions of candidates.values()) {
    for (const target of new Set(functions.flatMap(({ calls }) => [...calls]))) {
      callers.set(target, (callers.get(target) ?? 0) + 1);
    }
  }
  const [best] = [...callers].sort(([, a], [, b]) => b - a);
  return best !== undefined && best[1] >= MIN_SIBLINGS ? best[0] : null;
}

function choose(candidates: ReadonlyMap<string, readonly Candidate[]>, helper: number): RecoveredFunctions {
  const found = new Map<string, FunctionRange>();
  const uncertain = new Map<string, string>();
  const names = new Map<number, string[]>();
  for (const [name, functions] of candidates) {
    const [one, ...others] = functions.filter(({ calls }) => calls.has(helper));
    if (one === undefined) uncertain.set(name, 'no function of the runtime refers to its name');
    else if (others.length > 0)
      uncertain.set(name, `${others.length + 1} functions have its name and number`);
    else {
      found.set(name, one);
      names.set(one.start, [...(names.get(one.start) ?? []), name]);
    }
  }
  for (const sharing of names.values()) {
    if (sharing.length === 1) continue;
    for (const name of sharing) {
      found.delete(name);
      uncertain.set(name, `one function has the names ${sharing.join(' and ')}`);
    }
  }
  return { found, uncertain };
}

/** `push %r64`, behind `endbr64` or not: how every function of the runtime begins. */
function beginsWithPush(code: Buffer): boolean {
  const at = code.length >= 4 && code.readUInt32BE(0) === 0xf30f1efa ? 4 : 0;
  const first = code[at] ?? 0;
  const opcode = first === 0x41 ? (code[at + 1] ?? 0) : first;
  return (opcode & 0xf8) === 0x50;
}

/** How often `mov $id, %edi` is there: the first argument of the call that tells a profiler. */
function timesHeld(code: Buffer, id: number): number {
  let times = 0;
  for (const at of positions(code, MOV_EDI)) if (code.readUInt32LE(at + 1) === id) times++;
  return times;
}

/** Targets of what may be `call rel32` in a function. */
function callsOf(code: Buffer, start: number): Set<number> {
  return new Set([...positions(code, CALL)].map((at) => start + at + 5 + code.readInt32LE(at + 1)));
}

/** Where an opcode with a 32-bit operand may stand. */
function* positions(code: Buffer, opcode: number): Generator<number> {
  for (let at = code.indexOf(opcode); at >= 0 && at + 5 <= code.length; at = code.indexOf(opcode, at + 1)) {
    yield at;
  }
}
