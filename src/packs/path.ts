/** A capture path as written: `*devPtr`, `extent.width`, `config->gridDim.x`, `sizes[0]`. */
export interface CapturePath {
  /** Leading `*`. */
  stars: number;
  root: string;
  steps: readonly PathStep[];
}

export type PathStep =
  | { kind: '.' | '->'; name: string; offset: number }
  | { kind: '[]'; index: number; offset: number };

const STEP = /\s*(?:(\.|->)\s*([A-Za-z_]\w*)|\[\s*([0-9]{1,9})\s*\])/y;

/** Reads a capture path. Returns undefined when it is not one. */
export function parsePath(text: string): CapturePath | undefined {
  const head = /^\s*((?:\*\s*)*)([A-Za-z_]\w*)/.exec(text);
  if (head === null) return undefined;
  const steps: PathStep[] = [];
  let offset = head[0].length;
  while (offset < text.trimEnd().length) {
    STEP.lastIndex = offset;
    const match = STEP.exec(text);
    if (match === null) return undefined;
    const [, operator, name, index] = match;
    if (name === undefined) steps.push({ kind: '[]', index: Number(index), offset });
    else steps.push({ kind: operator === '.' ? '.' : '->', name, offset });
    offset = STEP.lastIndex;
  }
  const stars = (head[1] ?? '').replaceAll(/\s/g, '').length;
  return { stars, root: head[2] ?? '', steps };
}
