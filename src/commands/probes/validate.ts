import { Args } from '@oclif/core';
import { BaseCommand } from '../../base-command.js';
import { EXIT } from '../../errors.js';
import { packDirFlag } from '../../packs/flags.js';
import { formatProblems } from '../../packs/format.js';
import { readPackFile } from '../../packs/load.js';
import type { PackProblem } from '../../packs/model.js';
import { OVERLAY_SUFFIX } from '../../packs/overlay.js';
import { PackRegistry } from '../../packs/registry.js';

interface FileVerdict {
  path: string;
  ok: boolean;
  problems: Omit<PackProblem, 'path'>[];
}

export default class ProbesValidate extends BaseCommand {
  static override summary = 'Check pack files and overlays, and report everything that is wrong with them.';
  static override description =
    'Files whose name ends in .overlay.yaml are checked against the pack they change. Each problem comes with its place, rule and, where there is one, a hint; docs/probe-packs.md explains the rules. Exit status 0 when all files are right, 8 when one is not.';
  static override examples = [
    '<%= config.bin %> probes validate site.yaml',
    '<%= config.bin %> probes validate /etc/ingero/probes.d/nccl.overlay.yaml',
  ];
  static override args = {
    files: Args.string({ description: 'Pack and overlay files.', required: true, multiple: true }),
  };
  static override flags = { 'pack-dir': packDirFlag };

  async run(): Promise<{ files: FileVerdict[] }> {
    const { args, flags } = await this.parse(ProbesValidate);
    const registry = PackRegistry.open(flags['pack-dir']);
    const files = args.files.map((path): FileVerdict => {
      const isOverlay = path.endsWith(OVERLAY_SUFFIX);
      const { pack, problems } = isOverlay ? registry.checkOverlay(path) : readPackFile(path);
      if (pack === undefined) this.log(`${formatProblems(problems)}\n`);
      else
        this.log(
          `${path}: OK: ${isOverlay ? 'changes ' : ''}${pack.name} ${pack.version}, ${functions(pack.probes.length)}`,
        );
      return {
        path,
        ok: pack !== undefined,
        problems: problems.map(({ path: _, ...problem }) => problem),
      };
    });
    const problems = files.reduce((total, file) => total + file.problems.length, 0);
    if (problems > 0) {
      const bad = files.filter((file) => !file.ok).length;
      this.log(`${problems} ${problems === 1 ? 'problem' : 'problems'} in ${bad} of ${files.length} files`);
      process.exitCode = EXIT.badPack;
    }
    return { files };
  }
}

function functions(count: number): string {
  return count === 1 ? '1 function' : `${count} functions`;
}
