import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    testTimeout: 30_000,
    hookTimeout: 120_000,
    // Kernel tests attach probes to shared inodes and compare exact counts: one file at a time.
    fileParallelism: false,
  },
});
