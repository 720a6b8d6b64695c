import { type CType, isComplete, type RecordType } from '../packs/ctype.js';

/** Writes C types down again, without the names a pack gives them: what is left is what an ABI sees. */
export class CText {
  readonly #records = new Map<RecordType, string>();
  /** Definitions of the structs and unions written so far. */
  readonly definitions: string[] = [];

  /** A declaration of `name` with this type. Qualifiers are gone. */
  declare(type: CType, name: string): string {
    switch (type.kind) {
      case 'int':
        return `${this.#integer(type.size, type.signed)} ${name}`;
      case 'float':
        return `${{ 4: 'float', 8: 'double', 16: 'long double' }[type.size]} ${name}`;
      case 'pointer': {
        // Pointers to what was never defined are only passed on.
        const to = type.to.kind === 'pointer' || isComplete(type.to) ? type.to : null;
        return to === null || to.kind === 'array' ? `void *${name}` : this.declare(to, `*${name}`);
      }
      case 'array':
        return this.declare(type.of, `${name}[${type.length}]`);
      case 'record':
        return `${this.#record(type)} ${name}`;
      default:
        return `void ${name}`;
    }
  }

  #integer(size: number, signed: boolean | 'plain'): string {
    if (signed === 'plain') return 'char';
    if (size === 16) return signed ? '__int128' : 'unsigned __int128';
    return `${signed ? '' : 'u'}int${size * 8}_t`;
  }

  #record(type: RecordType): string {
    const known = this.#records.get(type);
    if (known !== undefined) return known;
    const name = `${type.union ? 'union' : 'struct'} R${this.#records.size}`;
    this.#records.set(type, name);
    const members = (type.members ?? []).map((member) => `${this.declare(member.type, member.name)};`);
    this.definitions.push(`${name} { ${members.join(' ')} };`);
    return name;
  }
}
