import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { PACKAGE_ROOT } from '../../src/paths.js';
import { available } from '../packs/support/tools.js';
import { buildCapture } from '../support/capture-builder.js';
import { buildCli, type Cli } from '../support/cli.js';

const NETWORK =
  /['"](?:node:)?(?:net|http|https|http2|tls|dgram|dns|dns\/promises|inspector|cluster)['"]|\bfetch\s*\(|\bWebSocket\b|\bEventSource\b|https?:\/\//;

/** Lines that may name the network, each with its reason. */
const ALLOWED = [
  // Queries of a running capture: the recorder's socket is a file beside it (AF_UNIX).
  "src/live/client.ts: import { connect, type Socket } from 'node:net';",
  "src/live/server.ts: import { connect, createServer, type Server, type Socket } from 'node:net';",
  // The pipes to the launcher of a traced command; a type.
  "src/trace/launcher.ts: import type { Socket } from 'node:net';",
];

test('no source file can reach a network', () => {
  const sources = ['src', 'packaging/release', 'packaging/single', 'bin'].flatMap((folder) =>
    readdirSync(join(PACKAGE_ROOT, folder), { recursive: true, encoding: 'utf8' })
      .filter((name) => /\.[cm]?[jt]s$/.test(name))
      .map((name) => `${folder}/${name}`),
  );
  expect(sources.length).toBeGreaterThan(50);
  const found = sources.flatMap((name) =>
    readFileSync(join(PACKAGE_ROOT, name), 'utf8')
      .split('\n')
      .filter((line) => NETWORK.test(line))
      .map((line) => `${name}: ${line.trim()}`),
  );
  expect(found).toEqual(ALLOWED);
});

describe('the bundle', () => {
  const audit = (release: string) =>
    spawnSync(process.execPath, [join(PACKAGE_ROOT, 'packaging/network-audit.mjs'), release], {
      encoding: 'utf8',
    });
  let release: string;
  beforeAll(() => {
    release = mkdtempSync(join(tmpdir(), 'ingero-bundle-'));
    execFileSync(process.execPath, [join(PACKAGE_ROOT, 'packaging/bundle.mjs'), release]);
  });
  afterAll(() => rmSync(release, { recursive: true, force: true }));

  test('has no way to a network: each place that could be one is listed with its reason', () => {
    const { status, stdout, stderr } = audit(release);
    expect([status, stderr]).toEqual([0, '']);
    expect(stdout).toMatch(/^src\/live\/client\.ts: import \{ connect \} from "node:net";$/m);
  });

  test.each([
    'import { get } from "node:https";',
    "const dns = require('dns/promises');",
    'await fetch(address);',
    'new WebSocket(address);',
    'const found = await import(name);',
    'process.getBuiltinModule("net");',
  ])('%s would be found', (line) => {
    const part = join(release, 'lib/part-added.js');
    writeFileSync(part, `// src/added.ts\n${line}\n`);
    const { status, stderr } = audit(release);
    rmSync(part);
    expect([status, stderr]).toEqual([1, `src/added.ts: ${line}\n    NOT ON THE LIST\n`]);
  });
});

const CAPTURE = join(PACKAGE_ROOT, 'build/offline.duckdb');

describe.skipIf(!available('strace', '-V'))('under strace', () => {
  let cli: Cli;
  beforeAll(async () => {
    cli = await buildCli();
    await buildCapture(CAPTURE, { cudaEvents: [{ op: 'cudaMalloc' }] });
  });
  afterAll(() => {
    cli.remove();
    rmSync(CAPTURE, { force: true });
  });

  test.each([
    ['queries'],
    ['probes', 'list'],
    ['migrate', 'test/fixtures/demo-v1.duckdb', '--dry-run'],
    ['run-query', 'cuda-api-sum', 'build/offline.duckdb'],
    ['query', 'test/fixtures/demo-v1.duckdb', "SELECT * FROM 'http://127.0.0.1:9/x.parquet'"],
  ])('ingero %s %s opens no socket and runs no program', (...args) => {
    const traced = [
      '-f',
      '-qq',
      '-e',
      'trace=socket,connect,bind,sendto,sendmsg,execve',
      process.execPath,
      cli.bin,
      ...args,
    ];
    const { stderr } = spawnSync('strace', traced, { cwd: PACKAGE_ROOT, encoding: 'utf8' });
    const calls = stderr.split('\n').filter((line) => /^(?:\[pid +\d+\] )?\w+\(/.test(line));
    // The first is the program itself.
    expect(calls[0]).toMatch(/execve/);
    expect(calls.slice(1)).toEqual([]);
  });
});
