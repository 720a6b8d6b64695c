import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { ElfFile, HOST_ARCH, type LibraryFile, locate } from '../../src/discovery/index.js';
import { ProbeLinks } from '../../src/loader/attach.js';
import { loadLibbpf } from '../../src/loader/libbpf.js';
import { BpfObject } from '../../src/loader/object.js';
import { type Arch, compilePack, loadBuiltinPacks, loadPackFile } from '../../src/packs/index.js';
import { LibraryTracer, textsAt } from '../../src/trace/libraries.js';
import { DEBIAN_LIBRARIES } from '../support/debian-libraries.js';
import { type DebianLibrary, fetchPackage } from '../support/debian-package.js';
import { median } from './report.js';

const ROUNDS = 9;

/** Median ms of a command line of ingero, as released (bundled) and from source, against an empty Node script. */
export function benchStartUp(
  root: string,
  args: readonly string[],
): { release: number | null; source: number; node: number } {
  const release = `${root}/build/release/bin/ingero`;
  const samples = { release: [] as number[], source: [] as number[], node: [] as number[] };
  for (let round = 0; round < ROUNDS; round++) {
    samples.node.push(milliseconds(process.execPath, ['-e', '0']));
    samples.source.push(milliseconds(process.execPath, [`${root}/bin/ingero.js`, ...args]));
    if (existsSync(release)) samples.release.push(milliseconds(release, args));
  }
  return {
    release: samples.release.length === 0 ? null : median(samples.release),
    source: median(samples.source),
    node: median(samples.node),
  };
}

function milliseconds(file: string, args: readonly string[]): number {
  const before = performance.now();
  execFileSync(file, args, { stdio: ['ignore', 'ignore', 'ignore'] });
  return performance.now() - before;
}

/** A library of every built-in pack, from Debian; the driver's and libtorch's packages are 60 to 115 MB. */
const LIBRARIES: Readonly<Record<string, DebianLibrary>> = {
  'cuda-runtime': DEBIAN_LIBRARIES.cudart12,
  'cuda-driver': DEBIAN_LIBRARIES.cuda550,
  nccl: DEBIAN_LIBRARIES.nccl,
  'pytorch-allocator': DEBIAN_LIBRARIES.torch,
};

/** What all built-in packs take on real libraries: CPU to read, compile and find every function; time to attach. */
export function benchAllPacks(): { packs: number; probes: number; compileMs: number; attachSeconds: number } {
  const files = loadBuiltinPacks().flatMap((pack) => {
    const library = LIBRARIES[pack.name];
    const fetched = library === undefined ? { reason: 'no library' } : fetchPackage(library);
    if ('reason' in fetched) console.log(`${pack.name}: left out, ${fetched.reason}`);
    return 'path' in fetched ? [{ pack, path: fetched.path }] : [];
  });
  const plan = () => {
    const tracer = new LibraryTracer();
    return files.map(({ pack: { source }, path }) => {
      const pack = compilePack(loadPackFile(source.path), HOST_ARCH);
      return tracer.plan(pack, libraryFile(path));
    });
  };
  plan();
  const compile = Array.from({ length: 5 }, () => {
    const before = process.cpuUsage();
    plan();
    const { user, system } = process.cpuUsage(before);
    return (user + system) / 1000;
  });
  const planned = plan();
  const object = BpfObject.load(loadLibbpf(), {
    filter: { filterByProcess: false, followChildren: false, comm: '' },
    ringBytes: 1 << 20,
  });
  const links = new ProbeLinks(object);
  const tracer = new LibraryTracer();
  const before = performance.now();
  for (const one of planned) {
    tracer.describe(object, one.plan);
    tracer.attach(links, one);
  }
  const attachSeconds = (performance.now() - before) / 1000;
  links.close();
  object.close();
  if (tracer.failedProbes > 0) throw new Error(`${tracer.failedProbes} probes could not be attached`);
  return {
    packs: files.length,
    probes: tracer.attachedProbes.length,
    compileMs: median(compile),
    attachSeconds,
  };
}

function libraryFile(path: string): LibraryFile {
  const elf = ElfFile.open(path);
  try {
    const { dev, inode, sizeBytes, buildId, soname } = elf;
    return { path, openPath: path, dev, inode, sizeBytes, buildId, soname, version: null, foundBy: 'given' };
  } finally {
    elf.close();
  }
}

/** Seconds to find and attach the first `count` functions of the cuda-runtime pack in the stub library. */
export function benchAttach(root: string, count: number): { seconds: number; probes: number } {
  const object = BpfObject.load(loadLibbpf(), {
    filter: { filterByProcess: false, followChildren: false, comm: '' },
    ringBytes: 1 << 20,
  });
  const pack = loadBuiltinPacks().find(({ name }) => name === 'cuda-runtime');
  if (pack === undefined) throw new Error('the cuda-runtime pack is missing');
  const probes = compilePack(pack, process.arch as Arch).probes;
  const links = new ProbeLinks(object);
  const path = `${root}/build/workload/lib/libcudart.so.13`;
  const before = performance.now();
  const elf = ElfFile.open(path);
  const points = probes.flatMap((probe, id) => {
    object.setProbe(id, probe);
    const [site] = locate(elf, probe.symbols).sites;
    return site === undefined
      ? []
      : [{ id, offset: site.fileOffset, mode: probe.mode, texts: textsAt(probe) }];
  });
  elf.close();
  const failed = links.attach(path, points.slice(0, count)).filter(({ error }) => error !== null);
  const seconds = (performance.now() - before) / 1000;
  links.close();
  object.close();
  if (failed.length > 0) throw new Error(`attach failed: ${failed[0]?.error}`);
  return { seconds, probes: Math.min(count, points.length) };
}
