import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { EXIT, IngeroError } from '../../src/errors.js';
import {
  COUNTERS,
  encodeProbe,
  encodeSettings,
  MAX_PROBES,
  MAX_RINGS,
  SIZEOF_COUNTERS,
  sumCounters,
} from '../../src/loader/layout.js';
import { loadLibbpf } from '../../src/loader/libbpf.js';
import { readBpfObject } from '../../src/loader/object.js';
import { type Condition, MAX_SLOTS, MAX_TEXT_BYTES, MAX_TEXTS, type Slot } from '../../src/packs/model.js';
import { PACKAGE_ROOT } from '../../src/paths.js';
import { MAX_FRAMES } from '../../src/ring/record.js';

const header = readFileSync(`${PACKAGE_ROOT}/src/loader/bpf/event.h`, 'utf8');
const constant = (name: string): number => Number(new RegExp(`#define ${name} (\\d+)`).exec(header)?.[1]);

test('constants are those of the header', () => {
  expect({ MAX_PROBES, MAX_RINGS, MAX_SLOTS, MAX_TEXTS, MAX_TEXT_BYTES, MAX_FRAMES }).toEqual({
    MAX_PROBES: constant('MAX_PROBES'),
    MAX_RINGS: constant('MAX_RINGS'),
    MAX_SLOTS: constant('MAX_SLOTS'),
    MAX_TEXTS: constant('MAX_TEXTS'),
    MAX_TEXT_BYTES: constant('MAX_TEXT'),
    MAX_FRAMES: constant('MAX_FRAMES'),
  });
  const fields = /struct counters \{([^}]*)\}/.exec(header)?.[1]?.match(/u64 (\w+);/g) ?? [];
  expect(fields.map((field) => field.slice(4, -1))).toEqual([...COUNTERS]);
});

/** What C makes of the same values: every structure as a line of hex. */
const STRUCTURES = `
#include <stdio.h>
#include "event.h"
static void print(const void *bytes, unsigned long size) {
  for (unsigned long i = 0; i < size; i++) printf("%02x", ((const unsigned char *)bytes)[i]);
  puts("");
}
int main(void) {
  static const struct probe probe = {
      .flags = PROBE_ENTRY_ONLY | PROBE_TRACE, .slot_count = 6, .return_bits = 32,
      .at_return = AT_RETURN_READ | AT_RETURN_CHECK | AT_RETURN_DEVICE, .stack_words = 6,
      .entry_conditions = 2, .condition_count = 3, .condition_slots = 1,
      .ok_count = 2, .text_count = 2, .device_change = DEVICE_SET, .device_slot = 2, .device_shift = 32,
      .text_sizes = {40, 300}, .sample_below = 1 << 30, .ok = {0, 0xffffffea},
      .slots = {{3, DEREF_NONE, 8, 0, 0},
                {SOURCE_STACK + 5, DEREF_RETURN, 4, 0, 24},
                {0, DEREF_ENTRY, 1, 0, 0x12345678},
                {1, DEREF_NONE, 8, 1, 16},
                {SOURCE_RESULT, DEREF_NONE, 8, 2 | TEXT_AT_RETURN, 0},
                {SOURCE_TRACE, DEREF_NONE, 8, 0, 0}},
      .conditions = {{0, CMP_GE, 8, 16, 1, 1, {0}, {-1}},
                     {SUBJECT_COMM, CMP_IN, 0, 64, 0, 4, {0}, {0x3363626139, 0, 0x64636261, 0}},
                     {SUBJECT_RESULT, CMP_NE, 0, 32, 1, 1, {0}, {7}}}};
  static const struct settings settings = {
      .epoch_ns = 0x123456789abcdef0, .ring_mask = 3, .cpu_bits = 2, .filter_by_process = 1, .follow_children = 0,
      .filter_comm = "a-name-of-more-"};
  print(&probe, sizeof probe);
  print(&settings, sizeof settings);
  printf("%lu\\n", sizeof(struct counters));
  return 0;
}
`;

