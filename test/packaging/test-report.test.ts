import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { PACKAGE_ROOT } from '../../src/paths.js';

const work = mkdtempSync(join(tmpdir(), 'ingero-report-'));
afterAll(() => rmSync(work, { recursive: true, force: true }));

function judge(statuses: readonly string[], env: NodeJS.ProcessEnv = {}, fileStatus = 'passed') {
  const report = join(work, 'report.json');
  const assertionResults = statuses.map((status, index) => ({ status, fullName: `test ${index}` }));
  writeFileSync(report, JSON.stringify({ testResults: [{ status: fileStatus, assertionResults }] }));
  const { status, stdout } = spawnSync(
    process.execPath,
    [join(PACKAGE_ROOT, 'packaging/test-report.mjs'), report],
    {
      encoding: 'utf8',
      env: { ...process.env, CI: '', ...env },
    },
  );
  return { status, last: stdout.trimEnd().split('\n').at(-1) };
}

test('the closing line counts, and decides', () => {
  expect(judge(['passed', 'passed'])).toEqual({ status: 0, last: '2 passed, 0 failed' });
  expect(judge(['passed', 'failed'])).toEqual({ status: 1, last: '1 passed, 1 failed' });
  // A file that does not load has no tests.
  expect(judge([], {}, 'failed')).toEqual({ status: 1, last: '0 passed, 1 failed' });
  expect(judge([])).toEqual({ status: 1, last: '0 passed, 0 failed' });
});

test('a skipped test is tolerated, but not in CI', () => {
  expect(judge(['passed', 'pending'])).toEqual({ status: 0, last: '1 passed, 0 failed, 1 skipped' });
  expect(judge(['passed', 'skipped'], { CI: 'true' }).status).toBe(1);
  expect(judge(['passed'], { CI: 'true' }).status).toBe(0);
});
