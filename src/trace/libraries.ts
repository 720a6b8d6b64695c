import type { Row } from '../capture/capture-file.js';
import type { ProbeDecoding } from '../capture/event-decoder.js';
import { ElfFile, type LibraryFile, locate } from '../discovery/index.js';
import type { ProbeLinks } from '../loader/attach.js';
import { MAX_PROBES } from '../loader/layout.js';
import type { BpfObject } from '../loader/object.js';
import type { CompiledPack } from '../packs/model.js';
import { decodingOf, type FilePlan, Ids, libraryRow, planFile, probeRow, skippedRow, unfoundRows } from './plan.js';

/** What an attachment adds to the capture. */
export interface Attached {
  libraries: Row[];
  probes: Row[];
  decodings: ProbeDecoding[];
}

/** Attaches packs to library files as they are found, and keeps the count. */
export class LibraryTracer {
  readonly #object: BpfObject;
  readonly #links: ProbeLinks;
  readonly #libraryIds = new Ids(Number.MAX_SAFE_INTEGER);
  /** Ids of attached probes index the BPF maps; ids of the others only have to be different. */
  readonly #probeIds = new Ids(MAX_PROBES);
  #nextSkipped = MAX_PROBES;
  readonly attachedProbes: number[] = [];
  failedProbes = 0;
  tracedLibraries = 0;

  constructor(object: BpfObject, links: ProbeLinks) {
    this.#object = object;
    this.#links = links;
  }

  /**
   * Plans the probes of `pack` in `file` and tells the kernel what to gather. Nothing fires yet: the recorder
   * must know the probes before the first record. Call the returned function to attach.
   */
  prepare(pack: CompiledPack, file: LibraryFile): { decodings: ProbeDecoding[]; attach: () => Attached } {
    const opened = this.#plan(pack, file);
    if ('error' in opened) {
      const row = libraryRow(opened.plan, 'failed', opened.error);
      return { decodings: [], attach: () => ({ libraries: [row], probes: [], decodings: [] }) };
    }
    const { plan } = opened;
    const checked = pack.pack.result !== undefined;
    for (const { id, compiled } of plan.probes) {
      // The kernel reads out-parameters only when the call returned 0; a pack without result codes has no failures.
      this.#object.setProbe(id, { ...compiled, returnBits: checked ? compiled.returnBits : 0 });
    }
    const decodings = plan.probes.map((probe) => decodingOf(pack.pack, probe));
    return { decodings, attach: () => this.#attach(plan) };
  }

  /** Rows that say a pack found no library. */
  unfound(pack: CompiledPack, reason: string): Attached {
    return { libraries: [], probes: unfoundRows(pack, reason, () => this.#nextSkipped++), decodings: [] };
  }

  #plan(pack: CompiledPack, file: LibraryFile): { plan: FilePlan } | { plan: FilePlan; error: string } {
    const empty = { sites: [], missing: new Map<string, string>() };
    let elf: ElfFile | undefined;
    try {
      elf = ElfFile.open(file.openPath);
      const opened = elf;
      const locateAll = (symbols: readonly string[]) => locate(opened, symbols);
      return {
        plan: planFile(pack, file, locateAll, this.#libraryIds, this.#probeIds, () => this.#nextSkipped++),
      };
    } catch (error) {
      const plan = planFile(pack, file, () => empty, this.#libraryIds, this.#probeIds, () => this.#nextSkipped++);
      return { plan, error: (error as Error).message };
    } finally {
      elf?.close();
    }
  }

  #attach(plan: FilePlan): Attached {
    const outcomes = this.#links.attach(
      plan.file.openPath,
      plan.probes.map(({ id, site, compiled }) => ({ id, offset: site.fileOffset, mode: compiled.mode })),
    );
    const errors = new Map(outcomes.map(({ id, error }) => [id, error]));
    const attached = outcomes.filter(({ error }) => error === null).map(({ id }) => id);
    this.attachedProbes.push(...attached);
    this.failedProbes += outcomes.length - attached.length;
    if (attached.length > 0) this.tracedLibraries++;
    return {
      libraries: [
        attached.length > 0
          ? libraryRow(plan, 'traced', null)
          : libraryRow(plan, 'failed', outcomes[0]?.error ?? 'it has none of the functions of the pack'),
      ],
      probes: [
        ...plan.probes.map((probe) => probeRow(plan, probe, errors.get(probe.id) ?? null)),
        ...plan.skipped.map((skipped) => skippedRow(plan, skipped)),
      ],
      decodings: [],
    };
  }
}
