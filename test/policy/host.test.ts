import { spawnSync } from 'node:child_process';
import {
  chmodSync,
  chownSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statfsSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { PACKAGE_ROOT } from '../../src/paths.js';
import { policyIssues } from '../../src/policy/read.js';
import { makeKeys } from '../support/keys.js';
import { one } from '../trace/support/capture.js';
import { requireRootAndBpf } from '../trace/support/root.js';
import { buildTracer, type Tracer } from '../trace/support/tracer.js';
import { copyWorkload, type Workload } from '../trace/support/workload.js';

/** Each run sees a folder of its own at /etc/ingero, through a mount namespace. */
describe.skipIf(!requireRootAndBpf())('the policy of a host', () => {
  let tracer: Tracer;
  let workload: Workload;
  let etc: string;
  let hadFolder: boolean;
  beforeAll(async () => {
    hadFolder = existsSync('/etc/ingero');
    mkdirSync('/etc/ingero', { recursive: true });
    workload = copyWorkload();
    tracer = await buildTracer();
  });
  beforeEach(() => {
    etc = mkdtempSync(join(tmpdir(), 'ingero-etc-'));
    chmodSync(etc, 0o755);
  });
  afterAll(() => {
    tracer?.remove();
    workload?.remove();
    if (!hadFolder) rmSync('/etc/ingero', { recursive: true });
  });

  const policy = (text: string): void => writeFileSync(join(etc, 'policy.yaml'), text, { mode: 0o644 });

  function ingero(...args: string[]): { status: number | null; stdout: string; stderr: string } {
    return spawnSync(
      'unshare',
      [
        '-m',
        'sh',
        '-c',
        `mount --bind ${etc} /etc/ingero && exec "$@"`,
        'sh',
        process.execPath,
        tracer.bin,
        ...args,
      ],
      { encoding: 'utf8', env: { ...process.env, INGERO_CONFIG_DIR: tracer.dir } },
    );
  }
  const trace = (out: string, ...args: string[]) =>
    ingero('trace', '--json', '--out', out, ...args, '--', workload.gpuScenarios, 'steady', '2');
  const failure = ({ stdout }: { stdout: string }): { code: string; message: string } =>
    (JSON.parse(stdout) as { error: { code: string; message: string } }).error;

  test('a trace within it says so in the capture', async () => {
    policy(`host: { kernel: "4.18" }
output: { directories: [${tracer.dir}] }
limits: { duration: 1m }
`);
    const out = tracer.path();
    expect(trace(out)).toMatchObject({ status: 0, stderr: '' });
    const row = await one(
      out,
      'SELECT policy_path, policy_sha256, policy_verdict::VARCHAR AS verdict FROM capture',
    );
    expect(row).toMatchObject({
      policy_path: '/etc/ingero/policy.yaml',
      policy_sha256: expect.stringMatching(/^[0-9a-f]{64}$/),
    });
    expect(row.verdict).toMatch(/host\.kernel: .*output\.directories: .*limits\.duration: nothing asked for/);
  });

  test('a trace that breaks rules is refused with their names, and leaves no file', () => {
    policy(`packs: { signed: true }
targets: { users: [nobody] }
output: { directories: [/srv] }
limits: { duration: 10s }
`);
    const out = tracer.path();
    const refused = trace(out, '--duration', '11s');
    expect(refused.status).toBe(14);
    expect(failure(refused)).toMatchObject({ code: 'policy' });
    for (const rule of ['packs.signed', 'targets.users', 'output.directories', 'limits.duration']) {
      expect(failure(refused).message).toContain(`  ${rule}: `);
    }
    expect(existsSync(out)).toBe(false);
  });

  test('no flag, variable or other configuration relaxes it', () => {
    policy('packs: { allow: [] }\n');
    const out = tracer.path();
    const refused = ingero('trace', '--json', '--pack-dir', tracer.dir, '--out', out, '--duration', '1s');
    expect(refused.status).toBe(14);
    expect(failure(refused).message).toContain('packs.allow');
  });

  test('packs are signed by keys the host trusts, not by one of the caller with the same name', () => {
    policy('packs: { signed: true, allow: [{ signer: GPU platform team }] }\n');
    const keys = makeKeys(tracer.dir, 'platform', 'signer: GPU platform team\n');
    const pack = join(tracer.dir, 'cuda-runtime.yaml');
    cpSync(join(PACKAGE_ROOT, 'probes', 'cuda-runtime.yaml'), pack);
    expect(ingero('sign', pack, '--key', keys.key).status).toBe(0);
    cpSync(keys.trust, join(tracer.dir, 'trust.d'), { recursive: true });
    expect(ingero('verify', pack).stdout).toContain('signed by GPU platform team');
    const refused = trace(tracer.path(), '--pack', pack);
    expect(refused.status).toBe(14);
    expect(failure(refused).message).toMatch(/packs\.signed: .*packs\.allow: /s);
    cpSync(keys.trust, join(etc, 'trust.d'), { recursive: true });
    expect(trace(tracer.path(), '--pack', pack)).toMatchObject({ status: 0 });
  });

  test('releases are signed by keys the host trusts, whatever --trust says', () => {
    policy('updates: { signers: [GPU platform team] }\n');
    const keys = makeKeys(tracer.dir, 'releases', 'signer: GPU platform team\n');
    const mirror = mkdtempSync(join(tracer.dir, 'mirror-'));
    const name = `ingero-1.0.0-linux-${process.arch}`;
    mkdirSync(join(mirror, name));
    writeFileSync(join(mirror, name, 'file'), '');
    const sums = (...args: string[]) =>
      spawnSync('sha256sum', args, { cwd: mirror, encoding: 'utf8' }).stdout;
    writeFileSync(join(mirror, name, 'SHA256SUMS'), sums(`${name}/file`).replace(`${name}/`, ''));
    spawnSync('tar', ['-C', mirror, '-czf', join(mirror, `${name}.tar.gz`), name]);
    writeFileSync(join(mirror, 'SHA256SUMS'), sums(`${name}.tar.gz`));
    expect(ingero('sign', join(mirror, 'SHA256SUMS'), '--key', keys.key).status).toBe(0);
    const update = () =>
      ingero('update', '--json', '--dry-run', '--from', mirror, '--root', mirror, '--trust', keys.trust);
    expect(failure(update())).toMatchObject({ code: 'update-unverified' });
    cpSync(keys.trust, join(etc, 'trust.d'), { recursive: true });
    expect(update()).toMatchObject({ status: 0 });
    policy('updates: { signers: [somebody else] }\n');
    expect(update()).toMatchObject({ status: 14 });
  });

  test('limits hold for a trace that asks for none', async () => {
    policy('limits: { duration: 500ms, size: 100GiB }\n');
    const out = tracer.path();
    const { status } = ingero('trace', '--out', out);
    expect([0, 4]).toContain(status);
    expect(await one(out, 'SELECT end_reason::VARCHAR AS reason FROM capture')).toEqual({
      reason: 'duration',
    });
  });

  test('addresses in stacks are addresses too', async () => {
    for (const [how, told] of [
      ['drop', '0'],
      ['hash', '>0'],
    ] as const) {
      policy(`capture: { pointers: ${how} }\n`);
      const out = tracer.path();
      expect(trace(out, '--stacks').status).toBe(0);
      // Code of a program is below 2^47; a hash of 64 bits hardly ever is.
      const row = await one(
        out,
        `SELECT count(*) > 0 AS has_frames, if(count(address) > 0, '>0', '0') AS told,
                (count(*) FILTER (address < 2 ** 47))::INTEGER AS plain FROM frames`,
      );
      expect(row).toEqual({ has_frames: true, told, plain: 0 });
    }
  });

  test('what must not be captured is not: addresses hashed, command lines dropped', async () => {
    const open = tracer.path();
    rmSync(join(etc, 'policy.yaml'), { force: true });
    expect(trace(open).status).toBe(0);
    policy('capture: { pointers: hash, strings: drop, command_lines: drop }\n');
    const closed = tracer.path();
    expect(trace(closed).status).toBe(0);
    const ask = (path: string) =>
      one(
        path,
        `SELECT (SELECT count(*)::INTEGER FROM cuda_events WHERE ptr IS NOT NULL) AS pointers,
                (SELECT count(DISTINCT stream)::INTEGER FROM cuda_events) AS streams,
                (SELECT max(stream) FROM cuda_events) AS stream,
                (SELECT sum(bytes)::DOUBLE FROM cuda_events) AS bytes,
                (SELECT count(command_line)::INTEGER FROM processes) AS command_lines,
                command_line IS NULL AS own, target FROM capture`,
      );
    const [before, after] = [await ask(open), await ask(closed)];
    expect(after).toMatchObject({ pointers: before.pointers, streams: before.streams, bytes: before.bytes });
    expect(before.command_lines).toBe(1);
    expect(after.stream).not.toBe(before.stream);
    // In no byte either: the name of a kernel, an argument of the command.
    for (const text of ['matmul_kernel', 'steady']) {
      expect([open, closed].map((path) => [text, readFileSync(path).includes(text)])).toEqual([
        [text, true],
        [text, false],
      ]);
    }
    expect(after).toMatchObject({ command_lines: 0, own: true, target: `command ${workload.gpuScenarios}` });
  });

  test.each<[string, string, RegExp]>([
    [
      'a key with a typo',
      'limit: { duration: 1m }\n',
      /policy\.yaml:1:1: error: unknown key limit.*did you mean limits/s,
    ],
    [
      'a value that is none',
      'limits:\n  overhead: lots\n',
      /policy\.yaml:2:\d+: error: overhead must be of type number/,
    ],
    [
      'a duration that is none',
      'limits:\n  duration: soon\n',
      /policy\.yaml:2:13: error: "soon" is not a duration/,
    ],
    ['no YAML', 'host: [\n', /policy\.yaml:\d+:\d+: error/],
    ['a later grammar', 'schema: 9\n', /newer-grammar/],
    ['a list instead', '- a\n', /the policy must be of type object/],
    ['an empty file', '', /the policy must be of type object/],
  ])('%s: nothing is traced, and the line is named', (_name, text, message) => {
    policy(text);
    const refused = trace(tracer.path());
    expect(refused.status).toBe(14);
    expect(failure(refused)).toMatchObject({ code: 'bad-policy', message: expect.stringMatching(message) });
    const checked = ingero('check');
    expect(checked.status).toBe(3);
    expect(checked.stdout).toMatch(/FAIL {2}policy/);
  });

  test('one that others can change is not followed, and nothing is traced', () => {
    policy('limits: { duration: 1m }\n');
    const file = join(etc, 'policy.yaml');
    const refusals: string[] = [];
    const attempt = (change: () => void, undo: () => void): void => {
      change();
      const refused = trace(tracer.path());
      expect(refused.status).toBe(14);
      refusals.push(failure(refused).code);
      undo();
    };
    attempt(
      () => chmodSync(file, 0o666),
      () => chmodSync(file, 0o644),
    );
    attempt(
      () => chmodSync(file, 0o664),
      () => chmodSync(file, 0o644),
    );
    attempt(
      () => chownSync(file, 65534, 65534),
      () => chownSync(file, 0, 0),
    );
    attempt(
      () => chmodSync(etc, 0o777),
      () => chmodSync(etc, 0o755),
    );
    rmSync(file);
    const elsewhere = join(tracer.dir, 'policy.yaml');
    writeFileSync(elsewhere, '');
    attempt(
      () => symlinkSync(elsewhere, file),
      () => rmSync(file),
    );
    expect(refusals).toEqual(Array.from({ length: 5 }, () => 'policy-untrusted'));
  });
});

describe.skipIf(!requireRootAndBpf())('limits of the caller', () => {
  let tracer: Tracer;
  let workload: Workload;
  beforeAll(async () => {
    workload = copyWorkload();
    tracer = await buildTracer();
  });
  afterAll(() => {
    // A command that outlives its trace goes on by itself.
    spawnSync('pkill', ['-f', workload.gpuScenarios]);
    tracer?.remove();
    workload?.remove();
  });

  test('--max-size ends the trace without a loss', async () => {
    const result = await tracer.run([
      '--json',
      '--max-size',
      '3300KB',
      '--',
      workload.gpuScenarios,
      'steady',
      '30000',
    ]);
    expect(result.code).toBe(0);
    const row = await one(
      result.capture,
      `SELECT end_reason::VARCHAR AS reason, accounting_balanced AS balanced,
              (SELECT sum(lost_ring_full + lost_not_written)::INTEGER FROM probe_accounting) AS lost FROM capture`,
    );
    expect(row).toEqual({ reason: 'max-size', balanced: true, lost: 0 });
  });

  test('--min-free ends the trace while that much is free, and refuses one where less is', async () => {
    const small = mkdtempSync(join(tracer.dir, 'small-'));
    spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=128m', 'none', small]);
    try {
      const out = join(small, 'run.duckdb');
      const storm = ['--', workload.gpuScenarios, 'storm', '3000000', 'mix'];
      const refused = await tracer.run(['--json', '--min-free', '1GiB', ...storm], { out });
      expect(JSON.parse(refused.stdout)).toMatchObject({ error: { code: 'output-space' } });
      // --max-duration is --duration; it is not what ends this one.
      const limits = ['--min-free', '110MiB', '--max-duration', '1m'];
      expect((await tracer.run(['--json', ...limits, ...storm], { out })).code).toBe(5);
      // What completing the file takes is set aside, and no more of what is to be left.
      const { bavail, bsize } = statfsSync(small);
      expect(bavail * bsize).toBeGreaterThan(85 << 20);
      expect(await one(out, 'SELECT count(*) > 10000 AS many FROM cuda_events')).toEqual({ many: true });
      expect(
        await one(out, 'SELECT end_reason::VARCHAR AS reason, accounting_balanced AS balanced FROM capture'),
      ).toEqual({ reason: 'disk-full', balanced: true });
    } finally {
      spawnSync('umount', [small]);
    }
  });

  test('what is no size is refused', async () => {
    const result = await tracer.run(['--json', '--max-size', 'lots', '--', '/bin/true']);
    expect(result.code).toBe(2);
    expect(JSON.parse(result.stdout)).toMatchObject({ error: { code: 'bad-size' } });
  });
});

test('the policy in the documentation is one, and every rule of the schema is in it', () => {
  const text = readFileSync(join(PACKAGE_ROOT, 'docs', 'policy.md'), 'utf8');
  const example = /```yaml\n(.*?)```/s.exec(text)?.[1] ?? '';
  const value = parse(example) as Record<string, object>;
  expect(policyIssues(value)).toEqual([]);
  const schema = JSON.parse(readFileSync(join(PACKAGE_ROOT, 'schema', 'policy.schema.json'), 'utf8')) as {
    properties: Record<string, { properties?: object }>;
  };
  for (const [section, { properties }] of Object.entries(schema.properties)) {
    for (const key of Object.keys(properties ?? {})) expect(value[section], section).toHaveProperty(key);
  }
});
