import { resolve } from 'node:path';
import { Args } from '@oclif/core';
import { BaseCommand } from '../../base-command.js';
import { visible } from '../../query/visible.js';
import { trustFlag } from '../../trust/flags.js';
import { OUTCOME_EXIT } from '../../trust/signature.js';
import { readTrustStore } from '../../trust/trust-store.js';
import { type Mirror, readMirror } from '../../update/mirror.js';

export default class MirrorVerify extends BaseCommand {
  static override summary = 'Check a folder of releases before it is carried in.';
  static override description =
    'Checks the signature over SHA256SUMS and every file it names, says which versions and platforms there are, and names files that nobody vouches for. Exit status as of verify.';
  static override examples = ['<%= config.bin %> mirror verify /media/usb/ingero --trust keys/'];
  static override args = { directory: Args.string({ description: 'The folder.', required: true }) };
  static override flags = { trust: trustFlag };

  async run(): Promise<Mirror> {
    const { args, flags } = await this.parse(MirrorVerify);
    const mirror = await readMirror(resolve(args.directory), readTrustStore(flags.trust));
    const { verification, bundles, unlisted } = mirror;
    this.log(visible(`${mirror.directory}: ${verification.outcome}`));
    this.log(visible(`  signature  ${verification.signature.detail}`));
    for (const { name, state } of verification.listed ?? []) {
      if (state !== 'same') this.log(visible(`  ${state.padEnd(9)}  ${name}`));
    }
    for (const { version, arch } of bundles) this.log(`  package    ${version} linux-${arch}`);
    for (const name of unlisted) this.log(visible(`  unlisted   ${name}`));
    process.exitCode = OUTCOME_EXIT[verification.outcome];
    return mirror;
  }
}
