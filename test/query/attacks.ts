import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { parse } from 'yaml';

/** A kind of attack and its statements; the file says what the outcomes mean. */
export interface Attacks {
  title: string;
  outcome: 'refused' | 'nothing' | 'bounded' | 'truncated';
  /** `--spill` the statements are about. */
  spill?: string;
  statements: readonly string[];
}

/** The published list (attacks.yaml). */
export const ATTACKS = parse(
  readFileSync(fileURLToPath(new URL('./attacks.yaml', import.meta.url)), 'utf8'),
) as Attacks[];

/** Statements of one outcome, with the places of this host filled in. */
export function attacks(outcome: Attacks['outcome'], capture: string, dir: string, tmp: string): string[] {
  return ATTACKS.filter((group) => group.outcome === outcome).flatMap(({ statements }) =>
    statements.map((sql) => sql.replaceAll('PATH', capture).replaceAll('DIR', dir).replaceAll('TMP', tmp)),
  );
}
