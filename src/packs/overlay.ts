/**
 * Overlays: what a site changes about a pack it has not written. An overlay is a list of values that are set in the
 * pack's YAML before it is checked, so that what comes out is a pack like any other.
 */
import { createHash } from 'node:crypto';
import { basename } from 'node:path';
import type { PackDocument } from './document.js';
import { checkOverlayGrammar } from './grammar.js';
import type { PackIssue, PackPath } from './issue.js';
import { withSuggestion } from './issue.js';
import type { CaptureSpec, ConditionSpec, PackProblem, ProbeSpec, WhenSpec } from './model.js';
import { readPackText, readYaml } from './pack-text.js';
import { parsePrototype, parseTypes } from './prototype.js';
import { didYouMean } from './suggest.js';

/** How the name of an overlay's file ends; other `.yaml` files are packs. */
export const OVERLAY_SUFFIX = '.overlay.yaml';
/** In the place of an operation: every function of the pack. */
const EVERY = '*';

/** An overlay file. */
export interface Overlay {
  path: string;
  sha256: string;
  /** Pack it is for. */
  target: string;
  /** Absent when there are problems. */
  content?: { document: PackDocument; value: OverlayYaml };
  problems: readonly PackProblem[];
}

/** The YAML of a valid overlay. */
interface OverlayYaml {
  overlays: string;
  probes: Readonly<Record<string, ProbeOverlay>>;
}

interface ProbeOverlay {
  enabled?: boolean;
  required?: boolean;
  mode?: 'call' | 'entry';
  ok?: readonly number[];
  sample?: string;
  stack?: 'off' | 'always';
  when?: readonly WhenSpec[];
  where?: readonly ConditionSpec[];
  /** By column. */
  redact?: Readonly<Record<string, 'hash' | 'drop'>>;
}

/** A value an overlay sets. */
interface Change {
  /** Where it goes in the pack. */
  at: PackPath;
  value: unknown;
  /** Where it comes from. */
  document: PackDocument;
  from: PackPath;
}

/** Reads an overlay file. Never throws for what is in it. */
export function readOverlay(path: string): Overlay {
  const read = readPackText(path);
  if ('problem' in read) return { path, sha256: '', target: stem(path), problems: [read.problem] };
  return parseOverlay(read.text, path);
}

/** Reads the text of an overlay and reports all that is wrong with its shape. Never throws. */
export function parseOverlay(text: string, path: string): Overlay {
  const sha256 = createHash('sha256').update(text).digest('hex');
  const yaml = readYaml(text, path);
  if ('problems' in yaml) return { path, sha256, target: stem(path), problems: yaml.problems };
  const { document, value } = yaml;
  const problems = checkOverlayGrammar(value).map((issue) => document.locate(issue));
  const named = (value as { overlays?: unknown } | null)?.overlays;
  const target = typeof named === 'string' ? named : stem(path);
  if (problems.length > 0) return { path, sha256, target, problems };
  return { path, sha256, target, content: { document, value: value as OverlayYaml }, problems };
}

/** The pack a file is for when it does not say so itself: `nccl` of `50-nccl.overlay.yaml`. */
function stem(path: string): string {
  return basename(path, OVERLAY_SUFFIX).replace(/^\d+-/, '');
}

/** A pack's YAML with overlays applied, and where everything in it is written. */
export class LayeredYaml {
  readonly value: unknown;
  /** What the overlays say that cannot be applied. */
  readonly problems: PackProblem[] = [];
  readonly #base: PackDocument;
  readonly #changes: Change[] = [];

