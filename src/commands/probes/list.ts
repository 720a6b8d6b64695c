import { BaseCommand } from '../../base-command.js';
import { loadBuiltinPacks } from '../../packs/index.js';
import type { Pack } from '../../packs/model.js';
import { DEFAULT_PACKS } from '../../packs/select.js';

/** One pack as `--json` prints it. */
export interface PackListing {
  name: string;
  version: string;
  description: string;
  layer: string;
  /** Globs over the file names and sonames of the libraries it traces. */
  libraries: string[];
  /** Event table its rows go to. */
  table: string;
  /** Number of functions it declares; a library may lack optional ones. */
  probes: number;
  /** Whether `trace` uses it when no pack is named. */
  default: boolean;
  /** SHA-256 of the file, hex, as stored in `packs.sha256` of a capture. */
  sha256: string;
  path: string;
}

function describe(pack: Pack): PackListing {
  return {
    name: pack.name,
    version: pack.version,
    description: pack.description,
    layer: pack.layer,
    libraries: pack.libraries.map((library) => library.soname),
    table: pack.table,
    probes: pack.probes.length,
    default: DEFAULT_PACKS.includes(pack.name),
    sha256: pack.source.sha256,
    path: pack.source.path,
  };
}

export default class ProbesList extends BaseCommand {
  static override summary = 'List the probe packs that ship with ingero.';
  static override description =
    'A pack names the libraries and functions to trace; `trace --pack NAME` uses it, and `trace --pack FILE` one of your own. The digest is that of the file: the `packs` table of a capture keeps it with the whole text.';

  static override examples = ['<%= config.bin %> probes list', '<%= config.bin %> probes list --json'];

  async run(): Promise<{ packs: PackListing[] }> {
    await this.parse(ProbesList);
    const packs = loadBuiltinPacks().map(describe);
    for (const pack of packs) {
      this.log(`${pack.name} ${pack.version}${pack.default ? ' (default)' : ''}: ${pack.description}`);
      this.log(`  libraries  ${pack.libraries.join(', ')}`);
      this.log(`  records    ${pack.probes} functions, layer ${pack.layer}, table ${pack.table}`);
      this.log(`  sha256     ${pack.sha256}`);
      this.log(`  file       ${pack.path}`);
    }
    return { packs };
  }
}
