/** What a policy changes about a trace it allows. */
import { parseDuration } from '../duration.js';
import type { CompiledPack } from '../packs/index.js';
import { parseSize } from '../query/limits.js';
import type { PolicyLimits } from './judge.js';
import type { Policy } from './model.js';

/** The limits in numbers. A duration that is none, which `readPolicy` refuses, would allow nothing. */
export function policyLimits({ limits }: Policy): PolicyLimits {
  return {
    durationMs: limits?.duration === undefined ? null : (parseDuration(limits.duration) ?? 0),
    sizeBytes: limits?.size === undefined ? null : (parseSize(limits.size) ?? null),
    overheadPercent: limits?.overhead ?? null,
  };
}

/** A pack with what must not get into a capture redacted: addresses and texts, as the policy says for each. */
export function withRedactions(compiled: CompiledPack, { capture }: Policy): CompiledPack {
  if (capture?.pointers === undefined && capture?.strings === undefined) return compiled;
  const probes = compiled.probes.map((probe) => ({
    ...probe,
    columns: probe.columns.map((column) => {
      const wanted =
        column.text === undefined
          ? column.address === true
            ? capture.pointers
            : undefined
          : capture.strings;
      // What the pack drops already stays dropped.
      return wanted === undefined || column.redact === 'drop' ? column : { ...column, redact: wanted };
    }),
  }));
  return { ...compiled, probes };
}
