import { join } from 'node:path';
import { expect, test } from 'vitest';
import { PACKAGE_ROOT } from '../../src/paths.js';
import { renderQueriesDoc } from '../../src/query/docs.js';
import { readLibrary } from '../../src/query/library.js';

test('docs/queries.md is what the headers of the queries say', async () => {
  await expect(renderQueriesDoc(readLibrary())).toMatchFileSnapshot(join(PACKAGE_ROOT, 'docs', 'queries.md'));
});
