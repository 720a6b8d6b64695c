import { Args, Flags } from '@oclif/core';
import { BaseCommand } from '../base-command.js';
import { signWhole } from '../evidence/sign.js';
import { visible } from '../query/visible.js';
import { keyId } from '../trust/ecdsa.js';
import { keyDescription } from '../trust/flags.js';
import { signaturePath } from '../trust/signature-file.js';
import { readSigningKey } from '../trust/signing-key.js';

interface Signed {
  /** Id of the key: SHA-256 of its public half. */
  key: string;
  files: { file: string; sha256: string; signature: string; signed_at: string }[];
}

export default class Sign extends BaseCommand {
  static override summary = 'Sign files: captures, seals, probe packs, lists of digests.';
  static override description =
    'Writes FILE.sig beside each file: ECDSA on P-256 over SHA-256, which plain openssl checks as well (docs/signatures.md). The file itself is not changed.';
  static override examples = [
    '<%= config.bin %> sign run.duckdb --key signing.pem',
    {
      description: 'A key pair',
      command:
        'openssl ecparam -name prime256v1 -genkey -noout -out signing.pem && openssl ec -in signing.pem -pubout -out signing.pub.pem',
    },
  ];
  static override strict = false;
  static override args = { file: Args.string({ description: 'Files to sign.', required: true }) };
  static override flags = {
    key: Flags.string({ description: keyDescription, helpValue: 'KEY.pem', required: true }),
    force: Flags.boolean({ description: 'Replace signatures that are there.' }),
  };

  async run(): Promise<Signed> {
    const { argv, flags } = await this.parse(Sign);
    const key = readSigningKey(flags.key);
    const result: Signed = { key: keyId(key), files: [] };
    for (const file of argv as string[]) {
      const { sha256, signedAt } = await signWhole(file, key, flags.force);
      result.files.push({ file, sha256, signature: signaturePath(file), signed_at: signedAt });
      this.log(`${visible(signaturePath(file))}: signed with key ${result.key.slice(0, 16)}`);
    }
    return result;
  }
}
