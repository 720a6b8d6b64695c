import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { PACKAGE_ROOT } from '../../src/paths.js';
import { ATTACKS } from './attacks.js';

const OUTCOMES = {
  refused: 'Refused with exit code 7.',
  nothing: 'They run, and find nothing.',
  bounded: 'They end with exit code 7 (memory, disk) or 130 (time), within the limits.',
  truncated: 'They end after `--max-rows` rows.',
} as const;

test('docs/sql-fence.md ends with the list of attacks', async () => {
  const path = join(PACKAGE_ROOT, 'docs', 'sql-fence.md');
  const text = readFileSync(path, 'utf8');
  const intro = text.slice(0, text.indexOf('PATH is the capture')).trimEnd();
  const groups = ATTACKS.map(
    ({ title, outcome, statements }) =>
      `### ${title}\n\n${OUTCOMES[outcome]}\n\n\`\`\`sql\n${statements.filter((sql) => sql !== '').join('\n')}\n\`\`\`\n`,
  );
  await expect(
    `${intro}\n\nPATH is the capture, DIR its directory, TMP the private directory of \`--spill\`.\n\n${groups.join('\n')}`,
  ).toMatchFileSnapshot(path);
});
