import { Args, Flags } from '@oclif/core';
import { BaseCommand } from '../base-command.js';
import { readCaptureSchema } from '../capture/schema.js';
import { checkVersion, SCHEMA_VERSION } from '../capture/version.js';
import { EXIT, IngeroError } from '../errors.js';
import { describeSchema, type SchemaDoc } from '../schema/describe.js';
import { schemaLines, tableLines } from '../schema/text.js';

export default class Schema extends BaseCommand {
  static override summary = 'Describe the tables of a capture.';
  static override description =
    'Lists the tables, or the columns of one: type, unit, meaning, what they join to. The same is in docs/schema/, and in every capture as comments.';

  static override examples = [
    '<%= config.bin %> schema',
    '<%= config.bin %> schema processes',
    {
      description: 'For a program, an older version',
      command: '<%= config.bin %> schema --version 1 --json',
    },
  ];

  static override args = {
    table: Args.string({ description: 'Table, event table or view.' }),
  };

  static override flags = {
    version: Flags.integer({ description: 'Schema version.', default: SCHEMA_VERSION }),
  };

  async run(): Promise<SchemaDoc> {
    const { args, flags } = await this.parse(Schema);
    const schema = describeSchema(readCaptureSchema(checkVersion(flags.version)));
    if (args.table === undefined) {
      for (const line of schemaLines(schema)) this.log(line);
      return schema;
    }
    const table = schema.tables.find(({ name }) => name === args.table);
    if (table === undefined) {
      throw new IngeroError(`Schema version ${schema.schema_version} has no table ${args.table}.`, {
        code: 'unknown-table',
        exitCode: EXIT.usage,
        expected: schema.tables.map(({ name }) => name).join(', '),
      });
    }
    for (const line of tableLines(table)) this.log(line);
    return { ...schema, tables: [table] };
  }
}
