/** `where:` conditions: which calls of a function are recorded, decided in the kernel. */
import type { Location } from './abi.js';
import type { PackIssue } from './issue.js';
import type { Arch, Condition, ConditionSpec, Field } from './model.js';
import type { Prototype } from './prototype.js';
import { resolvePath, type Source } from './resolve.js';

/** A condition whose argument has been found but not yet given a slot. */
export interface ResolvedCondition {
  spec: ConditionSpec;
  /** Absent for result and duration. */
  source?: Source;
}

/** Finds what the conditions of a probe look at. `returns` is the width and sign of the result; 0 bits: none. */
export function resolveWhere(
  where: readonly ConditionSpec[],
  prototype: Prototype,
  locations: readonly Location[],
  arch: Arch,
  mode: 'call' | 'entry',
  returnBits: 0 | 32 | 64,
): { conditions: ResolvedCondition[]; issues: PackIssue[] } {
  const issues: PackIssue[] = [];
  const conditions: ResolvedCondition[] = [];
  for (const [position, spec] of where.entries()) {
    const refuse = (message: string, key: string, suggestion?: string): void => {
      issues.push({
        rule: 'bad-where',
        message,
        at: ['where', position, key],
        ...(suggestion === undefined ? {} : { suggestion }),
      });
    };
    if (
      (spec.values !== undefined) !== (spec.is === 'in') ||
      (spec.value !== undefined) === (spec.is === 'in')
    ) {
      refuse(spec.is === 'in' ? 'in needs values, a list' : `${spec.is} needs value, one number`, 'is');
      continue;
    }
    if (spec.arg === undefined) {
      if (mode === 'entry')
        refuse(`${spec.of} is not known: only the entry is probed`, 'of', 'use mode: call');
      else if (spec.of === 'result' && returnBits === 0) refuse(`${prototype.name} returns no integer`, 'of');
      else conditions.push({ spec });
      continue;
    }
    const resolved = resolvePath(spec.arg, prototype, locations, arch, 'entry');
    if ('source' in resolved) conditions.push({ spec, source: resolved.source });
    else issues.push({ ...resolved.issue, at: ['where', position, 'arg'] });
  }
  return { conditions, issues };
}

/** The conditions as the kernel checks them. `field` gives an argument its slot. */
export function compileWhere(
  conditions: readonly ResolvedCondition[],
  field: (source: Source) => Field,
  returns: { returnBits: 0 | 32 | 64; returnSigned: boolean },
): Condition[] {
  return conditions.map(({ spec, source }) => ({
    subject:
      source !== undefined
        ? { field: field(source) }
        : spec.of === 'result'
          ? { result: { bits: returns.returnBits, signed: returns.returnSigned } }
          : 'duration',
    is: spec.is,
    values: spec.values ?? [spec.value ?? 0],
  }));
}
