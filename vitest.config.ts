import { defineConfig } from 'vitest/config';
import { BaseSequencer, type TestSpecification } from 'vitest/node';

/**
 * Tests that attach probes to shared inodes and compare exact counts, or build and fetch into shared folders: one file at
 * a time, before the others.
 */
const ALONE = [
  // Those of explain and of policies count nothing and share no library with others.
  'test/trace/!(explain).test.ts',
  // That of all packages builds into a folder of its own, and takes minutes.
  'test/packaging/!(packages).test.ts',
  'test/discovery/libraries.test.ts',
  'test/discovery/stripped.test.ts',
  'test/workload.test.ts',
  'test/commands/probes-trace.test.ts',
];

/** The file that takes longest begins first: what begins last is what everybody waits for. */
class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const isLongest = ({ moduleId }: TestSpecification): boolean => moduleId.endsWith('/packages.test.ts');
    const sorted = await super.sort(files);
    return [...sorted.filter(isLongest), ...sorted.filter((file) => !isLongest(file))];
  }
}

/** Files share the modules they load: nothing of ingero remembers one test in the next, and loading takes a fifth of the time. */
const shared = { testTimeout: 30_000, hookTimeout: 120_000, isolate: false };

export default defineConfig({
  test: {
    sequence: { sequencer: LongestFirst },
    projects: [
      {
        test: {
          ...shared,
          name: 'alone',
          include: ALONE,
          fileParallelism: false,
          sequence: { groupOrder: 0 },
        },
      },
      {
        test: {
          ...shared,
          name: 'together',
          include: ['test/**/*.test.ts'],
          exclude: [...ALONE, 'test/kernels/**'],
          // Two cores, and much waiting for programs.
          maxWorkers: 3,
          sequence: { groupOrder: 1 },
        },
      },
    ],
  },
});
