import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { PACKAGE_ROOT } from '../../src/paths.js';
import { available } from '../packs/support/tools.js';
import { buildModules, type Cli } from '../support/cli.js';

/** Fixture the commands below read. */
const CAPTURE = 'test/fixtures/demo-v1.duckdb';

let cli: Cli;
let dir: string;
beforeAll(async () => {
  cli = await buildModules();
  dir = mkdtempSync(join(tmpdir(), 'ingero-seal-'));
});
afterAll(() => {
  cli?.remove();
  rmSync(dir, { recursive: true, force: true });
});

/** Runs code in a process that began as every ingero process does, and returns what it printed. */
function sealed(code: string): string {
  const root = dirname(dirname(cli.bin));
  const script = join(root, 'bin', 'sealed.mjs');
  writeFileSync(
    script,
    `import { start } from '../dist/start.js';
     await start(process.argv.slice(2), async () => { ${code} });`,
  );
  return execFileSync(process.execPath, [script], { encoding: 'utf8' }).trim();
}

describe('a sealed process is refused', () => {
  test('a connection from JavaScript, in the main thread and in a worker', () => {
    const attempt = `net.connect(9, '127.0.0.1').on('error', (e) => console.log(e.code, e.syscall))`;
    expect(sealed(`const net = await import('node:net'); ${attempt};`)).toBe('EPERM connect');
    expect(
      sealed(`const { Worker } = await import('node:worker_threads');
              new Worker("const net = require('node:net'); ${attempt.replaceAll("'", "\\'").replaceAll('"', '\\"')}", { eval: true });`),
    ).toBe('EPERM connect');
  });

  test('a name looked up', () => {
    const code = `const dns = await import('node:dns'); dns.resolve('example.com', (e) => console.log(e.code));`;
    expect(sealed(code)).toMatch(/^E(CONNREFUSED|REFUSED|PERM|TIMEOUT|SERVFAIL)/);
  });

  test.each([
    ['AF_INET', 2],
    ['AF_INET6', 10],
    ['AF_NETLINK', 16],
    ['AF_PACKET', 17],
    ['AF_BLUETOOTH', 31],
    ['AF_ALG', 38],
    ['AF_VSOCK', 40],
  ])('a socket of family %s from native code, as a pair as well', (_name, family) => {
    const code = `const { default: koffi } = await import('koffi');
      const libc = koffi.load('libc.so.6');
      const socket = libc.func('int socket(int, int, int)');
      const pair = libc.func('int socketpair(int, int, int, void *)');
      console.log(socket(${family}, 1, 0), koffi.errno(), pair(${family}, 1, 0, Buffer.alloc(8)), koffi.errno());`;
    expect(sealed(code)).toBe('-1 1 -1 1');
  });

  test('the same calls under the numbers of another architecture, a ring that opens sockets, and a socket of another process', () => {
    const x64 = process.arch === 'x64';
    const code = `const { default: koffi } = await import('koffi');
      const syscall = koffi.load('libc.so.6').func('long syscall(long, long, long, long)');
      const of = (...args) => [syscall(...args), koffi.errno()].join(' ');
      console.log([of(${x64 ? 0x40000000 + 41 : 198}, 2, 1, 0), of(425, 8, 0, 0), of(438, 1, 0, 0)].join('; '));`;
    expect(sealed(code)).toBe('-1 1; -1 38; -1 1');
  });

  test('any program, found on the host or its own', () => {
    const code = `const { spawnSync } = await import('node:child_process');
      console.log(['/bin/true', process.execPath].map((file) => spawnSync(file).error?.code).join(' '));`;
    expect(sealed(code)).toBe('EPERM EPERM');
  });

  test('a URL in DuckDB, with every fence of ingero taken down', () => {
    const code = `const { DuckDBInstance } = await import('@duckdb/node-api');
      const db = await (await DuckDBInstance.create(':memory:')).connect();
      for (const sql of ["INSTALL httpfs", "SELECT * FROM 'http://127.0.0.1:9/x.parquet'"])
        await db.run(sql).then(() => console.log('done'), (e) => console.log(/Failed to download|IO Error|HTTP|Extension|Permission/i.test(e.message)));`;
    expect(sealed(code)).toBe('true\ntrue');
  });
});

