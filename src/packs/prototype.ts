import { DeclarationReader, type Prototype, type TypeTable } from './declaration-reader.js';
import type { TextIssue } from './issue.js';
import { tokenize } from './lexer.js';
import { DeclarationError } from './token-cursor.js';
import { STANDARD_NAMES } from './type-words.js';

export type { Param, Prototype, TypeTable } from './declaration-reader.js';

/** The types every pack knows: those of <stdint.h>, <stddef.h> and `bool`. */
export function standardTypes(): TypeTable {
  return { names: new Map(STANDARD_NAMES), tags: new Map(), broken: new Set() };
}

/**
 * Reads the `types:` block of a pack: struct, union, enum and typedef declarations in C.
 * Never throws; a declaration that cannot be read is reported and skipped.
 */
export function parseTypes(text: string): { types: TypeTable; issues: TextIssue[] } {
  const types = standardTypes();
  const { tokens, issues } = tokenize(text);
  const reader = new DeclarationReader(tokens, types, 'types');
  reader.readTypes();
  return { types, issues: [...issues, ...(issues.length > 0 ? [] : reader.issues)] };
}

/**
 * Reads one C function declaration. Never throws. `prototype` is absent when the declaration cannot be
 * used; `issues` may be empty then, if the cause was already reported for the `types:` block.
 */
export function parsePrototype(
  text: string,
  types: TypeTable,
): { prototype?: Prototype; issues: TextIssue[] } {
  const { tokens, issues } = tokenize(text);
  if (issues.length > 0) return { issues };
  const own = { ...types, names: new Map(types.names), tags: new Map(types.tags) };
  const reader = new DeclarationReader(tokens, own, 'prototype');
  try {
    const prototype = reader.readPrototype();
    const usable = reader.issues.length === 0 && !reader.spoiled;
    return usable ? { prototype, issues: [] } : { issues: reader.issues };
  } catch (error) {
    if (!(error instanceof DeclarationError)) throw error;
    return { issues: [...reader.issues, error.issue] };
  }
}
