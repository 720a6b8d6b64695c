import { statSync } from 'node:fs';
import { resolve } from 'node:path';
import { Flags } from '@oclif/core';
import { BaseCommand } from '../base-command.js';
import { EXIT, IngeroError } from '../errors.js';
import { PACKAGE_ROOT } from '../paths.js';
import { readPolicy } from '../policy/read.js';
import { isSingleExecutable } from '../program.js';
import { visible } from '../query/visible.js';
import { trustFlag } from '../trust/flags.js';
import { readHostTrustStore, readTrustStore } from '../trust/trust-store.js';
import { DEFAULT_ROOT, Installation, installationOf, versionOf } from '../update/installation.js';
import { readMirror } from '../update/mirror.js';
import { applyUpdate, planUpdate, rollBack } from '../update/update.js';

/** What `update --json` prints. */
interface Updated {
  root: string;
  /** Version in use before, and the one that is (or with --dry-run would be) in use now; null: none. */
  from: string | null;
  to: string;
  /** Whether anything was changed. */
  changed: boolean;
  signer: string | null;
}

export default class Update extends BaseCommand {
  static override summary = 'Install another version from a folder that was carried in.';
  static override description =
    'Takes a folder of releases or a package in it, never a URL. The signature, the digests, the platform and the order of versions are checked, the new version is installed beside the one in use, and one rename puts it into use. Interrupted at any step, the old version goes on.';
  static override examples = [
    '<%= config.bin %> update --from /media/usb/ingero --dry-run',
    '<%= config.bin %> update --from /media/usb/ingero',
    '<%= config.bin %> update --rollback',
  ];
  static override flags = {
    from: Flags.string({
      description: 'Folder with SHA256SUMS and packages, or one package in it.',
      exclusive: ['rollback'],
    }),
    root: Flags.string({
      description: `Where versions are installed. [default: the installation this is part of, else ${DEFAULT_ROOT}]`,
    }),
    'dry-run': Flags.boolean({ description: 'Check everything and change nothing.' }),
    'allow-downgrade': Flags.boolean({ description: 'Install an older version than the one in use.' }),
    rollback: Flags.boolean({ description: 'Put the version back into use that was before.' }),
    trust: trustFlag,
  };

  async run(): Promise<Updated> {
    const { flags } = await this.parse(Update);
    if (flags.root === undefined && isSingleExecutable()) {
      throw new IngeroError('This is the single executable, which is not part of an installation.', {
        code: 'update-single',
        exitCode: EXIT.update,
        expected: '--root FOLDER, to install the folder package there',
        next: `Check the new executable with ingero mirror verify FOLDER, and put it in the place of ${process.execPath}.`,
      });
    }
    const installation =
      flags.root === undefined
        ? (installationOf(PACKAGE_ROOT) ?? new Installation(DEFAULT_ROOT))
        : new Installation(resolve(flags.root));
    const { root, current } = installation;
    if (flags.rollback) {
      const to = flags['dry-run'] ? installation.previous : await rollBack(installation);
      if (to === null)
        return this.#told({ root, from: current, to: current ?? '', changed: false, signer: null });
      return this.#told({ root, from: current, to, changed: !flags['dry-run'], signer: null });
    }
    if (flags.from === undefined) {
      throw new IngeroError('Nothing says where the update is.', {
        code: 'update-source',
        exitCode: EXIT.usage,
        expected: '--from FOLDER, or --rollback',
      });
    }
    const from = resolve(flags.from);
    const signers = readPolicy()?.policy.updates?.signers ?? null;
    // Under names the policy gives, only the host's own keys go by these names.
    const store = signers === null ? readTrustStore(flags.trust) : readHostTrustStore();
    const mirror = await readMirror(from, store);
    const plan = planUpdate(mirror, installation, {
      arch: process.arch,
      ...(statSync(from).isFile() ? { package: from } : {}),
      allowDowngrade: flags['allow-downgrade'],
      signers,
    });
    const { signer } = mirror.verification.signature;
    if (plan === null)
      return this.#told({ root, from: current, to: current as string, changed: false, signer });
    if (!flags['dry-run']) await applyUpdate(plan, installation, store);
    return this.#told({ root, from: plan.from, to: plan.name, changed: !flags['dry-run'], signer });
  }

  #told(updated: Updated): Updated {
    const { root, from, to, changed, signer } = updated;
    const before = from === null ? 'nothing' : versionOf(from);
    const by = signer === null ? '' : `, signed by ${signer}`;
    if (from === to) this.log(visible(`${versionOf(to)} is in use already in ${root}${by}.`));
    else if (changed) this.log(visible(`${root}: ${versionOf(to)} is in use; before it ${before}${by}.`));
    else
      this.log(
        visible(`${root}: ${versionOf(to)} would take the place of ${before}${by}. Nothing was changed.`),
      );
    if (changed) this.log(`The command is ${root}/current/bin/ingero.`);
    return updated;
  }
}
