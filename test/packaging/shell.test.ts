import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Interfaces } from '@oclif/core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { PACKAGE_ROOT } from '../../src/paths.js';
import { available } from '../packs/support/tools.js';

const { commands } = JSON.parse(
  readFileSync(join(PACKAGE_ROOT, 'oclif.manifest.json'), 'utf8'),
) as Interfaces.Manifest;
const BASH = 'bash-completion/completions/ingero';
const ZSH = 'zsh/site-functions/_ingero';
const FISH = 'fish/vendor_completions.d/ingero.fish';

let share: string;
beforeAll(() => {
  share = mkdtempSync(join(tmpdir(), 'ingero-share-'));
  execFileSync(process.execPath, [join(PACKAGE_ROOT, 'packaging/shell/build.mjs'), share]);
});
afterAll(() => rmSync(share, { recursive: true, force: true }));
const read = (path: string): string => readFileSync(join(share, path), 'utf8');

test('every command has a page with all its flags and arguments, and the overview names it', () => {
  expect(readdirSync(join(share, 'man/man1'))).toHaveLength(Object.keys(commands).length);
  const overview = read('man/man8/ingero.8');
  for (const [id, { flags, args }] of Object.entries(commands)) {
    const name = `ingero-${id.replaceAll(':', '-')}`;
    const page = read(`man/man1/${name}.1`).replaceAll('\\-', '-');
    for (const [flag, { aliases = [] }] of Object.entries(flags)) {
      for (const word of [flag, ...aliases]) expect(page).toContain(`\\fB--${word}\\fR`);
    }
    for (const arg of Object.keys(args)) expect(page).toContain(`\\fI${arg.toUpperCase()}\\fR`);
    expect(overview.replaceAll('\\-', '-')).toContain(`.BR ${name} (1)`);
  }
});

test.skipIf(!available('sh', '-c', 'command -v mandoc'))('the pages are valid, for mandoc', () => {
  const pages = execFileSync('find', [join(share, 'man'), '-type', 'f'], { encoding: 'utf8' });
  const { stdout, stderr } = spawnSync(
    'mandoc',
    ['-T', 'lint', '-W', 'warning', ...pages.trim().split('\n')],
    { encoding: 'utf8' },
  );
  expect(stdout + stderr).toBe('');
});

