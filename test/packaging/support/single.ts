import { execFileSync, type SpawnSyncReturns, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import {
  chmodSync,
  chownSync,
  copyFileSync,
  cpSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { NODE_VARIABLES } from '../../../src/node-environment.js';
import { PACKAGE_ROOT } from '../../../src/paths.js';
import type { BuiltPackages } from './built-packages.js';
import { setTraps } from './traps.js';

const FIXTURE = join(PACKAGE_ROOT, 'test/fixtures/demo-v1.duckdb');
/** Of elf.h: where an ELF header says where the table of sections is. */
const SECTIONS_AT = 40;
const PAGE = 4096;
const ROOT_USER = process.getuid?.() === 0;
const USER = 1000;
const OTHER = 1001;
const ANSWER = { status: 0, stderr: '', stdout: expect.stringMatching(/^answer\r?\n42\r?\n$/) };

const RIGHTS = 'grep -E "^(Seccomp|NoNewPrivs):" /proc/self/status | tr -d "[:space:]"; echo';

type Run = (args: readonly string[], env?: NodeJS.ProcessEnv) => SpawnSyncReturns<string>;

/** The one copy in a folder. */
function copyIn(folder: string): string {
  const [name, ...others] = readdirSync(folder);
  expect(others).toEqual([]);
  return join(folder, name as string);
}

/** What the single executable has to do. */
export function describeSingle({ version, named, bundle }: BuiltPackages): void {
  describe('the single executable', () => {
    // Reachable by every user, unlike the folder of the other tests.
    const work = mkdtempSync(join(tmpdir(), 'ingero-single-'));
    chmodSync(work, 0o755);
    afterAll(() => rmSync(work, { recursive: true, force: true }));
    const executable = (): string => named(/\.bin$/);
    const place = join(work, 'cache');
    const run: Run = (args, env = {}) =>
      spawnSync(executable(), args, {
        cwd: work,
        encoding: 'utf8',
        env: { PATH: '/usr/bin:/bin', INGERO_UNPACK_DIR: place, ...env },
      });
    const ask = (env: NodeJS.ProcessEnv = {}) =>
      run(['query', FIXTURE, 'SELECT 42 AS answer', '--format', 'csv'], env);

    test('is the same program, whatever Node.js is told by the caller', () => {
      const spy = join(work, 'spy.cjs');
      writeFileSync(spy, `require('node:fs').writeFileSync(${JSON.stringify(join(work, 'sign'))}, '')`);
      const shown = run(['--version'], { NODE_OPTIONS: `--require=${spy}`, NODE_PATH: work });
      expect(shown).toMatchObject({ status: 0, stderr: '' });
      expect(shown.stdout).toBe(`ingero/${version} linux-${process.arch} node-v24.21.0\n`);
      expect(existsSync(join(work, 'sign'))).toBe(false);
      expect(ask({ NODE_PATH: work })).toMatchObject(ANSWER);
      expect(run(['nonsense']).status).toBe(2);
    });

    test('loads, writes and prints nothing the caller tells Node.js to', () => {
      const traps = setTraps(work);
      expect(ask(traps.env)).toMatchObject(ANSWER);
      expect(traps.sprung()).toEqual([]);
    });

    test('is the Node.js of the folder package but for its first page, the fuse and the variables it does not ask for', () => {
      const node = readFileSync(join(bundle(), 'runtime/node'));
      const single = readFileSync(executable());
      // The table of sections is not loaded.
      const end = Number(node.readBigUInt64LE(SECTIONS_AT));
      const changed: string[] = [];
      for (let at = PAGE; at < end; at++) {
        if (node[at] === single[at]) continue;
        const [text] = node.toString('latin1', at, at + 30).split('\0');
        changed.push(`${text} begins with ${single[at]}`);
      }
      const unread = NODE_VARIABLES.filter(
        (name) => !['NODE_DEBUG', 'NODE_OPTIONS', 'NODE_PATH'].includes(name),
      );
      const fuse = `0 begins with ${'1'.charCodeAt(0)}`;
      expect(changed.sort()).toEqual([fuse, ...unread.map((name) => `${name} begins with 0`)].sort());
    });

    test('unpacks what the folder package has, and only what it does not bring itself is missing', () => {
      expect(ask()).toMatchObject(ANSWER);
      const copy = copyIn(place);
      const files = (folder: string): string[] =>
        readdirSync(folder, { recursive: true, encoding: 'utf8' })
          .filter((name) => statSync(join(folder, name)).isFile())
          .filter((name) => !/^(bin|runtime|service|share)\/|^(SHA256SUMS|\.verified)$/.test(name))
          .sort();
      expect(files(copy)).toEqual(files(bundle()));
      for (const name of files(copy)) {
        expect([name, readFileSync(join(copy, name)).equals(readFileSync(join(bundle(), name)))]).toEqual([
          name,
          true,
        ]);
      }
    });

    test('mends a copy that is not as it was packed, also where size and time are', () => {
      expect(ask()).toMatchObject(ANSWER);
      const file = (name: string): string => join(copyIn(place), name);
      const original = readFileSync(file('queries/cuda-api-sum.sql'));
      const { atime, mtime } = statSync(file('queries/cuda-api-sum.sql'));
      writeFileSync(file('queries/cuda-api-sum.sql'), Buffer.alloc(original.length, 0x2d));
      utimesSync(file('queries/cuda-api-sum.sql'), atime, mtime);
      expect(ask()).toMatchObject(ANSWER);
      expect(readFileSync(file('queries/cuda-api-sum.sql')).equals(original)).toBe(true);

      truncateSync(file('native/libbpf.so'), 0);
      rmSync(file('lib/ingero.js'));
      expect(ask()).toMatchObject(ANSWER);
      expect(readFileSync(file('native/libbpf.so'))).toEqual(
        readFileSync(join(bundle(), 'native/libbpf.so')),
      );
      // A copy of which nobody knows since when it is as it is.
      rmSync(file('.verified'));
      expect(ask()).toMatchObject(ANSWER);
      expect(existsSync(file('.verified'))).toBe(true);
    });

    test('several first starts at once make one copy', async () => {
      rmSync(place, { recursive: true });
      const script = 'for n in 1 2 3; do "$1" --version & done; wait';
      const { stdout, stderr } = spawnSync('sh', ['-c', script, 'sh', executable()], {
        encoding: 'utf8',
        env: { PATH: '/usr/bin:/bin', INGERO_UNPACK_DIR: place },
      });
      expect(stderr).toBe('');
      expect(stdout.trim().split('\n')).toHaveLength(3);
      copyIn(place);
    });

    test('what a killed first start left is not used, and goes after an hour', async () => {
      const folder = join(work, 'killed');
      const env = { PATH: '/usr/bin:/bin', INGERO_UNPACK_DIR: folder };
      const child = spawn(executable(), ['--version'], { stdio: 'ignore', env });
      const ended = once(child, 'exit');
      while (!existsSync(folder) || readdirSync(folder).length === 0) await setImmediate();
      child.kill('SIGKILL');
      await ended;
      const left = copyIn(folder);
      expect(left).toContain('/.partial-');
      expect(run(['--version'], env)).toMatchObject({ status: 0, stderr: '' });
      expect(readdirSync(folder)).toHaveLength(2);

      const before = Date.now() / 1000 - 2 * 3600;
      utimesSync(left, before, before);
      rmSync(join(folder, readdirSync(folder).find((name) => name.startsWith('ingero-')) as string), {
        recursive: true,
      });
      expect(run(['--version'], env)).toMatchObject({ status: 0, stderr: '' });
      expect(copyIn(folder)).toContain('/ingero-');
    });

    test('is not updated in place of an installation it is not part of', () => {
      const refused = run(['update', '--from', dirname(executable()), '--json']);
      expect(refused.status).toBe(15);
      expect(JSON.parse(refused.stdout)).toMatchObject({ error: { code: 'update-single' } });
    });

    test.skipIf(!ROOT_USER)('a command it traces gets the environment and rights of the caller', () => {
      const traps = setTraps(work);
      const show = `env; ${RIGHTS}`;
      const traced = run(['trace', '--out', join(work, 'shown.duckdb'), '--', 'sh', '-c', show], traps.env);
      expect(traced).toMatchObject({ status: 0, stderr: '' });
      expect(traced.stdout).toContain('NoNewPrivs:0Seccomp:0\n');
      expect(traced.stdout).not.toContain('INGERO_KEPT');
      for (const [name, value] of Object.entries(traps.env))
        expect(`\n${traced.stdout}`).toContain(`\n${name}=${value}\n`);
      expect(traps.sprung()).toEqual([]);
    });

    describeUsers(work, place, executable, run);
    describeMinimalRoot(work, executable, () => join(bundle(), 'runtime/node'));
  });
}

/** Who may have put there what is loaded. `place` is what root unpacks into. */
function describeUsers(work: string, place: string, executable: () => string, run: Run): void {
  describe.skipIf(!ROOT_USER)('and other users', () => {
    const as = (uid: number, env: NodeJS.ProcessEnv, ...more: string[]) =>
      spawnSync(
        'setpriv',
        [`--reuid=${uid}`, `--regid=${uid}`, '--clear-groups', ...more, executable(), '--version', '--json'],
        { encoding: 'utf8', env: { PATH: '/usr/bin:/bin', ...env } },
      );
    const refusal = (result: SpawnSyncReturns<string>): string => {
      expect(result.status).toBe(3);
      const { error } = JSON.parse(result.stdout) as { error: { code: string; message: string } };
      expect(error.code).toBe('no-unpack-place');
      return error.message;
    };
    const folderOf = (uid: number, mode: number): string => {
      const folder = mkdtempSync(join(work, 'place-'));
      chownSync(folder, uid, uid);
      chmodSync(folder, mode);
      return folder;
    };
    beforeAll(() => chmodSync(dirname(executable()), 0o755));

    test('a copy is private to its user', () => {
      const home = folderOf(USER, 0o755);
      const ran = as(USER, { HOME: home, INGERO_UNPACK_DIR: join(home, 'unpacked') });
      expect(ran).toMatchObject({ status: 0, stderr: '' });
      expect(statSync(join(home, 'unpacked')).mode & 0o777).toBe(0o700);
      const copy = copyIn(join(home, 'unpacked'));
      for (const name of ['', ...readdirSync(copy, { recursive: true, encoding: 'utf8' })]) {
        const { uid, mode } = statSync(join(copy, name));
        expect([name, uid, mode & 0o022]).toEqual([name, USER, 0]);
      }
    });

    test('one that another user has planted is refused', () => {
      expect(refusal(as(USER, { INGERO_UNPACK_DIR: folderOf(OTHER, 0o755) }))).toContain(
        `belongs to uid ${OTHER}`,
      );
      expect(refusal(as(USER, { INGERO_UNPACK_DIR: folderOf(USER, 0o777) }))).toContain('mode 777');
      // In a folder others can write to, /tmp without its sticky bit.
      const open = join(folderOf(0, 0o777), 'unpacked');
      expect(refusal(as(USER, { INGERO_UNPACK_DIR: open }))).toContain('lets others write');
      // A link of theirs to a folder of ours.
      const theirs = join(folderOf(0, 0o1777), 'unpacked');
      symlinkSync(folderOf(USER, 0o700), theirs);
      spawnSync('chown', ['-h', `${OTHER}`, theirs]);
      expect(refusal(as(USER, { INGERO_UNPACK_DIR: theirs }))).toContain(`belongs to uid ${OTHER}`);
      // A copy of theirs in a folder of ours: from before it was ours.
      const ours = folderOf(USER, 0o700);
      cpSync(copyIn(place), join(ours, copyIn(place).slice(place.length + 1)), { recursive: true });
      execFileSync('chown', ['-R', `${OTHER}`, copyIn(ours)]);
      expect(refusal(as(USER, { INGERO_UNPACK_DIR: ours }))).toContain(`belongs to uid ${OTHER}`);
    });

    test('a process with capabilities loads from root only, and what root has unpacked', () => {
      const ambient = ['--inh-caps=+bpf,+perfmon', '--ambient-caps=+bpf,+perfmon'];
      const own = folderOf(USER, 0o700);
      expect(refusal(as(USER, { INGERO_UNPACK_DIR: own }, ...ambient))).toContain(`belongs to uid ${USER}`);
      expect(readdirSync(own)).toEqual([]);
      const empty = folderOf(0, 0o755);
      expect(refusal(as(USER, { INGERO_UNPACK_DIR: empty }, ...ambient))).toContain('no copy');
      expect(run(['--version']).status).toBe(0);
      expect(as(USER, { INGERO_UNPACK_DIR: place }, ...ambient)).toMatchObject({ status: 0, stderr: '' });
    });

    test('root unpacks where the user a trace becomes can read', () => {
      const closed = folderOf(0, 0o700);
      expect(refusal(spawnRoot(closed))).toContain('others cannot read it');
      expect(refusal(spawnRoot(join(closed, 'below')))).toContain('others cannot reach it');
    });
    const spawnRoot = (folder: string) => run(['--version', '--json'], { INGERO_UNPACK_DIR: folder });
  });
}

/** Where nothing is installed. */
function describeMinimalRoot(work: string, executable: () => string, node: () => string): void {
  describe.skipIf(!ROOT_USER)('in a root with nothing but the C and C++ libraries', () => {
    const root = join(work, 'root');
    const mounts = ['tmp', 'proc', 'sys', 'dev'];
    const inside = (env: Record<string, string>, ...command: string[]) =>
      spawnSync('/usr/sbin/chroot', [root, ...command], { encoding: 'utf8', env });
    beforeAll(() => {
      mkdirSync(root);
      const { stdout } = spawnSync('ldd', [node()], { encoding: 'utf8' });
      const libraries = [...stdout.matchAll(/(\/\S+) \(0x/g)].map(([, path]) => path as string);
      expect(libraries.length).toBeGreaterThan(5);
      for (const path of libraries) {
        mkdirSync(join(root, dirname(path)), { recursive: true });
        copyFileSync(path, join(root, path));
      }
      copyFileSync(executable(), join(root, 'ingero'));
      execFileSync('sh', [join(PACKAGE_ROOT, 'test/workload/build.sh'), join(root, 'workload')], {
        stdio: 'ignore',
      });
      for (const name of mounts) mkdirSync(join(root, name), { recursive: true });
      execFileSync('mount', ['--bind', root, root]);
      execFileSync('mount', ['-o', 'remount,ro,bind', root]);
      execFileSync('mount', ['-t', 'tmpfs', '-o', 'mode=1777', 'tmpfs', join(root, 'tmp')]);
      for (const name of mounts.slice(1)) {
        execFileSync('mount', ['--rbind', `/${name}`, join(root, name)]);
        execFileSync('mount', ['--make-rslave', join(root, name)]);
      }
    });
    afterAll(() => {
      spawnSync('umount', ['-R', root]);
    });

    test('it checks, traces, answers, and leaves what it unpacked, in a read-only root', () => {
      const check = inside({}, '/ingero', 'check', '--json');
      expect(check).toMatchObject({ status: 0, stderr: '' });
      expect(check.stdout).toMatch(/"\/tmp\/ingero-0\/ingero-[0-9a-f]{32}\/native\/libbpf\.so/);
      const trace = ['trace', '--out', '/tmp/run.duckdb', '--', '/workload/gpu-scenarios', 'steady', '5'];
      expect(inside({}, '/ingero', ...trace)).toMatchObject({ status: 0, stderr: '' });
      const lost = inside({}, '/ingero', 'run-query', 'what-was-lost', '/tmp/run.duckdb', '--format', 'json');
      expect(lost.stderr).toBe('');
      expect((JSON.parse(lost.stdout) as unknown[])[0]).toMatchObject({ verdict: 'complete' });
      expect(readdirSync(join(root, 'tmp')).sort()).toEqual(['ingero-0', 'run.duckdb']);
    });

    test('under sudo the trace goes on as the caller, with what root has unpacked', () => {
      mkdirSync(join(root, 'tmp/out'));
      chownSync(join(root, 'tmp/out'), USER, USER);
      const trace = ['trace', '--out', '/tmp/out/run.duckdb', '--', '/workload/gpu-scenarios', 'steady', '5'];
      const env = { SUDO_UID: `${USER}`, SUDO_GID: `${USER}`, SUDO_USER: 'somebody' };
      expect(inside(env, '/ingero', ...trace)).toMatchObject({ status: 0, stderr: '' });
      expect(lstatSync(join(root, 'tmp/out/run.duckdb')).uid).toBe(USER);
    });

    test('another user gets a copy of its own', () => {
      const { stdout, stderr } = spawnSync(
        '/usr/sbin/chroot',
        [`--userspec=${USER}:${USER}`, root, '/ingero', 'queries'],
        { encoding: 'utf8', env: {} },
      );
      expect(stderr).toBe('');
      expect(stdout).toMatch(/^cuda-api-sum /m);
      expect(statSync(join(root, `tmp/ingero-${USER}`))).toMatchObject({ uid: USER });
      expect(statSync(join(root, `tmp/ingero-${USER}`)).mode & 0o777).toBe(0o700);
    });

    test('a file system mounted noexec is named, and INGERO_UNPACK_DIR leads elsewhere', () => {
      execFileSync('mount', ['-o', 'remount,noexec', join(root, 'tmp')]);
      for (const again of ['copied already', 'nothing there']) {
        const refused = inside({}, '/ingero', 'queries', '--json');
        expect([again, refused.status]).toEqual([again, 3]);
        const { error } = JSON.parse(refused.stdout) as { error: { code: string; message: string } };
        expect(error.code).toBe('no-unpack-place');
        expect(error.message).toMatch(/\/var\/cache\/ingero: .*; \/tmp\/ingero-0: it is mounted noexec/);
        rmSync(join(root, 'tmp/ingero-0'), { recursive: true, force: true });
      }
      const shown = inside({}, '/ingero', 'queries');
      expect([shown.status, shown.stdout]).toEqual([3, '']);
      expect(shown.stderr).toContain('Set INGERO_UNPACK_DIR');
      mkdirSync(join(root, 'tmp/exec'));
      execFileSync('mount', ['-t', 'tmpfs', '-o', 'mode=755', 'tmpfs', join(root, 'tmp/exec')]);
      const env = { INGERO_UNPACK_DIR: '/tmp/exec' };
      expect(inside(env, '/ingero', 'queries')).toMatchObject({ status: 0, stderr: '' });
    });

    test('a full disk leaves nothing behind', () => {
      mkdirSync(join(root, 'tmp/small'));
      execFileSync('mount', ['-t', 'tmpfs', '-o', 'mode=755,size=20m', 'tmpfs', join(root, 'tmp/small')]);
      const refused = inside({ INGERO_UNPACK_DIR: '/tmp/small' }, '/ingero', 'queries');
      expect(refused.status).toBe(3);
      expect(refused.stderr).toContain('ENOSPC');
      expect(readdirSync(join(root, 'tmp/small'))).toEqual([]);
    });
  });
}
