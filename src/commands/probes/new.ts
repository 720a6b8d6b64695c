import { writeFileSync } from 'node:fs';
import { Args, Flags } from '@oclif/core';
import { BaseCommand } from '../../base-command.js';
import { readCaptureSchema } from '../../capture/schema.js';
import { EXIT, IngeroError } from '../../errors.js';
import { makeSkeleton } from '../../packs/skeleton.js';
import { outputFailure } from '../../query/sink.js';

interface NewPack {
  name: string;
  functions: string[];
  /** Types of the prototypes whose members are not known: the header does not declare them. */
  opaque: string[];
  /** File that was written; null: standard output. */
  out: string | null;
  yaml: string;
}

export default class ProbesNew extends BaseCommand {
  static override summary = 'Write a pack for functions of a C header.';
  static override description =
    'Takes the declarations of the functions and the types they need from a header and what it includes. The pack is valid as it is; what to record of the arguments is left to its author, with every argument listed. docs/probes-commands.md shows an example.';
  static override examples = [
    {
      description: 'Two functions of a library',
      command:
        '<%= config.bin %> probes new site --header site.h --function site_alloc --function site_free --soname "libsite.so.*" --out site.yaml',
    },
  ];
  static override args = {
    name: Args.string({
      description: 'Name of the pack: lower-case letters, digits and dashes.',
      required: true,
    }),
  };
  static override flags = {
    header: Flags.string({ description: 'C header that declares the functions.', required: true }),
    function: Flags.string({
      char: 'f',
      description: 'Function to trace; may be repeated.',
      required: true,
      multiple: true,
      multipleNonGreedy: true,
    }),
    include: Flags.string({
      char: 'I',
      description: 'Folder with headers that the header includes; may be repeated.',
      multiple: true,
      multipleNonGreedy: true,
    }),
    soname: Flags.string({ description: 'Glob over library names. [default: libNAME.so*]' }),
    table: Flags.string({
      description: 'Event table for the rows: a built-in one, or a new one with a column per argument.',
      default: 'cuda_events',
    }),
    out: Flags.string({ char: 'o', description: 'File to write. [default: standard output]' }),
  };

  async run(): Promise<NewPack> {
    const { args, flags } = await this.parse(ProbesNew);
    if (!/^[a-z0-9][a-z0-9-]{0,62}$/.test(args.name)) {
      throw new IngeroError(`${JSON.stringify(args.name)} cannot be the name of a pack.`, {
        code: 'bad-pack-name',
        exitCode: EXIT.usage,
        expected: 'lower-case letters, digits and dashes',
      });
    }
    const { yaml, functions, opaque } = makeSkeleton({
      name: args.name,
      header: flags.header,
      functions: flags.function,
      includeDirs: flags.include ?? [],
      soname: flags.soname ?? `lib${args.name}.so*`,
      table: flags.table,
      schema: readCaptureSchema(),
    });
    if (flags.out === undefined) this.log(yaml.replace(/\n$/, ''));
    else {
      writeNew(flags.out, yaml);
      this.log(
        `Written to ${flags.out}: ${functions.length === 1 ? '1 function' : `${functions.length} functions`}.`,
      );
    }
    return { name: args.name, functions, opaque, out: flags.out ?? null, yaml };
  }
}

function writeNew(path: string, text: string): void {
  try {
    writeFileSync(path, text, { flag: 'wx', mode: 0o644 });
  } catch (cause) {
    throw outputFailure(path, cause);
  }
}
