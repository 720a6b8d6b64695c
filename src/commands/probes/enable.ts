import { Args } from '@oclif/core';
import { BaseCommand } from '../../base-command.js';
import { changeLines, type EnabledChange, enablePacks } from '../../packs/enabling.js';
import { PackRegistry } from '../../packs/registry.js';

export default class ProbesEnable extends BaseCommand {
  static override summary = 'Enable probe packs: `trace` uses them when no pack is named.';
  static override description =
    "The choice is kept in /etc/ingero/enabled.yaml when root makes it, else in ingero/enabled.yaml of the user's configuration directory. All packs named are enabled, or none when one of them is unknown or wrong.";
  static override examples = ['<%= config.bin %> probes enable nccl'];
  static override args = {
    names: Args.string({ description: 'Names of packs.', required: true, multiple: true }),
  };

  async run(): Promise<EnabledChange> {
    const { args } = await this.parse(ProbesEnable);
    const registry = PackRegistry.open();
    const change = enablePacks(registry, args.names);
    for (const line of changeLines(change, registry)) this.log(line);
    return change;
  }
}
