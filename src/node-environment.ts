/**
 * What the caller tells Node.js by environment variables is not meant for ingero's own, which may run as root; a command
 * that `trace` starts gets it as it was.
 */

export type Environment = Readonly<Record<string, string | undefined>>;

/**
 * Variables that make Node.js load, write, read or print something (nodejs.org/docs/latest-v24.x/api/cli.html, environment
 * variables). Those of colours, of the REPL and of TLS change nothing here. packaging/release/ingero.sh hides them.
 */
export const NODE_VARIABLES: readonly string[] = [
  'NODE_COMPILE_CACHE',
  'NODE_DEBUG',
  'NODE_DEBUG_NATIVE',
  'NODE_EXTRA_CA_CERTS',
  'NODE_ICU_DATA',
  'NODE_OPTIONS',
  'NODE_PATH',
  'NODE_PENDING_DEPRECATION',
  'NODE_PRESERVE_SYMLINKS',
  'NODE_REDIRECT_WARNINGS',
  'NODE_V8_COVERAGE',
  'OPENSSL_CONF',
];

/** Under this prefix the launcher hands them on. */
const KEPT = 'INGERO_KEPT_';

/** The environment without these variables. */
export function withoutNodeVariables(env: Environment): Environment {
  return Object.fromEntries(Object.entries(env).filter(([name]) => !NODE_VARIABLES.includes(name)));
}

/**
 * The environment as the caller set it. Takes the hidden variables out of `env`, the environment of this process: threads of
 * Node.js would read them there.
 */
export function takeCallerEnvironment(env: Record<string, string | undefined>): Environment {
  const caller = { ...env };
  for (const name of NODE_VARIABLES) {
    const kept = env[KEPT + name];
    delete env[KEPT + name];
    delete caller[KEPT + name];
    if (kept !== undefined) caller[name] = kept;
  }
  return caller;
}
