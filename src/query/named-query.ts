import type { ParamDoc } from './param-type.js';

/** How the numbers of a query relate to what happened. */
export const FIDELITIES = ['exact', 'derived', 'proxy', 'heuristic'] as const;
export type Fidelity = (typeof FIDELITIES)[number];

/**
 * What sampling (a probe that records one call of N) does to a query. `weighted`: counts and sums multiply each
 * recorded call by its sample_weight; `rows`: it shows recorded calls, and those left out are not there; `pairs`: it
 * relates calls to each other, which sampled operations do not allow; `none`: it reads nothing that is sampled.
 */
export const SAMPLINGS = ['weighted', 'rows', 'pairs', 'none'] as const;
export type Sampling = (typeof SAMPLINGS)[number];

/** Units a column or parameter may have. `ns`, `bytes`, `address`, `%`, `GB/s` and `symbol` have readable forms in tables. */
export const UNITS = [
  'ns',
  'us',
  'ms',
  's',
  'bytes',
  'bytes/s',
  'GB/s',
  '%',
  'x',
  'UTC',
  'address',
  'symbol',
  'calls',
  'calls/s',
  'rows',
  'reads',
  'levels',
  'ranks',
  'devices',
  'processes',
  'threads',
  'streams',
  'blocks',
  'elements',
] as const;

export interface ColumnDoc {
  name: string;
  unit: string | undefined;
  doc: string;
}

/** A named query as its file documents it. */
export interface NamedQuery {
  name: string;
  title: string;
  /** The question it answers, one sentence. */
  question: string;
  params: readonly ParamDoc[];
  requires: { tables: readonly string[]; schema: number };
  /** Packs that record what it reads. */
  packs: readonly string[];
  /** Globs of operations of which at least one must have been probed. */
  ops: readonly string[];
  /** A statement whose one value is NULL when the query applies to a capture, else why not. */
  discovery: string | undefined;
  columns: readonly ColumnDoc[];
  sampling: Sampling;
  fidelity: { level: Fidelity; why: string };
  /** How to read a high number and what to do about it. */
  interpret: string | undefined;
  /** Names of queries to run next. */
  next: readonly string[];
  /** The Nsight Systems report that answers the same question. */
  nsys: string | undefined;
  /** The statement, without the header. */
  sql: string;
}
