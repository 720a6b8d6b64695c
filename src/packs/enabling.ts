import type { EnabledPacks } from './enabled.js';
import { writeEnabled } from './enabled.js';
import type { PackRegistry } from './registry.js';

/** The enabled packs after a change. Field names are those of `--json`. */
export interface EnabledChange {
  enabled: string[];
  /** Names that changed; those that already were as asked are not among them. */
  changed: string[];
  /** File the choice is kept in; null when nothing had to be written and the default holds. */
  path: string | null;
}

/** Enables packs, all or none. Throws `unknown-pack` and `bad-pack`: a name that is kept has to work. */
export function enablePacks(registry: PackRegistry, names: readonly string[]): EnabledChange {
  for (const name of names) registry.pack(name);
  const enabled = registry.enabled();
  const changed = [...new Set(names)].filter((name) => !enabled.names.includes(name));
  return keep(registry, enabled, [...enabled.names, ...changed], changed);
}

/** Disables packs, all or none; also names whose pack is gone or broken. Throws `unknown-pack`. */
export function disablePacks(registry: PackRegistry, names: readonly string[]): EnabledChange {
  const enabled = registry.enabled();
  for (const name of names) if (!enabled.names.includes(name)) registry.entry(name);
  const changed = [...new Set(names)].filter((name) => enabled.names.includes(name));
  return keep(
    registry,
    enabled,
    enabled.names.filter((name) => !changed.includes(name)),
    changed,
  );
}

function keep(
  registry: PackRegistry,
  before: EnabledPacks,
  names: string[],
  changed: string[],
): EnabledChange {
  const path = changed.length === 0 ? before.path : writeEnabled(registry.dirs, names);
  return { enabled: names, changed, path };
}

/** Says what is enabled now, where that is kept, and for whom it holds. */
export function changeLines(change: EnabledChange, registry: PackRegistry): string[] {
  const { enabled, changed, path } = change;
  const { own, system } = registry.dirs;
  return [
    `Enabled: ${enabled.length === 0 ? 'none' : enabled.join(', ')}`,
    ...(changed.length === 0 ? ['Nothing had to be changed.'] : [`Written to ${path}.`]),
    ...(system !== null && own !== system
      ? ['This holds for this user. Traces that root runs, sudo included, use what root enables.']
      : []),
  ];
}
