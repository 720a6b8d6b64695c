/**
 * C types as both ABIs ingero knows see them: LP64, little-endian. Sizes and alignments are those of
 * System V AMD64 psABI 3.1.2 and AAPCS64 5.1, which agree for every type here.
 */

export interface IntType {
  kind: 'int';
  size: 1 | 2 | 4 | 8 | 16;
  /** `plain` is `char` without a sign: signed on x86-64, unsigned on AArch64. */
  signed: boolean | 'plain';
}

/** float, double and long double. */
export interface FloatType {
  kind: 'float';
  size: 4 | 8 | 16;
}

export interface PointerType {
  kind: 'pointer';
  to: CType;
}

export interface ArrayType {
  kind: 'array';
  of: CType;
  length: number;
}

export interface Member {
  name: string;
  type: CType;
  offset: number;
}

export interface RecordType {
  kind: 'record';
  /** `struct X` or `union X`, for messages. */
  name: string;
  union: boolean;
  /** Absent while the type is only declared, as in `struct CUstream_st;`. */
  members?: readonly Member[];
  size: number;
  align: number;
}

export interface VoidType {
  kind: 'void';
}

/** Only ever the target of a pointer. */
export interface FunctionType {
  kind: 'function';
}

export type CType = IntType | FloatType | PointerType | ArrayType | RecordType | VoidType | FunctionType;

export const VOID: VoidType = { kind: 'void' };
export const FUNCTION: FunctionType = { kind: 'function' };

/** Size of a complete type in bytes; 0 for void, functions and types that were never defined. */
export function sizeOf(type: CType): number {
  switch (type.kind) {
    case 'int':
    case 'float':
    case 'record':
      return type.size;
    case 'pointer':
      return 8;
    case 'array':
      return type.length * sizeOf(type.of);
    default:
      return 0;
  }
}

/** Natural alignment in bytes; 1 for types without one. */
export function alignOf(type: CType): number {
  switch (type.kind) {
    case 'int':
    case 'float':
      return type.size;
    case 'record':
      return type.align;
    case 'pointer':
      return 8;
    case 'array':
      return alignOf(type.of);
    default:
      return 1;
  }
}

/** Rounds `value` up to a multiple of `align`. */
export function roundUp(value: number, align: number): number {
  return Math.ceil(value / align) * align;
}

/** Whether values of the type can exist (a struct that was only declared has none). */
export function isComplete(type: CType): boolean {
  if (type.kind === 'array') return isComplete(type.of);
  if (type.kind === 'record') return type.members !== undefined;
  return type.kind !== 'void' && type.kind !== 'function';
}

/** Fills in members with their offsets, the size and the alignment of a struct or union. */
export function layOut(record: RecordType, members: readonly { name: string; type: CType }[]): void {
  let end = 0;
  let align = 1;
  const placed: Member[] = [];
  for (const { name, type } of members) {
    const offset = record.union ? 0 : roundUp(end, alignOf(type));
    placed.push({ name, type, offset });
    end = Math.max(end, offset + sizeOf(type));
    align = Math.max(align, alignOf(type));
  }
  record.members = placed;
  record.align = align;
  record.size = roundUp(end, align);
}

/** A member by name, looking into unnamed structs and unions as C11 does. */
export function findMember(record: RecordType, name: string): Member | undefined {
  for (const member of record.members ?? []) {
    if (member.name === name) return member;
    if (member.name === '' && member.type.kind === 'record') {
      const inner = findMember(member.type, name);
      if (inner !== undefined) return { ...inner, offset: member.offset + inner.offset };
    }
  }
  return undefined;
}

/** Names of all members that can be written after `.`, for suggestions. */
export function memberNames(record: RecordType): string[] {
  return (record.members ?? []).flatMap((member) =>
    member.name === '' && member.type.kind === 'record' ? memberNames(member.type) : [member.name],
  );
}

export interface Leaf {
  type: IntType | FloatType | PointerType;
  offset: number;
}

/** The scalars a value is made of, with their offsets. Meant for values of a few dozen bytes. */
export function* leaves(type: CType, offset = 0): Generator<Leaf> {
  if (type.kind === 'int' || type.kind === 'float' || type.kind === 'pointer') {
    yield { type, offset };
  } else if (type.kind === 'array' && sizeOf(type.of) > 0) {
    for (let index = 0; index < type.length; index++) {
      yield* leaves(type.of, offset + index * sizeOf(type.of));
    }
  } else if (type.kind === 'record') {
    for (const member of type.members ?? []) yield* leaves(member.type, offset + member.offset);
  }
}

/** Short C spelling of a type for messages. */
export function spell(type: CType): string {
  switch (type.kind) {
    case 'int':
      if (type.signed === 'plain') return 'char';
      return `${type.signed ? '' : 'u'}int${type.size * 8}_t`;
    case 'float':
      return { 4: 'float', 8: 'double', 16: 'long double' }[type.size];
    case 'pointer':
      return `${spell(type.to)} *`;
    case 'array':
      return `${spell(type.of)}[${type.length}]`;
    case 'record':
      return type.name;
    default:
      return type.kind;
  }
}
