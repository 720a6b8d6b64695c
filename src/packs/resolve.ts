import type { Location, Word } from './abi.js';
import {
  type CType,
  findMember,
  type IntType,
  memberNames,
  type PointerType,
  type RecordType,
  sizeOf,
  spell,
} from './ctype.js';
import { type TextIssue, withSuggestion } from './issue.js';
import type { Arch, Slot } from './model.js';
import { type CapturePath, type PathStep, parsePath } from './path.js';
import type { Prototype } from './prototype.js';
import { didYouMean } from './suggest.js';

type Width = 1 | 2 | 4 | 8;

/** The place one number is read from. */
export interface Source {
  from: Slot['from'];
  /** Present when the word is an address: read there. `extent` is how many bytes are known to be there. */
  deref?: { at: 'entry' | 'return'; offset: number; extent: number };
  /** Byte offset in the word; 0 when `deref` is present. */
  offset: number;
  size: Width;
  signed: boolean;
  /** Whether the C type is an integer or enum (a pointer is not). */
  integer: boolean;
  /** Whether the path itself goes through a pointer (a struct passed by reference does not count). */
  throughPointer: boolean;
  /** The value is the address of a text, or `offset` bytes before one; read at return or at entry. */
  text?: { at: 'entry' | 'return'; offset: number; maxBytes: number };
}

/** Where an argument lies when the function is entered. */
type Argument = Extract<Slot['from'], { index: number }>;

/** What a path has reached: bytes of an argument, or bytes behind a pointer. */
interface Place {
  type: CType;
  offset: number;
  behind?: { from: Argument; extent: number };
}

class PathError extends Error {
  constructor(readonly issue: TextIssue) {
    super(issue.message);
  }
}

function fail(rule: string, message: string, offset: number, suggestion?: string): never {
  throw new PathError(withSuggestion({ rule, message, offset }, suggestion));
}

/**
 * Finds the text a capture path names: a `char *`, or an array of char behind a pointer. `at` says when it, and the
 * pointer to it where that is behind another one, is read.
 */
export function resolveText(
  text: string,
  prototype: Prototype,
  locations: readonly Location[],
  arch: Arch,
  at: 'entry' | 'return',
  maxBytes: number,
): { source: Source } | { issue: TextIssue } {
  return attempt(() => {
    const { place, path, location, size } = reach(text, prototype, locations);
    const { type, behind } = place;
    if (isText(type) && type.kind === 'array') {
      if (behind === undefined) fail('not-a-text', 'an array is a text only behind a pointer', 0);
      return {
        ...textOf({ at, offset: place.offset, maxBytes: Math.min(maxBytes, type.length) }),
        from: behind.from,
      };
    }
    if (!isText(type)) fail('not-a-text', `${text} is ${spell(type)}, not a C string`, 0);
    return { ...read(place, path, location, size, arch, at), ...textOf({ at, offset: 0, maxBytes }) };
  });
}

/** The text a function returns the address of. */
export function resultText(
  prototype: Prototype,
  maxBytes: number,
): { source: Source } | { issue: TextIssue } {
  const { returns, name } = prototype;
  if (returns.kind !== 'pointer' || !isText(returns)) {
    return { issue: { rule: 'not-a-text', message: `${name} returns no C string`, offset: 0 } };
  }
  return { source: { ...textOf({ at: 'return', offset: 0, maxBytes }), from: { kind: 'result' } } };
}

/** What a function returns, as a value: an integer of 32 or 64 bits or a pointer. */
export function resultValue({ returns, name }: Prototype): { source: Source } | { issue: TextIssue } {
  const isWhole =
    returns.kind === 'pointer' || (returns.kind === 'int' && (returns.size === 4 || returns.size === 8));
  if (!isWhole) {
    const message = `${name} returns no pointer and no integer of 32 or 64 bits`;
    return { issue: { rule: 'not-a-number', message, offset: 0 } };
  }
  return {
    source: {
      from: { kind: 'result' },
      offset: 0,
      size: returns.kind === 'int' ? (returns.size as Width) : 8,
      signed: returns.kind === 'int' && returns.signed === true,
      integer: returns.kind === 'int',
      throughPointer: false,
    },
  };
}

