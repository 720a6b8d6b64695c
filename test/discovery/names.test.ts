import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { parseLdCache } from '../../src/discovery/ld-cache.js';
import { parseMaps } from '../../src/discovery/maps.js';
import { sonameMatcher, versionInName } from '../../src/discovery/soname-glob.js';
import { output } from './build.js';

describe('names of libraries', () => {
  test.each([
    ['libcudart.so.*', 'libcudart.so.12', true],
    ['libcudart.so.*', 'libcudart.so.12.4.127', true],
    ['libcudart.so.*', 'libcudart-9335f6a2.so.12', true],
    ['libcudart.so.*', 'libcudart.so', false],
    ['libcudart.so*', 'libcudart.so', true],
    ['libcudart.so.*', 'libcudart_static.a', false],
    ['libcudart.so.*', 'libcudart-debug.so.12', false],
    ['libcudart.so.*', 'xlibcudart.so.12', false],
    ['libcudart.so.1?', 'libcudart.so.12', true],
    ['libcudart.so.1?', 'libcudart.so.120', false],
    ['libc10.so', 'libc10.so', true],
    ['libc10.so', 'libc10_cuda.so', false],
    ['libc10.so', 'libc10xso', false],
    ['lib[1].so', 'lib1.so', false],
  ])('%s matches %s: %s', (glob, name, expected) => {
    expect(sonameMatcher([glob]).matches(name)).toBe(expected);
  });

  test('a renamed file may carry the soname', () => {
    const matcher = sonameMatcher(['libcudart.so.*', 'libnccl.so.*']);
    expect(matcher.mayCarry('libcudart.so')).toBe(true);
    expect(matcher.mayCarry('libnccl_custom.so')).toBe(true);
    expect(matcher.mayCarry('libcudart_static.a')).toBe(false);
    expect(matcher.mayCarry('libcuda.so.1')).toBe(false);
    expect(sonameMatcher(['*.so']).mayCarry('anything.so')).toBe(false);
  });

  test('versions are what follows .so.', () => {
    expect(versionInName('libcudart.so.12.4.127')).toBe('12.4.127');
    expect(versionInName('libcudart-9335f6a2.so.12')).toBe('12');
    expect(versionInName('libcudart.so')).toBeNull();
    expect(versionInName('libcudart.so.12.bak')).toBeNull();
  });
});

describe("the loader's cache", () => {
  test('agrees with ldconfig -p', () => {
    const expected = output('/sbin/ldconfig', '-p')
      .split('\n')
      .flatMap((line) => {
        const match = /^\t(\S+) \(libc6,(?:x86-64|AArch64)[^)]*\) => (.+)$/.exec(line);
        return match === null ? [] : [`${match[1]} ${match[2]}`];
      });
    const entries = parseLdCache(readFileSync('/etc/ld.so.cache'));
    expect(entries.map(({ soname, path }) => `${soname} ${path}`).sort()).toEqual(expected.sort());
    expect(entries.length).toBeGreaterThan(10);
  });

  test('behind the older format, and damaged in any way', () => {
    const cache = readFileSync('/etc/ld.so.cache');
    const count = parseLdCache(cache).length;
    expect(parseLdCache(Buffer.concat([Buffer.from('ld.so-1.7.0\0\0\0\0\0\0'), cache]))).toHaveLength(count);
    expect(parseLdCache(Buffer.from('something else'))).toEqual([]);
    expect(parseLdCache(cache.subarray(0, 30))).toEqual([]);
    const broken = Buffer.from(cache);
    broken.fill(0xff, 20, 28);
    for (let at = 48; at < 448; at++) broken[at] = (at * 7) & 0xff;
    expect(parseLdCache(broken).length).toBeLessThanOrEqual(count);
  });
});

test('maps: each file once, range of its first mapping, deleted and odd names', () => {
  const text = [
    '00400000-00401000 r--p 00000000 fe:00 10                                 /opt/a b/lib x.so.1',
    '00401000-00402000 r-xp 00001000 fe:00 10                                 /opt/a b/lib x.so.1',
    '00402000-00403000 rw-p 00000000 00:00 0                                  [heap]',
    '7f0000000000-7f0000001000 r--p 00000000 00:28 11                         /tmp/gone.so (deleted)',
    '7f0000001000-7f0000002000 r--s 00000000 00:28 12                         /data/model.bin',
    '7f0000002000-7f0000003000 rw-s 00000000 00:06 13                         /dev/nvidia0',
    '7f0000003000-7f0000004000 r-xp 00000000 00:19 14                         /dev/shm/env/libshm.so',
    '7f0000004000-7f0000005000 r-xp 00000000 00:19 15                         /tmp/new\\012line.so',
    '7f0000005000-7f0000006000 r-xp 00000000 00:00 0 ',
    'ffffffffff600000-ffffffffff601000 --xp 00000000 00:00 0                  [vsyscall]',
    '',
  ].join('\n');
  expect(parseMaps(text)).toEqual([
    {
      path: '/opt/a b/lib x.so.1',
      deleted: false,
      range: '400000-401000',
      device: 'fe:00',
      inode: 10,
      executable: true,
    },
    {
      path: '/tmp/gone.so',
      deleted: true,
      range: '7f0000000000-7f0000001000',
      device: '00:28',
      inode: 11,
      executable: false,
    },
    {
      path: '/data/model.bin',
      deleted: false,
      range: '7f0000001000-7f0000002000',
      device: '00:28',
      inode: 12,
      executable: false,
    },
    {
      path: '/dev/shm/env/libshm.so',
      deleted: false,
      range: '7f0000003000-7f0000004000',
      device: '00:19',
      inode: 14,
      executable: true,
    },
    {
      path: '/tmp/new\nline.so',
      deleted: false,
      range: '7f0000004000-7f0000005000',
      device: '00:19',
      inode: 15,
      executable: true,
    },
  ]);
  expect(parseMaps('')).toEqual([]);
  expect(parseMaps('garbage / line')).toEqual([]);
});
