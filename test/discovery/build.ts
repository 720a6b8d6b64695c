import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll } from 'vitest';

/** A folder removed when the test file is done. */
export function scratch(): string {
  const folder = mkdtempSync(join(tmpdir(), 'ingero-discovery-'));
  afterAll(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** Compiles C with gcc into `output` and returns it. */
export function compile(output: string, source: string, ...flags: string[]): string {
  const file = `${output}.c`;
  writeFileSync(file, source);
  execFileSync('gcc', ['-O1', '-o', output, file, ...flags], { stdio: ['ignore', 'ignore', 'inherit'] });
  rmSync(file);
  return output;
}

/** Flags of a shared library with this DT_SONAME. */
export function shared(soname: string, ...flags: string[]): string[] {
  return ['-shared', '-fPIC', `-Wl,-soname,${soname}`, ...flags];
}

/** Output of a tool the tests compare with. */
export function output(command: string, ...args: string[]): string {
  return execFileSync(command, args, { encoding: 'utf8', maxBuffer: 64 * 1024 * 1024 });
}
