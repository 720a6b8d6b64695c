import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { confinedProcesses } from '../../src/discovery/confined.js';
import { HOST_ARCH, surveyPack } from '../../src/discovery/index.js';
import { compilePack, loadBuiltinPacks, type Pack } from '../../src/packs/index.js';
import { expectComplete, one, query } from './support/capture.js';
import { requireRootAndBpf } from './support/root.js';
import { buildTracer, summaryOf, type Tracer } from './support/tracer.js';
import { copyWorkload, startWaiting, type Workload } from './support/workload.js';

/**
 * Loads the library named by its argument, puts a filter on itself that kills at uretprobe (335), uprobe (336) and most
 * other system calls, and calls the library a hundred times. With a second argument it makes a call that is not allowed.
 */
const STRICT = `
#include <dlfcn.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>
#define ALLOW(call) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, call, 0, 1), BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)
int main(int argc, char **argv) {
  struct sock_filter rules[] = {
    BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
    ALLOW(__NR_write), ALLOW(__NR_exit_group), ALLOW(__NR_rt_sigreturn), ALLOW(__NR_clock_gettime),
    ALLOW(__NR_clock_nanosleep),
    BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
  };
  struct sock_fprog filter = {sizeof(rules) / sizeof(rules[0]), rules};
  void *library = argc > 1 ? dlopen(argv[1], RTLD_NOW) : 0;
  if (!library) return 1;
  int (*synchronize)(void) = (int (*)(void))dlsym(library, "cudaDeviceSynchronize");
  int (*allocate)(void **, size_t) = (int (*)(void **, size_t))dlsym(library, "cudaMalloc");
  void *memory;
  synchronize();
  allocate(&memory, 64);
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter)) return 2;
  if (argc > 2) syscall(__NR_getppid);
  for (int i = 0; i < 100; i++) synchronize();
  usleep(500000);
  write(1, "survived\\n", 9);
  syscall(__NR_exit_group, 7);
}
`;

/** Becomes its second argument, with its first after it, behind a filter that allows everything. */
const CONFINE = `
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <unistd.h>
int main(int argc, char **argv) {
  struct sock_filter allow = BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
  struct sock_fprog filter = {1, &allow};
  if (argc < 3 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)) return 1;
  if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter)) return 2;
  char *program = argv[2];
  argv[2] = argv[1];
  argv[1] = program;
  return execv(program, argv + 1);
}
`;

describe.skipIf(!requireRootAndBpf())('a process behind a strict seccomp filter', () => {
  let tracer: Tracer;
  let workload: Workload;
  let program: string;
  beforeAll(async () => {
    workload = copyWorkload();
    tracer = await buildTracer();
    program = join(workload.dir, 'strict');
    execFileSync(process.env.CC ?? 'cc', ['-o', program, '-xc', '-', '-ldl'], { input: STRICT });
  });
  afterAll(() => {
    tracer?.remove();
    workload?.remove();
  });

  const CALLS = `SELECT count(*)::INTEGER AS calls, count(duration_ns)::INTEGER AS durations FROM cuda_events
    WHERE op = 'cudaDeviceSynchronize'`;

  test('the filter kills', async () => {
    const result = await tracer.run(['--json', '--', program, workload.cudart, 'getppid']);
    expect(summaryOf(result)).toMatchObject({ end_detail: 'killed by SIGSYS' });
  });

  test('it survives return probes, and the capture says it was confined', async () => {
    const result = await tracer.run(['--json', '--', program, workload.cudart]);
    expect(result.stdout).toContain('survived\n');
    expect(summaryOf(result)).toMatchObject({
      end_detail: 'exit status 7',
      return_probes: { placed: true, detail: 'placed', seen_by_filters: false, confined: [] },
    });
    await expectComplete(result.capture);
    expect(await one(result.capture, CALLS)).toEqual({ calls: 101, durations: 101 });
    expect(
      await one(result.capture, 'SELECT return_probes, seccomp::VARCHAR AS seccomp FROM capture, processes'),
    ).toEqual({ return_probes: 'placed', seccomp: 'filter' });
  });

  test('without return probes every call is there, with what is known at its entry', async () => {
    const result = await tracer.run(['--json', '--return-probes', 'never', '--', program, workload.cudart]);
    expect(result.stdout).toContain('survived\n');
    expect(summaryOf(result)).toMatchObject({ return_probes: { placed: false } });
    await expectComplete(result.capture);
    expect(await one(result.capture, CALLS)).toEqual({ calls: 101, durations: 0 });
    expect(
      await query(
        result.capture,
        `SELECT bytes::INTEGER AS bytes, ptr, status::VARCHAR AS status FROM cuda_events WHERE op = 'cudaMalloc'`,
      ),
    ).toEqual([{ bytes: 64, ptr: null, status: 'entry' }]);
    expect(
      await query(
        result.capture,
        `SELECT DISTINCT mode::VARCHAR AS mode FROM probes WHERE state = 'attached'`,
      ),
    ).toEqual([{ mode: 'entry' }]);
    expect(
      await one(
        result.capture,
        `SELECT state::VARCHAR AS state, reason FROM probes WHERE op = 'cudaStreamQuery'`,
      ),
    ).toEqual({
      state: 'skipped',
      reason: 'its calls are chosen by how they return, and return probes are left out',
    });
    expect(await query(result.capture, 'SELECT return_probes FROM capture')).toEqual([
      { return_probes: 'left out: --return-probes never' },
    ]);
  });

  test('a program with the runtime linked in is found as well', async () => {
    const confine = join(workload.dir, 'confine');
    execFileSync(process.env.CC ?? 'cc', ['-o', confine, '-xc', '-'], { input: CONFINE });
    const waiting = await startWaiting(confine, [workload.gpuScenariosStatic, 'steady', '1']);
    try {
      const [pack] = loadBuiltinPacks().filter(({ name }) => name === 'cuda-runtime');
      const { files } = surveyPack(compilePack(pack as Pack, HOST_ARCH));
      expect(files.map(({ path }) => path)).toContain(workload.gpuScenariosStatic);
      const ours = confinedProcesses(files).filter(({ pid }) => pid === waiting.pid);
      expect(ours).toEqual([
        { pid: waiting.pid, comm: 'gpu-scenarios-s', library: workload.gpuScenariosStatic },
      ]);
    } finally {
      waiting.kill();
    }
  });
});
