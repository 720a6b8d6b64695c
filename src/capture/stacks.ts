import { type CodeRange, codeRanges } from '../discovery/maps.js';
import { MAX_FRAMES, STACK } from '../ring/record.js';
import type { Row } from './capture-file.js';

/** bpf_stack_build_id.status of linux/bpf.h: a build-id and an offset are there. */
const BUILD_ID_VALID = 1;
/** BPF_BUILD_ID_SIZE of linux/bpf.h. */
const BUILD_ID_BYTES = 20;

/** Programs' addresses are below it, the kernel's above (Documentation/arch/x86/x86_64/mm.rst, arch/arm64/memory.rst). */
const USER_SPACE_END = 1n << 48n;

/** What is known of a frame, under the names of its columns. */
interface Frame {
  address: bigint;
  module: string | null;
  build_id: string | null;
  module_offset: bigint | null;
}

/** The distinct stacks of a run: `stack_id` by the hash the kernel gives them, and their rows. */
export class Stacks {
  readonly #ids = new Map<bigint, number>();
  readonly #processes = new Map<number, ProcessCode>();
  #stacks: Row[] = [];
  #frames: Row[] = [];

  /** Identity of a stack by the two words of its hash. Its record may come later, from another ring. */
  idOf(low: number, high: number): number {
    const hash = (BigInt(high) << 32n) | BigInt(low);
    const known = this.#ids.get(hash);
    if (known !== undefined) return known;
    const id = this.#ids.size + 1;
    this.#ids.set(hash, id);
    return id;
  }

  /** Takes the stack record that starts at word `at`. Looks up the files of its frames while their process lives. */
  meet(words: Uint32Array, at: number): void {
    const id = this.idOf(words[at + STACK.hash] as number, words[at + STACK.hash + 1] as number);
    const pid = words[at + STACK.pid] as number;
    const found = words[at + STACK.frameCount] as number;
    const addresses = Array.from({ length: found }, (_, index) =>
      word64(words, at + STACK.addresses + index * 2),
    );
    // Where code was built without frame pointers, the kernel's walk can end in a word that is no address of a program.
    const end = addresses.findIndex((address) => address >= USER_SPACE_END);
    const walked = end < 0 ? addresses : addresses.slice(0, end);
    const frames = walked.map((address, index) => this.#frameAt(words, at, index, address, pid));
    const caller = word64(words, at + STACK.caller);
    if (caller !== 0n && frames[1]?.address !== caller)
      frames.splice(1, 0, this.#callerAt(caller, pid, frames));
    this.#stacks.push({ stack_id: id, depth: frames.length, truncated: found === MAX_FRAMES });
    frames.forEach((frame, position) => {
      this.#frames.push({ stack_id: id, position, kind: 'native', ...frame });
    });
  }

  #frameAt(words: Uint32Array, at: number, index: number, address: bigint, pid: number): Frame {
    const frame = at + STACK.frames + index * STACK.frameWords;
    const isKnown = words[frame] === BUILD_ID_VALID;
    const buildId = Buffer.from(words.buffer, words.byteOffset + (frame + 1) * 4, BUILD_ID_BYTES);
    return {
      address,
      module: this.#codeAt(pid, address)?.path ?? null,
      build_id: isKnown ? buildId.toString('hex') : null,
      module_offset: isKnown ? word64(words, frame + 6) : null,
    };
  }

  /** The frame of the caller, which the kernel's walk missed. */
  #callerAt(address: bigint, pid: number, others: readonly Frame[]): Frame {
    const code = this.#codeAt(pid, address);
    const module = code?.path ?? null;
    return {
      address,
      module,
      build_id: others.find((other) => module !== null && other.module === module)?.build_id ?? null,
      module_offset: code === undefined ? null : address - code.start + code.fileOffset,
    };
  }

  #codeAt(pid: number, address: bigint): CodeRange | undefined {
    const code = this.#processes.get(pid) ?? new ProcessCode(pid);
    this.#processes.set(pid, code);
    return code.at(address);
  }

  /** Rows of `stacks` and `frames` that were not taken yet. */
  take(): { stacks: Row[]; frames: Row[] } {
    const rows = { stacks: this.#stacks, frames: this.#frames };
    this.#stacks = [];
    this.#frames = [];
    return rows;
  }
}

/** Where the files of one process have their code, looked up once per address: stacks share most of their frames. */
class ProcessCode {
  readonly #pid: number;
  #ranges: CodeRange[] = [];
  readonly #found = new Map<bigint, CodeRange | undefined>();

  constructor(pid: number) {
    this.#pid = pid;
  }

  /** The file whose code is at an address; a library that came later is found at a second look, while the process lives. */
  at(address: bigint): CodeRange | undefined {
    if (this.#found.has(address)) return this.#found.get(address);
    const look = (): CodeRange | undefined =>
      this.#ranges.find(({ start, end }) => address >= start && address < end);
    let range = look();
    if (range === undefined) {
      const ranges = codeRanges(this.#pid);
      if (ranges.length > 0) this.#ranges = ranges;
      range = look();
    }
    this.#found.set(address, range);
    return range;
  }
}

function word64(words: Uint32Array, at: number): bigint {
  return (BigInt(words[at + 1] as number) << 32n) | BigInt(words[at] as number);
}
