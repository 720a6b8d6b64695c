import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { describe, expect, test } from 'vitest';
import { PACKAGE_ROOT } from '../../src/paths.js';
import { checkCommandLine, findCommandLines } from './command-lines.js';

const documents = [
  'README.md',
  ...readdirSync(join(PACKAGE_ROOT, 'docs'), { recursive: true, encoding: 'utf8' }).map(
    (name) => `docs/${name}`,
  ),
  'test/fixtures/README.md',
].filter((name) => name.endsWith('.md'));
const read = (name: string): string => readFileSync(join(PACKAGE_ROOT, name), 'utf8');

/** The anchor GitHub and others give a heading. */
const anchor = (heading: string): string =>
  heading
    .toLowerCase()
    .replace(/[^\p{L}\p{N} _-]/gu, '')
    .replaceAll(' ', '-');

describe.each(documents)('%s', (name) => {
  test('every ingero command in it can be typed', () => {
    const problems = findCommandLines(read(name)).flatMap((mention) =>
      checkCommandLine(mention).map((problem) => `${name}:${mention.line}: ${mention.text}: ${problem}`),
    );
    expect(problems).toEqual([]);
  });

  test('its links lead somewhere', () => {
    const text = read(name).replace(/^```[\s\S]*?^```/gm, '');
    const broken = [...text.matchAll(/\]\(([^)\s]+)\)/g)].flatMap(([, link = '']) => {
      if (/^https?:/.test(link)) return [];
      const [path = '', fragment] = link.split('#');
      const target = path === '' ? name : join(dirname(name), path);
      if (!existsSync(resolve(PACKAGE_ROOT, target))) return [link];
      if (fragment === undefined) return [];
      const anchors = [...read(target).matchAll(/^#+ (.*)$/gm)].map(([, heading = '']) => anchor(heading));
      return anchors.includes(fragment) ? [] : [link];
    });
    expect(broken).toEqual([]);
  });
});

test('docs/README.md lists every document, and the index of the schema its pages', () => {
  const index = read('docs/README.md') + read('docs/schema/README.md').replaceAll('](', '](schema/');
  const missing = documents.filter(
    (name) => name.startsWith('docs/') && name !== 'docs/README.md' && !index.includes(`(${name.slice(5)})`),
  );
  expect(missing).toEqual([]);
});

test('every script, file and folder the README names exists', () => {
  const named = [
    ...read('README.md').matchAll(/`((?:src|docs|test|packaging|probes|schema|queries|bin)\/[^`\s*]*)`/g),
  ];
  expect(named.length).toBeGreaterThan(5);
  expect(named.map(([, path = '']) => path).filter((path) => !existsSync(join(PACKAGE_ROOT, path)))).toEqual(
    [],
  );
});

describe('the check of command lines', () => {
  const check = (text: string, inline = false): string[] => checkCommandLine({ line: 1, text, inline });

  test('knows right from wrong', () => {
    expect(check('ingero query run.duckdb "SELECT 1" --format csv')).toEqual([]);
    expect(check('ingero run-query cuda-api-sum run.duckdb | head -3 --nonsense')).toEqual([]);
    expect(check('ingero trace --out run.duckdb -- python3 train.py --epochs 3')).toEqual([]);
    expect(check('ingero query', true)).toEqual([]);
    expect(check('ingero query')).toEqual(['an argument is missing']);
    expect(check('ingero nonsense')).toEqual(['no command nonsense']);
    expect(check('ingero trace --output x')).toEqual(['trace has no flag --output', 'a'].slice(0, 1));
    expect(check('ingero query f "x" --format xml')).toEqual(['--format cannot be xml']);
    expect(check('ingero check one')).toEqual(['check takes 0 arguments']);
  });

  test('finds them in blocks and in text', () => {
    const found = findCommandLines(
      'Run `ingero check`.\n```\n$ sudo ingero trace  # all\nother\n```\n\n    ingero queries',
    );
    expect(found.map(({ line, text }) => [line, text])).toEqual([
      [1, 'ingero check'],
      [3, 'ingero trace  # all'],
      [7, 'ingero queries'],
    ]);
  });
});
