import { describe, expect, test } from 'vitest';
import { policyLimits } from '../../src/policy/apply.js';
import { judgeHost, judgeTrace, type PolicyHost, type PolicyTrace } from '../../src/policy/judge.js';
import type { Policy } from '../../src/policy/model.js';

const host: PolicyHost = {
  kernel: '6.1.0-28-amd64',
  lockdown: 'integrity',
  capabilities: (1n << 39n) | (1n << 21n),
};
const nccl = { name: 'nccl', sha256: 'a'.repeat(64), signers: ['Lab'] };
const listed = { name: 'nccl', sha256: 'a'.repeat(64), signer: 'Lab' };
const alice = {
  name: 'pid 7',
  uid: 1000,
  user: 'alice',
  cgroup: '/user.slice/user-1000.slice',
  exe: '/opt/jobs/bin/train',
};
const trace: PolicyTrace = {
  packs: [nccl],
  processes: [alice],
  directory: '/var/lib/ingero/runs',
  durationMs: 60_000,
  sizeBytes: null,
  overheadPercent: null,
};

/** Rules that are broken. */
function broken(
  policy: Policy,
  changed: Partial<PolicyTrace> = {},
  facts: Partial<PolicyHost> = {},
): string[] {
  return [
    ...judgeHost(policy, { ...host, ...facts }),
    ...judgeTrace(policy, policyLimits(policy), { ...trace, ...changed }),
  ]
    .filter(({ ok }) => !ok)
    .map(({ rule }) => rule);
}

describe('what is within the policy', () => {
  test.each<[string, Policy]>([
    ['an empty one', {}],
    ['a kernel as new as asked for', { host: { kernel: '6.1' } }],
    ['a mode of lockdown as strict as asked for', { host: { lockdown: 'integrity' } }],
    [
      'capabilities',
      { host: { required_capabilities: ['CAP_BPF'], forbidden_capabilities: ['CAP_NET_ADMIN'] } },
    ],
    ['a signed pack', { packs: { signed: true } }],
    ['a pack by name, digest and signer', { packs: { allow: [{ name: 'other' }, listed] } }],
    ['a pack by signer alone', { packs: { allow: [{ signer: 'Lab' }] } }],
    ['a user by name, a user by uid', { targets: { users: ['bob', 'alice'] } }],
    ['a uid', { targets: { users: [1000] } }],
    [
      'a control group and an executable',
      { targets: { cgroups: ['/user.slice/*'], executables: ['/opt/*/train'] } },
    ],
    ['a folder inside one that is allowed', { output: { directories: ['/srv', '/var/lib/ingero/'] } }],
    ['a limit as asked for', { limits: { duration: '1m' } }],
    ['limits, and nothing asked for', { limits: { size: '10GiB', overhead: 5 } }],
  ])('%s', (_name, policy) => expect(broken(policy)).toEqual([]));

  test('a signer whose name has a comma', () => {
    const policy = { packs: { allow: [{ signer: 'Lab A, Jane Doe' }] } };
    expect(broken(policy, { packs: [{ ...nccl, signers: ['Lab A, Jane Doe'] }] })).toEqual([]);
    expect(broken(policy, { packs: [{ ...nccl, signers: ['Lab A', 'Jane Doe'] }] })).toEqual(['packs.allow']);
  });
});

describe('what is not', () => {
  test.each<[string, Policy, Partial<PolicyTrace>, Partial<PolicyHost>, string[]]>([
    ['an older kernel', { host: { kernel: '6.2' } }, {}, {}, ['host.kernel']],
    ['a kernel without a number', { host: { kernel: '5.15' } }, {}, { kernel: 'custom' }, ['host.kernel']],
    ['no lockdown', { host: { lockdown: 'integrity' } }, {}, { lockdown: null }, ['host.lockdown']],
    ['too little of it', { host: { lockdown: 'confidentiality' } }, {}, {}, ['host.lockdown']],
    [
      'a capability that is missing',
      { host: { required_capabilities: ['CAP_PERFMON'] } },
      {},
      {},
      ['host.required_capabilities'],
    ],
    [
      'one that is held',
      { host: { forbidden_capabilities: ['CAP_SYS_ADMIN'] } },
      {},
      {},
      ['host.forbidden_capabilities'],
    ],
    [
      'one that does not exist',
      { host: { forbidden_capabilities: ['CAP_MAGIC'] } },
      {},
      {},
      ['host.forbidden_capabilities'],
    ],
    [
      'capabilities that cannot be read',
      { host: { forbidden_capabilities: ['CAP_BPF'] } },
      {},
      { capabilities: null },
      ['host.forbidden_capabilities'],
    ],
    [
      'an unsigned pack',
      { packs: { signed: true } },
      { packs: [{ ...nccl, signers: [] }] },
      {},
      ['packs.signed'],
    ],
    [
      'a pack that was changed',
      { packs: { allow: [listed] } },
      { packs: [{ ...nccl, sha256: 'b'.repeat(64) }] },
      {},
      ['packs.allow'],
    ],
    [
      'a pack of another signer',
      { packs: { allow: [{ signer: 'Lab' }] } },
      { packs: [{ ...nccl, signers: ['Lab', 'Eve'] }] },
      {},
      ['packs.allow'],
    ],
    [
      'one pack of several',
      { packs: { allow: [{ name: 'nccl' }] } },
      { packs: [nccl, { ...nccl, name: 'site' }] },
      {},
      ['packs.allow'],
    ],
    ['a list that is empty', { packs: { allow: [] } }, {}, {}, ['packs.allow']],
    ['another user', { targets: { users: ['bob', 0] } }, {}, {}, ['targets.users']],
    [
      'a user nobody knows',
      { targets: { users: ['alice'] } },
      { processes: [{ ...alice, uid: null, user: null }] },
      {},
      ['targets.users'],
    ],
    ['every process', { targets: { users: ['alice'] } }, { processes: null }, {}, ['targets.users']],
    [
      'a control group that only begins alike',
      { targets: { cgroups: ['/user'] } },
      {},
      {},
      ['targets.cgroups'],
    ],
    [
      'a program with a dot where another letter is',
      { targets: { executables: ['/opt/jobs/bin/t.ain'] } },
      {},
      {},
      ['targets.executables'],
    ],
    [
      'a folder that only begins alike',
      { output: { directories: ['/var/lib/inger'] } },
      {},
      {},
      ['output.directories'],
    ],
    ['more time', { limits: { duration: '59s' } }, {}, {}, ['limits.duration']],
    ['more space', { limits: { size: '1MB' } }, { sizeBytes: 1_000_001 }, {}, ['limits.size']],
    ['more of a core', { limits: { overhead: 1 } }, { overheadPercent: 2 }, {}, ['limits.overhead']],
  ])('%s', (_name, policy, changed, facts, rules) => expect(broken(policy, changed, facts)).toEqual(rules));
});
