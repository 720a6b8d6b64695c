import { closeSync, writeSync } from 'node:fs';
import { Args, Flags } from '@oclif/core';
import { BaseCommand } from '../base-command.js';
import { writeNewFile } from '../capture/new-file.js';
import { formatSeal, makeSeal, type Seal, sealPath } from '../evidence/seal.js';
import { ingeroVersion } from '../paths.js';
import { createOutput } from '../query/sink.js';
import { visible } from '../query/visible.js';
import { keyDescription } from '../trust/flags.js';
import { signFile } from '../trust/signature.js';
import { readSigningKey } from '../trust/signing-key.js';

interface Sealed {
  seal: string;
  signature: string | null;
  contents: Seal;
}

export default class SealCapture extends BaseCommand {
  static override summary = 'Seal a capture: write down the digests of the file and of each table.';
  static override description =
    'Writes FILE.seal.json beside the capture, which is not changed. `verify` then tells whether it is still the same, and which tables are not. With --key the seal is signed. docs/evidence.md says how each digest is made, so that other programs can make it too.';
  static override examples = [
    '<%= config.bin %> seal run.duckdb',
    '<%= config.bin %> seal run.duckdb --key signing.pem',
  ];
  static override args = { file: Args.string({ description: 'Capture file.', required: true }) };
  static override flags = {
    key: Flags.string({ description: keyDescription, helpValue: 'KEY.pem' }),
  };

  async run(): Promise<Sealed> {
    const { args, flags } = await this.parse(SealCapture);
    const key = flags.key === undefined ? null : readSigningKey(flags.key);
    const path = sealPath(args.file);
    const progress = process.stderr.isTTY && !this.jsonEnabled();
    const contents = await writeNewFile(path, async (temporary) => {
      const seal = await makeSeal(args.file, ingeroVersion(), (table, index, count) => {
        if (progress) process.stderr.write(`\r\x1b[K${index + 1} of ${count} tables: ${visible(table)}`);
      });
      if (progress) process.stderr.write('\r\x1b[K');
      const file = createOutput(temporary);
      try {
        writeSync(file, formatSeal(seal));
      } finally {
        closeSync(file);
      }
      return seal;
    });
    if (key !== null) await signFile(path, key, true);
    const rows = contents.tables.reduce((sum, { rows: count }) => sum + count, 0);
    this.log(visible(`${path}: ${contents.tables.length} tables, ${rows} rows`));
    for (const { name, sha256 } of contents.files) this.log(visible(`  sha256 ${sha256}  ${name}`));
    if (key === null) this.log('  not signed (--key KEY.pem signs it)');
    return { seal: path, signature: key === null ? null : `${path}.sig`, contents };
  }
}
