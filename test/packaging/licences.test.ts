import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { PACKAGE_ROOT } from '../../src/paths.js';

const BPF = join(PACKAGE_ROOT, 'src/loader/bpf');
const read = (path: string): string => readFileSync(path, 'utf8');

test('user space is Apache-2.0', () => {
  expect(JSON.parse(read(join(PACKAGE_ROOT, 'package.json')))).toMatchObject({ license: 'Apache-2.0' });
  expect(read(join(PACKAGE_ROOT, 'LICENSE'))).toContain(
    'Apache License\n                           Version 2.0',
  );
});

test('the BPF source is GPL-2.0-only OR BSD-3-Clause, and the object tells the kernel', () => {
  const sources = readdirSync(BPF).filter((name) => /\.[ch]$/.test(name));
  expect(sources).toContain('ingero.bpf.c');
  for (const name of sources) {
    expect(read(join(BPF, name)).split('\n')[0], name).toContain(
      'SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause',
    );
  }
  for (const name of readdirSync(BPF).filter((name) => name.endsWith('.o'))) {
    expect(readFileSync(join(BPF, name)).includes('Dual BSD/GPL\0'), name).toBe(true);
  }
  expect(read(join(BPF, 'LICENSE.GPL-2.0-only'))).toContain(
    'GNU GENERAL PUBLIC LICENSE\n                       Version 2',
  );
  expect(read(join(BPF, 'LICENSE.BSD-3-Clause'))).toContain('Neither the name of the copyright holder');
});
