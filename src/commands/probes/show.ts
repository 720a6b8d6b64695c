import { basename } from 'node:path';
import { Args, Flags } from '@oclif/core';
import { BaseCommand } from '../../base-command.js';
import { describeProbes, type ProbeDescription } from '../../packs/describe.js';
import { packDirFlag } from '../../packs/flags.js';
import type { EnumTable, Pack } from '../../packs/model.js';
import { overlayNotes } from '../../packs/origins.js';
import { PackRegistry } from '../../packs/registry.js';
import { checkPackSignature, signerOf, signerText } from '../../packs/signer.js';
import { trustFlag } from '../../trust/flags.js';
import type { Outcome } from '../../trust/signature.js';
import { readTrustStore } from '../../trust/trust-store.js';

/** A pack as `--json` prints it. */
interface PackDescription {
  name: string;
  version: string;
  description: string;
  layer: string;
  table: string;
  /** Columns of the table, when the pack defines it. */
  columns: Pack['columns'] | null;
  libraries: Pack['libraries'];
  /** Enum that names return codes. */
  result: string | null;
  enums: Record<string, EnumTable>;
  types: string;
  enabled: boolean;
  /** Of `yaml`. */
  sha256: string;
  /** What came of checking its signature, who the trust store says signed it, and with the key of which file. */
  signature: Outcome;
  signer: string | null;
  key_file: string | null;
  path: string;
  /** Of the file at `path`; differs from `sha256` when overlays change the pack. */
  file_sha256: string;
  /** Files that change it, in the order they are applied. */
  overlays: readonly { path: string; sha256: string }[];
  probes: ProbeDescription[];
  /** The pack in force: its file, or what it becomes with its overlays. */
  yaml: string;
}

export default class ProbesShow extends BaseCommand {
  static override summary = 'Show a probe pack: its libraries, functions and columns.';
  static override description =
    'Every function with its prototype, where that is written, the symbols that are probed and what fills which column; and what comes from an overlay. Where these lie in a library of this host is what `probes compile` says.';
  static override examples = [
    '<%= config.bin %> probes show cuda-runtime',
    { description: 'The file itself', command: '<%= config.bin %> probes show cuda-runtime --yaml' },
  ];
  static override args = {
    pack: Args.string({ description: 'Name of a pack, or a pack file.', required: true }),
  };
  static override flags = {
    'pack-dir': packDirFlag,
    trust: trustFlag,
    yaml: Flags.boolean({ description: 'Print the text of the pack.' }),
  };

  async run(): Promise<PackDescription> {
    const { args, flags } = await this.parse(ProbesShow);
    const registry = PackRegistry.open(flags['pack-dir']);
    const { pack, origin } = registry.packOrFile(args.pack);
    const isEnabled =
      registry.enabled().names.includes(pack.name) &&
      registry.entries.some((entry) => entry.path === pack.source.path);
    const signature = await checkPackSignature(pack, readTrustStore(flags.trust));
    const description: PackDescription = {
      name: pack.name,
      version: pack.version,
      description: pack.description,
      layer: pack.layer,
      table: pack.table,
      columns: pack.columns ?? null,
      libraries: pack.libraries,
      result: pack.result ?? null,
      enums: pack.enums,
      types: pack.types,
      enabled: isEnabled,
      sha256: pack.source.sha256,
      signature: signature.outcome,
      signer: signerOf(signature),
      key_file: signature.key_file,
      path: pack.source.path,
      file_sha256: pack.source.fileSha256,
      overlays: pack.source.overlays,
      probes: describeProbes(pack, origin),
      yaml: pack.source.text,
    };
    if (flags.yaml) this.log(pack.source.text.replace(/\n$/, ''));
    else for (const line of descriptionLines(description)) this.log(line);
    return description;
  }
}

function descriptionLines(pack: PackDescription): string[] {
  const lines = [
    `${pack.name} ${pack.version}${pack.enabled ? ' (enabled)' : ''}: ${pack.description}`,
    `  libraries  ${pack.libraries.map(({ soname, static: linked }) => `${soname}${linked ? ' (also linked into other files)' : ''}`).join(', ')}`,
    `  records    ${pack.probes.length} functions, layer ${pack.layer}, table ${pack.table}`,
    ...(pack.result === null ? [] : [`  results    named by ${pack.result}`]),
    ...(pack.columns ?? []).map(
      ({ name, type, unit, description }) =>
        `  column     ${name} ${type}${unit === undefined ? '' : ` (${unit})`}: ${description}`,
    ),
    `  sha256     ${pack.file_sha256}`,
    `  signer     ${signerText(pack.signature, pack.signer)}${pack.key_file === null ? '' : ` (${pack.key_file})`}`,
    `  file       ${pack.path}`,
    ...pack.overlays.flatMap(({ path, sha256 }) => [`  changed by ${path}`, `             sha256 ${sha256}`]),
  ];
  for (const probe of pack.probes) lines.push('', ...probeLines(probe, pack.path));
  return lines;
}

function probeLines(
  {
    op,
    prototype,
    symbols,
    mode,
    required,
    enabled,
    columns,
    when,
    where,
    settings,
    origins,
  }: ProbeDescription,
  packPath: string,
): string[] {
  const facts = [
    ...(enabled ? [] : ['not enabled']),
    `symbols ${symbols.join(', ')}`,
    ...(mode === 'entry' ? ['entry only'] : []),
    ...(required ? ['required'] : []),
    ...(when.length === 0 ? [] : [`probed when ${when.join(' and ')}`]),
    ...(where.length === 0 ? [] : [`recorded when ${where.join(' and ')}`]),
    ...Object.entries(settings).map(([key, value]) => `${key} ${JSON.stringify(value)}`),
  ];
  const width = Math.max(0, ...columns.map(({ column }) => column.length));
  return [
    `${op} (${basename(origins.prototype ?? packPath)})`,
    `  ${prototype}`,
    `  ${facts.join('; ')}`,
    ...overlayNotes(origins, packPath).map((note) => `  ${note}`),
    ...columns.map(({ column, from }) => `    ${column.padEnd(width)}  ${from}`),
  ];
}
