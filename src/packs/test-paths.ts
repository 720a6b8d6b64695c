/** Paths in the `tests:` of a pack. */
import { locateArguments } from './abi.js';
import type { PackIssue } from './issue.js';
import type { PackTest, ProbeSpec, TestValue } from './model.js';
import { parsePrototype, type TypeTable } from './prototype.js';
import { resolvePath } from './resolve.js';

/** Checks that what a test passes and gets back can be: places are relative to the test. */
export function checkTestPaths(test: PackTest, probe: ProbeSpec, types: TypeTable): PackIssue[] {
  const { prototype } = parsePrototype(probe.prototype, types);
  if (prototype === undefined) return [];
  const locations = locateArguments(prototype, 'x64');
  const check = (key: 'with' | 'sets'): PackIssue[] =>
    Object.keys(test[key] ?? {}).flatMap((path): PackIssue[] => {
      const at = [key, path];
      const result = resolvePath(path, prototype, locations, 'x64', 'entry');
      if ('issue' in result) {
        const { offset: _, ...issue } = result.issue;
        return [{ ...issue, at, key: true }];
      }
      if (key === 'with' || result.source.throughPointer) return [];
      const message = `${path} is not behind a pointer: the function cannot set it`;
      return [{ rule: 'bad-test', message, at, key: true }];
    });
  const returns: PackIssue[] =
    test.returns !== undefined && prototype.returns.kind !== 'int' && prototype.returns.kind !== 'pointer'
      ? [{ rule: 'bad-test', message: `${prototype.name} returns no number`, at: ['returns'] }]
      : [];
  return [...check('with'), ...check('sets'), ...returns];
}

/** The number a test means; undefined for a text. */
export function numberOf(value: TestValue): bigint | undefined {
  if (typeof value === 'number') return BigInt(value);
  const digits = /^(-?)(0[xX][0-9a-fA-F]+|[0-9]+)$/.exec(value);
  if (digits === null) return undefined;
  const [, sign, number = '0'] = digits;
  return sign === '-' ? -BigInt(number) : BigInt(number);
}
