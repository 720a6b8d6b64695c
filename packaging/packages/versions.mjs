/** What goes into the packages besides npm packages: pinned, and checked when it is fetched. */
export const NODE = {
  version: '24.21.0',
  /** sha512 of the npm packages node-linux-ARCH, which hold the binary of nodejs.org. */
  integrity: {
    x64: 'sha512-3nULszZ5X0fciYpG0t6TrdApJzAn8+FlINP6OiMX7V8HrvpATPN936U1LlReOJriLRa4e8yEqQBYCnLyPNAs7Q==',
    arm64: 'sha512-FpJRPEz2OvvTLfjIOlNGFY9JLPMKgl5m+d4oGYBLg24kJ1mmvN1Zl/HPJgF4HDaJ51ISev1l1cRZ/DM+keXW5g==',
  },
};

/** Linked into libbpf.so by libbpf.sh, which names the same versions. */
export const LIBBPF = [
  { name: 'libbpf', version: '1.5.0', licence: 'BSD-2-Clause', source: 'pkg:deb/debian/libbpf@1.5.0-3' },
  {
    name: 'libelf',
    version: '0.192',
    licence: 'LGPL-3.0-or-later OR GPL-2.0-or-later',
    source: 'pkg:deb/debian/elfutils@0.192-4',
  },
  { name: 'zlib', version: '1.2.11', licence: 'Zlib', source: 'pkg:deb/debian/zlib@1.2.11.dfsg-2+deb11u2' },
];

/** The npm packages with machine code, by architecture. */
export const NATIVE = {
  x64: ['@duckdb/node-bindings-linux-x64', '@koromix/koffi-linux-x64'],
  arm64: ['@duckdb/node-bindings-linux-arm64', '@koromix/koffi-linux-arm64'],
};