function textOf(text: NonNullable<Source['text']>): Omit<Source, 'from'> {
  return { text, offset: 0, size: 8, signed: false, integer: false, throughPointer: false };
}

/** `char *`, an array of char, and what typedefs make of them. */
function isText(type: CType): boolean {
  const of = type.kind === 'pointer' ? type.to : type.kind === 'array' ? type.of : undefined;
  return of?.kind === 'int' && of.size === 1;
}

/**
 * Finds what a capture path names. `at` says when memory behind a pointer is read. Never throws; the
 * offsets of the issue count from the start of the path.
 */
export function resolvePath(
  text: string,
  prototype: Prototype,
  locations: readonly Location[],
  arch: Arch,
  at: 'entry' | 'return',
): { source: Source } | { issue: TextIssue } {
  return attempt(() => {
    const { place, path, location, size } = reach(text, prototype, locations);
    return read(place, path, location, size, arch, at);
  });
}

function attempt(find: () => Source): { source: Source } | { issue: TextIssue } {
  try {
    return { source: find() };
  } catch (error) {
    if (!(error instanceof PathError)) throw error;
    return { issue: error.issue };
  }
}

/** Follows a path to its end. `size`: bytes of the argument it starts at. */
function reach(
  text: string,
  prototype: Prototype,
  locations: readonly Location[],
): { place: Place; path: CapturePath; location: Location; size: number } {
  const path = parsePath(text);
  if (path === undefined) {
    fail(
      'bad-path',
      `${JSON.stringify(text)} is not a path`,
      0,
      'write it as in C: size, extent.width, config->gridDim.x, *devPtr',
    );
  }
  const index = prototype.params.findIndex((param) => param.name === path.root);
  const location = locations[index];
  const param = prototype.params[index];
  if (param === undefined || location === undefined) {
    const names = prototype.params.flatMap((known) => known.name ?? []);
    fail(
      'unknown-argument',
      `${prototype.name} has no argument ${path.root}`,
      text.indexOf(path.root),
      didYouMean(path.root, names) ?? (names.length === 0 ? 'the declaration names no arguments' : undefined),
    );
  }
  let place: Place = { type: param.type, offset: 0 };
  for (const step of path.steps) place = takeStep(place, step, location);
  for (let star = 0; star < path.stars; star++) place = dereference(place, 0, 1, location, 0);
  return { place, path, location, size: sizeOf(param.type) };
}

function takeStep(place: Place, step: PathStep, location: Location): Place {
  if (step.kind === '[]') return takeIndex(place, step, location);
  const { type } = place;
  if (step.kind === '->') {
    if (type.kind !== 'pointer') {
      fail(
        'not-a-pointer',
        `-> needs a pointer, this is ${spell(type)}`,
        step.offset,
        type.kind === 'record' ? 'write . instead of ->' : undefined,
      );
    }
    return takeMember(dereference(place, 0, 1, location, step.offset), step.name, step.offset);
  }
  if (type.kind === 'pointer' && type.to.kind === 'record') {
    fail('not-a-struct', `. needs a struct, this is ${spell(type)}`, step.offset, 'write -> instead of .');
  }
  return takeMember(place, step.name, step.offset);
}

function takeMember(place: Place, name: string, offset: number): Place {
  const { type } = place;
  if (type.kind !== 'record') fail('not-a-struct', `${spell(type)} has no members`, offset);
  if (type.members === undefined) {
    fail(
      'incomplete-type',
      `the members of ${type.name} are not declared`,
      offset,
      `declare ${type.name} under types`,
    );
  }
  const member = findMember(type, name);
  if (member === undefined) {
    fail('unknown-member', `${type.name} has no member ${name}`, offset, didYouMean(name, memberNames(type)));
  }
  return { ...place, type: member.type, offset: place.offset + member.offset };
}

