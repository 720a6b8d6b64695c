import { existsSync } from 'node:fs';

/**
 * Whether this test run can load BPF programs. Tests that need to use `describe.skipIf(!requireRootAndBpf())`, so
 * that a developer without privileges sees them skipped; in CI that would hide everything there is to test, and throws.
 */
export function requireRootAndBpf(): boolean {
  const able = process.getuid?.() === 0 && existsSync('/sys/kernel/btf/vmlinux');
  if (!able && process.env.CI !== undefined) {
    throw new Error('CI has to run the kernel tests: root and /sys/kernel/btf/vmlinux are needed');
  }
  return able;
}
