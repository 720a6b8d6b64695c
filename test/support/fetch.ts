/**
 * Fetches everything the tests take from a network into build/, where they look first; packaging/test.sh then runs them
 * without one. A test that runs by itself fetches what it lacks. What cannot be fetched is told, and the tests that need
 * it are skipped.
 */
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { BUILDS_ARM64 } from '../packaging/support/built-archs.js';
import { fetchLibrary, LIBRARY_NAMES } from './debian-libraries.js';

const packages = (arch: string): string[] => [
  'node',
  'packaging/packages/build.mjs',
  '--fetch',
  '--arch',
  arch,
];

/** Programs that fetch, beside the libraries of Debian's: those of a group run one after the other. */
const GROUPS: readonly (readonly string[][])[] = [
  [packages(process.arch), ...(BUILDS_ARM64 ? [packages('arm64')] : [])],
  [['sh', 'packaging/packages/clean-root.sh', '--fetch']],
];

async function fetchGroup(group: readonly string[][]): Promise<string[]> {
  const said: string[] = [];
  for (const [program, ...args] of group) {
    try {
      await promisify(execFile)(program as string, args);
      said.push(args.join(' '));
    } catch (error) {
      said.push(
        `${args.join(' ')} (failed: ${(error as { stderr: string }).stderr.trim().split('\n').at(-1)})`,
      );
    }
  }
  return said;
}

// The programs run while this process waits for apt.
const groups = GROUPS.map(fetchGroup);
for (const name of LIBRARY_NAMES) console.log(fetchLibrary(name).title);
console.log((await Promise.all(groups)).flat().join('\n'));
