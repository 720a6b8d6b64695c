import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { PACKAGE_ROOT } from '../../src/paths.js';
import { buildCli, type Cli } from '../support/cli.js';

/** From a header to rows, by commands only: what a site author does. */
describe.skipIf(process.geteuid?.() !== 0)('a pack that was made and enabled', () => {
  const work = mkdtempSync(join(tmpdir(), 'ingero-probes-trace-'));
  const config = join(work, 'config');
  const pack = join(config, 'probes.d/site.yaml');
  const capture = join(work, 'run.duckdb');
  let cli: Cli;

  beforeAll(async () => {
    cli = await buildCli();
    const loader = join(dirname(dirname(cli.bin)), 'src/loader');
    mkdirSync(loader, { recursive: true });
    symlinkSync(join(PACKAGE_ROOT, 'src/loader/bpf'), join(loader, 'bpf'));
    mkdirSync(dirname(pack), { recursive: true });
    writeFileSync(
      join(work, 'site.h'),
      'enum site_status { SITE_OK, SITE_NOMEM };\nenum site_status site_alloc(void **out, unsigned long bytes, int device);\n',
    );
    const gcc = (source: string, ...args: string[]): void => {
      execFileSync('gcc', ['-xc', '-I', work, '-', ...args], {
        input: `#include "site.h"\n${source}`,
        cwd: work,
      });
    };
    gcc(
      'enum site_status site_alloc(void **out, unsigned long bytes, int device) { *out = (void *)0x1234; return bytes > 4; }',
      ...['-shared', '-fPIC', '-Wl,-soname,libsite.so.1', '-o', 'libsite.so.1'],
    );
    gcc(
      'int main(void) { void *p; for (int i = 0; i < 6; i++) site_alloc(&p, i, i % 2); return 0; }',
      ...['-o', 'main', '-xnone', './libsite.so.1', `-Wl,-rpath,${work}`],
    );
  });
  afterAll(() => {
    cli.remove();
    rmSync(work, { recursive: true, force: true });
  });

  const run = async (...args: string[]): Promise<string> => {
    const { code, stdout, stderr } = await cli.run(args, { env: { INGERO_CONFIG_DIR: config } });
    expect([code, stderr]).toEqual([0, '']);
    return stdout;
  };

  test('is what a plain trace records', async () => {
    await run('probes', 'new', 'site', '--header', join(work, 'site.h'), '-f', 'site_alloc', '--out', pack);
    // What the skeleton leaves to its author: uncomment one line and name the column.
    const text = readFileSync(pack, 'utf8');
    const completed = text.replace(/# {3}(- \{ arg: '\*out', at: return, column: )\.\.\. \}/, '  $1ptr }');
    expect(completed).not.toBe(text);
    writeFileSync(pack, completed);
    await run('probes', 'validate', pack);
    await run('probes', 'enable', 'site');
    await run('probes', 'disable', 'cuda-runtime');
    await run('trace', '--out', capture, '--', join(work, 'main'));
    const sql = 'SELECT layer, op, error, device, bytes, ptr FROM cuda_events ORDER BY start_time';
    const columns = 'layer,op,error,device,bytes,ptr';
    const rows = [0, 1, 2, 3, 4].map((i) => `site,site_alloc,,${i % 2},${i},4660`);
    expect((await run('query', capture, sql, '--format', 'csv')).trim().split(/\r?\n/)).toEqual([
      columns,
      ...rows,
      'site,site_alloc,SITE_NOMEM,1,5,',
    ]);
    const packs = await run('query', capture, 'SELECT pack, path FROM packs', '--format', 'csv');
    expect(packs.trim().split(/\r?\n/).slice(1)).toEqual([`site,${pack}`]);
  });
});
