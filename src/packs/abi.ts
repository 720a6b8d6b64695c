/**
 * Where the arguments of a function lie when it is entered, from its declaration alone.
 *
 * x86-64: System V AMD64 psABI 1.0, section 3.2.3 "Parameter Passing".
 * AArch64: Procedure Call Standard for the Arm 64-bit Architecture, section 6.8.2 "Parameter passing rules".
 */
import { alignOf, type CType, type Leaf, leaves, roundUp, sizeOf } from './ctype.js';
import type { Arch } from './model.js';
import type { Prototype } from './prototype.js';

/** Eight bytes of an argument. What is in a vector register cannot be captured. */
export type Word =
  | { kind: 'register'; index: number }
  | { kind: 'stack'; index: number }
  | { kind: 'vector' };

/** A value in words, or a word holding the address of a copy the caller made. */
export type Location = { by: 'value'; words: readonly Word[] } | { by: 'reference'; word: Word };

/** The location of every parameter, in order. */
export function locateArguments(prototype: Prototype, arch: Arch): Location[] {
  return arch === 'x64' ? locateSysV(prototype) : locateAapcs64(prototype);
}

const VECTOR: Word = { kind: 'vector' };

/** The caller's stack arguments, counted in eightbytes from the first. */
class StackArea {
  private next = 0;

  /** Takes room for a value; both ABIs align it to 8 bytes, or 16 when the type asks for that. */
  take(type: CType): Word[] {
    this.next = roundUp(this.next, Math.max(1, alignOf(type) / 8));
    const words = eightbytes(type);
    const first = this.next;
    this.next += words;
    return Array.from({ length: words }, (_, index) => ({ kind: 'stack', index: first + index }));
  }
}

function eightbytes(type: CType): number {
  return Math.ceil(sizeOf(type) / 8);
}

function registers(first: number, count: number): Word[] {
  return Array.from({ length: count }, (_, index) => ({ kind: 'register', index: first + index }));
}

type SysVClass = 'none' | 'integer' | 'sse' | 'x87' | 'x87up' | 'memory';

/** Classes of a scalar's eightbytes: one, or two for 16-byte scalars. */
function scalarClasses(type: Leaf['type']): SysVClass[] {
  if (type.kind !== 'float') return sizeOf(type) === 16 ? ['integer', 'integer'] : ['integer'];
  return type.size === 16 ? ['x87', 'x87up'] : ['sse'];
}

/** psABI 3.2.3, classification step 4: what shares an eightbyte (structs, unions). */
function merge(a: SysVClass, b: SysVClass): SysVClass {
  if (a === b || b === 'none') return a;
  if (a === 'none') return b;
  if (a === 'memory' || b === 'memory') return 'memory';
  if (a === 'integer' || b === 'integer') return 'integer';
  return 'memory'; // one of them is x87 or x87up, the other is not the same
}

/** Class of each eightbyte; `[memory]` when the value as a whole is in memory. */
function classify(type: CType): SysVClass[] {
  if (sizeOf(type) > 16) return ['memory'];
  const classes: SysVClass[] = Array.from({ length: eightbytes(type) }, () => 'none');
  for (const leaf of leaves(type)) {
    const first = Math.floor(leaf.offset / 8);
    for (const [index, kind] of scalarClasses(leaf.type).entries()) {
      classes[first + index] = merge(classes[first + index] ?? 'none', kind);
    }
  }
  // Step 5: memory anywhere is memory, and so is the upper half of an x87 value without its lower half.
  const torn = classes.some((kind, index) => kind === 'x87up' && classes[index - 1] !== 'x87');
  return torn || classes.includes('memory') ? ['memory'] : classes;
}

function locateSysV(prototype: Prototype): Location[] {
  const stack = new StackArea();
  // The caller passes the address for a result in memory as a hidden first argument.
  let integerUsed = classify(prototype.returns)[0] === 'memory' ? 1 : 0;
  let sseUsed = 0;
  return prototype.params.map(({ type }) => {
    const classes = classify(type);
    const integers = classes.filter((kind) => kind === 'integer').length;
    const vectors = classes.filter((kind) => kind === 'sse').length;
    // All or nothing: what does not fit whole goes to the stack and leaves the registers to later arguments.
    // x87 values are always there.
    const registersOnly = integers + vectors === classes.length;
    if (!registersOnly || integerUsed + integers > 6 || sseUsed + vectors > 8) {
      return { by: 'value', words: stack.take(type) };
    }
    const words = classes.map(
      (kind): Word => (kind === 'sse' ? VECTOR : { kind: 'register', index: integerUsed++ }),
    );
    sseUsed += vectors;
    return { by: 'value', words };
  });
}

/**
 * Members of a Homogeneous Floating-point Aggregate (1 to 4 members of one floating-point type), 1 for a
 * floating-point scalar, 0 for anything else. AAPCS64 5.9.5.
 */
function floatMembers(type: CType): number {
  const size = sizeOf(type);
  if (size === 0 || size > 64) return 0;
  let member = 0;
  for (const leaf of leaves(type)) {
    if (leaf.type.kind !== 'float' || (member !== 0 && leaf.type.size !== member)) return 0;
    member = leaf.type.size;
  }
  const count = size / member;
  return count <= 4 ? count : 0;
}

function locateAapcs64(prototype: Prototype): Location[] {
  const stack = new StackArea();
  // NGRN and NSRN of the standard. The address of a result in memory is passed in x8: no argument moves.
  let general = 0;
  let vector = 0;
  const place = (type: CType): Word[] => {
    const floats = floatMembers(type);
    if (floats > 0) {
      if (vector + floats <= 8) {
        vector += floats;
        return Array.from({ length: eightbytes(type) }, () => VECTOR);
      }
      vector = 8; // C.3: later ones do not go back to registers
      return stack.take(type);
    }
    if (alignOf(type) === 16) general = roundUp(general, 2); // C.10
    const words = eightbytes(type);
    if (general + words <= 8) {
      general += words;
      return registers(general - words, words);
    }
    general = 8; // C.13: likewise
    return stack.take(type);
  };
  return prototype.params.map(({ type }) => {
    const copied = type.kind === 'record' && sizeOf(type) > 16 && floatMembers(type) === 0; // B.4
    if (!copied) return { by: 'value', words: place(type) };
    const [word] = place({ kind: 'pointer', to: type });
    return { by: 'reference', word: word ?? VECTOR };
  });
}
