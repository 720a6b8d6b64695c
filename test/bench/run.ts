/**
 * `npm run bench`: every figure the project promises, each against its baseline in the same run, on an otherwise
 * idle machine. Needs root, clang-14, the built workload; bpftrace and sqlite3 for their comparisons.
 */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { cpus, release, tmpdir } from 'node:os';
import { join } from 'node:path';
import { benchAggregates } from './aggregate.js';
import { benchImport } from './import.js';
import { benchIngest } from './ingest.js';
import { benchLive } from './live.js';
import { benchExport, benchMerge } from './many.js';
import { benchMigrate } from './migrate.js';
import { benchQueries, buildQueryCapture, NO_RUNTIME, ONE_THREAD } from './queries.js';
import { benchRecordCost } from './record-cost.js';
import { type Figure, renderFigures } from './report.js';
import { benchAllPacks, benchAttach, benchStartUp } from './start-up.js';

const root = process.cwd();
const scratch = mkdtempSync(join(tmpdir(), 'ingero-bench-'));
const figures: Figure[] = [];
const raw: Record<string, unknown> = {};

function figure(
  name: string,
  value: number,
  unit: string,
  limit: number,
  baseline: string,
  atLeast = false,
): void {
  const met = atLeast ? value >= limit : value <= limit;
  figures.push({
    name,
    value,
    unit,
    baseline,
    target: `${atLeast ? '>=' : '<='} ${limit.toLocaleString('en')}`,
    met,
  });
}

const only = new Set(process.argv.slice(2));
const wanted = (name: string): boolean => only.size === 0 || only.has(name);

if (wanted('many')) {
  const merge = await benchMerge(scratch, 8, 5_000_000);
  raw.merge = merge;
  figure('merge 8 captures of 5 million events', merge.seconds, 's', 60, 'none');
  const exported = await benchExport(scratch, 1000);
  raw.export = exported;
  figure('export 1000 nodes to Parquet', exported.seconds, 's', 120, `${exported.files} files`);
}

if (wanted('record')) {
  for (const op of ['cudaMemcpyAsync', 'cudaLaunchKernel']) {
    const cost = await benchRecordCost(root, op, join(scratch, 'record.duckdb'));
    raw[`record ${op}`] = cost;
    figure(
      `full record, ${op}`,
      cost.fullRecord / cost.emptyPair,
      'x',
      1.35,
      `an empty probe pair, ${Math.round(cost.emptyPair)} ns`,
    );
    figure(
      `rejected by where, ${op}`,
      cost.rejected / cost.emptyPair,
      'x',
      1.15,
      `an empty probe pair, ${Math.round(cost.emptyPair)} ns`,
    );
    if (cost.bpftrace !== null) {
      figure(
        `added cost, ${op}`,
        (cost.fullRecord - cost.untraced) / (cost.bpftrace - cost.untraced),
        'x',
        0.2,
        `bpftrace printing the same fields, +${Math.round(cost.bpftrace - cost.untraced)} ns`,
      );
    }
  }
}

if (wanted('live')) {
  const live = await benchLive(root, join(scratch, 'live.duckdb'), 200_000, 10);
  raw.live = live;
  figure(
    'rate while asked once a second',
    live.asked.eventsPerSecond / live.alone.eventsPerSecond,
    'x',
    0.99,
    `the same trace alone, ${Math.round(live.alone.eventsPerSecond).toLocaleString('en')} events/s`,
    true,
  );
  figure('lost while asked', live.asked.lost, 'events', 0, `${live.answers} answers`);
  figure('a live answer', live.answerMs, 'ms', 2000, 'from the command line to the end of its output');
}

if (wanted('ingest')) {
  const capture = join(scratch, 'ingest.duckdb');
  const ingest = await benchIngest(root, capture, 1_600_000, 20);
  raw.ingest = ingest;
  figure(
    'kernel to file, sustained 20 s',
    ingest.eventsPerSecond,
    'events/s',
    1_500_000,
    'the rate asked of the storm, 1,600,000',
    true,
  );
  figure('lost in those 20 s', ingest.lost, 'events', 0, `${ingest.events.toLocaleString('en')} produced`);
  figure(
    'CPU per event, recorder',
    ingest.cpuNsPerEvent - ingest.stormNsPerEvent,
    'ns',
    400,
    `${Math.round(ingest.cpuNsPerEvent)} ns with the storm that produces them`,
  );
  figure('file per event', ingest.bytesPerEvent, 'bytes', 16, 'the size of the closed file');
}

