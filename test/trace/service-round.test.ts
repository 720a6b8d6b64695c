import { execFileSync, spawn } from 'node:child_process';
import { chmodSync, chownSync, cpSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { PACKAGE_ROOT } from '../../src/paths.js';
import { expectComplete, query } from './support/capture.js';
import { requireRootAndBpf } from './support/root.js';
import { buildTracer, type Tracer } from './support/tracer.js';
import { copyWorkload, startWaiting, type Workload } from './support/workload.js';

/** The user `nobody`, which every system has, in place of the service's own. */
const NOBODY = 65534;

describe.skipIf(!requireRootAndBpf())('rounds of the service', () => {
  let tracer: Tracer;
  let workload: Workload;
  beforeAll(async () => {
    workload = copyWorkload();
    tracer = await buildTracer();
    chmodSync(tracer.dir, 0o755);
  });
  afterAll(() => {
    tracer?.remove();
    workload?.remove();
  });

  test('with the rights the unit gives, in other namespaces, processes of other users are recorded', async () => {
    const state = join(tracer.dir, 'state');
    for (const folder of ['bin', 'service', 'state']) mkdirSync(join(tracer.dir, folder));
    chownSync(state, NOBODY, NOBODY);
    cpSync(join(PACKAGE_ROOT, 'packaging/service/trace-round'), join(tracer.dir, 'service/trace-round'));
    const launcher = join(tracer.dir, 'bin/ingero');
    writeFileSync(launcher, `#!/bin/sh\nexec "${process.execPath}" "${tracer.bin}" "$@"\n`, { mode: 0o755 });
    const unit = execFileSync('sed', ['-n', 's/^AmbientCapabilities=//p', 'ingero-trace.service'], {
      cwd: join(PACKAGE_ROOT, 'packaging/service'),
      encoding: 'utf8',
    });
    const caps = unit.trim().toLowerCase().replaceAll('cap_', '+').replaceAll(' ', ',');
    // Root's, in a folder that only root can look into (mkdtemp makes it 0700).
    const program = await startWaiting(workload.gpuScenarios, ['steady', '1000000', '--pause-us', '2000']);
    program.go();
    const round = (): Promise<number | null> =>
      new Promise((resolve, reject) => {
        const child = spawn(
          'unshare',
          [
            ...['--net', '--mount', '--propagation', 'private', 'setpriv'],
            ...['--reuid', String(NOBODY), '--regid', String(NOBODY), '--clear-groups', '--no-new-privs'],
            ...['--bounding-set', `-all,${caps}`, '--inh-caps', caps, '--ambient-caps', caps],
            join(tracer.dir, 'service/trace-round'),
          ],
          {
            stdio: ['ignore', 'ignore', 'inherit'],
            env: {
              ...{ PATH: process.env.PATH, STATE_DIRECTORY: state, INGERO_CONFIG_DIR: tracer.dir },
              ...{ INGERO_ROUND: '1500ms', INGERO_ROUND_MIB: '64', INGERO_KEEP_MIB: '65' },
            },
          },
        );
        child.once('error', reject);
        child.once('exit', resolve);
      });
    try {
      const captures: string[] = [];
      for (let rounds = 0; rounds < 2; rounds++) {
        expect(await round()).toBe(0);
        const [capture, ...others] = readdirSync(state);
        // The total leaves no room for the capture of the round before.
        expect(others).toEqual([]);
        captures.push(join(state, capture as string));
        await expectComplete(captures[rounds] as string);
        expect(
          await query(
            captures[rounds] as string,
            'SELECT DISTINCT pid::INTEGER AS pid, uid FROM cuda_events JOIN processes USING (pid)',
          ),
        ).toEqual([{ pid: program.pid, uid: 0 }]);
      }
      expect(new Set(captures).size).toBe(2);
    } finally {
      program.kill();
    }
  });
});
