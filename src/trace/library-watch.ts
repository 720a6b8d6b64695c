import { LoadBell } from '../loader/load-bell.js';
import type { Target } from './target.js';

/** How often processes are looked at for libraries that came later, ms: everywhere, and in named processes. */
const RESCAN_ALL_MS = 1000;
const RESCAN_PIDS_MS = 200;
/** A command loads its libraries at its start; where no loader tells, it is looked at this often that long. */
const RESCAN_EARLY_MS = 20;
const EARLY_MS = 2000;
/** Part of a core that looking may take: where there are many processes it is done less often. */
const RESCAN_SHARE = 0.002;
/** The same for processes that ring, when all of the host's may: a shell script starts hundreds a second. */
const BELL_SHARE = 0.05;

/** Looks for libraries in these processes (undefined: in all that are traced) and says whether it found some. */
export type Look = (pids: readonly number[] | undefined) => boolean;

/** Decides when to look for libraries that were loaded during the trace: when a loader tells, and now and then. */
export class LibraryWatch {
  readonly #look: Look;
  readonly #isLimited: boolean;
  readonly #timers: NodeJS.Timeout[] = [];
  readonly #bell: LoadBell | null;
  readonly #rung = new Set<number>();
  #rescanTimer: NodeJS.Timeout | undefined;
  #bellTimer: NodeJS.Timeout | undefined;
  #restUntil = 0;

  /** @param loadsFd ring of the processes that got libraries; null where no loader could be probed */
  constructor(target: Target, loadsFd: number | null, look: Look) {
    this.#look = look;
    this.#isLimited = target.kind === 'all';
    this.#rescanEvery(target.kind === 'all' ? RESCAN_ALL_MS : RESCAN_PIDS_MS);
    this.#bell = loadsFd === null ? null : new LoadBell(loadsFd, (pids) => this.#ring(pids));
    if (target.kind === 'command' && this.#bell === null) {
      const early = setInterval(() => look(undefined), RESCAN_EARLY_MS);
      this.#timers.push(
        early,
        setTimeout(() => clearInterval(early), EARLY_MS),
      );
    }
  }

  /** Looks no more. */
  stop(): void {
    this.#bell?.close();
    clearTimeout(this.#rescanTimer);
    clearTimeout(this.#bellTimer);
    for (const timer of this.#timers) clearInterval(timer);
  }

  #ring(pids: readonly number[]): void {
    for (const pid of pids) this.#rung.add(pid);
    const rest = this.#restUntil - performance.now();
    if (rest <= 0) this.#answer();
    else this.#bellTimer ??= setTimeout(() => this.#answer(), rest);
  }

  #answer(): void {
    this.#bellTimer = undefined;
    const pids = [...this.#rung];
    this.#rung.clear();
    const before = performance.now();
    const found = this.#look(pids);
    const after = performance.now();
    // Where one library came, others may follow.
    if (this.#isLimited && !found) this.#restUntil = after + (after - before) / BELL_SHARE;
  }

  #rescanEvery(ms: number): void {
    const look = (): void => {
      const before = performance.now();
      this.#look(undefined);
      schedule(Math.max(ms, (performance.now() - before) / RESCAN_SHARE));
    };
    const schedule = (delay: number): void => {
      this.#rescanTimer = setTimeout(look, delay);
    };
    schedule(ms);
  }
}