if (wanted('import')) {
  const result = await benchImport(join(scratch, 'agent.db'), 1_000_000);
  raw.import = result;
  if (result !== null) {
    figure(
      "conversion of the Go agent's captures",
      result.events / result.convert,
      'events/s',
      200_000,
      `${(result.convert / result.sqlite).toFixed(1)} times as long as sqlite3 takes to print the rows, ${result.sqlite.toFixed(1)} s`,
      true,
    );
  }
}

if (wanted('queries')) {
  const capture = join(scratch, 'queries.duckdb');
  await buildQueryCapture(capture, 10_000_000);
  const oneThread = join(scratch, 'one-thread.duckdb');
  await buildQueryCapture(oneThread, 10_000_000, ONE_THREAD);
  const noRuntime = join(scratch, 'no-runtime.duckdb');
  await buildQueryCapture(noRuntime, 10_000_000, NO_RUNTIME);
  for (const [path, shape] of [
    [capture, '10 M events'],
    [oneThread, '10 M calls of one thread'],
    [noRuntime, '6 M calls of NCCL and 4 M of the driver'],
  ] as const) {
    const costs = await benchQueries(path);
    raw[`queries, ${shape}`] = costs;
    for (const { name, ms, failure } of costs) {
      figure(
        `${name}, ${shape}`,
        failure === undefined ? ms : Number.POSITIVE_INFINITY,
        'ms',
        3000,
        failure ?? '1 GiB, 2 threads',
      );
    }
    const fast = costs.filter(({ ms, failure }) => failure === undefined && ms <= 500).length;
    figure(
      `queries within 500 ms, ${shape}`,
      fast / costs.length,
      'of all',
      0.5,
      `${costs.length} that apply`,
      true,
    );
  }
  const aggregates = await benchAggregates(capture, join(scratch, 'rows.sqlite'));
  raw.aggregates = aggregates;
  for (const { name, rows, duckdb, sqlite } of aggregates) {
    if (sqlite === null) continue;
    figure(
      `${name}, ${rows.toLocaleString('en')} rows`,
      sqlite / duckdb,
      'x faster',
      10,
      `sqlite3 on the same rows, ${sqlite.toFixed(1)} s`,
      true,
    );
  }
}

if (wanted('start')) {
  const demo = join(scratch, 'demo.duckdb');
  execFileSync(process.execPath, [
    `${root}/bin/ingero.js`,
    'migrate',
    `${root}/test/fixtures/demo-v1.duckdb`,
    '--out',
    demo,
  ]);
  for (const [name, args, limit] of [
    ['--version', ['--version'], 150],
    ['run-query', ['run-query', 'cuda-api-sum', demo], 400],
  ] as const) {
    const times = benchStartUp(root, args);
    raw[`start ${name}`] = times;
    if (times.release !== null) {
      figure(
        `${name}, as released`,
        times.release,
        'ms',
        limit,
        `node -e 0: ${Math.round(times.node)} ms; from source ${Math.round(times.source)} ms`,
      );
    }
  }
  const attach = benchAttach(root, 60);
  raw.attach = attach;
  figure(`find and attach ${attach.probes} probes`, attach.seconds, 's', 1, 'a call and a return probe each');
}

if (wanted('migrate')) {
  const migrate = await benchMigrate(root, scratch, 10_000_000);
  raw.migrate = migrate;
  const size = `${migrate.events.toLocaleString('en')} events, ${Math.round(migrate.bytes / 2 ** 20)} MiB`;
  figure('migrate from schema 1', migrate.seconds, 's', 30, size);
  figure(
    'migrate and compare',
    migrate.seconds / migrate.copySeconds,
    'x',
    10,
    `COPY FROM DATABASE alone, ${migrate.copySeconds.toFixed(1)} s`,
  );
  figure('memory of migrate', migrate.peakMib, 'MiB', 1024, size);
  figure('info', migrate.infoMs, 'ms', 300, `--version: ${Math.round(migrate.versionMs)} ms; ${size}`);
}

if (wanted('packs')) {
  const all = benchAllPacks();
  raw.packs = all;
  const what = `${all.packs} packs, real libraries of Debian`;
  figure('read and compile all packs, find their functions', all.compileMs, 'ms', 300, what);
  figure(`attach all packs, ${all.probes} functions`, all.attachSeconds, 's', 3, what);
}

for (const line of renderFigures(figures)) console.log(line);
mkdirSync(`${root}/test/bench/results`, { recursive: true });
const host = { kernel: release(), cpus: cpus().length, model: cpus()[0]?.model, node: process.version };
if (only.size === 0) {
  writeFileSync(
    `${root}/test/bench/results/latest.json`,
    `${JSON.stringify({ host, figures, raw }, null, 2)}\n`,
  );
}
if (existsSync(scratch)) rmSync(scratch, { recursive: true });
process.exitCode = figures.every(({ met }) => met) ? 0 : 1;
