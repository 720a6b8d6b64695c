import { loaders } from 'ingero:commands';
import { execute, Plugin } from '@oclif/core';
import { PACKAGE_ROOT } from '../../src/paths.js';

/** A plugin whose commands are parts of the bundle, not files oclif could find. The manifest is read as always. */
class BundledPlugin extends Plugin {
  override findCommand: Plugin['findCommand'] = async (id: string) => {
    const load = loaders[id];
    if (load === undefined) throw new Error(`command ${id} is not in this bundle`);
    const command = (await load()).default;
    command.id = id;
    command.plugin = this;
    return command;
  };
}

/** Runs the command line of this process. */
export async function runCli(): Promise<void> {
  const plugin = new BundledPlugin({ root: PACKAGE_ROOT, isRoot: true });
  await plugin.load();
  await execute({ loadOptions: { root: PACKAGE_ROOT, plugins: new Map([[plugin.name, plugin]]) } });
}
