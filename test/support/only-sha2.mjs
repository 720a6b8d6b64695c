// Loaded before a command (node --import): any digest but SHA-2 ends the process with this text.
import crypto from 'node:crypto';
import { syncBuiltinESMExports } from 'node:module';

const ALLOWED = /^(rsa-)?sha-?(256|384|512)$/i;
for (const name of [
  'createHash',
  'createHmac',
  'createSign',
  'createVerify',
  'hash',
  'sign',
  'verify',
  'pbkdf2Sync',
]) {
  const original = crypto[name];
  if (original === undefined) continue;
  crypto[name] = (...args) => {
    const algorithm = name === 'pbkdf2Sync' ? args[4] : args[0];
    if (!ALLOWED.test(String(algorithm))) {
      process.stderr.write(`weak digest: ${name}(${String(algorithm)})\n${new Error().stack}\n`);
      process.exit(99);
    }
    return original(...args);
  };
}
syncBuiltinESMExports();
