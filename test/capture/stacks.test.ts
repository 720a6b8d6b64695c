import { describe, expect, it } from 'vitest';
import { Stacks } from '../../src/capture/stacks.js';
import { codeRanges } from '../../src/discovery/maps.js';
import { MAX_FRAMES, RECORD_STACK, STACK } from '../../src/ring/record.js';

/** A stack record as the kernel writes it, of frames for which it knew no build-id. */
function record(pid: number, hash: bigint, addresses: readonly bigint[]): Uint32Array {
  const words = new Uint32Array(STACK.frames + MAX_FRAMES * STACK.frameWords);
  const put = (at: number, value: bigint): void => {
    words[at] = Number(value & 0xffffffffn);
    words[at + 1] = Number(value >> 32n);
  };
  words[0] = RECORD_STACK;
  words[STACK.pid] = pid;
  put(STACK.hash, hash);
  words[STACK.frameCount] = addresses.length;
  addresses.forEach((address, index) => {
    put(STACK.addresses + index * 2, address);
  });
  return words;
}

describe('stacks of a process that lives', () => {
  const code = codeRanges(process.pid).find(({ path }) => path === process.execPath);
  if (code === undefined) throw new Error('this process has no code');
  const inside = code.start + 16n;

  it('have the file of every frame, also the second time', () => {
    const stacks = new Stacks();
    stacks.meet(record(process.pid, 1n, [inside, inside]), 0);
    stacks.meet(record(process.pid, 2n, [inside]), 0);
    const { frames } = stacks.take();
    expect(
      frames.map(({ stack_id, position, address, module }) => [stack_id, position, address, module]),
    ).toEqual([
      [1, 0, inside, code.path],
      [1, 1, inside, code.path],
      [2, 0, inside, code.path],
    ]);
  });

  it('end where the walk left the program', () => {
    const stacks = new Stacks();
    const nowhere = [0xffffff0123456789n, 0n, 4096n, code.start - 1n];
    nowhere.forEach((address, at) => {
      stacks.meet(record(process.pid, BigInt(at + 1), [inside, address, inside]), 0);
    });
    const { stacks: rows, frames } = stacks.take();
    expect(frames.map(({ address }) => address)).toEqual(nowhere.map(() => inside));
    expect(rows).toEqual(nowhere.map((_, at) => ({ stack_id: at + 1, depth: 1, truncated: false })));
  });
});

it('frames of a process that has ended have an address and no file', () => {
  const stacks = new Stacks();
  stacks.meet(record(2 ** 30, 1n, [4096n]), 0);
  expect(stacks.take().frames).toMatchObject([{ address: 4096n, module: null }]);
});
