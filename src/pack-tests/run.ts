import { HOST_ARCH } from '../discovery/index.js';
import { compilePack } from '../packs/compile.js';
import type { CompiledProbe, Pack, PackTest, ProbeSpec } from '../packs/model.js';
import { unmetCondition } from '../packs/when.js';
import { decodeTest } from './decoder.js';
import { runThroughKernel } from './kernel.js';
import { ANY_VERSION } from './program.js';
import { type Mismatch, mismatches, type RowText } from './row.js';

/** What tests go through: a traced program, or what the decoder makes of the arguments. */
export type Way = 'kernel' | 'decoder';

/** What came of a test. Field names are those of `--json`. */
export interface TestResult {
  name: string;
  call: string;
  ok: boolean;
  /** Why it failed, in words; null when it did not. */
  problem: string | null;
  /** Columns that are not as they should be. */
  columns: Mismatch[];
}

/** Runs the tests of a pack, in their order. Throws what a trace throws, and `compiler-failed`. */
export async function runPackTests(pack: Pack, way: Way): Promise<TestResult[]> {
  return way === 'kernel' ? await throughKernel(pack) : throughDecoder(pack);
}

function throughDecoder(pack: Pack): TestResult[] {
  const { probes } = compilePack(pack, HOST_ARCH);
  return pack.tests.map((test) => {
    const index = probes.findIndex(({ op }) => op === test.call);
    const [probe, spec] = [probes[index], pack.probes[index] as ProbeSpec];
    if (probe === undefined) throw new Error(`no probe ${test.call}`);
    const reason = notProbed(probe, versionOf(test), probes);
    if (reason !== null) return failed(test, `not probed: ${reason}`);
    const row = decodeTest(pack, spec, probe, test, HOST_ARCH);
    return judge(test, row === null ? [] : [row]);
  });
}

/** Why a trace would not probe a function in a library that has all functions of the pack. */
function notProbed(
  { disabled, when }: CompiledProbe,
  version: string,
  probes: readonly CompiledProbe[],
): string | null {
  if (disabled !== undefined) return disabled;
  const symbols = new Set(probes.flatMap((probe) => probe.symbols));
  return unmetCondition(when, { version, defines: (symbol) => symbols.has(symbol) });
}

async function throughKernel(pack: Pack): Promise<TestResult[]> {
  const { probes } = compilePack(pack, HOST_ARCH);
  const results = new Map<PackTest, TestResult>();
  for (const version of new Set(pack.tests.map(versionOf))) {
    const tests = pack.tests.filter((test) => versionOf(test) === version);
    const { rows, skipped } = await runThroughKernel(pack, tests, version);
    for (const [index, test] of tests.entries()) {
      const probe = probes.find(({ op }) => op === test.call);
      const planned = probe === undefined ? null : notProbed(probe, version, probes);
      const reason = planned ?? skipped.get(test.call);
      results.set(
        test,
        reason === undefined ? judge(test, rows[index] ?? []) : failed(test, `not probed: ${reason}`),
      );
    }
  }
  return pack.tests.flatMap((test) => results.get(test) ?? []);
}

function versionOf({ version = ANY_VERSION }: PackTest): string {
  return version;
}

function judge(test: PackTest, rows: readonly RowText[]): TestResult {
  const [row, ...others] = rows;
  if (test.recorded === false) {
    return row === undefined ? result(test, null) : failed(test, 'the call was recorded');
  }
  if (row === undefined) return failed(test, 'the call was not recorded');
  if (others.length > 0) return failed(test, `the call has ${rows.length} rows`);
  const columns = mismatches(test.row ?? {}, row);
  return result(test, columns.length === 0 ? null : 'the row differs', columns);
}

function failed(test: PackTest, problem: string): TestResult {
  return result(test, problem);
}

function result(test: PackTest, problem: string | null, columns: Mismatch[] = []): TestResult {
  return { name: test.name ?? test.call, call: test.call, ok: problem === null, problem, columns };
}
