import {
  closeSync,
  fchmodSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { EXIT, IngeroError } from '../errors.js';
import { PackDocument } from './document.js';
import { formatProblems } from './format.js';
import type { PackIssue } from './issue.js';
import type { PackProblem } from './model.js';
import type { ConfigDirs } from './places.js';

/** Packs that are enabled until somebody decides otherwise. */
export const DEFAULT_PACKS: readonly string[] = ['cuda-runtime'];

/** The packs `trace` uses when none is named. */
export interface EnabledPacks {
  names: string[];
  /** File that says so; null when none does and the default holds. */
  path: string | null;
}

const FILE = 'enabled.yaml';
/** A list of names is far smaller; anything larger is another file. */
const MAX_BYTES = 64 * 1024;
const HEADER =
  '# Packs `ingero trace` uses when none is named. Written by `ingero probes enable` and `disable`.\n';

/**
 * Reads which packs are enabled: the file in the folder this user writes to, else the host's, else the default.
 * Throws `bad-enabled-file` when the file is there and cannot be used.
 */
export function readEnabled(dirs: ConfigDirs): EnabledPacks {
  const folders = [...new Set([dirs.own, dirs.system])].filter((folder) => folder !== null);
  for (const folder of folders) {
    const path = join(folder, FILE);
    const text = readText(path);
    if (text !== null) return { names: parseEnabled(text, path), path };
  }
  return { names: [...DEFAULT_PACKS], path: null };
}

/** Null when there is no such file. */
function readText(path: string): string | null {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT' || code === 'ENOTDIR') return null;
    throw badFile(path, message, error);
  }
}

function parseEnabled(text: string, path: string): string[] {
  if (text.length > MAX_BYTES) throw badFile(path, `it has more than ${MAX_BYTES} bytes`);
  try {
    const document = new PackDocument(text, path);
    const syntax = [...document.syntaxProblems(), ...document.duplicateKeys(), ...document.brokenAliases()];
    if (syntax.length > 0) throw problemsIn(path, syntax);
    const value = document.value();
    const issues = shapeIssues(value);
    if (issues.length > 0) {
      throw problemsIn(
        path,
        issues.map((issue) => document.locate(issue)),
      );
    }
    return [...new Set((value as { enabled: string[] }).enabled)];
  } catch (error) {
    if (error instanceof IngeroError) throw error;
    // The YAML library gives up on deep nesting and on floods of aliases.
    throw badFile(path, (error as Error).message, error);
  }
}

function shapeIssues(value: unknown): PackIssue[] {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    return [{ rule: 'wrong-type', message: 'expected the key enabled with a list of pack names', at: [] }];
  }
  const { enabled, ...others } = value as Record<string, unknown>;
  const issues = Object.keys(others).map(
    (key): PackIssue => ({ rule: 'unknown-key', message: `unknown key ${key}`, at: [key], key: true }),
  );
  if (enabled === undefined) return [...issues, { rule: 'missing-key', message: 'no key enabled', at: [] }];
  if (!Array.isArray(enabled)) {
    return [
      ...issues,
      { rule: 'wrong-type', message: 'enabled must be a list of pack names', at: ['enabled'] },
    ];
  }
  for (const [index, name] of enabled.entries()) {
    if (typeof name === 'string' && /^[a-z0-9][a-z0-9-]*$/.test(name)) continue;
    const message = `${JSON.stringify(name)} is not the name of a pack`;
    issues.push({ rule: 'wrong-value', message, at: ['enabled', index] });
  }
  return issues;
}

function problemsIn(path: string, problems: readonly PackProblem[]): IngeroError {
  return badFile(path, `\n\n${formatProblems(problems)}\n`);
}

function badFile(path: string, problem: string, cause?: unknown): IngeroError {
  return new IngeroError(`The list of enabled packs, ${path}, cannot be used: ${problem}`, {
    code: 'bad-enabled-file',
    exitCode: EXIT.badPack,
    expected: `a file such as\n\nenabled:\n${DEFAULT_PACKS.map((name) => `  - ${name}`).join('\n')}\n`,
    next: 'Correct or remove the file, or name packs with `ingero trace --pack NAME`.',
    ...(cause === undefined ? {} : { cause }),
  });
}

/**
 * Writes which packs are enabled, whole or not at all: readers see the old list or the new one. Returns the path.
 * Throws `no-config-directory` when this user has none, `config-unwritable` when it cannot be written to.
 */
export function writeEnabled(dirs: ConfigDirs, names: readonly string[]): string {
  const folder = dirs.own;
  if (folder === null) {
    throw new IngeroError('This user has no configuration directory: HOME and XDG_CONFIG_HOME are not set.', {
      code: 'no-config-directory',
      exitCode: EXIT.output,
      next: 'Set HOME, or INGERO_CONFIG_DIR to the directory to use.',
    });
  }
  const path = join(folder, FILE);
  const temporary = join(folder, `.${FILE}.${process.pid}`);
  try {
    mkdirSync(folder, { recursive: true, mode: 0o755 });
    replaceFile(path, temporary, HEADER + stringify({ enabled: [...names] }));
  } catch (cause) {
    throw new IngeroError(`${path} cannot be written: ${(cause as Error).message}`, {
      code: 'config-unwritable',
      exitCode: EXIT.output,
      expected: `a directory this user may write to`,
      next: 'Correct its permissions, or set INGERO_CONFIG_DIR to the directory to use.',
      cause,
    });
  }
  return path;
}

function replaceFile(path: string, temporary: string, text: string): void {
  rmSync(temporary, { force: true });
  try {
    const fd = openSync(temporary, 'wx', 0o644);
    try {
      // Whatever the umask: a trace run by another user has to read it.
      fchmodSync(fd, 0o644);
      writeSync(fd, text);
      fsyncSync(fd);
    } finally {
      closeSync(fd);
    }
    renameSync(temporary, path);
  } catch (error) {
    rmSync(temporary, { force: true });
    throw error;
  }
}
