import { EXIT, IngeroError } from '../errors.js';
import { policyLimits } from './apply.js';
import { judgeHost, judgeTrace, type PolicyHost, type PolicyTrace } from './judge.js';
import type { PolicyFile, Verdict } from './model.js';

/** Judges host and trace. Returns every verdict; throws `policy`, naming each rule that does not hold. */
export function enforce({ path, policy }: PolicyFile, host: PolicyHost, trace: PolicyTrace): Verdict[] {
  const verdicts = [...judgeHost(policy, host), ...judgeTrace(policy, policyLimits(policy), trace)];
  const broken = verdicts.filter(({ ok }) => !ok);
  if (broken.length === 0) return verdicts;
  throw new IngeroError(
    `The policy of this host does not allow this trace:\n${broken.map(({ rule, detail }) => `  ${rule}: ${detail}`).join('\n')}`,
    {
      code: 'policy',
      exitCode: EXIT.policy,
      next: `Ask for what ${path} allows, or have it changed by who looks after this host.`,
    },
  );
}
