import { Args } from '@oclif/core';
import { BaseCommand } from '../../base-command.js';
import { changeLines, disablePacks, type EnabledChange } from '../../packs/enabling.js';
import { PackRegistry } from '../../packs/registry.js';

export default class ProbesDisable extends BaseCommand {
  static override summary = 'Disable probe packs: `trace` no longer uses them unless they are named.';
  static override description =
    'The choice is kept where `probes enable` keeps it. Also takes names whose pack is no longer there.';
  static override examples = ['<%= config.bin %> probes disable nccl'];
  static override args = {
    names: Args.string({ description: 'Names of packs.', required: true, multiple: true }),
  };

  async run(): Promise<EnabledChange> {
    const { args } = await this.parse(ProbesDisable);
    const registry = PackRegistry.open();
    const change = disablePacks(registry, args.names);
    for (const line of changeLines(change, registry)) this.log(line);
    return change;
  }
}
