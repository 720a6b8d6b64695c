/** Middle value of the samples. */
export function median(samples: readonly number[]): number {
  const sorted = [...samples].sort((a, b) => a - b);
  return sorted[sorted.length >> 1] ?? Number.NaN;
}

/** One figure of the results file: what was measured, against what, and the target it has. */
export interface Figure {
  name: string;
  value: number;
  unit: string;
  /** What `value` is a ratio to, or was compared with, in the same run. */
  baseline: string;
  target: string;
  met: boolean;
}

/** Lines of a table of figures. */
export function renderFigures(figures: readonly Figure[]): string[] {
  const rows = figures.map((figure) => [
    figure.met ? 'met' : 'NOT MET',
    figure.name,
    `${round(figure.value)} ${figure.unit}`,
    `target ${figure.target}`,
    figure.baseline,
  ]);
  const widths = [0, 1, 2, 3].map((column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)));
  return rows.map((row) =>
    row
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join('  ')
      .trimEnd(),
  );
}

function round(value: number): string {
  return value >= 1000 ? Math.round(value).toLocaleString('en') : value.toPrecision(3);
}
