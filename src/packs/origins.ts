import type { PackPath } from './issue.js';
import type { Origin } from './load.js';
import type { Pack } from './model.js';

/** Where the values of a probe are written: key of the pack, `capture.COLUMN` for a column -> `file:line`. */
export type ProbeOrigins = Readonly<Record<string, string>>;

/** The origins of every probe of a pack, in its order. `origin` is that of the parsed pack. */
export function probeOrigins(pack: Pack, origin: (at: PackPath) => Origin): ProbeOrigins[] {
  const place = (at: PackPath): string => {
    const { path, line } = origin(at);
    return `${path}:${line}`;
  };
  return pack.probes.map(({ capture, ...probe }, index) =>
    Object.fromEntries([
      ...Object.keys(probe).map((key) => [key, place(['probes', index, key])]),
      ...(capture ?? []).flatMap(({ column, redact }, position) => {
        const at = ['probes', index, 'capture', position];
        return [
          [`capture.${column}`, place(at)],
          ...(redact === undefined ? [] : [[`redact.${column}`, place([...at, 'redact'])]]),
        ];
      }),
    ]),
  );
}

/** What comes from another file than the pack's own: `where from /etc/ingero/probes.d/nccl.overlay.yaml:4`. */
export function overlayNotes(origins: ProbeOrigins, packPath: string): string[] {
  return Object.entries(origins)
    .filter(([, place]) => place.replace(/:\d+$/, '') !== packPath)
    .map(([key, place]) => `${key} from ${place}`);
}
