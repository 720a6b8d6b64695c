import { readFileSync, statSync } from 'node:fs';
import { shippedYaml } from '../shipped-yaml.js';
import { makeProblem, PackDocument } from './document.js';
import { GRAMMAR_VERSION } from './grammar.js';
import type { PackIssue } from './issue.js';
import type { PackProblem } from './model.js';

/** Largest pack file that is read, in bytes. The shipped packs are under 64 KiB. */
export const MAX_PACK_BYTES = 1024 * 1024;

/** A sound YAML text: no more is known of its value than that there is one. */
export interface YamlText {
  document: PackDocument;
  value: unknown;
}

/** The text of a file that may be anything, or why it has none. */
export function readPackText(path: string): { text: string } | { problem: PackProblem } {
  const refuse = (rule: string, message: string): { problem: PackProblem } => ({
    problem: makeProblem(rule, message, path, 1, 1, ''),
  });
  try {
    const stat = statSync(path);
    if (!stat.isFile()) return refuse('unreadable', 'not a regular file');
    if (stat.size > MAX_PACK_BYTES) {
      return refuse('too-large', `the file has ${stat.size} bytes; a pack has at most ${MAX_PACK_BYTES}`);
    }
    return { text: new TextDecoder('utf-8', { fatal: true }).decode(readFileSync(path)) };
  } catch (error) {
    if (error instanceof TypeError) return refuse('not-text', 'the file is not UTF-8 text');
    return refuse('unreadable', (error as Error).message);
  }
}

/** Reads YAML of a pack or an overlay. Never throws; a text for a later ingero gives that one problem. */
export function readYaml(text: string, path: string): YamlText | { problems: PackProblem[] } {
  const refuse = (rule: string, message: string): { problems: PackProblem[] } => ({
    problems: [makeProblem(rule, message, path, 1, 1, '')],
  });
  const bytes = Buffer.byteLength(text);
  if (bytes > MAX_PACK_BYTES) {
    return refuse('too-large', `the file has ${bytes} bytes; a pack has at most ${MAX_PACK_BYTES}`);
  }
  if (text.includes('\0')) return refuse('not-text', 'the file contains a NUL byte');
  try {
    const document = new PackDocument(text, path);
    const shipped = shippedYaml(text);
    if (shipped !== undefined) return { document, value: shipped };
    const newer = newerGrammar(document.topLevel('schema'));
    if (newer !== undefined) return { problems: [document.locate(newer)] };
    const problems = [...document.syntaxProblems(), ...document.duplicateKeys(), ...document.brokenAliases()];
    return problems.length > 0 ? { problems } : { document, value: document.value() };
  } catch (error) {
    // The YAML library recurses into nested values and counts the expansions of aliases.
    if (error instanceof RangeError) return refuse('too-complex', 'the YAML is nested too deeply');
    if (error instanceof ReferenceError) return refuse('too-complex', error.message);
    throw error;
  }
}

/** A file for a later ingero: its other problems would only mislead. */
function newerGrammar(version: unknown): PackIssue | undefined {
  if (typeof version !== 'number' || !(version > GRAMMAR_VERSION)) return undefined;
  return {
    rule: 'newer-grammar',
    message: `this file needs grammar version ${version}; this ingero reads version ${GRAMMAR_VERSION}`,
    at: ['schema'],
    suggestion: 'use a newer ingero',
  };
}
