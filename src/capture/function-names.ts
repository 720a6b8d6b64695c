import { demangle } from '../demangle/itanium.js';
import { ElfFile } from '../discovery/elf.js';
import { ElfError } from '../discovery/elf-error.js';
import type { FunctionTable } from '../discovery/elf-functions.js';
import type { CodeRange } from '../discovery/maps.js';
import { BUILD_ID_BYTES } from '../ring/record.js';

/** Files that are kept open, and functions of all of them, 24 bytes each; what comes later has no names. */
const MAX_FILES = 200;
const MAX_FUNCTIONS = 4_000_000;

/** What the file of a frame says of it, under the names of the columns. */
export interface CodeName {
  build_id: string | null;
  function: string | null;
  function_offset: bigint | null;
}

interface CodeFile {
  elf: ElfFile;
  buildId: string | null;
  functions: FunctionTable;
  names: Map<number, CodeName>;
}

/** A file code is in, as its process names it. */
export type MappedFile = Pick<CodeRange, 'path' | 'inode'>;

/** Names of functions, from the symbols of the files that processes map. */
export class FunctionNames {
  readonly #files = new Map<string, CodeFile | null>();
  /** Files that processes are known to map, by path: the build-id comes when it is first asked for. */
  readonly #known = new Map<string, string | null | undefined>();
  #open = 0;
  #functions = 0;

  /** Tells of a file that processes map, for those that will have ended when their stacks are read. */
  know(path: string): void {
    if (!this.#known.has(path)) this.#known.set(path, undefined);
  }

  /** The file with this build-id, of those it was told of. */
  withBuildId(buildId: string): MappedFile | undefined {
    for (const [path, known] of this.#known) {
      const id = known === undefined ? buildIdOf(path) : known;
      this.#known.set(path, id);
      // The inode tells files without a build-id apart.
      if (id === buildId) return { path, inode: 0 };
    }
    return undefined;
  }

  /**
   * What is known of the code at an offset in a file a process maps. Null where the file cannot be read any more, or from here,
   * and where what lies at its path is another file: then build-id (or, where the kernel knows none, inode) differ.
   * `isCaller`: the offset is that behind a call, which may be where the next function begins.
   */
  at(
    pid: number,
    code: MappedFile,
    buildId: string | null,
    offset: bigint,
    isCaller: boolean,
  ): CodeName | null {
    const key = `${code.path}\0${buildId ?? code.inode}`;
    let file = this.#files.get(key);
    if (file === undefined) {
      file = this.#read(pid, code, buildId);
      this.#files.set(key, file);
    }
    if (file === null) return null;
    const place = Number(offset) - (isCaller ? 1 : 0);
    let name = file.names.get(place);
    if (name === undefined) {
      name = nameAt(file, place);
      file.names.set(place, name);
    }
    const { function_offset: into } = name;
    return isCaller && into !== null ? { ...name, function_offset: into + 1n } : name;
  }

  /** The file here, or else that in the process's own root: in a container a path names another one. */
  #read(pid: number, code: MappedFile, buildId: string | null): CodeFile | null {
    if (code.path === null) return null;
    for (const path of [code.path, `/proc/${pid}/root${code.path}`]) {
      if (this.#open === MAX_FILES) return null;
      const elf = unlessDamaged(() => ElfFile.open(path));
      if (elf === null) continue;
      const id = paddedBuildId(elf);
      const isMapped = buildId === null ? elf.inode === code.inode : id === buildId;
      const functions = isMapped ? unlessDamaged(() => elf.functions()) : null;
      if (functions !== null && this.#functions + functions.starts.length <= MAX_FUNCTIONS) {
        this.#open += 1;
        this.#functions += functions.starts.length;
        return { elf, buildId: id, functions, names: new Map() };
      }
      elf.close();
    }
    return null;
  }
}

/** The kernel fills shorter build-ids up with zeros. */
function paddedBuildId(elf: ElfFile): string | null {
  return unlessDamaged(() => elf.buildId)?.padEnd(2 * BUILD_ID_BYTES, '0') ?? null;
}

function buildIdOf(path: string): string | null {
  const elf = unlessDamaged(() => ElfFile.open(path));
  if (elf === null) return null;
  const id = paddedBuildId(elf);
  elf.close();
  return id;
}

function nameAt({ elf, buildId, functions }: CodeFile, offset: number): CodeName {
  const found = unlessDamaged(() => elf.functionAt(functions, offset));
  return {
    build_id: buildId,
    function: found === null ? null : (demangle(found.symbol) ?? found.symbol),
    function_offset: found === null ? null : BigInt(found.offset),
  };
}

/** Null where a file cannot be read, or is no sound ELF file. */
function unlessDamaged<T>(read: () => T): T | null {
  try {
    return read();
  } catch (error) {
    if (error instanceof ElfError) return null;
    throw error;
  }
}
