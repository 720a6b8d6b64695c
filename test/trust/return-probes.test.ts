import { describe, expect, test } from 'vitest';
import { compilePack, loadBuiltinPacks, withoutReturns } from '../../src/packs/index.js';
import { describeReturns, planReturns, summarizeReturns } from '../../src/trace/return-plan.js';
import { judgeReturns } from '../../src/trust/return-probes.js';

describe('what a kernel shows to filters', () => {
  test('a trial decides, whatever the version is', () => {
    const trial = { exists: true, filtered: true };
    expect(judgeReturns('x64', '6.18.4', trial)).toEqual({ seen: true, known: 'tried' });
    // Ubuntu carried the correction back to 6.11.
    expect(judgeReturns('x64', '6.11.0-29', { ...trial, filtered: false }).seen).toBe(false);
    // A filter answers for system calls that do not exist as well.
    expect(judgeReturns('x64', '6.1.0', { ...trial, exists: false }).seen).toBe(false);
  });

  test.each([
    ['5.15.0', false],
    ['6.10.9', false],
    ['6.11.0-8-generic', true],
    ['6.12', true],
    ['6.13.1', true],
    ['6.14.0', false],
    ['7.0.0-rc1', false],
  ])('without one the version does: %s', (kernel, seen) => {
    expect(judgeReturns('x64', kernel, null)).toEqual({ seen, known: 'by its version' });
    expect(judgeReturns('arm64', kernel, null).seen).toBe(false);
  });
});

describe('the plan', () => {
  const seen = { seen: true, known: 'tried' } as const;
  const unseen = { seen: false, known: 'tried' } as const;
  const confined = [{ pid: 42, comm: 'train\u001b[2J', library: '/opt/libcudart.so.13' }];

  test('return probes are placed where filters do not see them, and nothing is said of it', () => {
    const plan = planReturns('auto', unseen);
    expect(plan).toEqual({ placed: true, detail: 'placed', endangers: false });
    expect(describeReturns(summarizeReturns(plan, []))).toEqual([]);
    expect(planReturns('always', unseen)).toEqual(plan);
  });

  test('they are left out where filters see them; each process behind one is named', () => {
    const plan = planReturns('auto', seen);
    expect(plan).toMatchObject({ placed: false, endangers: true });
    expect(describeReturns(summarizeReturns(plan, confined))).toEqual([
      'Calls have no duration, result or error. Return probes were left out: seccomp filters see return probes on this kernel (tried) and may kill processes they confine.',
      'A newer kernel mends it (docs/seal.md); --return-probes always puts them all the same.',
      'Behind a filter: train\\x1b[2J (42), which maps /opt/libcudart.so.13.',
    ]);
  });

  test('who insists gets them, with a warning', () => {
    const plan = planReturns('always', seen);
    expect(plan).toMatchObject({ placed: true, endangers: true });
    const lines = describeReturns(summarizeReturns(plan, confined));
    expect(lines[0]).toMatch(
      /^Return probes were placed by --return-probes always, although seccomp filters/,
    );
    expect(lines[1]).toContain('(42)');
  });

  test('never means never', () => {
    expect(planReturns('never', unseen)).toMatchObject({ placed: false, endangers: false });
  });
});

test.each(loadBuiltinPacks().map((pack) => [pack.name, pack] as const))(
  '%s without return probes: only entries are probed, and no call is chosen by how it returns',
  (_name, pack) => {
    const compiled = compilePack(pack, 'x64');
    const { probes } = withoutReturns(compiled);
    expect(probes).toHaveLength(compiled.probes.length);
    for (const [index, probe] of probes.entries()) {
      expect(probe.mode).toBe('entry');
      expect(probe).not.toHaveProperty('currentDevice');
      const before = compiled.probes[index]?.where.map(({ subject }) => JSON.stringify(subject)) ?? [];
      const needsReturn = before.some((text) => /result|duration|"at":"return"/.test(text));
      expect(probe.disabled !== undefined).toBe(
        needsReturn || compiled.probes[index]?.disabled !== undefined,
      );
    }
  },
);
