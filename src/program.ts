/**
 * The words that start this ingero once more: Node.js and a script. The single executable is both, and names itself as
 * its script (packaging/single/main.ts).
 */
export function ownProgram(): readonly [string, ...string[]] {
  const script = process.argv[1];
  return script === undefined || script === process.execPath
    ? [process.execPath]
    : [process.execPath, script];
}

/** Whether this is the single executable (docs/packages.md). */
export const isSingleExecutable = (): boolean => ownProgram().length === 1;
