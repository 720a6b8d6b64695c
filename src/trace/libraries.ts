import type { ProbeDecoding } from '../capture/event-decoder.js';
import type { LibrariesRow, ProbesRow } from '../capture/rows.js';
import {
  ElfFile,
  type LibraryFile,
  libraryFacts,
  locate,
  type PatternSymbols,
  type ProbeLocations,
  resolvePatterns,
} from '../discovery/index.js';
import type { ProbeLinks } from '../loader/attach.js';
import { MAX_PROBES } from '../loader/layout.js';
import type { BpfObject } from '../loader/object.js';
import type { CompiledPack, CompiledProbe, SymbolPattern } from '../packs/model.js';
import { unmetCondition } from '../packs/when.js';
import type { WatchedProbe } from './overhead-watch.js';
import {
  decodingOf,
  type FilePlan,
  type FileView,
  hasStack,
  Ids,
  libraryRow,
  planFile,
  probeRow,
  skippedRow,
  unfoundRows,
} from './plan.js';

/** What an attachment adds to the capture. */
export interface Attached {
  libraries: LibrariesRow[];
  probes: ProbesRow[];
}

/** A planned file, or why the file could not be read. */
export interface PlannedFile {
  plan: FilePlan;
  error: string | null;
}

const RECOVERED = 'it has no symbols; its functions were found by their names and numbers';

/** Plans and attaches packs to library files as they are found, and keeps the count. */
export class LibraryTracer {
  readonly #libraryIds = new Ids(Number.MAX_SAFE_INTEGER);
  /** Ids of attached probes index the BPF maps; ids of the others only have to be different. */
  readonly #probeIds = new Ids(MAX_PROBES);
  #nextSkipped = MAX_PROBES;
  readonly attachedProbes: number[] = [];
  failedProbes = 0;
  tracedLibraries = 0;

  /** Works out the probes of `pack` in `file`; reads the file and nothing else. Never throws for a bad file. */
  plan(pack: CompiledPack, file: LibraryFile): PlannedFile {
    const planWith = (view: FileView): FilePlan =>
      planFile(pack, file, view, this.#libraryIds, this.#probeIds, () => this.#nextSkipped++);
    let elf: ElfFile | undefined;
    try {
      elf = ElfFile.open(file.openPath);
      return { plan: planWith(viewOf(elf, pack, file)), error: null };
    } catch (error) {
      const { message } = error as Error;
      return { plan: planWith(nothing(message)), error: message };
    } finally {
      elf?.close();
    }
  }

  /** Tells the kernel what to gather at the probes of a plan, and returns what the recorder must know first. */
  describe(object: BpfObject, plan: FilePlan): ProbeDecoding[] {
    for (const { id, compiled } of plan.probes) object.setProbe(id, compiled);
    return plan.probes.map((probe) => decodingOf(plan.pack.pack, probe));
  }

  /** Attaches a described plan. From here on its probes fire. */
  attach(links: ProbeLinks, { plan, error }: PlannedFile): Attached {
    const outcomes = links.attach(
      plan.file.openPath,
      plan.probes.map(({ id, site, compiled }) => ({
        id,
        offset: site.fileOffset,
        mode: compiled.mode,
        texts: textsAt(compiled),
      })),
    );
    const errors = new Map(outcomes.map((outcome) => [outcome.id, outcome.error]));
    const attached = outcomes.filter((outcome) => outcome.error === null).map(({ id }) => id);
    this.attachedProbes.push(...attached);
    this.failedProbes += outcomes.length - attached.length;
    this.failedProbes += plan.skipped.filter(({ isError }) => isError).length;
    if (attached.length > 0) this.tracedLibraries++;
    return {
      libraries: [libraryRow(plan, ...stateOf({ plan, error }, outcomes))],
      probes: [
        ...plan.probes.map((probe) => probeRow(plan, probe, errors.get(probe.id) ?? null)),
        ...plan.skipped.map((skipped) => skippedRow(plan, skipped)),
      ],
    };
  }

  /** The probes of a plan that are attached, and what a hit of each takes. */
  attachedOf({ probes }: FilePlan): WatchedProbe[] {
    const attached = new Set(this.attachedProbes);
    return probes
      .filter(({ id }) => attached.has(id))
      .map(({ id, compiled, site }) => ({
        id,
        compiled,
        cost: { costClass: site.cost, mode: compiled.mode, stack: hasStack(compiled) },
      }));
  }

  /** Row of a file that was found for a pack and is not used. */
  ignored(pack: CompiledPack, file: LibraryFile, reason: string): LibrariesRow {
    return libraryRow({ libraryId: this.#libraryIds.take() ?? 0, pack, file }, 'ignored', reason);
  }

  /** Rows that say a pack found no library. */
  unfound(pack: CompiledPack, reason: string): Attached {
    return { libraries: [], probes: unfoundRows(pack, reason, () => this.#nextSkipped++) };
  }
}

/** When texts of a call are read; null: it has none. */
export function textsAt({ slots }: CompiledProbe): 'entry' | 'return' | null {
  const times = slots.flatMap(({ text }) => text?.at ?? []);
  return times.includes('return') ? 'return' : (times[0] ?? null);
}

/** What was done with a file, and why nothing when it was nothing. */
function stateOf(
  { plan, error }: PlannedFile,
  outcomes: readonly { error: string | null }[],
): ['traced' | 'failed' | 'ignored', string | null] {
  if (outcomes.some((outcome) => outcome.error === null)) {
    return ['traced', plan.file.recovered === undefined ? null : RECOVERED];
  }
  const failure = error ?? outcomes[0]?.error;
  if (
    failure === undefined &&
    plan.skipped.length > 0 &&
    plan.skipped.every(({ isIntended }) => isIntended)
  ) {
    return ['ignored', plan.skipped[0]?.reason ?? null];
  }
  return ['failed', failure ?? 'it has none of the functions of the pack'];
}

function viewOf(elf: ElfFile, { pack, probes }: CompiledPack, file: LibraryFile): FileView {
  const conditions = probes.flatMap(({ when }) => when);
  const facts = libraryFacts(
    elf,
    file,
    pack.libraries,
    conditions.flatMap(({ symbol }) => symbol ?? []),
  );
  // All names at once: reading a large file's symbol tables for each function would take minutes.
  const patterns = resolvePatterns(
    elf,
    probes.flatMap((probe) => probe.patterns),
  );
  const match = (pattern: SymbolPattern): PatternSymbols => patterns.get(pattern) as PatternSymbols;
  const symbolsOf = (probe: CompiledProbe): string[] => [
    ...probe.symbols,
    ...probe.patterns.flatMap((pattern) => match(pattern).symbols),
  ];
  const lookup = file.recovered ?? elf.lookup(new Set(probes.flatMap(symbolsOf)));
  return {
    locate: (probe) => locate(elf, symbolsOf(probe), lookup),
    match,
    unmet: (when) => unmetCondition(when, facts),
  };
}

/** A file that cannot be read. */
function nothing(reason: string): FileView {
  return {
    locate: ({ symbols }): ProbeLocations => ({
      sites: [],
      missing: new Map(symbols.map((symbol) => [symbol, reason])),
    }),
    match: () => ({ symbols: [], problem: { reason, isError: false } }),
    unmet: () => null,
  };
}
