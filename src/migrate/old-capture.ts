import { statSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { isDiskFull } from '../capture/capture-file.js';
import { checkSpace, writeNewFile } from '../capture/new-file.js';
import { SCHEMA_VERSION } from '../capture/version.js';
import { EXIT, IngeroError } from '../errors.js';
import { type ImportReport, importGoAgentCapture, surveyGoAgentCapture } from '../import/go-agent/convert.js';
import type { OnProgress } from './migrate.js';

export interface ConvertOptions {
  /** File to write. */
  output: string;
  inPlace: boolean;
  dryRun: boolean;
  /** Convert what can be read of a damaged file. */
  salvage: boolean;
  /** Schema version to reach. */
  to: number;
  onProgress: OnProgress;
}

/** What became of one capture of the older Go agent; its `--json` shape. */
export interface ConvertReport extends Omit<ImportReport, 'schema'> {
  file: string;
  /** converted: written and verified; convertible: --dry-run. */
  state: 'converted' | 'convertible';
  /** The Go agent's schema: 0.8, 0.9, or 0.10 (which its versions 0.10 to 0.17 have). */
  from_schema: string;
  to_schema: number;
  output: string;
  seconds: number;
}

/**
 * Converts a capture of the older Go agent. Throws IngeroError: as importGoAgentCapture; `EXIT.output` for the
 * new file; `not-in-place`; `schema-not-forward`.
 */
export async function convertOldCapture(
  file: string,
  source: string,
  options: ConvertOptions,
): Promise<ConvertReport> {
  const started = performance.now();
  const { salvage, to } = options;
  const output = resolve(options.output);
  if (to !== SCHEMA_VERSION) throw onlyNewest(file);
  if (options.inPlace) throw notInPlace(file);
  const result = ({ schema, ...report }: ImportReport, state: ConvertReport['state']): ConvertReport => ({
    file,
    state,
    from_schema: schema.version,
    to_schema: to,
    output,
    ...report,
    seconds: Number(((performance.now() - started) / 1000).toFixed(3)),
  });
  if (options.dryRun) return result(await surveyGoAgentCapture(source, salvage), 'convertible');
  const onProgress = (step: 'reading' | 'writing', events: number, of: number): void =>
    options.onProgress(`${step} events`, of === 0 ? 0 : events / of);
  const report = await writeNewFile(output, (temporary) => {
    checkSpace(dirname(temporary), statSync(source).size);
    return importGoAgentCapture({ source, out: temporary, salvage, onProgress }).catch((error: Error) => {
      throw isDiskFull(error) ? noSpace(output, error) : error;
    });
  });
  return result(report, 'converted');
}

function onlyNewest(file: string): IngeroError {
  return new IngeroError(
    `${file} is a capture of the Go agent, which is converted to schema ${SCHEMA_VERSION} only.`,
    {
      code: 'schema-not-forward',
      exitCode: EXIT.usage,
      expected: `--to ${SCHEMA_VERSION}`,
      next: 'Leave --to out.',
    },
  );
}

function notInPlace(file: string): IngeroError {
  return new IngeroError(
    `${file} cannot be replaced: it is an SQLite file, and what it becomes is a DuckDB file.`,
    {
      code: 'not-in-place',
      exitCode: EXIT.output,
      next: 'Convert it to a new file (without --in-place), and remove the old one when it is no longer needed.',
    },
  );
}

/** What is said when a file system is full: `output-space`. */
export function noSpace(output: string, cause: Error): IngeroError {
  return new IngeroError(`There is no space left for ${output}; the original is unchanged.`, {
    code: 'output-space',
    exitCode: EXIT.output,
    next: 'Free space, or give a path on another file system with --out.',
    cause,
  });
}
