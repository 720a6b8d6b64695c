/** Whether a host and a trace are within the policy. Pure: the same facts give the same verdicts. */
import { compareVersions } from '../packs/when.js';
import { CAPABILITY_BITS } from '../trust/capabilities.js';
import type { Policy, Verdict } from './model.js';

/** What is judged of a host. */
export interface PolicyHost {
  /** Kernel release (uname -r). */
  kernel: string;
  /** Mode of lockdown; null when the kernel has none. */
  lockdown: string | null;
  /** CapEff. */
  capabilities: bigint | null;
}

/** A process a trace would record. */
export interface PolicyProcess {
  /** For the reader: `pid 12`, `the command`. */
  name: string;
  uid: number | null;
  /** Name of the user; null when there is none. */
  user: string | null;
  cgroup: string | null;
  exe: string | null;
}

/** What is judged of a trace. */
export interface PolicyTrace {
  /** `signers`: those the host trusts; none where a signature is missing or not good. */
  packs: readonly { name: string; sha256: string; signers: readonly string[] }[];
  /** Null: every process, or every one of a name. */
  processes: readonly PolicyProcess[] | null;
  /** Folder the capture goes to, links resolved. */
  directory: string;
  /** Asked for; null: without limit. ms, bytes, percent. */
  durationMs: number | null;
  sizeBytes: number | null;
  overheadPercent: number | null;
}

/** Limits of a policy in numbers. */
export interface PolicyLimits {
  durationMs: number | null;
  sizeBytes: number | null;
  overheadPercent: number | null;
}

const LOCKDOWN = ['none', 'integrity', 'confidentiality'];

/** The rules on the host. */
export function judgeHost({ host }: Policy, facts: PolicyHost): Verdict[] {
  const verdicts: Verdict[] = [];
  if (host?.kernel !== undefined) {
    const release = /^\d+(\.\d+)*/.exec(facts.kernel)?.[0] ?? '0';
    const order = compareVersions(release, host.kernel);
    verdicts.push({
      rule: 'host.kernel',
      ok: order !== undefined && order >= 0,
      detail: `kernel ${facts.kernel}, at least ${host.kernel}`,
    });
  }
  if (host?.lockdown !== undefined) {
    const mode = facts.lockdown ?? 'none';
    verdicts.push({
      rule: 'host.lockdown',
      ok: LOCKDOWN.indexOf(mode) >= LOCKDOWN.indexOf(host.lockdown),
      detail: `lockdown ${mode}, at least ${host.lockdown}`,
    });
  }
  const holds = (name: string): boolean | undefined => {
    const bit = CAPABILITY_BITS[name];
    if (bit === undefined || facts.capabilities === null) return undefined;
    return (facts.capabilities >> BigInt(bit)) % 2n === 1n;
  };
  for (const [key, wanted] of [
    ['required_capabilities', true],
    ['forbidden_capabilities', false],
  ] as const) {
    const names = host?.[key];
    if (names === undefined) continue;
    const wrong = names.filter((name) => holds(name) !== wanted);
    const unknown = wrong.filter((name) => holds(name) === undefined);
    verdicts.push({
      rule: `host.${key}`,
      ok: wrong.length === 0,
      detail:
        unknown.length > 0
          ? `not known here: ${unknown.join(', ')}`
          : wrong.length > 0
            ? `${wanted ? 'not held' : 'held'}: ${wrong.join(', ')}`
            : names.join(', '),
    });
  }
  return verdicts;
}

/** The rules on a trace. */
export function judgeTrace(policy: Policy, limits: PolicyLimits, trace: PolicyTrace): Verdict[] {
  return [
    ...judgePacks(policy, trace),
    ...judgeTargets(policy, trace),
    ...judgeOutput(policy, trace),
    ...judgeLimits(limits, trace),
  ];
}

