import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { afterAll, describe, expect, test } from 'vitest';
import { fileKey } from '../../src/discovery/candidates.js';
import { ElfFile } from '../../src/discovery/elf.js';
import { findLibraries, rescanProcesses } from '../../src/discovery/libraries.js';
import { compile, scratch, shared } from './build.js';

const folder = realpathSync(scratch());
const children: ChildProcess[] = [];
afterAll(() => {
  for (const child of children) child.kill('SIGKILL');
});

const LIBRARY = 'int probe_me(int a) { return a + 1; }';
const library = compile(`${folder}/libprobe.so.1.2.3`, LIBRARY, ...shared('libprobe.so.1'));
/** Opens each library named on its standard input, and says so. */
const opener = compile(
  `${folder}/opener`,
  `#include <dlfcn.h>
   #include <stdio.h>
   #include <string.h>
   int main(void) {
     char line[4096];
     puts("up"); fflush(stdout);
     while (fgets(line, sizeof line, stdin)) {
       line[strcspn(line, "\\n")] = 0;
       puts(dlopen(line, RTLD_NOW) ? "open" : dlerror()); fflush(stdout);
     }
   }`,
  '-ldl',
);

/** A process that opens libraries when told to. */
class Target {
  private constructor(
    readonly child: ChildProcess,
    readonly pid: number,
  ) {}

  static async start(
    command: string,
    args: string[] = [],
    env: Record<string, string> = {},
  ): Promise<Target> {
    const child = spawn(command, args, {
      stdio: ['pipe', 'pipe', 'inherit'],
      env: { PATH: process.env.PATH, ...env },
    });
    children.push(child);
    await once(child, 'up');
    return new Target(child, child.pid ?? 0);
  }

  async open(path: string): Promise<void> {
    const answer = once(this.child, 'open');
    this.child.stdin?.write(`${path}\n`);
    await answer;
  }
}

function once(child: ChildProcess, expected: string): Promise<void> {
  return new Promise((resolve, reject) => {
    child.stdout?.once('data', (data: Buffer) => {
      const line = data.toString().trim();
      if (line.endsWith(expected)) resolve();
      else reject(new Error(line));
    });
  });
}

const buildId = (path: string) => {
  const elf = ElfFile.open(path);
  try {
    return elf.buildId;
  } finally {
    elf.close();
  }
};

