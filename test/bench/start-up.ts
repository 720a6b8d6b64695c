import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { ElfFile, locate } from '../../src/discovery/index.js';
import { ProbeLinks } from '../../src/loader/attach.js';
import { loadLibbpf } from '../../src/loader/libbpf.js';
import { BpfObject } from '../../src/loader/object.js';
import { type Arch, compilePack, loadBuiltinPacks } from '../../src/packs/index.js';
import { textsAt } from '../../src/trace/libraries.js';
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