function judgePacks({ packs }: Policy, trace: PolicyTrace): Verdict[] {
  const verdicts: Verdict[] = [];
  if (packs?.signed === true) {
    const unsigned = trace.packs.filter(({ signers }) => signers.length === 0).map(({ name }) => name);
    verdicts.push({
      rule: 'packs.signed',
      ok: unsigned.length === 0,
      detail:
        unsigned.length === 0
          ? 'every pack is signed by a key this host trusts'
          : `without a good signature of a key in /etc/ingero/trust.d: ${unsigned.join(', ')}`,
    });
  }
  if (packs?.allow !== undefined) {
    const { allow } = packs;
    const refused = trace.packs.filter(
      (pack) =>
        !allow.some(
          ({ name, sha256, signer }) =>
            (name === undefined || name === pack.name) &&
            (sha256 === undefined || sha256 === pack.sha256) &&
            (signer === undefined ||
              (pack.signers.length > 0 && pack.signers.every((one) => one === signer))),
        ),
    );
    verdicts.push({
      rule: 'packs.allow',
      ok: refused.length === 0,
      detail:
        refused.length === 0
          ? 'every pack is on the list'
          : `not on the list: ${refused.map(({ name, sha256 }) => `${name} (${sha256.slice(0, 12)})`).join(', ')}`,
    });
  }
  return verdicts;
}

function judgeTargets({ targets }: Policy, { processes }: PolicyTrace): Verdict[] {
  if (targets === undefined) return [];
  const rules: [string, (process: PolicyProcess) => boolean, (process: PolicyProcess) => string][] = [];
  const { users, cgroups, executables } = targets;
  if (users !== undefined) {
    const allows = ({ uid, user }: PolicyProcess): boolean =>
      users.some((one) => one === uid || String(one) === user || String(one) === String(uid));
    rules.push(['targets.users', allows, ({ user, uid }) => `user ${user ?? uid ?? 'unknown'}`]);
  }
  if (cgroups !== undefined) {
    rules.push([
      'targets.cgroups',
      ({ cgroup }) => cgroup !== null && matches(cgroups, cgroup),
      ({ cgroup }) => `cgroup ${cgroup ?? 'unknown'}`,
    ]);
  }
  if (executables !== undefined) {
    rules.push([
      'targets.executables',
      ({ exe }) => exe !== null && matches(executables, exe),
      ({ exe }) => `executable ${exe ?? 'unknown'}`,
    ]);
  }
  return rules.map(([rule, allows, describe]) => {
    if (processes === null) {
      return {
        rule,
        ok: false,
        detail: 'not every process may be traced: name some with --pid or -- COMMAND',
      };
    }
    const refused = processes.filter((process) => !allows(process));
    return {
      rule,
      ok: refused.length === 0,
      detail: (refused.length === 0 ? processes : refused)
        .map((process) => `${process.name}: ${describe(process)}`)
        .join('; '),
    };
  });
}

/** A glob in which `*` stands for any text, also across folders. */
function matches(globs: readonly string[], text: string): boolean {
  return globs.some((glob) =>
    new RegExp(
      `^${glob
        .split('*')
        .map((part) => part.replace(/[.+?^${}()|[\]\\]/g, '\\$&'))
        .join('.*')}$`,
      's',
    ).test(text),
  );
}

function judgeOutput({ output }: Policy, { directory }: PolicyTrace): Verdict[] {
  if (output?.directories === undefined) return [];
  const isInside = output.directories.some((allowed) => {
    const folder = allowed.replace(/\/+$/, '');
    return directory === folder || directory.startsWith(`${folder}/`) || folder === '';
  });
  return [
    {
      rule: 'output.directories',
      ok: isInside,
      detail: `${directory}${isInside ? '' : ` is in none of ${output.directories.join(', ')}`}`,
    },
  ];
}

function judgeLimits(limits: PolicyLimits, trace: PolicyTrace): Verdict[] {
  return (
    [
      ['limits.duration', limits.durationMs, trace.durationMs, 'ms'],
      ['limits.size', limits.sizeBytes, trace.sizeBytes, 'bytes'],
      ['limits.overhead', limits.overheadPercent, trace.overheadPercent, 'percent'],
    ] as const
  ).flatMap(([rule, limit, asked, unit]) =>
    limit === null
      ? []
      : [
          {
            rule,
            ok: asked === null || asked <= limit,
            detail: `${asked === null ? 'nothing asked for' : `${asked} ${unit} asked for`}, at most ${limit} ${unit}`,
          },
        ],
  );
}
