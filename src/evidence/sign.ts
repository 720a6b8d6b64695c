import type { KeyObject } from 'node:crypto';
import { existsSync } from 'node:fs';
import { EXIT, IngeroError } from '../errors.js';
import { signFile } from '../trust/signature.js';
import type { Signature } from '../trust/signature-file.js';
import { logPath } from './seal.js';

/**
 * Signs a file of any kind. A capture with a `.wal` beside it is refused (`signed-in-part`): its signature would cover half of
 * what a reader gets. Throws what `signFile` throws.
 */
export async function signWhole(file: string, key: KeyObject, replace: boolean): Promise<Signature> {
  if (existsSync(file) && existsSync(logPath(file))) {
    throw new IngeroError(
      `${file} has a log beside it, ${logPath(file)}, which a signature of the file does not cover.`,
      {
        code: 'signed-in-part',
        exitCode: EXIT.usage,
        expected: 'a file that is all there is to read',
        next: `ingero seal ${file} --key KEY.pem covers both.`,
      },
    );
  }
  return signFile(file, key, replace);
}
