import { expect, test } from 'vitest';
import { ProcessIds } from '../../src/capture/process-ids.js';

test('one process: whichever of its threads and calls comes first', () => {
  const ids = new ProcessIds();
  expect(ids.idOf(7, 50n)).toBe(1);
  expect(ids.meet(7, 10n)).toEqual({ id: 1, isNew: true });
  expect(ids.meet(7, 10n)).toEqual({ id: 1, isNew: false });
  expect(ids.meet(8, 10n)).toEqual({ id: 2, isNew: true });
  expect(ids.idOf(8, 60n)).toBe(2);
  expect(ids.isAnyReused).toBe(false);
});

test('a pid used again: calls belong to the process that had it then, whatever order they are read in', () => {
  const ids = new ProcessIds();
  ids.meet(7, 100n);
  // Read from another ring later, though it started earlier.
  expect(ids.meet(7, 20n)).toEqual({ id: 2, isNew: true });
  expect(ids.isAnyReused).toBe(true);
  expect(ids.meet(7, 300n)).toEqual({ id: 3, isNew: true });
  expect([30n, 99n, 100n, 299n, 300n, 1000n].map((at) => ids.idOf(7, at))).toEqual([2, 2, 1, 1, 3, 3]);
  expect(ids.meet(7, 20n)).toEqual({ id: 2, isNew: false });
});
