import { closeSync } from 'node:fs';
import { IngeroError } from '../errors.js';
import { SMALLEST_RING_BYTES } from '../ring/ring-reader.js';
import type { BpfTrial } from '../trust/host-check.js';
import { loadLibbpf } from './libbpf.js';
import { BpfObject } from './object.js';

/** Finds out what the kernel allows by loading the BPF object and unloading it again. Never throws. */
export function tryBpf(): BpfTrial {
  let version: string | null = null;
  try {
    const libbpf = loadLibbpf();
    version = `${libbpf.path} ${libbpf.libbpf_version_string()}`;
    const object = BpfObject.load(libbpf, {
      filter: { filterByProcess: false, followChildren: false, comm: '' },
      ringBytes: SMALLEST_RING_BYTES,
    });
    const { uprobeMulti } = object;
    object.attachTracepoints();
    object.close();
    for (const ring of object.rings) closeSync(ring.fd);
    return { ok: true, uprobeMulti, detail: 'the BPF object loads', libbpf: version };
  } catch (error) {
    const detail = error instanceof IngeroError ? error.message : String((error as Error).message);
    return { ok: false, uprobeMulti: null, detail, libbpf: version };
  }
}
