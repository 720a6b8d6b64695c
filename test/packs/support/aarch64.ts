/** Runs the few AArch64 instructions a compiler needs to fetch one argument and store it. */
import type { EntryState } from './machine.js';

const MASK = (1n << 64n) - 1n;
/** Address given to the global the result is stored to. */
const SINK = 0x5_0000_0000n;

/** Bodies of the functions in a compiler's assembly output, by name. */
export function splitFunctions(assembly: string): Map<string, string[]> {
  const bodies = new Map<string, string[]>();
  let body: string[] | undefined;
  for (const raw of assembly.split('\n')) {
    const line = raw.replace(/\/\/.*$/, '').trim();
    const label = /^([a-z]\w*):$/.exec(line);
    if (label?.[1] !== undefined) {
      body = [];
      bodies.set(label[1], body);
    } else if (body !== undefined && line !== '' && !line.startsWith('.')) {
      body.push(line.replaceAll(/\s+/g, ' '));
    }
  }
  return bodies;
}

/** The value a function stores to the global `sink`. Throws on an instruction it does not know. */
export function storedValue(body: readonly string[], entry: EntryState, stackPointer: bigint): bigint {
  const machine = new Machine(entry, stackPointer);
  for (const line of body) {
    if (line === 'ret') return machine.load(SINK, 8);
    machine.step(line);
  }
  throw new Error('function without ret');
}

class Machine {
  private readonly registers = new Map<string, bigint>();
  private readonly written = new Map<bigint, number>();

  constructor(
    private readonly entry: EntryState,
    stackPointer: bigint,
  ) {
    entry.registers.forEach((value, index) => {
      this.registers.set(`x${index}`, value);
    });
    this.registers.set('sp', stackPointer);
    this.registers.set('xzr', 0n);
  }

  load(address: bigint, size: number): bigint {
    let value = 0n;
    for (let byte = size - 1; byte >= 0; byte--) {
      const at = (address + BigInt(byte)) & MASK;
      value = (value << 8n) | BigInt(this.written.get(at) ?? this.entry.memory(at));
    }
    return value;
  }

  private store(address: bigint, size: number, value: bigint): void {
    for (let byte = 0; byte < size; byte++) {
      this.written.set((address + BigInt(byte)) & MASK, Number((value >> BigInt(byte * 8)) & 0xffn));
    }
  }

  private read(operand: string): bigint {
    if (operand.startsWith('#')) return BigInt(operand.slice(1)) & MASK;
    const value = this.registers.get(operand.replace(/^w/, 'x')) ?? 0n;
    return operand.startsWith('w') ? value & 0xffff_ffffn : value;
  }

  private write(register: string, value: bigint): void {
    const wide = register.startsWith('w') ? value & 0xffff_ffffn : value & MASK;
    this.registers.set(register.replace(/^w/, 'x'), wide);
  }

  step(line: string): void {
    const space = line.indexOf(' ');
    const name = line.slice(0, space);
    const operands = line.slice(space + 1);
    const memory = /^(.+?), \[(\w+)(?:, (?:#(-?\d+)|:lo12:sink))?\](?:, #(-?\d+))?(!)?$/.exec(operands);
    if (/^(ld|st)/.test(name)) {
      if (memory === null) throw new Error(`unknown operands: ${line}`);
      this.access(name, memory, line);
    } else {
      this.compute(name, operands.split(', '), line);
    }
  }

  private access(name: string, memory: RegExpExecArray, line: string): void {
    const [, targets = '', base = '', offset = '0', post] = memory;
    const address = (this.read(base) + BigInt(offset)) & MASK;
    if (post !== undefined || memory[5] !== undefined) throw new Error(`unknown addressing: ${line}`);
    const registers = targets.split(', ');
    const suffix = name.replace(/^(ldp|stp|ldu?r|stu?r)/, '');
    const natural = registers[0]?.startsWith('w') ? 4 : 8;
    const size = { '': natural, b: 1, h: 2, sb: 1, sh: 2, sw: 4 }[suffix];
    if (size === undefined || /^[qdsv]\d/.test(targets)) throw new Error(`unknown access: ${line}`);
    for (const [index, register] of registers.entries()) {
      const at = address + BigInt(index * size);
      if (name.startsWith('st')) this.store(at, size, this.read(register));
      else {
        const value = this.load(at, size);
        this.write(register, suffix.startsWith('s') ? BigInt.asIntN(size * 8, value) : value);
      }
    }
  }

  private compute(name: string, [to = '', first = '', ...rest]: string[], line: string): void {
    const width = to.startsWith('w') ? 32 : 64;
    const a = (): bigint => this.read(first);
    const b = (): bigint => this.read(rest[0] ?? '');
    const number = (index: number): number => Number((rest[index] ?? '').replace('#', ''));
    const field = (): bigint => (a() >> BigInt(number(0))) & ((1n << BigInt(number(1))) - 1n);
    const operations: Readonly<Record<string, () => bigint>> = {
      mov: a,
      adrp: () => SINK,
      add: () => a() + b(),
      sub: () => a() - b(),
      and: () => a() & b(),
      lsr: () => a() >> b(),
      asr: () => BigInt.asIntN(width, a()) >> b(),
      ubfx: field,
      sbfx: () => BigInt.asIntN(number(1), field()),
      sxtb: () => BigInt.asIntN(8, a()),
      sxth: () => BigInt.asIntN(16, a()),
      sxtw: () => BigInt.asIntN(32, a()),
    };
    const operation = operations[name];
    if (operation === undefined || rest.some((operand) => /lsl|lsr/.test(operand))) {
      throw new Error(`unknown instruction: ${line}`);
    }
    this.write(to, operation());
  }
}