test('once the probes are attached: every call that capabilities would be for', () => {
  const calls =
    `ptrace process_vm_readv process_vm_writev open_by_handle_at mount umount2 pivot_root chroot open_tree
    move_mount fsopen fsconfig fsmount fspick mount_setattr setns unshare init_module finit_module delete_module kexec_load
    kexec_file_load reboot swapon swapoff setuid setgid setreuid setregid setresuid setresgid setfsuid setfsgid
    setgroups capset clone clone3 bpf`.split(/\s+/);
  // Their numbers as the headers of the C library have them.
  const numbers = execFileSync('cc', ['-E', '-P', '-include', 'sys/syscall.h', '-'], {
    input: calls.map((name) => `@${name} __NR_${name}`).join('\n'),
    encoding: 'utf8',
  });
  const table = Object.fromEntries(
    [...numbers.matchAll(/@(\w+) (\d+)/g)].map(([, name, number]) => [name, Number(number)]),
  );
  expect(Object.keys(table)).toEqual(calls);
  const code = `const { default: koffi } = await import('koffi');
    const { sealTrace } = await import('../dist/trust/seal.js');
    const { Worker } = await import('node:worker_threads');
    const syscall = koffi.load('libc.so.6').func('long syscall(long, long, long, long)');
    const error = (number, first) => (syscall(number, first, -1, -1) < 0 ? koffi.errno() : 0);
    sealTrace();
    // CLONE_NEWNS and CLONE_FS together, which no kernel takes; BPF_PROG_LOAD, and BPF_MAP_LOOKUP_ELEM, which is needed.
    const first = { clone: 0x20200, bpf: 5 };
    const table = ${JSON.stringify(table)};
    for (const [name, number] of Object.entries(table)) console.log(name, error(number, first[name] ?? -1));
    console.log('lookup', error(table.bpf, 1) === 1);
    new Worker("console.log('threads start')", { eval: true });`;
  expect(sealed(code).split('\n')).toEqual([
    ...calls.map((name) => `${name} ${name === 'clone3' ? 38 : 1}`),
    'lookup false',
    'threads start',
  ]);
});

test('a sealed process has sockets within the host, and no_new_privs', () => {
  const code = `const net = await import('node:net'); const fs = await import('node:fs');
    const server = net.createServer((peer) => { peer.end('unix'); server.close(); }).listen(${JSON.stringify('/tmp')} + '/ingero-seal-' + process.pid, () =>
      net.connect(server.address()).on('data', (text) => console.log(String(text),
        /NoNewPrivs:\\t1/.test(fs.readFileSync('/proc/self/status', 'utf8')))));`;
  expect(sealed(code)).toBe('unix true');
});

test('where the kernel takes no filter ingero refuses to run, and check says so', () => {
  const root = dirname(dirname(cli.bin));
  const broken = join(root, 'bin', 'broken.mjs');
  const unfit = `import { start } from '../dist/start.js';
     Object.defineProperty(process, 'arch', { value: 'riscv64' });
     await start(process.argv.slice(2), async () => console.log('ran'));`;
  writeFileSync(broken, unfit);
  const refused = spawnSync(process.execPath, [broken, 'queries'], { encoding: 'utf8' });
  expect(refused).toMatchObject({ status: 3, stdout: '' });
  expect(refused.stderr).toMatch(
    /could not be sealed off the network: the architecture riscv64 is not known/,
  );
  const json = spawnSync(process.execPath, [broken, 'queries', '--json'], { encoding: 'utf8' });
  expect(JSON.parse(json.stdout)).toMatchObject({ error: { code: 'no-seal' } });
  expect(spawnSync(process.execPath, [broken, 'check'], { encoding: 'utf8' }).stdout).toBe('ran\n');
});

