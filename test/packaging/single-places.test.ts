import { expect, test } from 'vitest';
import { unpackPlaces } from '../../packaging/single/places.js';

const places = (uid: number, env: Record<string, string> = {}) => unpackPlaces({ uid, capable: false, env });

test("the caller's caches come after what root has unpacked, and /tmp comes last", () => {
  expect(places(7)).toEqual(['/var/cache/ingero', '/tmp/ingero-7']);
  expect(places(7, { HOME: '/home/a', XDG_RUNTIME_DIR: '/run/user/7' })).toEqual([
    ...['/var/cache/ingero', '/home/a/.cache/ingero', '/run/user/7/ingero', '/tmp/ingero-7'],
  ]);
  expect(places(7, { HOME: '/home/a', XDG_CACHE_HOME: '/scratch' })[1]).toBe('/scratch/ingero');
  expect(places(7, { HOME: '', XDG_CACHE_HOME: 'here', XDG_RUNTIME_DIR: '' })).toEqual(places(7));
});

test('root follows no directory of the environment but the one named for it', () => {
  const env = { HOME: '/home/a', XDG_CACHE_HOME: '/home/a/c', XDG_RUNTIME_DIR: '/run/user/7' };
  expect(places(0, env)).toEqual(['/var/cache/ingero', '/run/ingero', '/tmp/ingero-0']);
  expect(places(0, { ...env, INGERO_UNPACK_DIR: '/opt/x' })).toEqual(['/opt/x']);
  expect(places(0, { INGERO_UNPACK_DIR: '' })).toEqual(places(0));
});
