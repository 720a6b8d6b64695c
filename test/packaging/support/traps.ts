import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** What a caller can tell Node.js by its environment to make it load, write or print something. */
export interface Traps {
  env: Readonly<Record<string, string>>;
  /** Those that have left a trace, by name of the variable. */
  sprung(): string[];
}

/** Makes them in a new folder of `dir`. What is printed shows on standard error, a broken OPENSSL_CONF as an abort. */
export function setTraps(dir: string): Traps {
  const folder = join(dir, 'traps');
  mkdirSync(folder, { recursive: true });
  const at = (name: string): string => join(folder, name);
  writeFileSync(at('spy.cjs'), `require('node:fs').writeFileSync(${JSON.stringify(at('required'))}, '')`);
  writeFileSync(at('openssl.cnf'), 'nodejs_conf = here\n[here]\nproviders = nowhere\n');
  const written = {
    NODE_OPTIONS: at('required'),
    NODE_COMPILE_CACHE: at('cache'),
    NODE_V8_COVERAGE: at('coverage'),
    NODE_REDIRECT_WARNINGS: at('warnings'),
  };
  return {
    env: {
      ...written,
      NODE_OPTIONS: `--require=${at('spy.cjs')}`,
      NODE_PATH: folder,
      NODE_PENDING_DEPRECATION: '1',
      NODE_PRESERVE_SYMLINKS: '1',
      NODE_DEBUG_NATIVE: 'CODE_CACHE',
      NODE_EXTRA_CA_CERTS: at('missing.pem'),
      NODE_ICU_DATA: at('missing'),
      OPENSSL_CONF: at('openssl.cnf'),
    },
    sprung: () => Object.entries(written).flatMap(([name, path]) => (existsSync(path) ? [name] : [])),
  };
}
