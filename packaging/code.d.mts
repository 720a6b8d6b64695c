import type { Metafile } from 'esbuild';

export function bundleCode(outdir: string): Promise<Metafile>;