test('structures are laid out as the compiler lays them out', () => {
  const dir = mkdtempSync(join(tmpdir(), 'ingero-layout-'));
  try {
    const program = join(dir, 'structures');
    writeFileSync(`${program}.c`, STRUCTURES);
    const include = `-I${PACKAGE_ROOT}/src/loader/bpf`;
    execFileSync(process.env.CC ?? 'cc', [include, '-o', program, `${program}.c`]);
    const [probe, settings, counters] = execFileSync(program, { encoding: 'utf8' }).trim().split('\n');
    const slots: Slot[] = [
      { from: { kind: 'register', index: 3 } },
      { from: { kind: 'stack', index: 5 }, deref: { at: 'return', offset: 24, size: 4 } },
      { from: { kind: 'register', index: 0 }, deref: { at: 'entry', offset: 0x12345678, size: 1 } },
      {
        from: { kind: 'register', index: 1 },
        text: { at: 'entry', place: 0, offset: 16, maxBytes: 40 },
      },
      { from: { kind: 'result' }, text: { at: 'return', place: 1, offset: 0, maxBytes: 300 } },
      { from: { kind: 'trace' } },
    ];
    const where: Condition[] = [
      { subject: { result: { bits: 32, signed: true } }, is: 'ne', values: [7] },
      {
        subject: { field: { slot: 0, offset: 1, size: 2, signed: true }, at: 'entry' },
        is: 'ge',
        values: [-1],
      },
      { subject: 'comm', is: 'in', values: ['9abc3', 'abcd'] },
    ];
    const currentDevice = { slot: 2, offset: 4, size: 4 as const, signed: true };
    const more = { where, ok: [0, -22], sample: 4, currentDevice };
    expect(encodeProbe({ mode: 'entry', returnBits: 32, slots, ...more }).toString('hex')).toBe(probe);
    const encoded = encodeSettings({
      epochNs: 0x123456789abcdef0n,
      ringMask: 3,
      cpuBits: 2,
      filterByProcess: true,
      followChildren: false,
      // Cut as the kernel cuts it (TASK_COMM_LEN).
      comm: 'a-name-of-more-than-fifteen-bytes',
    });
    expect(encoded.toString('hex')).toBe(settings);
    expect(SIZEOF_COUNTERS).toBe(Number(counters));
  } finally {
    rmSync(dir, { recursive: true });
  }
});

test('counters are summed over CPUs', () => {
  const bytes = Buffer.alloc(SIZEOF_COUNTERS * 3);
  for (let cpu = 0; cpu < 3; cpu++) {
    COUNTERS.forEach((_, index) => {
      bytes.writeBigUInt64LE(BigInt(cpu + 1) * 10n ** BigInt(index), (cpu * COUNTERS.length + index) * 8);
    });
  }
  const sums = sumCounters(bytes, 3);
  expect(COUNTERS.map((name) => sums[name])).toEqual(COUNTERS.map((_, index) => 6n * 10n ** BigInt(index)));
});

test('without libbpf the error says what to install', () => {
  const error = (() => {
    try {
      return loadLibbpf(['libnowhere.so.1', '/nonexistent/libbpf.so']);
    } catch (thrown) {
      return thrown;
    }
  })();
  expect(error).toBeInstanceOf(IngeroError);
  expect(error).toMatchObject({ code: 'no-libbpf', exitCode: EXIT.notReady });
  expect((error as IngeroError).message).toContain('libnowhere.so.1, /nonexistent/libbpf.so');
  expect((error as IngeroError).next).toContain('libbpf1');
});

test('the BPF object is the one whose digest ships with it', () => {
  const { bytes, sha256 } = readBpfObject();
  expect(sha256).toMatch(/^[0-9a-f]{64}$/);
  // ELF, machine EM_BPF.
  expect(bytes.subarray(0, 4).toString('latin1')).toBe('\x7fELF');
  expect(bytes.readUInt16LE(18)).toBe(247);
});
