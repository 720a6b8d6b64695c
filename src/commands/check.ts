import { Flags } from '@oclif/core';
import { BaseCommand } from '../base-command.js';
import { confinedProcesses } from '../discovery/confined.js';
import { readGpuInventory } from '../discovery/gpu.js';
import { type HostFacts, readHostFacts } from '../discovery/host.js';
import { HOST_ARCH } from '../discovery/host-arch.js';
import { surveyPack } from '../discovery/pack-libraries.js';
import { EXIT, IngeroError } from '../errors.js';
import { tryBpf } from '../loader/trial.js';
import { compilePack, loadBuiltinPacks } from '../packs/index.js';
import { judgeHost } from '../policy/judge.js';
import { readPolicy } from '../policy/read.js';
import { visible } from '../query/visible.js';
import { checkHost, formatReport, type HostReport, type PolicyEvidence } from '../trust/host-check.js';
import { filteredReturns } from '../trust/return-probes.js';

export default class Check extends BaseCommand {
  static override summary = 'Check whether this host can trace, and what it would trace.';
  static override description =
    'Tries what a trace needs - privileges, kernel features, libbpf, loading the BPF object - and lists the libraries the built-in packs find. Nothing is left attached and nothing is changed. Exit status 0 when ready, 3 when not; docs/check.md explains each line.';

  static override examples = [
    { description: 'Is this host ready?', command: '<%= config.bin %> check' },
    { description: 'For a script', command: '<%= config.bin %> check --json' },
    { description: 'Where libraries were looked for', command: '<%= config.bin %> check --verbose' },
  ];

  static override flags = {
    verbose: Flags.boolean({
      char: 'v',
      description: 'Also list the places searched and the files ignored.',
    }),
  };

  async run(): Promise<HostReport> {
    const { flags } = await this.parse(Check);
    const packs = loadBuiltinPacks().map((pack) => surveyPack(compilePack(pack, HOST_ARCH)));
    const facts = readHostFacts();
    const report = checkHost({
      facts,
      policy: policyEvidence(facts),
      trial: tryBpf(),
      packs,
      gpu: readGpuInventory(),
      returns: await filteredReturns(facts.arch, facts.kernel),
      confined: confinedProcesses(packs.flatMap(({ files }) => files)),
    });
    for (const line of formatReport(report)) this.log(line);
    if (flags.verbose) {
      for (const { pack, searched, ignored } of packs) {
        this.log(`\nSearched for ${pack}:`);
        for (const place of searched) this.log(visible(`  ${place}`));
        for (const { path, reason } of ignored) this.log(visible(`  ignored ${path}: ${reason}`));
      }
    }
    if (!report.ready) process.exitCode = EXIT.notReady;
    return report;
  }
}

/** The rules on the host; those on a trace are judged when there is one. */
function policyEvidence(facts: HostFacts): PolicyEvidence {
  try {
    const file = readPolicy();
    return file === null ? null : { path: file.path, verdicts: judgeHost(file.policy, facts) };
  } catch (error) {
    if (error instanceof IngeroError) return { failure: error.message };
    throw error;
  }
}
