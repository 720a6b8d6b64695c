import { Args } from '@oclif/core';
import { BaseCommand } from '../base-command.js';
import { type Verification, verifyFile } from '../evidence/verify.js';
import { visible } from '../query/visible.js';
import { trustFlag } from '../trust/flags.js';
import { OUTCOME_EXIT, type Outcome, worstOutcome } from '../trust/signature.js';
import { type RefusedKey, readTrustStore } from '../trust/trust-store.js';

interface Verified {
  /** The worst outcome of all files; it decides the exit code. */
  outcome: Outcome;
  files: Verification[];
  trust: { places: string[]; keys: number; refused: RefusedKey[] };
}

export default class Verify extends BaseCommand {
  static override summary = 'Check the signatures and seals of files.';
  static override description =
    "Says who signed each file, with which key, and what the signature covers. A seal (FILE.seal.json) is checked too: where the file is not as it was sealed, the tables that differ are named. Of SHA256SUMS every listed file is checked. Trusted keys are in trust.d of the user's and the host's configuration and in the folders of --trust.";
  static override examples = [
    '<%= config.bin %> verify run.duckdb',
    '<%= config.bin %> verify probes/*.yaml --trust keys/ --json',
  ];
  static override strict = false;
  static override args = { file: Args.string({ description: 'Files to check.', required: true }) };
  static override flags = { trust: trustFlag };

  async run(): Promise<Verified> {
    const { argv, flags } = await this.parse(Verify);
    const store = readTrustStore(flags.trust);
    const files: Verification[] = [];
    for (const file of argv as string[]) {
      const verification = await verifyFile(file, store);
      files.push(verification);
      for (const line of lines(verification)) this.log(visible(line));
    }
    for (const { path, reason } of store.refused) {
      this.logToStderr(visible(`The trusted key ${path} is not used: ${reason}.`));
    }
    const outcome = worstOutcome(files.map((file) => file.outcome));
    process.exitCode = OUTCOME_EXIT[outcome];
    const { places, keys, refused } = store;
    return { outcome, files, trust: { places, keys: keys.length, refused } };
  }
}

function lines({ file, outcome, covered, signature, seal, listed }: Verification): string[] {
  const told = [`${file}: ${outcome}`, `  signature  ${signature.detail}`];
  if (signature.key_file !== null) told.push(`  key file   ${signature.key_file}`);
  if (seal !== null) {
    told.push(`  seal       ${seal.detail}`, `  its signature  ${seal.signature.detail}`);
    if (seal.signature.key_file !== null) told.push(`  key file   ${seal.signature.key_file}`);
    for (const { table, difference, sealed_rows, rows } of seal.tables ?? []) {
      told.push(
        `  table      ${table}: ${difference}; ${sealed_rows ?? 'no'} rows sealed, ${rows ?? 'none'} found`,
      );
    }
  }
  for (const { name, state } of listed ?? [])
    if (state !== 'same') told.push(`  ${state.padEnd(9)}  ${name}`);
  if (outcome === 'good') told.push(`  covered    ${covered}`);
  return told;
}
