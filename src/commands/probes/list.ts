import { BaseCommand } from '../../base-command.js';
import { DEFAULT_PACKS } from '../../packs/enabled.js';
import { packDirFlag } from '../../packs/flags.js';
import { formatProblems } from '../../packs/format.js';
import type { Pack, PackProblem } from '../../packs/model.js';
import type { PlaceKind } from '../../packs/places.js';
import { type PackEntry, PackRegistry, type PlaceReport } from '../../packs/registry.js';
import { checkPackSignature, signerOf, signerText } from '../../packs/signer.js';
import { alignedLines } from '../../packs/table-text.js';
import { trustFlag } from '../../trust/flags.js';
import type { Outcome, SignatureReport } from '../../trust/signature.js';
import { readTrustStore } from '../../trust/trust-store.js';

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
  enabled: boolean;
  /** Whether it is enabled as long as nobody enables or disables packs. */
  default: boolean;
  /** SHA-256 of the pack in force, hex, as stored in `packs.sha256` of a capture. */
  sha256: string;
  /** Of the file at `path`; differs from `sha256` when overlays change the pack. */
  file_sha256: string;
  /** Files that change it, in the order they are applied. */
  overlays: readonly string[];
  /** What came of checking its signature, and who the trust store says signed it. */
  signature: Outcome;
  signer: string | null;
  from: PlaceKind;
  path: string;
}

/** A pack file that cannot be used. */
interface BrokenListing {
  name: string;
  enabled: boolean;
  from: PlaceKind;
  path: string;
  problems: PackProblem[];
}

interface Listing {
  packs: PackListing[];
  broken: BrokenListing[];
  /** Packs that are not used because an earlier place has one of the same name. */
  shadowed: { name: string; from: PlaceKind; path: string; by: string }[];
  /** Overlays of packs that are not there. */
  orphans: { path: string; overlays: string }[];
  /** Names that are enabled and belong to no pack. */
  missing: string[];
  /** File that says which packs are enabled; null: the default holds. */
  enabled_file: string | null;
  places: { from: PlaceKind; path: string; exists: boolean; problem: string | null }[];
}

function describe(pack: Pack, entry: PackEntry, enabled: boolean, signature: SignatureReport): PackListing {
  return {
    name: pack.name,
    version: pack.version,
    description: pack.description,
    layer: pack.layer,
    libraries: pack.libraries.map((library) => library.soname),
    table: pack.table,
    probes: pack.probes.length,
    enabled,
    default: DEFAULT_PACKS.includes(pack.name),
    sha256: pack.source.sha256,
    file_sha256: pack.source.fileSha256,
    overlays: pack.source.overlays.map(({ path }) => path),
    signature: signature.outcome,
    signer: signerOf(signature),
    from: entry.place.kind,
    path: pack.source.path,
  };
}

function describePlace({ kind, path, exists, problem }: PlaceReport): Listing['places'][number] {
  return { from: kind, path, exists, problem };
}

export default class ProbesList extends BaseCommand {
  static override summary = 'List the probe packs, and which of them are enabled.';
  static override description =
    "A pack names the libraries and functions to trace. `trace` uses the enabled ones; `trace --pack` others. Packs come from the folders of --pack-dir, the user's and the host's configuration and those that ship with ingero: of two packs of one name the first in this order is used. An overlay changes a pack of another place. The digest is that of the pack in force, its overlays applied: the `packs` table of a capture keeps it with the whole text.";

  static override examples = ['<%= config.bin %> probes list', '<%= config.bin %> probes list --json'];
  static override flags = { 'pack-dir': packDirFlag, trust: trustFlag };

  async run(): Promise<Listing> {
    const { flags } = await this.parse(ProbesList);
    const registry = PackRegistry.open(flags['pack-dir']);
    const enabled = registry.enabled();
    const store = readTrustStore(flags.trust);
    const listing: Listing = {
      packs: [],
      broken: [],
      shadowed: registry.shadowed.map(({ entry, by }) => ({
        name: entry.name,
        from: entry.place.kind,
        path: entry.path,
        by: by.path,
      })),
      orphans: registry.orphans.map(({ path, target }) => ({ path, overlays: target })),
      missing: enabled.names.filter((name) => !registry.entries.some((entry) => entry.name === name)),
      enabled_file: enabled.path,
      places: registry.places.map(describePlace),
    };
    for (const entry of registry.entries) {
      const { name, path, place } = entry;
      const isEnabled = enabled.names.includes(name);
      const { pack, problems } = entry.parsed();
      if (pack !== undefined) {
        listing.packs.push(describe(pack, entry, isEnabled, await checkPackSignature(pack, store)));
      } else listing.broken.push({ name, enabled: isEnabled, from: place.kind, path, problems });
    }
    for (const line of listingLines(listing)) this.log(line);
    return listing;
  }
}

function listingLines({
  packs,
  broken,
  shadowed,
  orphans,
  missing,
  enabled_file,
  places,
}: Listing): string[] {
  const yes = (enabled: boolean): string => (enabled ? 'yes' : 'no');
  const lines = alignedLines([
    ['name', 'enabled', 'version', 'layer', 'table', 'probes', 'sha256', 'signer', 'from'],
    ...packs.map((pack) => [
      pack.name,
      yes(pack.enabled),
      pack.version,
      pack.layer,
      pack.table,
      String(pack.probes),
      pack.sha256.slice(0, 12),
      signerText(pack.signature, pack.signer),
      pack.from === 'built-in' ? pack.from : pack.path,
    ]),
    ...broken.map((pack) => [pack.name, yes(pack.enabled), 'broken', '-', '-', '-', '-', '-', pack.path]),
  ]);
  const notes = [
    ...shadowed.map(({ path, name, by }) => `${path} is not used: ${by} is named ${name} too.`),
    ...packs.flatMap(({ name, overlays }) => overlays.map((path) => `${name} is changed by ${path}.`)),
    ...orphans.map(({ path, overlays }) => `${path} changes nothing: there is no pack ${overlays}.`),
    ...missing.map((name) => `${name} is enabled (${enabled_file}), and there is no such pack.`),
    ...places.flatMap(({ path, problem }) =>
      problem === null ? [] : [`${path} cannot be read: ${problem}`],
    ),
  ];
  if (notes.length > 0) lines.push('', ...notes);
  for (const pack of broken) lines.push('', formatProblems(pack.problems));
  return lines;
}
