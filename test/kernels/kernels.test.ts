import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { compareArgs } from '../trace/support/args.js';
import { expectComplete, MADE_BY_PROGRAM, opsIn, probed, query } from '../trace/support/capture.js';
import { type Truth, truthLines } from '../trace/support/workload.js';
import { type Arch, Guest, type GuestRun } from './support/guest.js';

interface Kernel {
  suite: string;
  release: RegExp;
  /** Whether one link takes many probes. */
  multi: boolean;
  /** Unless it is the one for virtual machines. */
  flavour?: string;
}

const ANY: readonly Kernel[] = [
  { suite: 'bookworm', release: /^6\.1\./, multi: false },
  { suite: 'trixie', release: /^6\.12\./, multi: true },
  { suite: 'trixie-backports', release: /^7\./, multi: true },
];
const KERNELS: Readonly<Record<Arch, readonly Kernel[]>> = {
  x64: ANY,
  // The last one has pages of 16 KiB.
  arm64: [...ANY, { suite: 'trixie', release: /^6\.12\..*-16k\n$/, multi: true, flavour: 'arm64-16k' }],
};

interface Check {
  ready: boolean;
  checks: { name: string; status: string; value: string }[];
}

/** A trace by a user without root that has some capabilities. */
const withCapabilities = (name: string, ...capabilities: string[]): string => {
  const names = capabilities.map((capability) => `+${capability}`).join();
  const rights = `--reuid 65534 --regid 65534 --clear-groups --inh-caps ${names} --ambient-caps ${names}`;
  return `mkdir -m 777 /tmp/${name} && cd /tmp/${name} && exec /usr/bin/setpriv ${rights} \\
  env HOME=/tmp/${name} ingero trace --json --out run.duckdb -- gpu-scenarios steady 3`;
};

const guests = new Map<Arch, Guest>();
afterAll(() => {
  for (const guest of guests.values()) guest.remove();
});

/** The guest of an architecture, made when it is first needed. */
function guestOf(arch: Arch): Guest {
  const guest = guests.get(arch) ?? new Guest(arch);
  guests.set(arch, guest);
  return guest;
}

describe.each(['x64', 'arm64'] as const)('on %s', (arch) => {
  const kernels = KERNELS[arch].map(
    (kernel) => [[kernel.suite, kernel.flavour].join(' ').trim(), kernel] as const,
  );
  describe.each(kernels)('the kernel of %s', (_, { suite, release, multi, flavour }) => {
    let run: GuestRun;
    const step = (name: string) => run.steps[name];
    beforeAll(() => {
      const needed = multi ? ['bpf', 'perfmon'] : ['bpf', 'sys_admin'];
      const commands = {
        uname: 'uname -r',
        version: 'ingero --version',
        check: 'ingero check --json',
        args: 'ingero trace --json --out args.duckdb -- gpu-scenarios args',
        threads:
          'ingero trace --json --stacks --out threads.duckdb -- gpu-scenarios --pause-us 30000 threads',
        // More threads than processors, and long enough for many to be preempted in the midst of a program of ours.
        storm: 'ingero trace --json --out storm.duckdb -- gpu-scenarios --threads 8 storm 20000 mix',
        enough: withCapabilities('enough', ...needed),
        fewer: withCapabilities('fewer', needed[0] as string),
        other: withCapabilities('other', needed[1] as string),
      };
      run = guestOf(arch).boot(suite, commands, flavour);
    });

    test('is the one meant, and the program is of this architecture', () => {
      expect(step('uname')?.stdout).toMatch(release);
      expect(step('version')).toMatchObject({ status: 0, stdout: expect.stringContaining(`linux-${arch} `) });
    });

    test('check says it is ready, sealed, and how probes are attached', () => {
      expect(step('check')).toMatchObject({ status: 0, stderr: '' });
      const { ready, checks } = JSON.parse(step('check')?.stdout as string) as Check;
      expect(ready).toBe(true);
      const status = Object.fromEntries(checks.map((check) => [check.name, check.status]));
      expect(status).toMatchObject({ bpf: 'ok', network: 'ok', uprobe_multi: multi ? 'ok' : 'warn' });
    });

    test('every column of every call is what the program called with', async () => {
      expect(step('args')).toMatchObject({ status: 0, stderr: '' });
      const capture = join(run.folder, 'args.duckdb');
      await expectComplete(capture);
      const { captured, told } = await compareArgs(capture, step('args')?.stdout as string);
      expect(told.length).toBeGreaterThan(140);
      expect(captured).toEqual(told);
    });

    /** Whether a trace has every call its program told of; returns the capture. */
    const expectAsTold = async (name: 'threads' | 'storm'): Promise<string> => {
      expect(step(name)).toMatchObject({ status: 0, stderr: '' });
      const capture = join(run.folder, `${name}.duckdb`);
      await expectComplete(capture);
      const [truth] = truthLines<Truth>(step(name)?.stdout as string).filter(
        ({ scenario }) => scenario === name,
      );
      expect(await opsIn(capture, MADE_BY_PROGRAM)).toEqual(probed(truth?.ops ?? {}));
      return capture;
    };

    test('calls of several threads are all there, with the functions that made them', async () => {
      const callers = await query(
        await expectAsTold('threads'),
        'SELECT DISTINCT function FROM frames WHERE position = 1 ORDER BY function',
      );
      expect(callers).toEqual([{ function: 'do_calls' }, { function: 'thread_main' }]);
    });

    test('threads that preempt each other lose nothing, and the kernel lives', async () => {
      await expectAsTold('storm');
    });

    test('a user without root needs the documented capabilities', () => {
      expect(step('enough')).toMatchObject({ status: 0, stderr: '' });
      expect(step('fewer')?.status).toBe(3);
      // CAP_SYS_ADMIN stands for CAP_BPF as well (capabilities(7)).
      expect(step('other')?.status).toBe(multi ? 3 : 0);
    });
  });
});

describe('a kernel that is too old', () => {
  let run: GuestRun;
  beforeAll(() => {
    run = guestOf('x64').boot('bullseye', {
      uname: 'uname -r',
      check: 'ingero check',
      trace: 'ingero trace --out run.duckdb -- gpu-scenarios steady 3',
      query: 'ingero migrate /opt/recorded.duckdb --out v2.duckdb && ingero run-query api-errors v2.duckdb',
    });
  });

  test('is refused by name of what is missing, and reads captures all the same', () => {
    expect(run.steps.uname?.stdout).toMatch(/^5\.10\./);
    expect(run.steps.check).toMatchObject({ status: 3, stdout: expect.stringContaining('5.15 or newer') });
    expect(run.steps.trace).toMatchObject({ status: 3, stderr: expect.stringContaining('5.15 or newer') });
    expect(run.steps.query).toMatchObject({
      ...{ status: 0, stderr: '' },
      stdout: expect.stringContaining('cudaErrorMemoryAllocation'),
    });
  });
});