  /** Applies overlays in this order: the last one that sets a value wins. Overlays with problems set nothing. */
  constructor(base: PackDocument, value: unknown, overlays: readonly Overlay[]) {
    this.#base = base;
    const probes = probesOf(value);
    for (const overlay of overlays) {
      this.problems.push(...overlay.problems);
      if (overlay.content !== undefined) this.#collect(overlay, overlay.content, probes);
    }
    // What an alias repeats is no longer shared: a change of one place must not show in another.
    this.value = this.#changes.length === 0 ? value : (JSON.parse(JSON.stringify(value)) as unknown);
    for (const { at, value: set } of this.#changes) setIn(this.value, at, set);
  }

  /** Whether an overlay sets anything. */
  get isChanged(): boolean {
    return this.#changes.length > 0;
  }

  /** Ties an issue of the pack to the line that is to blame: one of an overlay where that sets the value. */
  locate(issue: PackIssue): PackProblem {
    const change = this.#changes.findLast(({ at }) => at.every((key, depth) => issue.at[depth] === key));
    if (change === undefined) return this.#base.locate(issue);
    return change.document.locate({ ...issue, at: [...change.from, ...issue.at.slice(change.at.length)] });
  }

  #collect(
    overlay: Overlay,
    { document, value }: { document: PackDocument; value: OverlayYaml },
    probes: readonly NamedProbe[],
  ): void {
    const entries = Object.entries(value.probes);
    const known = probes.map(({ op }) => op);
    // What is said of one function by name comes after what is said of all.
    for (const isEvery of [true, false]) {
      for (const [op, settings] of entries.filter(([name]) => (name === EVERY) === isEvery)) {
        const from = ['probes', op];
        const matches = probes.filter((probe) => isEvery || probe.op === op);
        if (matches.length === 0 && !isEvery) {
          const issue: PackIssue = {
            rule: 'unknown-op',
            message: `pack ${overlay.target} has no operation ${op}`,
            at: from,
            key: true,
          };
          this.problems.push(document.locate(withSuggestion(issue, didYouMean(op, known))));
        }
        for (const [column, redact] of Object.entries(settings.redact ?? {})) {
          this.#redact(column, redact, matches, { document, from: [...from, 'redact', column] });
        }
        for (const { index } of matches) {
          for (const [key, set] of Object.entries(settings)) {
            if (key === 'redact') continue;
            this.#changes.push({
              at: ['probes', index, key],
              value: Array.isArray(set) && set.length === 0 ? undefined : set,
              document,
              from: [...from, key],
            });
          }
        }
      }
    }
  }

  /** Redacts a column in every one of these probes that captures it; one of them has to. */
  #redact(
    column: string,
    value: 'hash' | 'drop',
    probes: readonly NamedProbe[],
    source: Pick<Change, 'document' | 'from'>,
  ): void {
    const places = probes.flatMap(({ index, columns }) =>
      columns.flatMap((name, position) => (name === column ? [[index, position] as const] : [])),
    );
    for (const [index, position] of places) {
      this.#changes.push({ at: ['probes', index, 'capture', position, 'redact'], value, ...source });
    }
    if (places.length > 0 || probes.length === 0) return;
    const { document, from: at } = source;
    const issue: PackIssue = {
      rule: 'unknown-column',
      message: `no column ${column} is captured`,
      at,
      key: true,
    };
    const near = didYouMean(column, new Set(probes.flatMap(({ columns }) => columns)));
    this.problems.push(document.locate(withSuggestion(issue, near)));
  }
}

/** A probe of a pack that may be wrong, with the name its rows have. */
interface NamedProbe {
  index: number;
  op: string;
  /** Columns it captures, in order. */
  columns: readonly string[];
}

function probesOf(value: unknown): NamedProbe[] {
  const { probes, types } = (value ?? {}) as { probes?: unknown; types?: unknown };
  if (!Array.isArray(probes)) return [];
  const table = parseTypes(typeof types === 'string' ? types : '').types;
  return probes.flatMap((probe: Partial<ProbeSpec> | null, index): NamedProbe[] => {
    if (typeof probe?.prototype !== 'string') return [];
    const op = probe.op ?? parsePrototype(probe.prototype, table).prototype?.name;
    const captures = Array.isArray(probe.capture) ? (probe.capture as (Partial<CaptureSpec> | null)[]) : [];
    return typeof op === 'string' ? [{ index, op, columns: captures.map((one) => one?.column ?? '') }] : [];
  });
}

/** Sets a value at a path that exists but for its last key; undefined removes it. */
function setIn(root: unknown, at: PackPath, value: unknown): void {
  let container = root as Record<string | number, unknown>;
  for (const key of at.slice(0, -1)) container = container[key] as Record<string | number, unknown>;
  const last = at.at(-1) as string | number;
  if (value === undefined) delete container[last];
  else container[last] = value;
}
