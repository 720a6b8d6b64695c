import { type CodeRange, codeRanges } from '../discovery/maps.js';
import { BUILD_ID_BYTES, MAX_FRAMES, STACK } from '../ring/record.js';
import type { Row } from './capture-file.js';
import { FunctionNames, type MappedFile } from './function-names.js';
import { redactedHash } from './redact.js';

/** bpf_stack_build_id.status of linux/bpf.h: a build-id and an offset are there. */
const BUILD_ID_VALID = 1;

/** What is known of a frame, under the names of its columns. */
interface Frame {
  /** Null where the policy keeps addresses out of captures. */
  address: bigint | null;
  module: string | null;
  build_id: string | null;
  module_offset: bigint | null;
  function: string | null;
  function_offset: bigint | null;
}

/** Where the kernel found the code of a frame: the build-id of its file, and the offset in it. */
interface CodePlace {
  buildId: string;
  offset: bigint;
}

/** The distinct stacks of a run: `stack_id` by the hash the kernel gives them, and their rows. */
export class Stacks {
  readonly #ids = new Map<bigint, number>();
  readonly #processes = new Map<number, ProcessCode>();
  readonly #names = new FunctionNames();
  readonly #redact: 'hash' | 'drop' | null;
  #stacks: Row[] = [];
  #frames: Row[] = [];

  /** `redact`: what becomes of the addresses of frames. */
  constructor(redact: 'hash' | 'drop' | null = null) {
    this.#redact = redact;
  }

  /** Identity of a stack by the two words of its hash. Its record may come later, from another ring. */
  idOf(low: number, high: number): number {
    const hash = (BigInt(high) << 32n) | BigInt(low);
    const known = this.#ids.get(hash);
    if (known !== undefined) return known;
    const id = this.#ids.size + 1;
    this.#ids.set(hash, id);
    return id;
  }

  /** Tells of a file that traced processes have code in: it stands for one that ends before its stacks are read. */
  know(path: string): void {
    this.#names.know(path);
  }

  /** Takes the stack record that starts at word `at`. Looks up the files of its frames while their process lives. */
  meet(words: Uint32Array, at: number): void {
    const id = this.idOf(words[at + STACK.hash] as number, words[at + STACK.hash + 1] as number);
    const pid = words[at + STACK.pid] as number;
    const found = words[at + STACK.frameCount] as number;
    const addresses = Array.from({ length: found }, (_, index) =>
      word64(words, at + STACK.addresses + index * 2),
    );
    // Where code was built without frame pointers, the kernel's walk ends in a word that is no address of code.
    const code = this.#codeOf(pid);
    const end = addresses.findIndex((address) => !code.mayBeAt(address));
    const walked = end < 0 ? addresses : addresses.slice(0, end);
    const frames = walked.map((address, index) =>
      this.#frame(pid, address, placeAt(words, at, index), index > 0),
    );
    const caller = word64(words, at + STACK.caller);
    if (caller !== 0n && walked[1] !== caller) frames.splice(1, 0, this.#callerAt(pid, caller, frames));
    this.#stacks.push({ stack_id: id, depth: frames.length, truncated: found === MAX_FRAMES });
    frames.forEach((frame, position) => {
      this.#frames.push({ stack_id: id, position, kind: 'native', ...frame });
    });
  }

  /** `isCaller`: the address is one that is returned to, behind the call. */
  #frame(pid: number, address: bigint, place: CodePlace | undefined, isCaller: boolean): Frame {
    const code = this.#codeOf(pid).at(address);
    const offset =
      place?.offset ?? (code === undefined || code.path === null ? null : offsetIn(code, address));
    const buildId = place?.buildId ?? null;
    const file: MappedFile | undefined =
      code ?? (buildId === null ? undefined : this.#names.withBuildId(buildId));
    const name =
      file === undefined || offset === null ? null : this.#names.at(pid, file, buildId, offset, isCaller);
    return {
      address: this.#shown(address),
      module: file?.path ?? null,
      build_id: buildId ?? name?.build_id ?? null,
      module_offset: offset,
      function: name?.function ?? null,
      function_offset: name?.function_offset ?? null,
    };
  }

  #shown(address: bigint): bigint | null {
    if (this.#redact === null) return address;
    return this.#redact === 'hash' ? redactedHash(address) : null;
  }

  /** The frame of the caller, which the kernel's walk missed. */
  #callerAt(pid: number, address: bigint, others: readonly Frame[]): Frame {
    const code = this.#codeOf(pid).at(address);
    const buildId = others.find(({ module }) => module !== null && module === code?.path)?.build_id;
    const isKnown = code !== undefined && typeof buildId === 'string';
    return this.#frame(
      pid,
      address,
      isKnown ? { buildId, offset: offsetIn(code, address) } : undefined,
      true,
    );
  }

  #codeOf(pid: number): ProcessCode {
    const code = this.#processes.get(pid) ?? new ProcessCode(pid);
    this.#processes.set(pid, code);
    return code;
  }

  /** Rows of `stacks` and `frames` that were not taken yet. */
  take(): { stacks: Row[]; frames: Row[] } {
    const rows = { stacks: this.#stacks, frames: this.#frames };
    this.#stacks = [];
    this.#frames = [];
    return rows;
  }
}

/** Where one process has its code, looked up once per address: stacks share most of their frames. */
class ProcessCode {
  readonly #pid: number;
  #ranges: CodeRange[] = [];
  /** Whether the last look found the process. */
  #isAlive = true;
  readonly #found = new Map<bigint, CodeRange | undefined>();

  constructor(pid: number) {
    this.#pid = pid;
  }

  /** The code an address is in; a library that came later is found at a second look, while the process lives. */
  at(address: bigint): CodeRange | undefined {
    if (this.#found.has(address)) return this.#found.get(address);
    const look = (): CodeRange | undefined =>
      this.#ranges.find(({ start, end }) => address >= start && address < end);
    let range = look();
    if (range === undefined) {
      const ranges = codeRanges(this.#pid);
      this.#isAlive = ranges.length > 0;
      if (this.#isAlive) this.#ranges = ranges;
      range = look();
    }
    this.#found.set(address, range);
    return range;
  }

  /** False where there is no code: of a process that has ended nobody knows. */
  mayBeAt(address: bigint): boolean {
    return this.at(address) !== undefined || !this.#isAlive;
  }
}

/** What the kernel knows of the code of a frame; undefined where that is not in a file with a build-id. */
function placeAt(words: Uint32Array, at: number, index: number): CodePlace | undefined {
  const frame = at + STACK.frames + index * STACK.frameWords;
  if (words[frame] !== BUILD_ID_VALID) return undefined;
  const buildId = Buffer.from(words.buffer, words.byteOffset + (frame + 1) * 4, BUILD_ID_BYTES);
  return { buildId: buildId.toString('hex'), offset: word64(words, frame + 6) };
}

const offsetIn = (code: CodeRange, address: bigint): bigint => address - code.start + code.fileOffset;

function word64(words: Uint32Array, at: number): bigint {
  return (BigInt(words[at + 1] as number) << 32n) | BigInt(words[at] as number);
}
