import type { Metafile } from 'esbuild';

export function shippedValues(): Readonly<Record<string, string>>;
export function bundleCode(outdir: string): Promise<Metafile>;
