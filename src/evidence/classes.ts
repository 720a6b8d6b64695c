import type { ColumnSpec } from '../capture/schema.js';

/** Classes of data that may have to be taken out of a capture before it is handed on. */
export const CLASSES = ['command-lines', 'paths', 'names', 'addresses', 'environment'] as const;
export type DataClass = (typeof CLASSES)[number];

/** What a column holds, by `table.column`; `null`: nothing about a person, host, program or site. */
const COLUMNS: Readonly<Record<string, DataClass | null>> = {
  'capture.hostname': 'names',
  'capture.boot_id': 'names',
  'capture.command_line': 'command-lines',
  'capture.target': 'command-lines',
  'capture.end_detail': 'command-lines',
  'capture.privileges': 'names',
  'capture.policy_path': 'paths',
  'capture.policy_verdict': 'names',
  'packs.path': 'paths',
  'packs.overlays': 'paths',
  'packs.signer': 'names',
  'libraries.path': 'paths',
  'libraries.found_by': 'paths',
  'libraries.reason': 'paths',
  'probes.reason': 'paths',
  'processes.uid': 'names',
  'processes.comm': 'names',
  'processes.exe': 'paths',
  'processes.command_line': 'command-lines',
  'processes.cgroup': 'names',
  'processes.container_id': 'names',
  'processes.rank': 'environment',
  'processes.local_rank': 'environment',
  'processes.world_size': 'environment',
  'processes.visible_devices': 'environment',
  'threads.name': 'names',
  'frames.module': 'paths',
  'frames.source_file': 'paths',
  'frames.address': 'addresses',
  'imports.source_file': 'paths',
  'host_events.src_ipv4': 'names',
  'host_events.dst_ipv4': 'names',
};

/** Text that is the tool's, the vendor's or the pack's own. All other text counts as names. */
const HARMLESS: ReadonlySet<string> = new Set([
  'capture.ingero_version',
  'capture.kernel',
  'capture.arch',
  'capture.bpf_sha256',
  'capture.policy_sha256',
  'capture.return_probes',
  'packs.pack',
  'packs.version',
  'packs.layer',
  'packs.event_table',
  'packs.sha256',
  'packs.yaml',
  'packs.file_sha256',
  'packs.overlay_sha256',
  'libraries.build_id',
  'libraries.soname',
  'libraries.version',
  'libraries.pack',
  'probes.pack',
  'probes.op',
  'probes.symbol',
  'probes.prototype',
  'frames.build_id',
  'governor_steps.from_level',
  'governor_steps.to_level',
  'governor_steps.reason',
  'imports.ingero_version',
  'imports.format_version',
  'imports.source_sha256',
  'imports.wal_sha256',
  'import_salvage.source_sha256',
  'schema_migrations.ingero_version',
]);
const HARMLESS_TABLES: ReadonlySet<string> = new Set(['redactions', 'import_accounting']);

/** UBIGINT columns of event tables that are numbers or identities and no addresses or handles. */
const NUMBERS: ReadonlySet<string> = new Set(['call_id', 'parent_id', 'flags']);

/** The class of a column; null when there is nothing to redact in it. `isEvent`: of an event table. */
export function classOf(
  table: string,
  { name, type, unit, references }: ColumnSpec,
  isEvent: boolean,
): DataClass | null {
  const key = `${table}.${name}`;
  const listed = COLUMNS[key];
  if (listed !== undefined) return listed;
  if (HARMLESS.has(key) || HARMLESS_TABLES.has(table)) return null;
  if (type === 'VARCHAR' || type === 'VARCHAR[]') return 'names';
  if (isEvent && type === 'UBIGINT' && unit === undefined && references === undefined) {
    return NUMBERS.has(name) ? null : 'addresses';
  }
  return null;
}
