import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { PACKAGE_ROOT } from '../../src/paths.js';
import { expectComplete, query } from './support/capture.js';
import { requireRootAndBpf } from './support/root.js';
import { buildTracer, type Tracer } from './support/tracer.js';
import { copyWorkload, type Workload } from './support/workload.js';

const pack = join(PACKAGE_ROOT, 'test', 'trace', 'packs', 'site-table.yaml');

describe.skipIf(!requireRootAndBpf())("a pack's own table", () => {
  let tracer: Tracer;
  let workload: Workload;
  beforeAll(async () => {
    workload = copyWorkload();
    tracer = await buildTracer();
  });
  afterAll(() => {
    tracer?.remove();
    workload?.remove();
  });

  test('holds the rows, typed and commented, beside the tables of other packs', async () => {
    const flags = ['--json', '--pack', pack, '--pack', 'cuda-runtime'];
    const result = await tracer.run([...flags, '--', workload.probeTarget, 'arguments']);
    expect(result).toMatchObject({ code: 0, stderr: '' });
    await expectComplete(result.capture);

    const rows = await query(
      result.capture,
      `SELECT bytes::VARCHAR AS bytes, "order", parity FROM site_events WHERE op = 'pt_take_big' ORDER BY call_id`,
    );
    // probe-target calls pt_take_big(51, {52, 53, 54}, 55).
    expect(rows).toEqual([{ bytes: String(52 * 53 * 54), order: 51, parity: 'odd' }]);
    const columns = await query(
      result.capture,
      `SELECT column_name AS name, data_type AS type, comment FROM duckdb_columns()
       WHERE schema_name = 'main' AND table_name = 'site_events' AND column_name IN ('bytes', 'order', 'parity') ORDER BY name`,
    );
    expect(columns).toEqual([
      { name: 'bytes', type: 'UBIGINT', comment: 'Size of the transfer [bytes]' },
      { name: 'order', type: 'INTEGER', comment: 'A column whose name is a word of SQL' },
      { name: 'parity', type: "ENUM('even', 'odd')", comment: 'Whether the size is even' },
    ]);
    const shared = await query(
      result.capture,
      `SELECT count(*)::INTEGER AS n FROM events WHERE event_table = 'site_events'`,
    );
    const own = await query(result.capture, 'SELECT count(*)::INTEGER AS n FROM site_events');
    expect(shared).toEqual(own);
  });
});
