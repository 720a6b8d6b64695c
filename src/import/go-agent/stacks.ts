import type { Row } from '../../capture/capture-file.js';
import type { Run } from './runs.js';

/** A frame as the old agent stores it: i address, s symbol, f file, l line; pf, pfn, pl the same of a Python frame. */
interface StoredFrame {
  i?: unknown;
  s?: unknown;
  f?: unknown;
  l?: unknown;
  pf?: unknown;
  pfn?: unknown;
  pl?: unknown;
}

/** A stack events refer to. */
export interface IndexedStack {
  id: number;
  run: Run;
  hash: bigint;
}

/**
 * Numbers the stacks of a file. They are known by the old agent's hash, per run: the hash is of addresses,
 * which mean nothing in another process.
 */
export class StackIndex {
  readonly #byRun = new Map<Run, Map<number, { high: number; id: number }[]>>();
  readonly #stacks: IndexedStack[] = [];

  /** Notes a stack an event refers to. */
  meet(run: Run, low: number, high: number): void {
    if (low === 0 && high === 0) return;
    if (this.idOf(run, low, high) !== 0) return;
    let hashes = this.#byRun.get(run);
    if (hashes === undefined) {
      hashes = new Map();
      this.#byRun.set(run, hashes);
    }
    const id = this.#stacks.length + 1;
    const same = hashes.get(low);
    if (same === undefined) hashes.set(low, [{ high, id }]);
    else same.push({ high, id });
    this.#stacks.push({ id, run, hash: (BigInt(high) << 32n) | BigInt(low) });
  }

  /** `stack_id` of a hash, 0 for none. */
  idOf(run: Run, low: number, high: number): number {
    const same = this.#byRun.get(run)?.get(low);
    if (same === undefined) return 0;
    for (const entry of same) if (entry.high === high) return entry.id;
    return 0;
  }

  /** Stacks with a hash: one for each run that uses it. */
  withHash(hash: bigint): IndexedStack[] {
    const [low, high] = wordsOf(hash);
    const found: IndexedStack[] = [];
    for (const run of this.#byRun.keys()) {
      const id = this.idOf(run, low, high);
      if (id !== 0) found.push(this.#stacks[id - 1] as IndexedStack);
    }
    return found;
  }

  get all(): readonly IndexedStack[] {
    return this.#stacks;
  }
}

/** A hash as its low and its high word. */
export function wordsOf(hash: bigint): [low: number, high: number] {
  return [Number(BigInt.asUintN(32, hash)), Number(BigInt.asUintN(32, hash >> 32n))];
}

/** Frames of a stack as rows of `frames` without their stack_id, innermost first; null when the text is not what the agent writes. */
export function readFrames(ips: string, frames: string): Row[] | null {
  const stored = parseArray(frames);
  const addresses = parseArray(ips)?.map(address);
  if (stored === null || addresses === undefined) return null;
  const list = stored.filter((frame): frame is StoredFrame => typeof frame === 'object' && frame !== null);
  if (list.length < stored.length) return null;
  const isPython = (frame: StoredFrame): boolean => frame.pf !== undefined || frame.pfn !== undefined;
  const native = list.filter((frame) => !isPython(frame));
  // The agent puts the interpreter's frames in front of the native ones, though native code is what they called.
  const rows: Row[] = (native.length > 0 ? native : addresses.map((): StoredFrame => ({}))).map(
    (frame, index) => ({
      kind: 'native',
      // `ips` has the addresses of all native frames where it was kept.
      address:
        address(frame.i) ??
        (native.length === 0 || native.length === addresses.length ? addresses[index] : null) ??
        null,
      module: text(frame.f),
      ...symbol(text(frame.s)),
      line: line(frame.l),
    }),
  );
  for (const frame of list.filter(isPython)) {
    rows.push({
      kind: 'python',
      function: text(frame.pfn),
      source_file: text(frame.pf),
      line: line(frame.pl),
    });
  }
  return rows.map((row, position) => ({ ...row, position }));
}

function parseArray(json: string): unknown[] | null {
  if (json === '') return [];
  try {
    const value: unknown = JSON.parse(json);
    return Array.isArray(value) ? value : null;
  } catch {
    return null;
  }
}

function address(value: unknown): bigint | null {
  return typeof value === 'string' && /^0x[0-9a-f]{1,16}$/i.test(value) ? BigInt(value) : null;
}

function text(value: unknown): string | null {
  return typeof value === 'string' && value !== '' ? value : null;
}

function line(value: unknown): number | null {
  return typeof value === 'number' && Number.isInteger(value) && value > 0 && value < 2 ** 31 ? value : null;
}

/** `name+0x6cc` is a function and an offset in it. */
function symbol(name: string | null): { function: string | null; function_offset: bigint | null } {
  const parts = name === null ? null : /^(.+)\+0x([0-9a-f]{1,15})$/.exec(name);
  if (parts === null) return { function: name, function_offset: null };
  return { function: parts[1] as string, function_offset: BigInt(`0x${parts[2]}`) };
}
