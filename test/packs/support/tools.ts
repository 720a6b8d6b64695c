import { execFileSync } from 'node:child_process';

/** Whether a program can be started. */
export function available(program: string, ...args: string[]): boolean {
  try {
    execFileSync(program, args, { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}