describe('in processes', () => {
  test('a mapped library, by its name', async () => {
    const target = await Target.start(opener);
    await target.open(library);
    const { files, searched } = findLibraries({ sonames: ['libprobe.so.*'], pids: [target.pid] });
    expect(files).toEqual([
      {
        path: library,
        openPath: library,
        dev: statSync(library).dev,
        inode: statSync(library).ino,
        sizeBytes: statSync(library).size,
        buildId: buildId(library),
        soname: 'libprobe.so.1',
        version: '1.2.3',
        foundBy: `maps:${target.pid}`,
      },
    ]);
    expect(searched[0]).toBe('the memory maps of 1 of 1 processes');
  });

  test('without pids every process is looked at', async () => {
    const target = await Target.start(opener);
    await target.open(library);
    expect(findLibraries({ sonames: ['libprobe.so.*'] }).files.map((file) => file.inode)).toEqual([
      statSync(library).ino,
    ]);
  });

  test('a renamed copy, by its DT_SONAME; a bundled wheel name, by the hash', async () => {
    const renamed = `${folder}/plugin.bin`;
    const wheel = `${folder}/libprobe-0a1b2c3d.so.1`;
    copyFileSync(library, renamed);
    copyFileSync(library, wheel);
    const target = await Target.start(opener);
    await target.open(renamed);
    await target.open(wheel);
    const { files } = findLibraries({ sonames: ['libprobe.so.*'], pids: [target.pid] });
    expect(files.map((file) => file.path).sort()).toEqual([wheel, renamed].sort());
    expect(files.every((file) => file.buildId === buildId(library))).toBe(true);
  });

  test('one file under two names is one library', async () => {
    const linked = `${folder}/linked/libprobe.so.1`;
    mkdirSync(`${folder}/linked`);
    execFileSync('ln', [library, linked]);
    const target = await Target.start(opener, [], { LD_LIBRARY_PATH: `${folder}/linked` });
    await target.open(library);
    expect(findLibraries({ sonames: ['libprobe.so.*'], pids: [target.pid] }).files).toHaveLength(1);
  });

  test.skipIf(process.getuid?.() !== 0)('a deleted file, and the one that took its place', async () => {
    const path = `${folder}/libreplaced.so.1`;
    compile(path, LIBRARY, ...shared('libreplaced.so.1'));
    const old = { inode: statSync(path).ino, id: buildId(path) };
    const target = await Target.start(opener);
    await target.open(path);
    compile(`${path}.new`, 'int probe_me(int a) { return a + 2; }', ...shared('libreplaced.so.1'));
    renameSync(`${path}.new`, path);
    const { files } = findLibraries({ sonames: ['libreplaced.so.*'], pids: [target.pid] });
    expect(files).toHaveLength(1);
    expect(files[0]).toMatchObject({ path, inode: old.inode, buildId: old.id });
    expect(files[0]?.openPath).toMatch(new RegExp(`^/proc/${target.pid}/map_files/`));
    const elf = ElfFile.open(files[0]?.openPath ?? '');
    expect(elf.findSymbols(new Set(['probe_me'])).size).toBe(1);
    elf.close();

    await target.open(`${folder}/./libreplaced.so.1`);
    const both = findLibraries({ sonames: ['libreplaced.so.*'], pids: [target.pid] }).files;
    expect(new Set(both.map((file) => file.inode))).toEqual(new Set([old.inode, statSync(path).ino]));
  });

  test('libraries opened later are found once each, and quickly', async () => {
    const target = await Target.start(opener);
    const known = new Set<string>();
    const rescan = () => rescanProcesses({ pids: [target.pid], sonames: ['libprobe.so.*'] }, known).files;
    expect(rescan()).toEqual([]);
    await target.open(library);
    expect(rescan().map((file) => file.path)).toEqual([library]);
    expect(rescan()).toEqual([]);
    const begin = performance.now();
    for (let i = 0; i < 40; i++) rescan();
    expect((performance.now() - begin) / 40).toBeLessThan(5);

    const other = await Target.start(opener);
    await other.open(library);
    const used = new Set(
      findLibraries({ sonames: ['libprobe.so.*'], pids: [target.pid] }).files.map(fileKey),
    );
    expect(rescanProcesses({ pids: [other.pid], sonames: ['libprobe.so.*'] }, used).files).toEqual([]);
  });

  test('a statically linked copy, by the functions it defines', async () => {
    const main =
      'int main(void) { char b[8]; puts("up"); fflush(stdout); return (int)(long)fgets(b, 8, stdin); }';
    const source = `#include <stdio.h>\n${LIBRARY} ${main}`;
    const whole = compile(`${folder}/carrier`, source);
    const stripped = compile(
      `${folder}/stripped`,
      `${source} __attribute__((section(".nv_fatbin"),used)) int fat = 1;`,
      '-s',
    );
    const search = (pid: number) =>
      findLibraries({ sonames: ['libnone.so.*'], pids: [pid], embeddedSymbols: ['probe_me'] });
    const found = search((await Target.start(whole)).pid);
    expect(found.files).toMatchObject([{ path: whole, embedded: true, version: null }]);
    const hidden = search((await Target.start(stripped)).pid);
    expect(hidden.files).toEqual([]);
    expect(hidden.ignored).toMatchObject([
      { file: { path: stripped }, reason: expect.stringMatching(/no symbols/) },
    ]);
  });

  test('an unreadable or finished process is no failure', () => {
    const { files, searched } = findLibraries({ sonames: ['libprobe.so.*'], pids: [0x3fffff] });
    expect(files).toEqual([]);
    expect(searched[0]).toBe('the memory maps of 0 of 1 processes');
    expect(rescanProcesses({ pids: [0x3fffff], sonames: ['libprobe.so.*'] }, new Set()).files).toEqual([]);
  });
});

