import { readFileSync } from 'node:fs';
import koffi from 'koffi';

/** Linux, all architectures (asm-generic/resource.h). */
const RLIMIT_DATA = 2;
/** What Node.js, code and buffers outside DuckDB's account may take beside `--memory-limit`, bytes. */
const SLACK = 512 << 20;

const libc = koffi.load(null);
const rlimit = koffi.struct('ingero_rlimit', { soft: 'uint64_t', hard: 'uint64_t' });
const getrlimit = libc.func('getrlimit', 'int', ['int', koffi.out(koffi.pointer(rlimit))]);
const setrlimit = libc.func('setrlimit', 'int', ['int', koffi.pointer(rlimit)]);
const exit = libc.func('void _exit(int status)');

/**
 * Lets the kernel refuse memory to this process beyond what it has now, `limitBytes` for DuckDB and some slack.
 * DuckDB's own limit does not count strings and lists inside a function (`repeat`, `range` took 12 GB under a
 * limit of 200 MB); with this they fail with "out of memory", and the process lives on.
 */
export function boundMemory(limitBytes: number): void {
  const held = /^VmData:\s+(\d+) kB$/m.exec(readFileSync('/proc/self/status', 'utf8'))?.[1];
  const limit = { soft: 0, hard: 0 };
  if (held === undefined || getrlimit(RLIMIT_DATA, limit) !== 0) return;
  const wanted = Number(held) * 1024 + limitBytes + SLACK;
  if (wanted < Number(limit.hard)) setrlimit(RLIMIT_DATA, { soft: wanted, hard: limit.hard });
}

/**
 * Ends the process at once. `process.exit` waits for DuckDB's threads, and some functions of SQL
 * (`levenshtein` of long strings) cannot be interrupted. Exit handlers do not run.
 */
export function exitNow(code: number): never {
  exit(code);
  throw new Error('_exit returned');
}

const UNITS: Readonly<Record<string, number>> = { K: 1, M: 2, G: 3, T: 4 };

/** Bytes of a size as DuckDB writes it: `512MB` (decimal), `4GiB` (binary). Undefined when it is none. */
export function parseSize(text: string): number | undefined {
  const parts = /^([1-9]\d*(?:\.\d+)?)\s*([KMGT])(i?)B$/.exec(text);
  if (parts === null) return undefined;
  const [, number, unit, binary] = parts;
  return Math.floor(Number(number) * (binary === '' ? 1000 : 1024) ** (UNITS[unit ?? ''] ?? 0));
}