describe('completions', () => {
  test('every command and every flag is in them', () => {
    for (const path of [BASH, ZSH, FISH]) {
      const text = read(path);
      for (const [id, { flags }] of Object.entries(commands)) {
        expect(text).toContain(id.replaceAll(':', ' '));
        for (const flag of Object.keys(flags)) {
          expect([path, flag, text.includes(path === FISH ? `-l ${flag}` : `--${flag}`)]).toEqual([
            ...[path, flag, true],
          ]);
        }
      }
    }
  });

  for (const [shell, path] of [
    ['bash', BASH],
    ['zsh', ZSH],
    ['fish', FISH],
  ] as const) {
    test.skipIf(!available(shell, '--version'))(`${shell} can read them`, () => {
      const { status, stderr } = spawnSync(shell, ['-n', join(share, path)], { encoding: 'utf8' });
      expect([status, stderr]).toEqual([0, '']);
    });
  }

  /** What bash offers for a command line; the last word is completed. */
  const offered = (...words: string[]): string[] =>
    execFileSync(
      'bash',
      [
        '-c',
        // biome-ignore lint/suspicious/noTemplateCurlyInString: a variable of the shell
        'source "$1"; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _ingero; printf "%s\\n" "${COMPREPLY[@]}"',
        ...['bash', join(share, BASH), 'ingero', ...words],
      ],
      { encoding: 'utf8' },
    )
      .trim()
      .split('\n')
      // A program in two folders of PATH is offered twice.
      .filter((word, index, all) => all.indexOf(word) === index);

  test.each([
    [['tr'], ['trace']],
    [['probes', 'va'], ['validate']],
    [['queries', 'li'], ['list']],
    [['trace', '--max-s'], ['--max-size']],
    [
      ['trace', '--keep-privileges', ''],
      ['auto', 'find', 'none'],
    ],
    [['trace', '--stacks', '--pack', 'nc'], ['nccl']],
    [['run-query', 'cuda-api-s'], ['cuda-api-sum']],
    [['query', 'run.duckdb', '-f', 'pa'], ['parquet']],
    [['queries', 'show', 'cuda-api-s'], ['cuda-api-sum']],
    [['run-query', 'slow-memcpy', 'run.duckdb', '--min-'], ['--min-ms']],
    [
      ['run-query', 'slow-memcpy', 'run.duckdb', '--param', ''],
      ['min_ms=', 'limit='],
    ],
    [['run-query', 'api-errors', 'run.duckdb', '--polling', 't'], ['true']],
    // As readline splits -p polling=f
    [['run-query', 'api-errors', 'run.duckdb', '-p', 'polling', '=', 'f'], ['false']],
    [
      ['run-query', 'api-errors', 'run.duckdb', '-p', 'polling', '='],
      ['true', 'false'],
    ],
    // Files, not names of queries.
    [['run-query', 'cuda-api-sum', 'cuda'], ['']],
    [
      ['probes', 'enable', 'cuda'],
      ['cuda-driver', 'cuda-runtime'],
    ],
    [['probes', 'list', '--ya'], ['']],
    [['trace', '--out', ''], ['']],
    [['trace', '--', 'setpri'], ['setpriv']],
  ])('bash: %j', (words, expected) => {
    expect(offered(...words)).toEqual(expected);
  });

  test.skipIf(!available('fish', '--version'))('fish offers commands, names and values', () => {
    const complete = (line: string): string[] =>
      execFileSync(
        'fish',
        ['--no-config', '-c', 'source $argv[1]; complete -C $argv[2]', join(share, FISH), line],
        {
          encoding: 'utf8',
          env: { ...process.env, HOME: share },
        },
      )
        .trim()
        .split('\n')
        .map((entry) => entry.split('\t')[0] as string);
    expect(complete('ingero tra')).toEqual(['trace']);
    expect(complete('ingero probes va')).toEqual(['validate']);
    expect(complete('ingero trace --keep-privileges ')).toEqual(['auto', 'find', 'none']);
    expect(complete('ingero run-query cuda-api-s')).toEqual(['cuda-api-sum']);
    expect(complete('ingero probes list --ya')).toEqual(['']);
    expect(complete('ingero run-query slow-memcpy run.duckdb --param mi')).toEqual(['min_ms=']);
    expect(complete('ingero run-query slow-memcpy run.duckdb --min-')).toEqual(['--min-ms']);
    expect(complete('ingero run-query api-errors run.duckdb -p pol')).toEqual([
      ...['polling=false', 'polling=true'],
    ]);
    expect(complete('ingero run-query api-errors run.duckdb --polling ')).toEqual(['false', 'true']);
    // A query without parameters.
    expect(complete('ingero run-query whoami run.duckdb --min-')).toEqual(['']);
  });

  test.skipIf(!available('zsh', '--version')).each([
    ['ingero tra', ['trace']],
    ['ingero probes disable n', ['nccl']],
    ['ingero run-query cuda-api-s', ['cuda-api-sum']],
    ['ingero run-query slow-memcpy run.duckdb --param mi', ['min_ms=']],
    ['ingero run-query slow-memcpy run.duckdb --min-', ['--min-ms']],
    ['ingero run-query api-errors run.duckdb -p pol', ['polling=true', 'polling=false']],
    ['ingero run-query api-errors run.duckdb --polling f', ['false']],
  ])('zsh: %s', (line, expected) => {
    const script = join(PACKAGE_ROOT, 'test/packaging/complete.zsh');
    const out = join(share, 'offered');
    rmSync(out, { force: true });
    execFileSync('zsh', ['-f', script, join(share, 'zsh/site-functions'), line, out], { timeout: 20_000 });
    expect(readFileSync(out, 'utf8').trim().split('\n')).toEqual(expected);
  });
});
