/** One library in the dynamic loader's cache. */
export interface CacheEntry {
  soname: string;
  path: string;
}

const MAGIC = Buffer.from('glibc-ld.so.cache1.1', 'latin1');
const HEADER_SIZE = 48;
const ENTRY_SIZE = 24;
/** flags of 64-bit entries: FLAG_ELF_LIBC6 with FLAG_X8664_LIB64 or FLAG_AARCH64_LIB64 (glibc elf/cache.c). */
const FLAGS_64BIT: readonly number[] = [0x0303, 0x0a03];

/**
 * Entries of /etc/ld.so.cache in the glibc-ld.so.cache1.1 format, alone or behind the older one it may be
 * appended to. Entries for other word sizes and damaged ones are left out; a file of another format gives [].
 */
export function parseLdCache(bytes: Buffer): CacheEntry[] {
  const start = bytes.indexOf(MAGIC);
  if (start < 0 || start + HEADER_SIZE > bytes.length) return [];
  const cache = bytes.subarray(start);
  const count = Math.min(cache.readUInt32LE(20), Math.floor((cache.length - HEADER_SIZE) / ENTRY_SIZE));
  const entries: CacheEntry[] = [];
  for (let i = 0; i < count; i++) {
    const at = HEADER_SIZE + i * ENTRY_SIZE;
    if (!FLAGS_64BIT.includes(cache.readUInt32LE(at))) continue;
    const soname = stringAt(cache, cache.readUInt32LE(at + 4));
    const path = stringAt(cache, cache.readUInt32LE(at + 8));
    if (soname !== null && path?.startsWith('/')) entries.push({ soname, path });
  }
  return entries;
}

function stringAt(bytes: Buffer, at: number): string | null {
  const end = at < bytes.length ? bytes.indexOf(0, at) : -1;
  return end < 0 ? null : bytes.toString('utf8', at, end);
}
