import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

/** Root of the installed package: the folder that holds `schema/`, `probes/` and `queries/`. */
export const PACKAGE_ROOT = fileURLToPath(new URL('..', import.meta.url));

/** Version of ingero, from its package.json. */
export function ingeroVersion(): string {
  return (JSON.parse(readFileSync(`${PACKAGE_ROOT}/package.json`, 'utf8')) as { version: string }).version;
}
