import { defineConfig } from 'vitest/config';

/** The machines are emulated: each takes minutes, so that they are no part of the other tests. */
export default defineConfig({
  test: { include: ['test/kernels/*.test.ts'], hookTimeout: 900_000, testTimeout: 30_000 },
});
