import { describe, expect, test } from 'vitest';
import { targetUser } from '../../src/trust/user.js';

describe('whom a trace becomes', () => {
  test('under sudo: who called it, also one no database knows', () => {
    expect(targetUser(undefined, { SUDO_UID: '54321', SUDO_GID: '54322' }, 0)).toEqual({
      uid: 54321,
      gid: 54322,
      name: null,
      home: null,
      shell: null,
    });
  });

  test('nobody else: root itself, and a user whose environment says so', () => {
    for (const [environment, uid] of [
      [{}, 0],
      [{ SUDO_UID: '0', SUDO_GID: '0' }, 0],
      [{ SUDO_UID: '0', SUDO_GID: '0' }, 1000],
      [{ SUDO_UID: 'nonsense' }, 1000],
    ] as const) {
      expect(targetUser(undefined, environment, uid)).toBeNull();
    }
  });

  test.each([
    ['abc', '1000'],
    ['-1', '1000'],
    ['', '1000'],
    ['1e3', '1000'],
    ['4294967295', '1000'],
    ['99999999999999999999', '1000'],
    ['1000', undefined],
    ['1000', 'x'],
  ])('with SUDO_UID %j and SUDO_GID %j root does not stay root', (SUDO_UID, SUDO_GID) => {
    expect(() => targetUser(undefined, { SUDO_UID, SUDO_GID }, 0)).toThrowError(
      expect.objectContaining({ code: 'bad-sudo', exitCode: 2 }) as Error,
    );
    expect(targetUser('root', { SUDO_UID, SUDO_GID }, 0)).toBeNull();
  });
});
