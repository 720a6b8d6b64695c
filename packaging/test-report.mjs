/**
 * Reads vitest's JSON report, prints `N passed, N failed` and fails when a test failed, none ran, or (with
 * CI=true) one was skipped that test/allowed-skips.txt does not name.
 *
 * Usage: node packaging/test-report.mjs REPORT.json
 */
import { readFileSync } from 'node:fs';

const ALLOWED = new URL('../test/allowed-skips.txt', import.meta.url);
const SKIPPED = new Set(['skipped', 'pending', 'todo', 'disabled']);

/** Start of the name of each test that may be skipped; the file gives the reason in a comment above it. */
function allowedSkips() {
  return readFileSync(ALLOWED, 'utf8')
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '' && !line.startsWith('#'));
}

const report = JSON.parse(readFileSync(process.argv[2], 'utf8'));
const tests = report.testResults.flatMap((file) => file.assertionResults);
const passed = tests.filter((test) => test.status === 'passed').length;
// A file that could not be loaded has no tests of its own to count.
const broken = report.testResults.filter(
  (file) => file.status === 'failed' && file.assertionResults.length === 0,
);
const failed = tests.filter((test) => test.status === 'failed').length + broken.length;
const skipped = tests.filter((test) => SKIPPED.has(test.status)).map((test) => test.fullName.trim());
const allowed = allowedSkips();
const unexpected = skipped.filter((name) => !allowed.some((start) => name.startsWith(start)));

for (const name of skipped) console.log(`skipped: ${name}`);
console.log(`${passed} passed, ${failed} failed${skipped.length === 0 ? '' : `, ${skipped.length} skipped`}`);
if (failed > 0 || passed === 0) process.exitCode = 1;
if (unexpected.length > 0 && process.env.CI === 'true') {
  console.error(
    `With CI=true these may not be skipped:\n${unexpected.map((name) => `  ${name}`).join('\n')}`,
  );
  process.exitCode = 1;
}