describe.skipIf(!available('strace', '-V'))('under strace', () => {
  const commands = Object.keys(
    (JSON.parse(readFileSync(join(PACKAGE_ROOT, 'oclif.manifest.json'), 'utf8')) as { commands: object })
      .commands,
  );
  /** Arguments that make a command do its work; the others print what is wrong with none. */
  const ARGUMENTS: Readonly<Record<string, readonly string[]>> = {
    query: [CAPTURE, 'SELECT count(*) FROM cuda_events'],
    'run-query': ['cuda-api-sum', CAPTURE],
    'queries:show': ['cuda-api-sum'],
    'probes:show': ['nccl'],
    'probes:validate': ['probes/nccl.yaml'],
    'probes:compile': ['nccl'],
    trace: ['--duration', '100ms', '--out', '$DIR/strace.duckdb', '--', '/bin/true'],
    explain: [CAPTURE],
    info: [CAPTURE],
    verify: [CAPTURE],
    migrate: [CAPTURE, '--dry-run'],
  };

  test.each(commands)(
    'ingero %s opens no socket beyond the host and reads nothing that resolves names',
    (id) => {
      const args = (ARGUMENTS[id] ?? []).map((word) => word.replace('$DIR', dir));
      const { stderr } = spawnSync(
        'strace',
        [
          '-f',
          '-qq',
          '-e',
          'trace=socket,openat,open,seccomp',
          process.execPath,
          cli.bin,
          ...id.split(':'),
          ...args,
        ],
        {
          cwd: PACKAGE_ROOT,
          encoding: 'utf8',
          maxBuffer: 1 << 28,
          env: { ...process.env, INGERO_CONFIG_DIR: dir },
        },
      );
      const calls = stderr.split('\n');
      expect(calls.length).toBeGreaterThan(20);
      // Machine code that is loaded before the seal is what makes it.
      const sealedAt = calls.findIndex((line) => /seccomp\(/.test(line));
      expect(sealedAt).toBeGreaterThan(0);
      const loaded = calls
        .slice(0, sealedAt)
        .flatMap((line) => /([^/"]+\.node)".* = \d/.exec(line)?.[1] ?? []);
      expect([...new Set(loaded)]).toEqual(['koffi.node']);
      // The one attempt: `check` tries whether the seal holds.
      const refused = id === 'check' ? /AF_INET.*= -1 EPERM/ : /^$/;
      expect(calls.filter((line) => /socket\((?!AF_UNIX)/.test(line) && !refused.test(line))).toEqual([]);
      // Nor the memory of a process.
      expect(calls.filter((line) => /\/proc\/[^"]*\/mem"/.test(line))).toEqual([]);
      expect(calls.filter((line) => /resolv\.conf|\/etc\/hosts|\/etc\/services|nscd/.test(line))).toEqual([]);
    },
  );
});

describe('whether filters see return probes', () => {
  test('is tried by a thread that leaves no filter behind', () => {
    const code = `const { filteredReturns } = await import('../dist/trust/return-probes.js');
      const { sealTrace } = await import('../dist/trust/seal.js');
      console.log(JSON.stringify(await filteredReturns(process.arch, '6.12.0')));
      sealTrace();
      const { readFileSync } = await import('node:fs');
      console.log(/Seccomp_filters:\\t(.*)/.exec(readFileSync('/proc/self/status', 'utf8'))[1]);`;
    const [answer, filters] = sealed(code).split('\n');
    expect(JSON.parse(answer ?? '')).toMatchObject({
      known: process.arch === 'x64' ? 'tried' : 'by its version',
    });
    expect(filters).toBe('2');
  });

  test('a thread behind a filter of its own sees it; the others do not', () => {
    // getppid(), which never fails.
    const number = process.arch === 'x64' ? 110 : 173;
    const code = `const { Worker } = await import('node:worker_threads');
      const { syscall } = await import('../dist/trust/libc.js');
      const path = (name) => JSON.stringify(new URL('../dist/trust/' + name, import.meta.url).href);
      const worker = new Worker('Promise.all([import(' + path('seccomp.js') + '), import(' + path('libc.js') + ')]).then(([s, l]) => {' +
        's.filterThread([{ call: ${number}, errno: 42 }]); console.log(l.syscall(${number}), l.lastErrno().code); })', { eval: true });
      worker.on('exit', () => console.log(syscall(${number}) === process.ppid));`;
    expect(sealed(code)).toBe('-1 42\ntrue');
  });

  test('is not tried behind a filter of somebody else, which might kill', () => {
    const code = `const { filteredReturns } = await import('../dist/trust/return-probes.js');
      const { installFilter } = await import('../dist/trust/seccomp.js');
      const { execFileSync } = await import('node:child_process');
      console.log(JSON.stringify(await filteredReturns('x64', '6.12.0')));`;
    // The outer process is sealed as \`probes test\` is, and starts the inner one.
    const inner = join(dirname(dirname(cli.bin)), 'bin', 'inner.mjs');
    writeFileSync(
      inner,
      `import { start } from '../dist/start.js'; await start([], async () => { ${code} });`,
    );
    const outer = join(dirname(inner), 'outer.mjs');
    writeFileSync(
      outer,
      `import { start } from '../dist/start.js';
       await start(['probes', 'test'], async () => {
         const { execFileSync } = await import('node:child_process');
         execFileSync(process.execPath, [${JSON.stringify(inner)}], { stdio: 'inherit' });
       });`,
    );
    const text = execFileSync(process.execPath, [outer], { encoding: 'utf8' });
    expect(JSON.parse(text)).toEqual({ seen: true, known: 'by its version' });
  });
});