const canUnshare = (() => {
  try {
    execFileSync('unshare', ['-m', 'true'], { stdio: 'ignore' });
    return process.getuid?.() === 0;
  } catch {
    return false;
  }
})();

describe.skipIf(!canUnshare)('in other mount namespaces', () => {
  /** Runs the opener behind a shell script that first arranges its own mounts. */
  const inside = (script: string) => Target.start('unshare', ['-m', 'sh', '-c', `${script}; exec ${opener}`]);

  test('a library only that namespace has, and one behind absolute links in its standard directories', async () => {
    const mount = `${folder}/mount`;
    mkdirSync(mount);
    const target = await inside(
      `mount -t tmpfs none ${mount} && cp ${library} ${mount}/libprobe.so.1 &&
       mount -t tmpfs none /opt && mkdir -p /opt/kit/real /opt/kit2 && cp ${library} /opt/kit/real/libprobe.so.2 && ln -s /opt/kit/real /opt/kit2/lib`,
    );
    await target.open(`${mount}/libprobe.so.1`);
    expect(existsSync(`${mount}/libprobe.so.1`)).toBe(false);
    const { files } = findLibraries({ sonames: ['libprobe.so.*'], pids: [target.pid] });
    expect(files.map(({ path, openPath, foundBy }) => ({ path, openPath, foundBy }))).toEqual([
      {
        path: `${mount}/libprobe.so.1`,
        openPath: `/proc/${target.pid}/root${mount}/libprobe.so.1`,
        foundBy: `maps:${target.pid}`,
      },
      {
        path: '/opt/kit/real/libprobe.so.2',
        openPath: `/proc/${target.pid}/root/opt/kit/real/libprobe.so.2`,
        foundBy: 'directory',
      },
    ]);
    expect(files.every((file) => file.buildId === buildId(library))).toBe(true);
  });

  test('a library of a process in a chroot', async () => {
    const jail = `${folder}/jail`;
    mkdirSync(jail);
    const target = await inside(
      `mount --rbind / ${jail} && mount -t tmpfs none ${jail}/opt && cp ${library} ${jail}/opt/libprobe.so.3 &&
       exec chroot ${jail} ${opener}`,
    );
    await target.open('/opt/libprobe.so.3');
    const { files } = rescanProcesses({ sonames: ['libprobe.so.*'], pids: [target.pid] }, new Set());
    expect(files).toMatchObject([{ openPath: `/proc/${target.pid}/root/opt/libprobe.so.3` }]);
  });

  test('a host file mounted into a container is opened by its host path', async () => {
    const target = await inside('true');
    await target.open(library);
    expect(findLibraries({ sonames: ['libprobe.so.*'], pids: [target.pid] }).files).toMatchObject([
      { path: library, openPath: library },
    ]);
  });

  test('two overlay mounts of one image are one library', async ({ skip }) => {
    const lower = `${folder}/lower`;
    mkdirSync(lower);
    copyFileSync(library, `${lower}/libprobe.so.1`);
    const container = (n: number) => {
      const merged = `${folder}/merged${n}`;
      mkdirSync(merged);
      return inside(
        `mount -t tmpfs none ${merged} && mkdir ${merged}/u ${merged}/w ${merged}/m &&
         mount -t overlay overlay -o lowerdir=${lower},upperdir=${merged}/u,workdir=${merged}/w ${merged}/m`,
      );
    };
    try {
      execFileSync(
        'unshare',
        ['-m', 'sh', '-c', `mount -t overlay overlay -o lowerdir=${lower}:${folder}/linked /mnt`],
        { stdio: 'ignore' },
      );
    } catch {
      skip('no overlayfs here');
    }
    const [one, two] = [await container(1), await container(2)];
    await one.open(`${folder}/merged1/m/libprobe.so.1`);
    await two.open(`${folder}/merged2/m/libprobe.so.1`);
    const first = findLibraries({ sonames: ['libprobe.so.*'], pids: [one.pid] });
    expect(rescanProcesses({ pids: [two.pid], sonames: ['libprobe.so.*'] }, first.known).files).toEqual([]);
    const { files, ignored } = findLibraries({ sonames: ['libprobe.so.*'], pids: [one.pid, two.pid] });
    expect(files).toHaveLength(1);
    expect(ignored).toMatchObject([
      { file: { path: `${folder}/merged2/m/libprobe.so.1` }, reason: expect.stringMatching(/overlay/) },
    ]);
  });
});

