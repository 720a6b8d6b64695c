import { execFile } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { PACKAGE_ROOT } from '../../src/paths.js';
import { requireRootAndBpf } from './support/root.js';
import { buildTracer, type Tracer } from './support/tracer.js';

/** A fenced block: its language, the file it is the text of, and its lines. */
interface Block {
  language: string;
  file: string | undefined;
  text: string;
}

const PAGE = readFileSync(join(PACKAGE_ROOT, 'docs/site-pack.md'), 'utf8');
const BLOCKS: Block[] = [...PAGE.matchAll(/^```(\w+)(?: (\S+))?\n([\s\S]*?)^```$/gm)].map(
  ([, language = '', file, text = '']) => ({ language, file, text }),
);

/** The commands of a console block, each with what it prints. */
function commandsOf(text: string): { command: string; output: string }[] {
  return text
    .split(/^\$ /m)
    .slice(1)
    .map((part) => {
      const end = part.indexOf('\n');
      return { command: part.slice(0, end), output: part.slice(end + 1) };
    });
}

/** What is printed, as a pattern: `...` stands for anything. */
function pattern(output: string): RegExp {
  const escaped = output.trimEnd().replaceAll(/[.+*?^${}()|[\]\\]/g, '\\$&');
  return new RegExp(`^${escaped.replaceAll('\\.\\.\\.', '[\\s\\S]*')}$`);
}

describe.skipIf(!requireRootAndBpf())('docs/site-pack.md', () => {
  let tracer: Tracer;
  let work: string;
  beforeAll(async () => {
    tracer = await buildTracer();
    work = join(tracer.dir, 'work');
    mkdirSync(work);
  });
  afterAll(() => tracer?.remove());

  /** Runs a line of the page: ingero is the one under test, and the host's folder another one. */
  const run = (command: string): Promise<{ code: number; output: string }> => {
    const config = join(tracer.dir, 'etc');
    const script = command
      .replace(/^sudo /, '')
      .replace(/^ingero /, `"${process.execPath}" "${tracer.bin}" `)
      .replaceAll('/etc/ingero', config);
    const env = { ...process.env, INGERO_CONFIG_DIR: config };
    return new Promise((resolve) => {
      const child = execFile('sh', ['-c', script], { cwd: work, env }, (_error, stdout, stderr) =>
        resolve({ code: child.exitCode ?? -1, output: (stderr + stdout).replaceAll(config, '/etc/ingero') }),
      );
    });
  };

  test('is followed line by line', async () => {
    let commands = 0;
    for (const { language, file, text } of BLOCKS) {
      if (file !== undefined) writeFileSync(join(work, file), text);
      if (language !== 'console') continue;
      for (const { command, output } of commandsOf(text)) {
        const result = await run(command);
        expect(result.output.trimEnd(), command).toMatch(pattern(output));
        expect(result.code, command).toBe(
          command.includes('slip.yaml') && command.includes('validate') ? 8 : 0,
        );
        commands++;
      }
    }
    expect(commands).toBeGreaterThan(15);
  }, 120_000);
});
