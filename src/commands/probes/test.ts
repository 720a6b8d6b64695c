import { Args, Flags } from '@oclif/core';
import { BaseCommand } from '../../base-command.js';
import { EXIT, IngeroError } from '../../errors.js';
import { kernelObstacle } from '../../pack-tests/kernel.js';
import { runPackTests, type TestResult, type Way } from '../../pack-tests/run.js';
import { packDirFlag } from '../../packs/flags.js';
import { PackRegistry } from '../../packs/registry.js';

interface PackResult {
  pack: string;
  path: string;
  tests: (TestResult & { line: number })[];
}

interface TestReport {
  /** What the tests went through. */
  through: Way;
  /** Why not the kernel; null when it was, or was not asked for. */
  reason: string | null;
  passed: number;
  failed: number;
  packs: PackResult[];
}

export default class ProbesTest extends BaseCommand {
  static override summary = 'Run the tests of packs.';
  static override description =
    'As root, where BPF and a C compiler are there, the calls of tests: are made in a library generated from the prototypes of the pack, and traced; the rows of the capture are compared. Otherwise the arguments are laid out as the compiler would and decoded, without a kernel. The first line says which it was. Exit status 0 when all tests passed, 8 when one failed or a pack has none.';
  static override examples = [
    '<%= config.bin %> probes test site.yaml',
    {
      description: 'Without privileges, and without a compiler',
      command: '<%= config.bin %> probes test site.yaml --through decoder',
    },
  ];
  static override args = {
    packs: Args.string({ description: 'Pack files, or names of packs.', required: true, multiple: true }),
  };
  static override flags = {
    'pack-dir': packDirFlag,
    through: Flags.option({
      description: 'What the calls go through. [default: the kernel, where that is possible]',
      options: ['kernel', 'decoder'] as const,
    })(),
  };

  async run(): Promise<TestReport> {
    const { args, flags } = await this.parse(ProbesTest);
    const registry = PackRegistry.open(flags['pack-dir']);
    const packs = args.packs.map((name) => registry.packOrFile(name));
    const { through, reason } = chooseWay(flags.through);
    this.log(`Through the ${through}${reason === null ? '' : `: ${reason}`}.`);
    const report: TestReport = { through, reason, passed: 0, failed: 0, packs: [] };
    for (const { pack, origin } of packs) {
      const results = await runPackTests(pack, through);
      const tests = results.map((result, index) => ({ ...result, line: origin(['tests', index]).line }));
      report.packs.push({ pack: pack.name, path: pack.source.path, tests });
      for (const line of resultLines(pack.source.path, tests)) this.log(line);
    }
    const tests = report.packs.flatMap((pack) => pack.tests);
    report.failed = tests.filter(({ ok }) => !ok).length;
    report.passed = tests.length - report.failed;
    this.log(`${report.passed} passed, ${report.failed} failed`);
    const isEmpty = report.packs.some((pack) => pack.tests.length === 0);
    if (report.failed > 0 || isEmpty) process.exitCode = EXIT.badPack;
    return report;
  }
}

/** Throws `no-kernel-tests` when the kernel is asked for and cannot be had. */
function chooseWay(asked: Way | undefined): { through: Way; reason: string | null } {
  if (asked === 'decoder') return { through: 'decoder', reason: null };
  const obstacle = kernelObstacle();
  if (obstacle === null) return { through: 'kernel', reason: null };
  if (asked === undefined) return { through: 'decoder', reason: obstacle };
  throw new IngeroError(`Tests cannot go through the kernel: ${obstacle}.`, {
    code: 'no-kernel-tests',
    exitCode: EXIT.notReady,
    expected: 'root, a kernel with BPF and BTF, libbpf, and a C compiler',
    next: 'Leave --through out, or use --through decoder.',
  });
}

function resultLines(path: string, tests: PackResult['tests']): string[] {
  if (tests.length === 0) return [`${path}: has no tests; docs/probe-packs.md says how to write them`];
  return tests.flatMap(({ name, line, ok, problem, columns }) => [
    `${ok ? 'ok    ' : 'FAILED'} ${path}:${line}: ${name}${problem === null ? '' : `: ${problem}`}`,
    ...columns.map(
      ({ column, expected, recorded }) =>
        `         ${column}: expected ${expected ?? 'NULL'}, recorded ${recorded ?? 'NULL'}`,
    ),
  ]);
}
