/** `when:` conditions: in which library files a function is probed, decided when the file is looked at. */
import type { PackIssue } from './issue.js';
import type { WhenSpec } from './model.js';

/** What conditions look at in a library file. */
export interface LibraryFacts {
  /** Dotted numbers; null when unknown. */
  version: string | null;
  /** Whether the file defines a function of this name. */
  defines(symbol: string): boolean;
}

/** Why a function is not probed in a library, for people; null when every condition holds. */
export function unmetCondition(when: readonly WhenSpec[], facts: LibraryFacts): string | null {
  for (const condition of when) {
    const reason = refusal(condition, facts);
    if (reason !== null) return `when: ${whenText(condition)}, ${reason}`;
  }
  return null;
}

function refusal(condition: WhenSpec, { version, defines }: LibraryFacts): string | null {
  if (condition.symbol !== undefined) {
    const isThere = defines(condition.symbol);
    if (isThere === (condition.is === 'present')) return null;
    return isThere ? 'and this library has it' : 'and this library does not have it';
  }
  if (version === null) return 'and the version of this library is not known';
  const order = compareVersions(version, condition.value ?? '');
  if (order === undefined) return `and of the version of this library only ${version} is known`;
  return HOLDS[condition.is as VersionComparison](order) ? null : `and this library is ${version}`;
}

type VersionComparison = Exclude<WhenSpec['is'], 'present' | 'absent'>;

const HOLDS: Readonly<Record<VersionComparison, (order: number) => boolean>> = {
  eq: (order) => order === 0,
  ne: (order) => order !== 0,
  lt: (order) => order < 0,
  le: (order) => order <= 0,
  gt: (order) => order > 0,
  ge: (order) => order >= 0,
};

/**
 * Compares as many numbers as `wanted` has: 2.22.3 equals 2.22. Below 0, 0 or above 0; undefined when `version` has
 * fewer numbers and those it has are equal, as with `2`, the version in `libnccl.so.2`, and 2.22.
 */
export function compareVersions(version: string, wanted: string): number | undefined {
  const have = version.split('.').map(Number);
  for (const [index, number] of wanted.split('.').map(Number).entries()) {
    const mine = have[index];
    if (mine === undefined) return undefined;
    if (mine !== number) return mine - number;
  }
  return 0;
}

/** A condition in the words of the pack: `version ge 2.22`, `symbol ncclCommSplit present`. */
export function whenText({ symbol, is, value }: WhenSpec): string {
  return symbol === undefined ? `version ${is} ${value}` : `symbol ${symbol} ${is}`;
}

/** Checks what the shape of a condition does not say. `at`: place of the list in the pack. */
export function checkWhen(when: readonly WhenSpec[], at: readonly (string | number)[]): PackIssue[] {
  return when.flatMap(({ symbol, is, value }, index): PackIssue[] => {
    const refuse = (message: string, key: string, suggestion: string): PackIssue[] => [
      { rule: 'bad-when', message, at: [...at, index, key], suggestion },
    ];
    const isPresence = is === 'present' || is === 'absent';
    if (symbol !== undefined) {
      if (!isPresence) return refuse(`a symbol is not ${is}`, 'is', 'is: present, or is: absent');
      return value === undefined ? [] : refuse('a symbol has no value', 'value', 'remove value');
    }
    if (isPresence) return refuse(`a version is not ${is}`, 'is', 'one of eq, ne, lt, le, gt, ge');
    return value === undefined ? refuse(`${is} needs value`, 'is', "such as value: '2.22'") : [];
  });
}

/**
 * The highest version among names such as `GLIBC_2.34`, by a pattern such as `GLIBC_*`; null when none fits. The
 * names are those of the ELF version definitions of a library.
 */
export function versionAmong(names: readonly string[], pattern: string): string | null {
  const [before = '', after = ''] = pattern.split('*');
  const versions = names
    .filter((name) => name.length > before.length + after.length)
    .filter((name) => name.startsWith(before) && name.endsWith(after))
    .map((name) => name.slice(before.length, name.length - after.length))
    .filter((version) => /^\d+(\.\d+)*$/.test(version));
  return versions.reduce<string | null>(
    (best, version) => (best === null || (compareVersions(version, best) ?? -1) > 0 ? version : best),
    null,
  );
}
