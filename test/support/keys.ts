import { generateKeyPairSync } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** A signing key and a folder that trusts it. */
export interface KeyFiles {
  /** Private key, mode 0600. */
  key: string;
  /** Folder with the public key in `NAME.pem`. */
  trust: string;
  publicKey: string;
}

/** Makes a key pair in `dir`. `facts` are lines put before the public key. */
export function makeKeys(dir: string, name: string, facts = '', curve = 'P-256'): KeyFiles {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: curve });
  const key = join(dir, `${name}.key.pem`);
  writeFileSync(key, privateKey.export({ type: 'pkcs8', format: 'pem' }), { mode: 0o600 });
  const trust = join(dir, `${name}.trust`);
  mkdirSync(trust, { mode: 0o755 });
  const file = join(trust, `${name}.pem`);
  writeFileSync(file, `${facts}${publicKey.export({ type: 'spki', format: 'pem' })}`, { mode: 0o644 });
  return { key, trust, publicKey: file };
}
