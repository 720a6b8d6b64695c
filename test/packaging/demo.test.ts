import { execFileSync, spawnSync } from 'node:child_process';
import { cpSync, existsSync, mkdtempSync, readFileSync, rmSync, symlinkSync, utimesSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { PACKAGE_ROOT } from '../../src/paths.js';

const TIMEOUT = 180_000;
const isRoot = process.getuid?.() === 0;

describe('packaging/demo.sh', () => {
  const root = mkdtempSync(join(tmpdir(), 'ingero-demo-'));
  beforeAll(() => {
    const tracked = execFileSync('git', ['ls-files', '-z'], { cwd: PACKAGE_ROOT, encoding: 'utf8' });
    for (const name of tracked
      .split('\0')
      .filter((name) => name !== '' && existsSync(join(PACKAGE_ROOT, name)))) {
      cpSync(join(PACKAGE_ROOT, name), join(root, name));
    }
    symlinkSync(join(PACKAGE_ROOT, 'node_modules'), join(root, 'node_modules'));
    // The packages are installed already: an older lock file says so.
    utimesSync(join(root, 'package-lock.json'), 0, 0);
  });
  afterAll(() => rmSync(root, { recursive: true, force: true }));

  const demo = (...prefix: string[]) =>
    spawnSync(
      prefix[0] ?? 'sh',
      [...prefix.slice(1), ...(prefix.length > 0 ? ['sh'] : []), 'packaging/demo.sh'],
      {
        cwd: root,
        encoding: 'utf8',
      },
    );

  test.skipIf(!isRoot)(
    'traces the workload and asks the capture',
    () => {
      const { status, stdout, stderr } = demo();
      expect(stderr.replace(/^Stopped after \d+ rows.*\n/gm, '')).toBe('');
      expect(status, stdout).toBe(0);
      expect(stdout).not.toContain('Missing');
      const rows = /run\.duckdb: ([\d,]+) rows; ended: target-exited/.exec(stdout)?.[1];
      // Filtered are event queries that found work not done yet.
      expect(stdout).toMatch(new RegExp(`\\n[\\d,]+ hits = ${rows} rows \\+ \\d+ filtered \\+ 0 lost\\n`));
      for (const query of ['cuda-api-sum', 'slow-memcpy', 'alloc-balance', 'api-errors', 'what-was-lost']) {
        expect(stdout).toMatch(new RegExp(`^\\$ ingero run-query ${query} run\\.duckdb.*\\n *\\w+ `, 'm'));
      }
      expect(stdout).toMatch(/^[0-9a-f]{64} {2}run\.duckdb$/m);
      expect(readFileSync(join(root, 'run.duckdb')).subarray(8, 12).toString()).toBe('DUCK');
    },
    TIMEOUT,
  );

  test.skipIf(!isRoot)(
    'without privileges says what is missing and asks the recorded capture',
    () => {
      const { status, stdout } = demo('setpriv', '--bounding-set=-all');
      expect(status).toBe(0);
      const [missing = '', answers = ''] = stdout.split('\n\nUntil then, ');
      expect(missing).toMatch(
        /^This host cannot trace yet\. Missing:\n {2}- privileges: .*\n {6}Run with sudo/,
      );
      expect(missing.split('\n').length).toBeLessThan(15);
      expect(answers).toContain('recorded on another machine');
      expect(answers).toMatch(/^\$ ingero run-query api-errors build\/recorded\.duckdb\n\w+ /m);
    },
    TIMEOUT,
  );
});
