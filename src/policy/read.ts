import { createHash } from 'node:crypto';
import { lstatSync, type Stats } from 'node:fs';
import { dirname } from 'node:path';
import { DURATION_FORM, parseDuration } from '../duration.js';
import { EXIT, IngeroError } from '../errors.js';
import { formatProblems } from '../packs/format.js';
import { checkShape } from '../packs/grammar.js';
import type { PackIssue } from '../packs/issue.js';
import { readPackText, readYaml } from '../packs/pack-text.js';
import { othersCanWrite } from '../trust/file-safety.js';
import type { Policy, PolicyFile } from './model.js';

/** Where the policy of a host is. No option and no variable names another: a caller cannot relax it. */
export const POLICY_PATH = '/etc/ingero/policy.yaml';

/**
 * Reads the policy of this host; null when there is none. Throws `policy-untrusted` when others than root can change it,
 * `bad-policy` with all its problems when it is wrong: a policy that cannot be followed allows nothing.
 */
export function readPolicy(path: string = POLICY_PATH): PolicyFile | null {
  let stat: Stats;
  try {
    stat = lstatSync(path);
  } catch (error) {
    if (['ENOENT', 'ENOTDIR'].includes((error as NodeJS.ErrnoException).code ?? '')) return null;
    throw untrusted(path, (error as Error).message);
  }
  if (!stat.isFile()) throw untrusted(path, 'it is not a regular file');
  // Root's alone: that this user could write to it does not make it the host's.
  const unsafe = othersCanWrite(stat, 0) ?? othersCanWrite(lstatSync(dirname(path)), 0);
  if (unsafe !== null) throw untrusted(path, unsafe);
  const read = readPackText(path);
  if ('problem' in read) throw untrusted(path, read.problem.message);
  const yaml = readYaml(read.text, path);
  const problems =
    'problems' in yaml ? yaml.problems : policyIssues(yaml.value).map((issue) => yaml.document.locate(issue));
  if (problems.length > 0) {
    throw new IngeroError(
      `The policy of this host is wrong, so nothing is traced.\n${formatProblems(problems)}`,
      {
        code: 'bad-policy',
        exitCode: EXIT.policy,
        next: `Have ${path} mended by who looks after this host.`,
      },
    );
  }
  const policy = ('value' in yaml ? yaml.value : {}) as Policy;
  return { path, sha256: createHash('sha256').update(read.text).digest('hex'), policy };
}

/** What is wrong with a policy: its shape or, where that is right, a duration that is none. */
export function policyIssues(value: unknown): PackIssue[] {
  const shape = checkShape(value, 'policy', 'the policy');
  if (shape.length > 0) return shape;
  const duration = (value as Policy).limits?.duration;
  if (duration === undefined || parseDuration(duration) !== undefined) return [];
  return [
    {
      rule: 'duration',
      message: `${JSON.stringify(duration)} is not a duration: ${DURATION_FORM}`,
      at: ['limits', 'duration'],
    },
  ];
}

function untrusted(path: string, reason: string): IngeroError {
  return new IngeroError(`The policy ${path} cannot be relied on: ${reason}.`, {
    code: 'policy-untrusted',
    exitCode: EXIT.policy,
    expected:
      'a regular file of root that this user can read and nobody else can write, in a folder of the same kind',
    next: `chown root:root ${path}; chmod 644 ${path}`,
  });
}
