import { basename, resolve } from 'node:path';
import { Args, Flags } from '@oclif/core';
import { BaseCommand } from '../../base-command.js';
import {
  ElfFile,
  findLibraries,
  HOST_ARCH,
  type LibraryFile,
  type SymbolLookup,
} from '../../discovery/index.js';
import { versionInName } from '../../discovery/soname-glob.js';
import { EXIT, IngeroError } from '../../errors.js';
import { compilePack } from '../../packs/compile.js';
import { packDirFlag } from '../../packs/flags.js';
import type { Arch, CompiledPack } from '../../packs/model.js';
import { probeOrigins } from '../../packs/origins.js';
import { type LocatedPack, PackRegistry } from '../../packs/registry.js';
import { type CompileReport, compileReport } from '../../trace/compile-report.js';
import { compileReportLines } from '../../trace/compile-text.js';
import { LibraryTracer } from '../../trace/libraries.js';

export default class ProbesCompile extends BaseCommand {
  static override summary = 'Show what a pack would attach where, and what it would read.';
  static override description =
    "For every library of this host, or for one that is given: the probes with their place and estimated cost, and the functions that get none, with the reason. Then for every function where its arguments are and how each column follows from them. Nothing is attached, and no privileges are needed; without them the libraries of other users' processes may not be seen.";
  static override examples = [
    '<%= config.bin %> probes compile cuda-runtime',
    {
      description: 'One library file',
      command: '<%= config.bin %> probes compile site.yaml --library /opt/site/lib/libsite.so.1',
    },
    {
      description: 'Argument locations on another architecture',
      command: '<%= config.bin %> probes compile cuda-runtime --arch arm64',
    },
  ];
  static override args = {
    pack: Args.string({ description: 'Name of a pack, or a pack file.', required: true }),
  };
  static override flags = {
    'pack-dir': packDirFlag,
    'scan-stripped': Flags.boolean({
      description: 'As for trace: also look for functions in files without symbols.',
    }),
    library: Flags.string({ description: 'Library file to plan for, whatever its name.' }),
    arch: Flags.option({
      description: 'Architecture. [default: that of the library, else of this host]',
      options: ['x64', 'arm64'] as const,
    })(),
  };

  async run(): Promise<CompileReport> {
    const { args, flags } = await this.parse(ProbesCompile);
    const located = PackRegistry.open(flags['pack-dir']).packOrFile(args.pack);
    const report =
      flags.library === undefined
        ? planForHost(located, flags.arch ?? HOST_ARCH, flags['scan-stripped'])
        : planForLibrary(located, resolve(flags.library), flags.arch, flags['scan-stripped']);
    for (const line of compileReportLines(report)) this.log(line);
    return report;
  }
}

/** Libraries of another architecture are not looked for: they would not run here. */
function planForHost({ pack, origin }: LocatedPack, arch: Arch, scanStripped: boolean): CompileReport {
  const compiled = compilePack(pack, arch);
  const origins = probeOrigins(pack, origin);
  if (arch !== HOST_ARCH) return compileReport(compiled, origins, []);
  const isLinkedIn = pack.libraries.some((library) => library.static === true);
  const { files, searched, ignored } = findLibraries({
    sonames: pack.libraries.map(({ soname }) => soname),
    embeddedSymbols: isLinkedIn ? symbolsOf(compiled) : [],
    scanStripped,
  });
  const tracer = new LibraryTracer();
  return compileReport(
    compiled,
    origins,
    files.map((file) => tracer.plan(compiled, file)),
    { searched, ignored: ignored.map(({ file, reason }) => ({ path: file.path, reason })) },
  );
}

function planForLibrary(
  { pack, origin }: LocatedPack,
  path: string,
  wanted: Arch | undefined,
  scanStripped: boolean,
): CompileReport {
  const { file, arch } = describeLibrary(path);
  if (wanted !== undefined && wanted !== arch) {
    throw new IngeroError(`${path} is built for ${arch}, not for ${wanted}.`, {
      code: 'arch-mismatch',
      exitCode: EXIT.usage,
      next: 'Leave --arch out, or give a library of that architecture.',
    });
  }
  const compiled = compilePack(pack, arch);
  const recovered = scanStripped ? recoverFrom(path, symbolsOf(compiled)) : null;
  const looked = recovered === null ? file : { ...file, recovered };
  return compileReport(compiled, probeOrigins(pack, origin), [new LibraryTracer().plan(compiled, looked)]);
}

/** Functions found without symbols; null where the file has its symbols. */
function recoverFrom(path: string, symbols: readonly string[]): SymbolLookup | null {
  const elf = ElfFile.open(path);
  try {
    return elf.hasSymtab ? null : elf.recover(new Set(symbols));
  } finally {
    elf.close();
  }
}

function symbolsOf(compiled: CompiledPack): string[] {
  return compiled.probes.flatMap(({ symbols }) => symbols);
}

function describeLibrary(path: string): { file: LibraryFile; arch: Arch } {
  const elf = ElfFile.open(path);
  try {
    return {
      arch: elf.machine,
      file: {
        path,
        openPath: path,
        dev: elf.dev,
        inode: elf.inode,
        sizeBytes: elf.sizeBytes,
        buildId: elf.buildId,
        soname: elf.soname,
        version: versionInName(basename(path)),
        foundBy: 'given',
      },
    };
  } finally {
    elf.close();
  }
}
