import { spawnSync } from 'node:child_process';
import { createPrivateKey } from 'node:crypto';
import {
  appendFileSync,
  chmodSync,
  chownSync,
  cpSync,
  mkdirSync,
  readFileSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { EXIT } from '../../src/errors.js';
import { keyId } from '../../src/trust/ecdsa.js';
import { checkSignature, OUTCOME_EXIT, signFile, worstOutcome } from '../../src/trust/signature.js';
import { formatSignature, MAX_SIGNATURE_BYTES, parseSignature } from '../../src/trust/signature-file.js';
import { readSigningKey } from '../../src/trust/signing-key.js';
import { readTrustStore, type TrustStore } from '../../src/trust/trust-store.js';
import { failure, scratchDir } from '../query/helpers.js';
import { makeKeys } from '../support/keys.js';

const dir = scratchDir();
const NOWHERE = { user: null, system: null, own: null };
const trusting = (...folders: string[]): TrustStore => readTrustStore(folders, NOWHERE);
const lab = makeKeys(dir, 'lab', 'signer: Lab A\n');
const stranger = makeKeys(dir, 'stranger');
let count = 0;

function file(content = 'evidence'): string {
  count += 1;
  const path = join(dir, `file-${count}`);
  writeFileSync(path, content);
  return path;
}

async function signed(content?: string): Promise<string> {
  const path = file(content);
  await signFile(path, readSigningKey(lab.key), false);
  return path;
}

describe('outcomes', () => {
  test('good: names the signer, the key file and the digest', async () => {
    const path = await signed();
    const report = await checkSignature(path, trusting(lab.trust));
    expect(report).toMatchObject({ outcome: 'good', signer: 'Lab A', key_file: lab.publicKey });
    expect(report.detail).toBe('signed by Lab A');
    expect(report.key).toBe(keyId(createPrivateKey(readFileSync(lab.key))));
    expect(report.sha256).toMatch(/^[0-9a-f]{64}$/);
  });

  test('unsigned', async () => {
    expect(await checkSignature(file(), trusting(lab.trust))).toMatchObject({
      outcome: 'unsigned',
      sha256: null,
    });
  });

  test('unknown signer: the key is in no trust store, or in a file that is not used', async () => {
    const path = await signed();
    const report = await checkSignature(path, trusting(stranger.trust));
    expect(report).toMatchObject({ outcome: 'unknown-signer', signer: null, key_file: null });
    expect(report.detail).toContain(stranger.trust);
    const open = makeKeys(dir, 'open');
    cpSync(lab.publicKey, join(open.trust, 'lab.pem'));
    chmodSync(join(open.trust, 'lab.pem'), 0o666);
    const excluded = await checkSignature(path, trusting(open.trust));
    expect(excluded.outcome).toBe('unknown-signer');
    expect(excluded.detail).toMatch(/lab\.pem, which is not used: its mode 666 lets others write/);
  });

  test('altered: the file, the signature, the digest beside it; known or unknown signer', async () => {
    const path = await signed();
    appendFileSync(path, '.');
    for (const store of [trusting(lab.trust), trusting(stranger.trust)]) {
      expect(await checkSignature(path, store)).toMatchObject({ outcome: 'altered' });
    }
    const other = await signed('other');
    cpSync(`${await signed('one')}.sig`, `${other}.sig`);
    expect(await checkSignature(other, trusting(lab.trust))).toMatchObject({ outcome: 'altered' });
    // The digest beside the signature proves nothing: one adjusted to the altered file does not make it good.
    const text = readFileSync(`${path}.sig`, 'utf8');
    const { sha256 } = await checkSignature(path, trusting(lab.trust));
    writeFileSync(`${path}.sig`, text.replace(/sha256: .*/, `sha256: ${sha256}`));
    expect(await checkSignature(path, trusting(lab.trust))).toMatchObject({
      outcome: 'altered',
      detail: 'the signature is not one of Lab A over this file',
    });
    writeFileSync(`${path}.sig`, 'nonsense');
    expect((await checkSignature(path, trusting(lab.trust))).detail).toContain('does not begin with');
  });

  test('expired: from the day the trust store states', async () => {
    const old = makeKeys(dir, 'old', '# retired\nsigner: Lab B\nexpires: 2026-01-01\n');
    const path = file();
    await signFile(path, readSigningKey(old.key), false);
    const at = (time: string) => checkSignature(path, trusting(old.trust), Date.parse(time));
    expect(await at('2025-12-31T23:59:59Z')).toMatchObject({ outcome: 'good' });
    expect(await at('2026-01-01T00:00:00Z')).toMatchObject({
      outcome: 'expired',
      detail: 'signed by Lab B, whose key expired on 2026-01-01',
    });
    appendFileSync(path, '.');
    expect(await at('2026-01-01T00:00:00Z')).toMatchObject({ outcome: 'altered' });
  });

  test('the worst one decides the exit code', () => {
    expect(worstOutcome(['good', 'unsigned', 'altered', 'expired'])).toBe('altered');
    expect(worstOutcome(['good', 'good'])).toBe('good');
    expect(OUTCOME_EXIT).toEqual({ good: 0, unsigned: 10, 'unknown-signer': 11, altered: 12, expired: 13 });
  });
});

describe('openssl', () => {
  const openssl = (args: readonly string[], input?: string | Buffer) =>
    spawnSync('openssl', args, { input, encoding: 'latin1' });

  test('checks what ingero signed', async () => {
    const path = await signed();
    const { signature } = parseSignature(readFileSync(`${path}.sig`, 'utf8')) as { signature: Buffer };
    writeFileSync(`${path}.der`, signature);
    const check = (): string =>
      openssl(['dgst', '-sha256', '-verify', lab.publicKey, '-signature', `${path}.der`, path]).stdout;
    expect(check()).toBe('Verified OK\n');
    appendFileSync(path, '.');
    expect(check()).toBe('Verification failure\n');
  });

  test('makes keys and signatures that ingero takes', async () => {
    const key = join(dir, 'openssl.pem');
    openssl(['ecparam', '-name', 'prime256v1', '-genkey', '-noout', '-out', key]);
    chmodSync(key, 0o600);
    const trust = join(dir, 'openssl.trust');
    mkdirSync(trust, { mode: 0o755 });
    openssl(['ec', '-in', key, '-pubout', '-out', join(trust, 'hsm.pem')]);
    const path = file();
    const id = keyId(readSigningKey(key));
    const der = Buffer.from(openssl(['dgst', '-sha256', '-sign', key, path]).stdout, 'latin1');
    const sha256 = openssl(['dgst', '-sha256', '-r', path]).stdout.slice(0, 64);
    writeFileSync(
      `${path}.sig`,
      formatSignature({ keyId: id, sha256, signedAt: '2026-01-01T00:00:00Z', signature: der }),
    );
    expect(await checkSignature(path, trusting(trust))).toMatchObject({ outcome: 'good', signer: 'hsm' });
  });
});

describe('keys to sign with', () => {
  const refusal = async (path: string) => {
    const error = await failure(Promise.resolve().then(() => readSigningKey(path)));
    expect(error.exitCode).toBe(EXIT.usage);
    return error;
  };

  test('are refused when others can read them', async () => {
    const exposed = makeKeys(dir, 'exposed');
    chmodSync(exposed.key, 0o640);
    expect(await refusal(exposed.key)).toMatchObject({ code: 'key-exposed' });
    chmodSync(exposed.key, 0o600);
    chownSync(exposed.key, 12345, 12345);
    expect((await refusal(exposed.key)).message).toContain('uid 12345');
  });

  test('are refused when they are missing, no key, public, encrypted or on another curve', async () => {
    expect(await refusal(join(dir, 'none'))).toMatchObject({ code: 'key-unreadable' });
    expect(await refusal(dir)).toMatchObject({ code: 'key-unreadable' });
    const text = join(dir, 'text.pem');
    writeFileSync(text, 'hello', { mode: 0o600 });
    expect((await refusal(text)).message).toContain('no private key');
    const locked = join(dir, 'locked.pem');
    spawnSync('openssl', ['ec', '-in', lab.key, '-aes256', '-passout', 'pass:x', '-out', locked]);
    chmodSync(locked, 0o600);
    expect((await refusal(locked)).message).toContain('encrypted');
    expect((await refusal(makeKeys(dir, 'p384', '', 'P-384').key)).message).toContain(
      'not on the curve P-256',
    );
  });
});

describe('the trust store', () => {
  test('reads the folders of the command line, the user and the host, in this order', () => {
    const user = join(dir, 'user');
    const system = join(dir, 'system');
    for (const [place, keys] of [
      [user, stranger],
      [system, lab],
    ] as const) {
      mkdirSync(join(place, 'trust.d'), { recursive: true });
      cpSync(keys.publicKey, join(place, 'trust.d', 'key.pem'));
    }
    const store = readTrustStore([lab.trust], { user, system, own: user });
    expect(store.places).toEqual([lab.trust, join(user, 'trust.d'), join(system, 'trust.d')]);
    expect(store.keys.map(({ signer, path }) => [signer, path])).toEqual([
      ['Lab A', lab.publicKey],
      ['key', join(user, 'trust.d', 'key.pem')],
    ]);
  });

  test('does not use a key that others could have put there, and says why', () => {
    const check = (name: string, spoil: (trust: string, key: string) => void): string[] => {
      const { trust, publicKey } = makeKeys(dir, name);
      spoil(trust, publicKey);
      const { keys, refused } = trusting(trust);
      expect(keys).toEqual([]);
      return refused.map(({ reason }) => reason);
    };
    expect(check('w1', (trust) => chmodSync(trust, 0o777))).toEqual([
      'of its folder: its mode 777 lets others write to it',
    ]);
    expect(check('w2', (_, key) => chownSync(key, 12345, 0))).toEqual([
      'it belongs to uid 12345, neither root nor this user',
    ]);
    expect(
      check('w3', (_, key) => writeFileSync(key, `expires: soon\n${readFileSync(key, 'utf8')}`))[0],
    ).toContain('no date');
    expect(
      check('w4', (_, key) => writeFileSync(key, `expiry: 2026-01-01\n${readFileSync(key, 'utf8')}`))[0],
    ).toContain('only signer: and expires:');
    expect(check('w5', (_, key) => writeFileSync(key, 'junk'))[0]).toContain('one public key');
    expect(check('w6', (trust, key) => cpSync(join(trust, '..', 'w6.key.pem'), key))[0]).toContain(
      'private key',
    );
    // What stands behind the key would be overlooked, and so would the dates of a certificate.
    expect(check('w8', (_, key) => appendFileSync(key, 'expires: 2020-01-01\n'))[0]).toContain(
      'one public key',
    );
    expect(check('w9', (_, key) => appendFileSync(key, readFileSync(key)))[0]).toContain('one public key');
    expect(
      check('w10', (_, key) => {
        const made = spawnSync('openssl', [
          'req',
          '-x509',
          '-new',
          '-key',
          lab.key,
          '-subj',
          '/CN=x',
          '-days',
          '1',
        ]);
        writeFileSync(key, made.stdout);
      })[0],
    ).toContain('one public key');
    expect(
      check('w11', (_, key) => writeFileSync(key, `expires: 2026-02-30\n${readFileSync(key, 'utf8')}`))[0],
    ).toContain('no date');
    expect(check('w7', (_, key) => writeFileSync(key, '\0'.repeat(20_000)))[0]).toContain('no key file');
  });

  test('a folder that was named must be there; the standing ones need not', async () => {
    expect(readTrustStore([], { user: '/nonexistent', system: null, own: null }).places).toEqual([]);
    const error = await failure(Promise.resolve().then(() => trusting('/nonexistent')));
    expect(error).toMatchObject({ code: 'trust-unreadable', exitCode: EXIT.usage });
  });
});

describe('signature files', () => {
  test('are not replaced unless told, and never half written', async () => {
    const path = await signed();
    const key = readSigningKey(lab.key);
    expect(await failure(signFile(path, key, false))).toMatchObject({ code: 'output-exists' });
    await signFile(path, key, true);
    expect(await checkSignature(path, trusting(lab.trust))).toMatchObject({ outcome: 'good' });
    expect(await failure(signFile(join(dir, 'none'), key, false))).toMatchObject({ code: 'file-unreadable' });
    expect(await failure(signFile(dir, key, false))).toMatchObject({ code: 'file-unreadable' });
  });

  test('anything may be in one', () => {
    const good = formatSignature({
      keyId: 'a'.repeat(64),
      sha256: 'b'.repeat(64),
      signedAt: '2026-01-01T00:00:00.000Z',
      signature: Buffer.alloc(70, 1),
    });
    expect(parseSignature(good)).toMatchObject({ keyId: 'a'.repeat(64) });
    fc.assert(
      fc.property(fc.nat(good.length - 1), fc.string({ maxLength: 8 }), (at, text) => {
        const changed = good.slice(0, at) + text + good.slice(at + 1);
        const parsed = parseSignature(changed);
        expect(typeof parsed === 'string' ? parsed.length : parsed.signature.length).toBeGreaterThan(0);
      }),
      { numRuns: 2000 },
    );
    expect(parseSignature('x'.repeat(MAX_SIGNATURE_BYTES + 1))).toContain('more than');
    expect(parseSignature(good.replace(/^key:.*$/m, 'key: a'))).toContain('no key');
    expect(parseSignature(`${good}key: ${'c'.repeat(64)}\n`)).toBe('says key twice');
    expect(parseSignature(good.replace('sha256\n', 'sha1\n'))).toContain('not ecdsa-p256-sha256');
  });
});
