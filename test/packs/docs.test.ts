import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Ajv } from 'ajv';
import { describe, expect, it, test } from 'vitest';
import { formatProblems, parsePack } from '../../src/packs/index.js';
import { PACKAGE_ROOT } from '../../src/paths.js';

const guide = readFileSync(join(PACKAGE_ROOT, 'docs/probe-packs.md'), 'utf8');
const schema = readFileSync(join(PACKAGE_ROOT, 'schema/probe-pack.schema.json'), 'utf8');

/** Text of the first fenced block in a language. */
function block(language: string): string {
  return new RegExp(`\`\`\`${language}\\n([\\s\\S]*?)\`\`\``).exec(guide)?.[1] ?? '';
}

describe('docs/probe-packs.md', () => {
  it('its example is a valid pack', () => {
    const { pack, problems } = parsePack(block('yaml'), 'site.yaml');
    expect(formatProblems(problems)).toBe('');
    expect(pack?.probes).toHaveLength(2);
  });

  it('its example of a problem is what is printed', () => {
    const wrong = block('yaml').replace('arg: direction', 'arg: dirction');
    expect(guide).toContain(formatProblems(parsePack(wrong, 'site.yaml').problems));
  });

  it('names every rule, and no other', () => {
    const folder = join(PACKAGE_ROOT, 'src/packs');
    const source = readdirSync(folder)
      .filter((file) => file.endsWith('.ts'))
      .map((file) => readFileSync(join(folder, file), 'utf8'))
      .join('\n');
    const rules = [
      ...source.matchAll(
        /(?:rule: |\b(?:fail|report|refuse|unreadable|problem|makeProblem)\(\s*)'([a-z-]+)'/g,
      ),
    ];
    const section = guide.slice(guide.indexOf('| rule | says |'));
    const documented = [...section.matchAll(/^\| (`[^|]*) \|/gm)].flatMap(
      ([, cell = '']) => cell.match(/[a-z-]{3,}/g) ?? [],
    );
    expect(documented.sort()).toEqual([...new Set(rules.map(([, rule]) => rule))].sort());
  });

  it('names every key of the schema', () => {
    const keys = [...schema.matchAll(/"([a-z]+)": \{\s*"description"/g)].map(([, key]) => key as string);
    expect(keys.length).toBeGreaterThan(20);
    for (const key of keys.filter((word) => word !== 'items')) expect(guide, key).toContain(`\`${key}\``);
  });
});

test('the JSON schemas are schemas', () => {
  const folder = join(PACKAGE_ROOT, 'schema');
  const ajv = new Ajv({ strictRequired: false, allowUnionTypes: true });
  const schemas = readdirSync(folder)
    .filter((name) => name.endsWith('.schema.json'))
    .map((name) => JSON.parse(readFileSync(join(folder, name), 'utf8')) as object);
  expect(schemas).toHaveLength(3);
  for (const one of schemas) {
    ajv.addSchema(one);
    expect(ajv.errorsText()).toBe('No errors');
  }
  expect(ajv.validateSchema({ type: 'nonsense' })).toBe(false);
});