describe('for a command', () => {
  const env = { PATH: `${folder}/bin:/usr/bin:/bin` };
  const tree = `${folder}/tree`;
  mkdirSync(`${tree}/lib/deep`, { recursive: true });
  mkdirSync(`${tree}/bin`);
  mkdirSync(`${tree}/elsewhere`);
  mkdirSync(`${folder}/bin`);
  const leaf = compile(`${tree}/lib/deep/libleaf.so.1`, LIBRARY, ...shared('libleaf.so.1'));
  const middle = compile(
    `${tree}/lib/libmiddle.so`,
    'int probe_me(int); int middle(int a) { return probe_me(a); }',
    ...shared('libmiddle.so', leaf, '-Wl,-rpath,$ORIGIN/deep', '-Wl,--enable-new-dtags'),
  );
  const main = compile(
    `${tree}/bin/main`,
    'int middle(int); int main(void) { return middle(1); }',
    middle,
    `-Wl,-rpath,$\{ORIGIN}/../lib`,
    '-Wl,--allow-shlib-undefined',
    '-Wl,--enable-new-dtags',
  );
  const find = (argv: string[], extra: Record<string, string> = {}, sonames = ['libleaf.so.*']) =>
    findLibraries({ sonames, command: { argv, env: { ...env, ...extra }, cwd: tree } });

  test('the DT_NEEDED tree, through RUNPATH and $ORIGIN, symlinks and PATH', () => {
    symlinkSync(main, `${folder}/bin/tool`);
    for (const argv of [[main], ['bin/main'], ['tool', 'argument']]) {
      expect(find(argv).files).toMatchObject([{ path: leaf, foundBy: 'needed', soname: 'libleaf.so.1' }]);
    }
  });

  test('scripts lead to their interpreters, launchers to the program they are given', () => {
    writeFileSync(`${folder}/bin/job`, '#!/usr/bin/env -S tool -x\n');
    chmodSync(`${folder}/bin/job`, 0o755);
    expect(find(['job']).files).toMatchObject([{ path: leaf }]);
    expect(find(['nice', '-n', '5', 'tool']).files).toMatchObject([{ path: leaf }]);
  });

  test('LD_LIBRARY_PATH goes before RUNPATH, LD_PRELOAD counts, RPATH is inherited', () => {
    const other = `${tree}/elsewhere/libleaf.so.1`;
    copyFileSync(leaf, other);
    const byNeed = (result: ReturnType<typeof find>) =>
      result.files.filter((file) => file.foundBy === 'needed').map((file) => file.path);
    expect(byNeed(find([main], { LD_LIBRARY_PATH: `${tree}/elsewhere` }))).toEqual([other]);
    expect(byNeed(find(['true'], { LD_PRELOAD: leaf }))).toEqual([leaf]);
    const bare = compile(
      `${tree}/lib/libbare.so`,
      'int probe_me(int); int middle(int a) { return probe_me(a); }',
      ...shared('libbare.so', leaf),
    );
    const inherits = compile(
      `${tree}/bin/inherits`,
      'int middle(int); int main(void) { return middle(1); }',
      bare,
      '-Wl,-rpath,$ORIGIN/../lib:$ORIGIN/../lib/deep',
      '-Wl,--allow-shlib-undefined',
      '-Wl,--disable-new-dtags',
    );
    expect(byNeed(find([inherits]))).toEqual([leaf]);
  });

  test('agrees with the loader about a real program', () => {
    const program = '/usr/bin/git';
    const loaded = execFileSync('ldd', [program], { encoding: 'utf8' })
      .split('\n')
      .flatMap((line) => /=> (\/\S+)/.exec(line)?.[1] ?? [])
      .map((path) => realpathSync(path));
    const found = findLibraries({ sonames: ['lib*.so*'], command: { argv: [program], env, cwd: '/' } })
      .files.filter((file) => file.foundBy === 'needed')
      .map((file) => file.path);
    expect(loaded.length).toBeGreaterThan(1);
    expect(found).toEqual(expect.arrayContaining(loaded));
  });

  test('virtual environments: wheels of CUDA 12 and 13, PyTorch and bundled libraries', () => {
    const venv = `${folder}/venv`;
    const site = `${venv}/lib/python3.11/site-packages`;
    const places = ['nvidia/cu13/lib', 'nvidia/cuda_runtime/lib', 'torch/lib', 'thing.libs'];
    for (const place of places) {
      mkdirSync(`${site}/${place}`, { recursive: true });
      copyFileSync(
        leaf,
        `${site}/${place}/${place === 'thing.libs' ? 'libleaf-00112233.so.1' : 'libleaf.so.1'}`,
      );
    }
    mkdirSync(`${site}/nvidia/cu13/lib/stubs`);
    copyFileSync(leaf, `${site}/nvidia/cu13/lib/stubs/libleaf.so.1`);
    mkdirSync(`${venv}/bin`);
    copyFileSync('/bin/true', `${venv}/bin/python`);
    for (const result of [find([`${venv}/bin/python`, 'x.py']), find(['true'], { VIRTUAL_ENV: venv })]) {
      expect(result.files.map((file) => file.path).sort()).toEqual(
        places
          .map(
            (place) =>
              `${site}/${place}/${place === 'thing.libs' ? 'libleaf-00112233.so.1' : 'libleaf.so.1'}`,
          )
          .sort(),
      );
      expect(result.files.every((file) => file.foundBy === 'site-packages')).toBe(true);
    }
    const stubs = find(['true'], { LD_LIBRARY_PATH: `${site}/nvidia/cu13/lib/stubs` });
    expect(stubs.files).toEqual([]);
    expect(stubs.ignored).toMatchObject([{ reason: 'a link-time stub' }]);
  });

  test('an empty result says where it looked and what was needed and missing', () => {
    const moved = `${tree}/lib/deep/away`;
    renameSync(leaf, moved);
    const { files, searched } = find([main]);
    renameSync(moved, leaf);
    expect(files).toEqual([]);
    expect(searched.join('\n')).toContain(`libleaf.so.1, needed by ${middle}: not found`);
    expect(searched.join('\n')).toContain('/etc/ld.so.cache');
    expect(find(['no-such-program']).searched[0]).toBe('no program named no-such-program');
  });

  test('files that are no usable library are named with the reason', () => {
    const bad = `${folder}/bad`;
    mkdirSync(bad);
    writeFileSync(`${bad}/libleaf.so.1`, 'GROUP ( libleaf.so.2 )'.padEnd(100));
    const alien = Buffer.from(execFileSync('cat', [leaf]));
    alien.writeUInt16LE(process.arch === 'arm64' ? 62 : 183, 18);
    writeFileSync(`${bad}/libleaf.so.2`, alien);
    mkdirSync(`${bad}/libleaf.so.3`);
    symlinkSync('libleaf.so.4', `${bad}/libleaf.so.4`);
    execFileSync('mkfifo', [`${bad}/libleaf.so.5`]);
    const { files, ignored } = find(['true'], { LD_LIBRARY_PATH: bad });
    expect(files).toEqual([]);
    expect(ignored.map(({ file, reason }) => [file.path.slice(bad.length + 1), reason])).toEqual([
      ['libleaf.so.1', `${bad}/libleaf.so.1: not an ELF file`],
      ['libleaf.so.2', expect.stringMatching(/^built for (arm64|x64), this host is/)],
    ]);
    rmSync(bad, { recursive: true });
  });
});

const CUDART = '/usr/local/cuda/lib64/libcudart.so.13';
test.skipIf(!existsSync(CUDART))('the installed CUDA runtime is found without any process using it', () => {
  const { files } = findLibraries({ sonames: ['libcudart.so.*'] });
  expect(files).toContainEqual(
    expect.objectContaining({
      path: realpathSync(CUDART),
      soname: 'libcudart.so.13',
      buildId: expect.stringMatching(/^[0-9a-f]{40}$/),
    }),
  );
});
