/** `where:` conditions: which calls of a function are recorded, decided in the kernel. */
import type { Location } from './abi.js';
import type { PackIssue } from './issue.js';
import { type Arch, type Condition, type ConditionSpec, type Field, MAX_CONDITION_VALUES } from './model.js';
import type { Prototype } from './prototype.js';
import { resolvePath, type Source } from './resolve.js';

/** A condition whose argument has been found but not yet given a slot. */
export interface ResolvedCondition {
  spec: ConditionSpec;
  /** Only where an argument is looked at. */
  source?: Source;
}

/** Longest command name the kernel keeps (TASK_COMM_LEN, without the closing NUL), bytes. */
const COMMAND_BYTES = 15;
/** Most command names of one condition: each takes the room of two numbers. */
const MAX_COMMANDS = MAX_CONDITION_VALUES / 2;

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
    const defect = checkValues(spec) ?? checkSubject(spec, prototype, mode, returnBits);
    if (defect !== undefined) {
      issues.push({ rule: 'bad-where', ...defect, at: ['where', position, ...defect.at] });
    } else if (spec.arg === undefined) {
      conditions.push({ spec });
    } else {
      const resolved = resolvePath(spec.arg, prototype, locations, arch, spec.at ?? 'entry');
      if ('issue' in resolved) issues.push({ ...resolved.issue, at: ['where', position, 'arg'] });
      else if (spec.at === 'return' && !resolved.source.throughPointer) {
        const message = 'only memory behind a pointer can be read at return';
        issues.push({ rule: 'bad-where', message, at: ['where', position, 'at'], suggestion: 'remove at' });
      } else conditions.push({ spec, source: resolved.source });
    }
  }
  return { conditions, issues };
}

type Defect = Pick<PackIssue, 'message' | 'at' | 'suggestion'>;

function checkValues({ of, is, value, values }: ConditionSpec): Defect | undefined {
  if ((values !== undefined) !== (is === 'in') || (value !== undefined) === (is === 'in')) {
    return {
      message:
        is === 'in'
          ? 'in needs values, a list'
          : `${is} needs value, one ${of === 'comm' ? 'name' : 'number'}`,
      at: ['is'],
    };
  }
  const key = values === undefined ? 'value' : 'values';
  const all = values ?? [value as number | string];
  if (of !== 'comm') {
    return all.some((one) => typeof one === 'string')
      ? {
          message: 'only comm is compared with a text',
          at: [key],
          suggestion: 'write a number without quotes',
        }
      : undefined;
  }
  if (!['eq', 'ne', 'in'].includes(is))
    return { message: `a command name is not ${is}`, at: ['is'], suggestion: 'eq, ne or in' };
  const bad = all.find(
    (one) => typeof one !== 'string' || Buffer.byteLength(one) > COMMAND_BYTES || one === '',
  );
  if (bad !== undefined) {
    return {
      message: `${JSON.stringify(bad)} is not a command name of up to ${COMMAND_BYTES} bytes`,
      at: [key],
      suggestion: 'the kernel cuts longer ones; see /proc/PID/comm',
    };
  }
  if (all.length > MAX_COMMANDS) return { message: `at most ${MAX_COMMANDS} command names`, at: [key] };
  return undefined;
}

function checkSubject(
  { of, at }: ConditionSpec,
  prototype: Prototype,
  mode: 'call' | 'entry',
  returnBits: 0 | 32 | 64,
): Defect | undefined {
  if (of !== undefined && at !== undefined) return { message: `at is for arg, not for ${of}`, at: ['at'] };
  const isAtReturn = of === 'result' || of === 'duration' || at === 'return';
  if (isAtReturn && mode === 'entry') {
    const what = of ?? 'a result';
    return {
      message: `${what} is not known: only the entry is probed`,
      at: [of === undefined ? 'at' : 'of'],
      suggestion: 'use mode: call',
    };
  }
  if (of === 'result' && returnBits === 0) {
    return { message: `${prototype.name} returns no integer`, at: ['of'] };
  }
  return undefined;
}

/** Whether a condition is decided when the call is entered; those that are come first. */
export function isAtEntry({ of, at }: ConditionSpec): boolean {
  return of !== 'result' && of !== 'duration' && at !== 'return';
}

/** The same of a condition as the kernel checks it: whether it is decided when the call is entered. */
export function isDecidedAtEntry({ subject }: Condition): boolean {
  if (typeof subject === 'object') return 'field' in subject && subject.at === 'entry';
  return subject !== 'duration';
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
        ? { field: field(source), at: source.deref?.at ?? 'entry' }
        : spec.of === 'result'
          ? { result: { bits: returns.returnBits, signed: returns.returnSigned } }
          : (spec.of as Exclude<Condition['subject'], object>),
    is: spec.is,
    values: spec.values ?? [spec.value ?? 0],
  }));
}
