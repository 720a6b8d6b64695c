import type { Arch } from '../packs/model.js';

/** Architecture of this host: the only one whose libraries run here. */
export const HOST_ARCH: Arch = process.arch === 'arm64' ? 'arm64' : 'x64';
