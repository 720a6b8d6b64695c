/** What recording costs the traced threads, and what is done when it is more than was allowed. Pure. */

/** How a hit of a probe is executed, and how many there are per call. */
export interface ProbeCost {
  costClass: 'emulated' | 'single-step';
  mode: 'call' | 'entry';
  stack: boolean;
}

/**
 * ns a recorded call costs its thread; measured on Linux 6.18 in a virtual machine (docs/decisions.md, "overhead").
 * Bare metal is about three times cheaper, so the prediction is on the safe side.
 */
const TRAP_NS = { emulated: 700, 'single-step': 9500 } as const;
/** A return traps at the same emulated instruction whatever the entry is. */
const RETURN_TRAP_NS = 700;
const RECORD_NS = 500;
const STACK_NS = 1500;

/** How much is recorded, from everything to nothing. */
export type Level =
  | { kind: 'full' }
  | { kind: 'no-stacks' }
  | { kind: 'sample'; oneIn: number }
  | { kind: 'counts' }
  | { kind: 'detached' };

/** The name of a level as the capture has it. */
export function levelName(level: Level): string {
  return level.kind === 'sample' ? `sample 1/${level.oneIn}` : level.kind;
}

/** Cost of one call in ns at a level: calls that are left out still trap. */
export function callCost({ costClass, mode, stack }: ProbeCost, level: Level): number {
  if (level.kind === 'detached') return 0;
  const traps = TRAP_NS[costClass] + (mode === 'call' ? RETURN_TRAP_NS : 0);
  const recorded = RECORD_NS + (stack && level.kind === 'full' ? STACK_NS : 0);
  const share = level.kind === 'counts' ? 0 : level.kind === 'sample' ? 1 / level.oneIn : 1;
  return traps + recorded * share;
}

/** Calls of one probe in an interval. */
export interface ProbeLoad {
  cost: ProbeCost;
  calls: number;
}

/** Percent of a core that recording takes from the thread that calls most, which makes `busiestShare` of the calls. */
export function overheadPercent(
  loads: readonly ProbeLoad[],
  level: Level,
  intervalMs: number,
  busiestShare: number,
): number {
  const ns = loads.reduce((sum, { cost, calls }) => sum + calls * callCost(cost, level), 0);
  return (ns / 1e6 / intervalMs) * busiestShare * 100;
}

/** Intervals in a row above the limit before anything is done: one may be a burst. */
const PATIENCE = 2;

/** A step down, or that there would be one. */
export interface Step {
  from: Level;
  to: Level;
  /** The measurement and the limit that caused it. */
  reason: string;
}

/**
 * Decides when to step down. It goes to the first level whose predicted cost is within the limit and never back up:
 * rows of one level are easier to read than rows that change it every few seconds.
 */
export class Governor {
  readonly #limitPercent: number;
  readonly #levels: readonly Level[];
  #at = 0;
  #above = 0;

  /** `hasStacks`: whether there are stacks to leave out. */
  constructor(limitPercent: number, hasStacks: boolean) {
    this.#limitPercent = limitPercent;
    this.#levels = [
      { kind: 'full' },
      ...(hasStacks ? [{ kind: 'no-stacks' } as const] : []),
      ...[4, 16, 64].map((oneIn) => ({ kind: 'sample', oneIn }) as const),
      { kind: 'counts' },
      { kind: 'detached' },
    ];
  }

  get level(): Level {
    return this.#levels[this.#at] as Level;
  }

  /** Looks at one interval; the step to take now, or null. */
  observe(loads: readonly ProbeLoad[], intervalMs: number, busiestShare: number): Step | null {
    const cost = (level: Level): number => overheadPercent(loads, level, intervalMs, busiestShare);
    const now = cost(this.level);
    this.#above = now > this.#limitPercent ? this.#above + 1 : 0;
    if (this.#above < PATIENCE || this.level.kind === 'detached') return null;
    this.#above = 0;
    const from = this.level;
    const fits = this.#levels.findIndex(
      (level, index) => index > this.#at && cost(level) <= this.#limitPercent,
    );
    this.#at = fits;
    return {
      from,
      to: this.level,
      reason:
        `${now.toFixed(1)} % of a core from the busiest thread, at most ${this.#limitPercent} %: ` +
        `${Math.round(loads.reduce((sum, { calls }) => sum + calls, 0))} calls in ${Math.round(intervalMs)} ms, ` +
        `${Math.round(busiestShare * 100)} % of them its own`,
    };
  }
}