function takeIndex(place: Place, step: PathStep & { kind: '[]' }, location: Location): Place {
  const { type } = place;
  if (type.kind === 'array') {
    if (step.index >= type.length) {
      fail('bad-index', `index ${step.index} is outside ${spell(type)}`, step.offset);
    }
    return { ...place, type: type.of, offset: place.offset + step.index * sizeOf(type.of) };
  }
  return dereference(place, step.index, step.index + 1, location, step.offset);
}

/** Follows a pointer to element `index` of `count` elements known to exist. */
function dereference(place: Place, index: number, count: number, location: Location, offset: number): Place {
  const { type } = place;
  if (type.kind !== 'pointer') fail('not-a-pointer', `${spell(type)} is not a pointer`, offset);
  if (place.behind !== undefined) {
    fail('two-dereferences', 'a path may go through one pointer only', offset);
  }
  if (location.by === 'reference') {
    // Its copy is behind a pointer already; one probe must mean the same on every architecture.
    fail(
      'two-dereferences',
      'a pointer inside a struct of more than 16 bytes passed by value cannot be followed on arm64',
      offset,
    );
  }
  const from = location.words[place.offset / 8];
  if (from === undefined || from.kind === 'vector') {
    fail('bad-path', 'this pointer is in no integer register', offset);
  }
  const size = sizeOf(type.to);
  return { type: type.to, offset: index * size, behind: { from, extent: count * size } };
}

function read(
  place: Place,
  path: CapturePath,
  location: Location,
  argumentSize: number,
  arch: Arch,
  at: 'entry' | 'return',
): Source {
  const { type, offset } = place;
  const scalar = requireScalar(type, path);
  const signed = scalar.kind === 'int' && (scalar.signed === 'plain' ? arch === 'x64' : scalar.signed);
  const common = {
    size: (scalar.kind === 'int' ? scalar.size : 8) as Width,
    signed,
    integer: scalar.kind === 'int',
    throughPointer: place.behind !== undefined,
  };
  if (place.behind !== undefined) {
    const { from, extent } = place.behind;
    return { ...common, from, deref: { at, offset, extent }, offset: 0 };
  }
  if (location.by === 'reference') {
    // The callee may reuse the copy, so it is read at entry whatever the capture says.
    const from = requireInteger(location.word);
    return { ...common, from, deref: { at: 'entry', offset, extent: argumentSize }, offset: 0 };
  }
  return { ...common, from: requireInteger(location.words[Math.floor(offset / 8)]), offset: offset % 8 };
}

function requireInteger(word: Word | undefined): Argument {
  if (word === undefined || word.kind === 'vector') {
    fail('float-value', 'the value is in a floating-point register', 0);
  }
  return word;
}

function requireScalar(type: CType, path: CapturePath): IntType | PointerType {
  const steps = path.steps.map((step) => (step.kind === '[]' ? `[${step.index}]` : step.kind + step.name));
  const written = '*'.repeat(path.stars) + path.root + steps.join('');
  switch (type.kind) {
    case 'pointer':
      return type;
    case 'int':
      if (type.size === 16) fail('bad-type', `${written} is 16 bytes wide; columns hold up to 8`, 0);
      return type;
    case 'float':
      return fail('float-value', `${written} is a ${spell(type)}; columns hold integers`, 0);
    case 'record':
      return fail('not-a-number', `${written} is a ${type.name}`, 0, memberHint(type, written));
    case 'array':
      return fail('not-a-number', `${written} is an array`, 0, `name one element: ${written}[0]`);
    default:
      return fail(
        'not-a-number',
        `${written} is of type ${type.kind}: its size is unknown`,
        0,
        'capture the pointer itself, without *',
      );
  }
}

function memberHint(type: RecordType, written: string): string {
  const names = memberNames(type);
  if (names.length === 0) return `declare ${type.name} under types`;
  const operator = written.startsWith('*') ? '->' : '.';
  return `name one member: ${names
    .slice(0, 8)
    .map((name) => `${written.replace(/^\*/, '')}${operator}${name}`)
    .join(', ')}`;
}
