import { statfsSync, statSync } from 'node:fs';
import { basename } from 'node:path';
import { ElfFile, type SymbolLookup } from './elf.js';
import { ElfError } from './elf-error.js';
import { HOST_ARCH } from './host-arch.js';
import { isLoaderName } from './loaders.js';
import type { LibraryFile } from './model.js';
import { type SonameMatcher, versionInName } from './soname-glob.js';

/** A file that may be one of the libraries looked for. */
export interface Candidate {
  /** Path a person would recognise. */
  path: string;
  /** Path to open it by. */
  openPath: string;
  foundBy: string;
  /** Names it was reached by, besides its own (a symlink, a DT_NEEDED entry). */
  names?: readonly string[];
}

/** A file that looked right and is not used. */
export interface IgnoredLibrary {
  file: LibraryFile;
  reason: string;
}

/** Copies that are linked into other files, and how far to go to find them. */
export interface EmbeddedSearch {
  /** Functions that betray a copy; empty: copies are not looked for. */
  symbols: ReadonlySet<string>;
  /** Also look into files without symbols, which means reading their code. */
  scanStripped: boolean;
}

const OVERLAYFS_MAGIC = 0x794c7630;

/** Identity of a file as `known` sets hold it. */
export function fileKey(file: { dev: number; inode: number }): string {
  return `${file.dev}:${file.inode}`;
}

/**
 * Gathers library files, each inode once, however many paths lead to it. Never throws for a file it is offered:
 * what cannot be used is listed with the reason.
 */
export class LibraryCollector {
  readonly files: LibraryFile[] = [];
  readonly ignored: IgnoredLibrary[] = [];

  constructor(
    private readonly matcher: SonameMatcher,
    /** `dev:inode` of files already looked at, and images already used; grows with every file offered. */
    private readonly seen: Set<string>,
    private readonly embedded: EmbeddedSearch = { symbols: new Set(), scanStripped: false },
  ) {}

  /** Whether a file of that name is worth offering, before anything is opened. */
  wantsName(name: string): boolean {
    return this.matcher.matches(name) || this.matcher.mayCarry(name);
  }

  /** Looks at a file and adds it when its name, its DT_SONAME or (embedded copies) its functions are looked for. */
  offer(candidate: Candidate): void {
    const stat = statSync(candidate.openPath, { throwIfNoEntry: false });
    if (stat === undefined || !stat.isFile()) return;
    const key = fileKey({ dev: stat.dev, inode: stat.ino });
    if (this.seen.has(key)) return;
    const byName = [basename(candidate.path), ...(candidate.names ?? [])].some((name) =>
      this.matcher.matches(name),
    );
    this.seen.add(key);
    const file: LibraryFile = {
      path: candidate.path,
      openPath: candidate.openPath,
      dev: stat.dev,
      inode: stat.ino,
      sizeBytes: stat.size,
      buildId: null,
      soname: null,
      version: byName ? versionInName(basename(candidate.path)) : null,
      foundBy: candidate.foundBy,
    };
    let elf: ElfFile | undefined;
    try {
      elf = ElfFile.open(candidate.openPath);
      this.inspect(elf, file, byName);
    } catch (error) {
      if (!(error instanceof ElfError)) throw error;
      if (byName) this.ignored.push({ file, reason: error.message });
    } finally {
      elf?.close();
    }
  }

  private inspect(elf: ElfFile, looked: LibraryFile, byName: boolean): void {
    const { soname } = elf;
    const named = byName || (soname !== null && this.matcher.matches(soname));
    const copy = named ? {} : this.embeddedCopy(elf);
    if (copy === null) return;
    const file: LibraryFile = {
      ...looked,
      buildId: elf.buildId,
      soname,
      version: named ? versionInName(basename(looked.path)) : null,
      ...(named ? {} : { embedded: true }),
    };
    const reason = 'reason' in copy ? copy.reason : this.whyIgnored(elf, file);
    if (reason === null) this.files.push({ ...file, ...copy });
    else this.ignored.push({ file, reason });
  }

  private whyIgnored(elf: ElfFile, file: LibraryFile): string | null {
    if (elf.machine !== HOST_ARCH) return `built for ${elf.machine}, this host is ${HOST_ARCH}`;
    // Link-time stubs carry the real soname and no code that could be called.
    if (!file.embedded && file.path.split('/').includes('stubs')) return 'a link-time stub';
    return this.isSameImage(elf, file) ? 'the same image file is traced through another overlay mount' : null;
  }

  /** What is linked into a file: null for nothing, or what kept its functions from being found. */
  private embeddedCopy(elf: ElfFile): { recovered?: SymbolLookup } | { reason: string } | null {
    const { symbols, scanStripped } = this.embedded;
    if (symbols.size === 0) return null;
    if (elf.hasSymtab) return elf.findSymbols(symbols).size > 0 ? {} : null;
    // What loads the library from elsewhere has no copy of its own.
    if (elf.needed.some((name) => this.matcher.matches(name) && !isLoaderName(name))) return null;
    if (!scanStripped) {
      const reason =
        'holds CUDA code and no symbols: a library linked into it is looked for with --scan-stripped only (driver calls are seen)';
      return elf.hasSection('.nv_fatbin') ? { reason } : null;
    }
    const recovered = elf.recover(symbols);
    if (recovered.found.size > 0) return { recovered };
    const [why] = recovered.refused;
    if (why !== undefined)
      return { reason: `names functions of the library, none of which is certain: ${why[0]}: ${why[1]}` };
    return elf.hasSection('.nv_fatbin')
      ? { reason: 'holds CUDA code and none of the functions looked for' }
      : null;
  }

  /**
   * Two overlay mounts of one image show one file under two device numbers, and the kernel puts a probe on the
   * file below both: attaching twice would record every call twice. Inode, size, time and build-id tell.
   */
  private isSameImage(elf: ElfFile, file: LibraryFile): boolean {
    if (elf.buildId === null || statfsSync(file.openPath).type !== OVERLAYFS_MAGIC) return false;
    const { mtimeMs } = statSync(file.openPath);
    const image = `image:${elf.inode}:${elf.sizeBytes}:${mtimeMs}:${elf.buildId}`;
    if (this.seen.has(image)) return true;
    this.seen.add(image);
    return false;
  }
}
