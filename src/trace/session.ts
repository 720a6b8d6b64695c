import type { ChildProcess } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { chmodSync, closeSync, readFileSync, realpathSync } from 'node:fs';
import { cpus, hostname, release } from 'node:os';
import { basename, dirname } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { readClockAnchor, wallClockNs } from '../capture/clock.js';
import { Recorder } from '../capture/recorder.js';
import type {
  EndReason,
  FromRecorder,
  OpSummary,
  RecorderResult,
  ToRecorder,
} from '../capture/recorder-protocol.js';
import type { CaptureRow } from '../capture/rows.js';
import { type CaptureSchema, readCaptureSchema } from '../capture/schema.js';
import { type ConfinedProcess, confinedProcesses } from '../discovery/confined.js';
import { parseCapabilities, readHostFacts } from '../discovery/host.js';
import {
  findLibraries,
  findProgram,
  HOST_ARCH,
  type IgnoredLibrary,
  isEmbeddable,
  isLoader,
  type LibraryFile,
  type LibrarySearch,
  LOADER_NAMES,
  loaderSite,
  readProcess,
  rescanProcesses,
  toEnvironment,
} from '../discovery/index.js';
import type { ProcessInfo } from '../discovery/processes.js';
import { readProcText } from '../discovery/procfs.js';
import { sonameMatcher } from '../discovery/soname-glob.js';
import { EXIT, IngeroError } from '../errors.js';
import { ProbeLinks } from '../loader/attach.js';
import { loadLibbpf } from '../loader/libbpf.js';
import { BpfObject } from '../loader/object.js';
import { type CompiledPack, compilePack, type Pack, withoutReturns, withStacks } from '../packs/index.js';
import type { PackSigners } from '../packs/signer.js';
import { withSiteTables } from '../packs/site-tables.js';
import { ingeroVersion } from '../paths.js';
import { policyLimits, withRedactions } from '../policy/apply.js';
import { enforce } from '../policy/enforce.js';
import type { PolicyProcess } from '../policy/judge.js';
import type { PolicyFile, Verdict } from '../policy/model.js';
import { getpwuid } from '../trust/libc.js';
import {
  describePrivileges,
  dropPrivileges,
  type Keep,
  type PrivilegePlan,
  planPrivileges,
} from '../trust/privileges.js';
import { asUser, type User } from '../trust/user.js';
import type { Launcher } from './launcher.js';
import { LibraryTracer, type PlannedFile } from './libraries.js';
import { LibraryWatch } from './library-watch.js';
import { checkOutput, removeCapture } from './output.js';
import { OverheadWatch } from './overhead-watch.js';
import { hasStack, packRow, planEventTables, requiredMissing } from './plan.js';
import type { ReturnPlan } from './return-plan.js';
import { bpfFilter, descendants, describeTarget, initialPids, isAlive, type Target } from './target.js';

const ALIVE_CHECK_MS = 250;
const ANCHOR_MS = 10_000;
const LAST_OBSERVATION_MS = 500;

export interface TraceOptions {
  packs: readonly Pack[];
  /** Who signed the packs, by the keys the caller trusts. */
  signers: PackSigners;
  /** The same by the keys the host trusts, which is what its policy goes by. */
  hostSigners: PackSigners;
  target: Target;
  out: string;
  force: boolean;
  /** What was asked for; the policy may set less. */
  limits: TraceLimits;
  /** Free bytes to be left on the file system of the capture; null: the default. */
  minFreeBytes: number | null;
  policy: PolicyFile | null;
  ringBytes: number;
  attachMethod: 'auto' | 'perf-link';
  /** Also look for libraries linked into files that were stripped. */
  scanStripped: boolean;
  /** Record the stack of every call. */
  stacks: boolean;
  /** Whether returns of calls are probed. */
  returns: ReturnPlan;
  /** What becomes the command of a command target. */
  launcher: Launcher | null;
  /** Whom the trace and its command run as once the probes are attached; null: as it was started. */
  user: User | null;
  keepPrivileges: Keep;
  /** For the `command_line` column. */
  commandLine: readonly string[];
}

/** How much a trace may take; null: no limit. */
export interface TraceLimits {
  /** Until the target ends or a signal where there is none. */
  durationMs: number | null;
  /** Of the capture. */
  sizeBytes: number | null;
  /** What recording may take of a core from the busiest thread; where there is none, more than usual is only told. */
  overheadPercent: number | null;
}

/** Totals for the live display. */
export interface LiveTotals {
  ops: readonly OpSummary[];
  rows: number;
  lost: number;
  ringHighWater: number;
}

export interface TraceOutcome {
  capture: string;
  endReason: EndReason;
  endDetail: string | null;
  attachMethod: 'uprobe-multi' | 'perf-link';
  probes: { attached: number; failed: number };
  libraries: number;
  returns: ReturnPlan;
  /** Processes that return probes may kill; looked for where the kernel lets them. */
  confined: readonly ConfinedProcess[];
  result: RecorderResult;
  /** Exit status of the traced command; null when there was none or it was killed. */
  commandStatus: number | null;
  commandRefused: boolean;
  /** Most that recording took of a core from the busiest thread, predicted from counts. */
  overheadPercent: number;
}

/** What the caller is told while a trace runs. */
export interface TraceObserver {
  started(info: {
    libraries: number;
    probes: number;
    attachMethod: string;
    searched: readonly string[];
    privileges: PrivilegePlan;
  }): void;
  /** Answers `TraceSession.requestTotals`. */
  totals(totals: LiveTotals): void;
}

interface End {
  reason: EndReason;
  detail: string | null;
  /** Whether the traced command could not be started: the user's to mend, not a failure of ingero. */
  commandRefused?: true;
}

/**
 * One trace from start to end. Everything that can be refused is refused before the capture file exists; once it
 * exists it is always completed, with the reason for its end in it.
 */
export class TraceSession {
  readonly #options: TraceOptions;
  readonly #observer: TraceObserver;
  readonly #packs: readonly CompiledPack[];
  /** What files the packs are for. */
  readonly #search: Pick<LibrarySearch, 'sonames' | 'embeddedSymbols' | 'scanStripped'>;
  readonly #limits: TraceLimits;
  #verdicts: readonly Verdict[] = [];
  readonly #ignored: IgnoredLibrary[] = [];
  readonly #loaders: LibraryFile[] = [];
  readonly #schema: CaptureSchema;
  readonly #known = new Set<string>();
  /** Packs for which a library file was found. */
  readonly #packsFound = new Set<CompiledPack>();
  readonly #timers: NodeJS.Timeout[] = [];
  #watch: LibraryWatch | undefined;
  #watchedLoaders = 0;
  readonly #searched: string[] = [];
  #object!: BpfObject;
  #links!: ProbeLinks;
  readonly #tracer = new LibraryTracer();
  #overhead!: OverheadWatch;
  #recorder: Recorder | undefined;
  readonly #unsent: ToRecorder[] = [];
  #command: ChildProcess | null = null;
  #pids: readonly number[] | undefined;
  #confined: readonly ConfinedProcess[] = [];
  #commandStatus: number | null = null;
  #end!: (end: End) => void;

  constructor(options: TraceOptions, observer: TraceObserver) {
    this.#options = options;
    this.#observer = observer;
    this.#schema = withSiteTables(readCaptureSchema(), options.packs);
    const { policy, limits, stacks, returns } = options;
    this.#limits = policy === null ? limits : withinPolicy(limits, policyLimits(policy.policy));
    const compiled = options.packs
      .map((pack) => compilePack(pack, HOST_ARCH))
      .map((pack) => (policy === null ? pack : withRedactions(pack, policy.policy)))
      .map((pack) => (returns.placed ? pack : withoutReturns(pack)));
    this.#packs = stacks ? compiled.map(withStacks) : compiled;
    this.#search = {
      sonames: [
        ...new Set(options.packs.flatMap((pack) => pack.libraries.map(({ soname }) => soname))),
        ...LOADER_NAMES,
      ],
      embeddedSymbols: this.#packs
        .filter(({ pack }) => isEmbeddable(pack))
        .flatMap(({ probes }) => probes.flatMap(({ symbols }) => symbols)),
      scanStripped: options.scanStripped,
    };
  }

  /** Records until the end. Throws IngeroError for what is refused before recording starts. */
  async run(): Promise<TraceOutcome> {
    const ended = new Promise<End>((resolve) => {
      this.#end = resolve;
    });
    const { target, user, launcher } = this.#options;
    this.#pids = initialPids(target, launcher);
    this.#refuseMissingCommand();
    const output = asUser(user, () =>
      checkOutput(this.#options.out, this.#options.force, this.#options.minFreeBytes),
    );
    this.#enforcePolicy(output.path);
    const libbpf = loadLibbpf();
    const found = this.#findLibraries().flatMap((file) => this.#plan(file));
    this.#refuseWithoutRequired(found);
    if (this.#options.returns.endangers) {
      this.#confined = confinedProcesses(found.map(({ plan }) => plan.file));
    }
    this.#object = BpfObject.load(libbpf, {
      filter: bpfFilter(target),
      ringBytes: this.#options.ringBytes,
      perfLinksOnly: this.#options.attachMethod === 'perf-link',
    });
    this.#links = new ProbeLinks(this.#object);
    this.#overhead = new OverheadWatch(
      this.#object,
      (message) => this.#send(message),
      this.#limits.overheadPercent,
      this.#packs.some(({ probes }) => probes.some(hasStack)),
    );
    for (const pid of this.#pids ?? []) this.#object.allowProcess(pid);

    const userMask = process.umask(0o077);
    const stopSignals = this.#endOnSignals();
    try {
      // What takes privileges comes first: the capture is written, and the command started, without them.
      this.#object.attachTracepoints();
      this.#describeTargets();
      for (const planned of found) this.#attach(planned);
      for (const loader of this.#loaders) this.#watchLoader(loader);
      this.#sendIgnored(this.#ignored);
      const privileges = this.#privileges();
      dropPrivileges(privileges);
      removeCapture(output.path);
      const anchor = readClockAnchor();
      this.#recorder = await Recorder.start({
        path: output.path,
        rings: this.#object.rings,
        schema: this.#schema,
        events: planEventTables(this.#schema, this.#packs),
        wallOffsetNs: anchor.wallNs - anchor.monotonicNs,
        capture: this.#captureRow(privileges),
        packs: this.#options.packs.map((pack) =>
          packRow(pack, this.#options.signers.get(pack.name)?.join(', ') ?? null),
        ),
        minFreeBytes: output.minFreeBytes,
        maxBytes: this.#limits.sizeBytes,
        redactAddresses: this.#options.policy?.policy.capture?.pointers ?? null,
        dropCommandLines: this.#dropsCommandLines(),
        known: this.#unsent.splice(0),
      });
      chmodSync(output.path, 0o600);
      this.#recorder.onMessage((message) => this.#heed(message));
      this.#sendAnchor(anchor);
      await this.#guard(() => this.#begin(userMask, privileges));
      const end = await ended;
      return await this.#finish(output.path, end);
    } finally {
      stopSignals();
      this.#stopTimers();
      process.umask(userMask);
      this.#links.close();
      this.#object.close();
      for (const ring of this.#object.rings) closeSync(ring.fd);
    }
  }

  /** Starts the command and everything that watches over the trace. */
  async #begin(userMask: number, privileges: PrivilegePlan): Promise<void> {
    this.#observer.started({
      libraries: this.#tracer.tracedLibraries,
      probes: this.#tracer.attachedProbes.length,
      attachMethod: this.#attachMethod(),
      searched: this.#searched,
      privileges,
    });
    await this.#startCommand(userMask);
    this.#startTimers();
  }

  /** Refuses what the policy of the host does not allow. */
  #enforcePolicy(path: string): void {
    const { policy, packs, hostSigners, limits } = this.#options;
    if (policy === null) return;
    this.#verdicts = enforce(policy, readHostFacts(), {
      packs: packs.map(({ name, source }) => ({
        name,
        sha256: source.sha256,
        signers: hostSigners.get(name) ?? [],
      })),
      processes: this.#targetProcesses(),
      directory: realpathSync(dirname(path)),
      durationMs: limits.durationMs,
      sizeBytes: limits.sizeBytes,
      overheadPercent: limits.overheadPercent,
    });
  }

  #dropsCommandLines(): boolean {
    return this.#options.policy?.policy.capture?.command_lines === 'drop';
  }

  /** The processes that are named; null where all are recorded, or all of a name. */
  #targetProcesses(): PolicyProcess[] | null {
    const { target, user } = this.#options;
    if (target.kind === 'all' || target.kind === 'comm') return null;
    return (this.#pids ?? []).map((pid) => {
      const { uid, cgroup, exe } = readProcess(pid);
      const isCommand = target.kind === 'command';
      const owner = isCommand && user !== null ? user.uid : uid;
      return {
        name: isCommand ? 'the command' : `pid ${pid}`,
        uid: owner,
        user: owner === null ? null : (getpwuid(owner)?.name ?? null),
        cgroup,
        exe: isCommand ? realProgram(target.argv) : exe,
      };
    });
  }

  #privileges(): PrivilegePlan {
    const { target, user, keepPrivileges } = this.#options;
    return planPrivileges({
      keep: keepPrivileges,
      user,
      uid: process.getuid?.() ?? 0,
      othersToo: target.kind === 'all' || target.kind === 'comm' || this.#targetsOthers(),
      attachMethod: this.#attachMethod(),
      held: parseCapabilities(readProcText('/proc/self/status')) ?? 0n,
    });
  }

  /** Whether a process named by pid belongs to another user than the one the trace becomes. */
  #targetsOthers(): boolean {
    const { target, user } = this.#options;
    const uid = user?.uid ?? process.getuid?.();
    return target.kind === 'pids' && (this.#pids ?? []).some((pid) => readProcess(pid).uid !== uid);
  }

  /** A failure once the capture exists ends the trace, and the capture says why. */
  async #guard(step: () => void | Promise<void>): Promise<void> {
    try {
      await step();
    } catch (error) {
      this.#end({ reason: 'failed', detail: (error as Error).message });
    }
  }

  /** Asks for totals; the observer gets them. */
  requestTotals(): void {
    this.#send({ type: 'summary' });
  }

  async #finish(path: string, asked: End): Promise<TraceOutcome> {
    this.#stopTimers();
    // A command that outlives its trace goes on by itself; nobody waits for it.
    this.#command?.unref();
    this.#sendUnfound();
    await this.#lastObservation();
    this.#links.close();
    const end = this.#dumpInFlight(asked);
    this.#sendAnchor(readClockAnchor());
    const result = await (this.#recorder as Recorder).finish({
      type: 'finish',
      endReason: end.reason,
      endDetail: end.detail,
      counters: this.#tracer.attachedProbes.map((id) => [id, this.#object.counters(id)] as const),
    });
    return {
      capture: path,
      endReason: result.endReason,
      endDetail: end.detail,
      attachMethod: this.#attachMethod(),
      probes: { attached: this.#tracer.attachedProbes.length, failed: this.#tracer.failedProbes },
      libraries: this.#tracer.tracedLibraries,
      returns: this.#options.returns,
      confined: this.#confined,
      result,
      commandStatus: this.#commandStatus,
      commandRefused: end.commandRefused === true,
      overheadPercent: this.#overhead.highestPercent,
    };
  }

  /** Without the calls in flight the account does not add up; the capture is completed all the same, and says so. */
  #dumpInFlight(end: End): End {
    try {
      this.#object.dumpInFlight();
      return end;
    } catch (error) {
      const detail = `calls in flight could not be read: ${(error as Error).message}`;
      return { ...end, detail: end.detail === null ? detail : `${end.detail}; ${detail}` };
    }
  }

  #attachMethod(): 'uprobe-multi' | 'perf-link' {
    return this.#object.uprobeMulti ? 'uprobe-multi' : 'perf-link';
  }

  #findLibraries(): LibraryFile[] {
    const { target } = this.#options;
    const { files, searched, ignored, known } = findLibraries({
      ...this.#search,
      ...(target.kind === 'all' || target.kind === 'command' ? {} : { pids: this.#pids ?? [] }),
      ...(target.kind === 'command'
        ? { command: { argv: target.argv, env: process.env, cwd: process.cwd() } }
        : {}),
    });
    this.#searched.push(...searched, ...ignored.map(({ file, reason }) => `${file.path} (${reason})`));
    this.#ignored.push(...ignored);
    for (const key of known) this.#known.add(key);
    this.#loaders.push(...files.filter(isLoader));
    return files.filter((file) => !isLoader(file));
  }

  /** A required probe without a library or symbol is refused before anything is written. */
  #refuseWithoutRequired(found: readonly PlannedFile[]): void {
    const absent = requiredMissing(
      this.#packs,
      found.map(({ plan }) => plan),
    );
    if (absent.length === 0) return;
    const files = found.map(({ plan }) => plan.file.path);
    throw new IngeroError(`Required functions were not found: ${absent.map(({ op }) => op).join(', ')}.`, {
      code: 'required-not-found',
      exitCode: EXIT.targetMissing,
      expected:
        files.length === 0
          ? `a library named ${this.#search.sonames.filter((name) => !LOADER_NAMES.includes(name)).join(' or ')}`
          : `the functions in ${files.join(' or ')}`,
      next: `Looked at: ${this.#searched.join('; ')}.`,
    });
  }

  #refuseMissingCommand(): void {
    const { target } = this.#options;
    if (target.kind !== 'command') return;
    const [file] = target.argv as [string, ...string[]];
    if (findProgram(file, process.cwd(), toEnvironment(process.env)) !== null) return;
    throw new IngeroError(`There is no program ${file} to start.`, {
      code: 'command-not-found',
      exitCode: EXIT.targetMissing,
      expected: 'an executable file, or a command in PATH',
    });
  }

  #plan(file: LibraryFile): PlannedFile[] {
    const packs = this.#packs.filter((pack) => matchesPack(pack, file));
    const planned = packs.map((pack) => this.#tracer.plan(pack, file));
    // A file with one library linked into it has none of the functions of another pack, and need not say so.
    const wanted = file.embedded ? planned.filter(({ plan }) => plan.probes.length > 0) : planned;
    for (const { plan } of wanted) this.#packsFound.add(plan.pack);
    return wanted;
  }

  /** The recorder is told of the probes first, then they are attached: no record comes from an unknown probe. */
  #attach(planned: PlannedFile): void {
    const decodings = this.#tracer.describe(this.#object, planned.plan);
    this.#send({ type: 'decodings', decodings });
    this.#send({ type: 'probes', ...this.#tracer.attach(this.#links, planned) });
    this.#overhead.add(this.#tracer.attachedOf(planned.plan));
  }

  /** Tells the recorder, or keeps for it what happens before there is one. */
  #send(message: ToRecorder): void {
    if (this.#recorder === undefined) this.#unsent.push(message);
    else this.#recorder.send(message);
  }

  /** Files that look right and are not used are rows as well, each for the packs it would have served. */
  #sendIgnored(ignored: readonly IgnoredLibrary[]): void {
    const libraries = ignored.flatMap(({ file, reason }) =>
      this.#packs
        .filter((pack) => matchesPack(pack, file))
        .map((pack) => this.#tracer.ignored(pack, file, reason)),
    );
    if (libraries.length > 0) this.#send({ type: 'probes', libraries, probes: [] });
  }

  #sendUnfound(): void {
    for (const pack of this.#packs) {
      if (this.#packsFound.has(pack)) continue;
      this.#send({ type: 'probes', ...this.#tracer.unfound(pack, 'no library file was found') });
    }
  }

  /** Processes that are there from the start are known even when they end before the recorder looks at them. */
  #describeTargets(): void {
    if (this.#options.target.kind === 'command') return;
    for (const pid of this.#pids ?? []) this.#send({ type: 'process', info: readProcess(pid) });
  }

  /** Lets the launcher become the command. */
  async #startCommand(userMask: number): Promise<void> {
    const { target, launcher, user } = this.#options;
    if (target.kind !== 'command' || launcher === null) return;
    const { child } = launcher;
    this.#command = child;
    void launcher.ended.then(({ code, signal }) => {
      this.#commandStatus = code;
      this.#end({
        reason: 'target-exited',
        detail: signal === null ? `exit status ${code}` : `killed by ${signal}`,
      });
    });
    // A command too short to be looked at is known all the same.
    const before = readProcess(launcher.pid as number);
    this.#send({ type: 'process', info: { ...before, ...describeCommand(target.argv) } });
    const failure = await launcher.launch({ argv: target.argv, umask: userMask, user });
    if (failure === null) return;
    this.#end({ reason: 'failed', detail: `${target.argv[0]}: ${failure}`, commandRefused: true });
  }

  #startTimers(): void {
    const { target } = this.#options;
    const { durationMs } = this.#limits;
    if (durationMs !== null)
      this.#timers.push(setTimeout(() => this.#end({ reason: 'duration', detail: null }), durationMs));
    this.#timers.push(setInterval(() => this.#sendAnchor(readClockAnchor()), ANCHOR_MS));
    this.#timers.push(setInterval(() => this.#send({ type: 'observe' }), this.#overhead.intervalMs));
    this.#watch = new LibraryWatch(target, this.#watchedLoaders > 0 ? this.#object.loadsFd : null, (pids) => {
      let found = false;
      void this.#guard(() => {
        found = this.#rescan(pids);
      });
      return found;
    });
    if (target.kind === 'pids') {
      this.#timers.push(
        setInterval(() => {
          if (!target.pids.some(isAlive)) this.#end({ reason: 'target-exited', detail: null });
        }, ALIVE_CHECK_MS),
      );
    }
  }

  #stopTimers(): void {
    this.#watch?.stop();
    for (const timer of this.#timers) clearInterval(timer);
  }

  /** Attaches to libraries that came into these processes, or into any that are traced, since the last look. */
  #rescan(rung: readonly number[] | undefined): boolean {
    const pids = rung ?? this.#tracedPids();
    const { files, ignored } = rescanProcesses(
      { ...this.#search, ...(pids === undefined ? {} : { pids }) },
      this.#known,
    );
    for (const file of files) {
      if (isLoader(file)) this.#watchLoader(file);
      else for (const planned of this.#plan(file)) this.#attach(planned);
    }
    this.#sendIgnored(ignored);
    return files.length > 0;
  }

  /** Processes to look at; undefined: all. Those with the command name asked for are let through the filter. */
  #tracedPids(): readonly number[] | undefined {
    const { target } = this.#options;
    if (target.kind === 'all') return undefined;
    if (target.kind !== 'comm') return [...(this.#pids ?? []), ...descendants(this.#pids ?? [])];
    const pids = initialPids(target, null) ?? [];
    for (const pid of pids) this.#object.allowProcess(pid);
    return pids;
  }

  /** Without a probe on its loader a process is looked at now and then only. */
  #watchLoader(loader: LibraryFile): void {
    const site = loaderSite(loader);
    if (site !== null && this.#links.watchLoader(loader.openPath, site) === null) this.#watchedLoaders++;
  }

  #endOnSignals(): () => void {
    const reasons: Record<string, EndReason> = {
      SIGINT: 'interrupted',
      SIGTERM: 'terminated',
      SIGHUP: 'terminated',
    };
    const handler = (signal: NodeJS.Signals): void =>
      this.#end({ reason: reasons[signal] as EndReason, detail: `signal ${signal}` });
    for (const signal of Object.keys(reasons)) process.on(signal, handler);
    return () => {
      for (const signal of Object.keys(reasons)) process.off(signal, handler);
    };
  }

  /** Short traces have this one only. A recorder that is stuck is not waited for. */
  async #lastObservation(): Promise<void> {
    const observed = new Promise<void>((resolve) => {
      this.#recorder?.onMessage(({ type }) => {
        if (type === 'observation') resolve();
      });
    });
    this.#send({ type: 'observe' });
    await Promise.race([observed, sleep(LAST_OBSERVATION_MS, undefined, { ref: false })]);
  }

  #observe(observation: Extract<FromRecorder, { type: 'observation' }>): void {
    const step = this.#overhead.observe(observation);
    if (step?.to.kind === 'detached') this.#end({ reason: 'max-overhead', detail: step.reason });
  }

  #heed(message: FromRecorder): void {
    if (message.type === 'observation') this.#observe(message);
    if (message.type === 'stopped') this.#end({ reason: message.reason, detail: message.detail });
    if (message.type === 'summary') {
      const lost = this.#tracer.attachedProbes.reduce((sum, id) => {
        const counts = this.#object.counters(id);
        return sum + Number(counts.lost_ring_full + counts.lost_too_deep + counts.lost_no_memory);
      }, 0);
      this.#observer.totals({
        ops: message.ops,
        rows: message.rows,
        lost,
        ringHighWater: message.ringHighWater,
      });
    }
  }

  #sendAnchor(anchor: ReturnType<typeof readClockAnchor>): void {
    this.#send({
      type: 'anchor',
      row: {
        monotonic_ns: anchor.monotonicNs,
        wall_time: anchor.wallNs,
        uncertainty_ns: anchor.uncertaintyNs,
      },
    });
  }

  #captureRow(privileges: PrivilegePlan): CaptureRow {
    return {
      capture_id: randomUUID(),
      schema_version: this.#schema.version,
      ingero_version: ingeroVersion(),
      hostname: hostname(),
      boot_id: bootId(),
      kernel: release(),
      arch: process.arch,
      cpu_count: cpus().length,
      started_at: wallClockNs(),
      end_reason: 'cut-off',
      command_line: this.#dropsCommandLines() ? null : this.#options.commandLine,
      target: describeTarget(this.#options.target, !this.#dropsCommandLines()),
      privileges: describePrivileges(privileges),
      return_probes: this.#options.returns.detail,
      policy_path: this.#options.policy?.path ?? null,
      policy_sha256: this.#options.policy?.sha256 ?? null,
      policy_verdict:
        this.#options.policy === null ? null : this.#verdicts.map(({ rule, detail }) => `${rule}: ${detail}`),
      attach_method: this.#attachMethod(),
      bpf_sha256: this.#object.sha256,
      ring_bytes: BigInt(this.#object.rings.reduce((sum, ring) => sum + ring.bytes, 0)),
    };
  }
}

/** A library file belongs to a pack by its file name or its DT_SONAME; one linked into another file by its functions. */
function matchesPack({ pack }: CompiledPack, file: LibraryFile): boolean {
  if (file.embedded) return isEmbeddable(pack);
  const matcher = sonameMatcher(pack.libraries.map(({ soname }) => soname));
  return matcher.matches(basename(file.path)) || (file.soname !== null && matcher.matches(file.soname));
}

/** The file a command is, links resolved: what the kernel will show as its executable. A script shows its interpreter. */
function realProgram(argv: readonly string[]): string | null {
  const found = findProgram(argv[0] as string, process.cwd(), toEnvironment(process.env));
  return found === null ? null : realpathSync(found);
}

/** The limits asked for, or those of the policy where there are none. More than the policy allows is refused before. */
function withinPolicy(asked: TraceLimits, allowed: TraceLimits): TraceLimits {
  return {
    durationMs: asked.durationMs ?? allowed.durationMs,
    sizeBytes: asked.sizeBytes ?? allowed.sizeBytes,
    overheadPercent: asked.overheadPercent ?? allowed.overheadPercent,
  };
}

/** What is known of a command without looking at it. */
function describeCommand(argv: readonly string[]): Pick<ProcessInfo, 'comm' | 'exe' | 'commandLine'> {
  const [file] = argv as [string];
  return {
    // The kernel keeps 15 bytes (TASK_COMM_LEN).
    comm: basename(file).slice(0, 15),
    exe: findProgram(file, process.cwd(), toEnvironment(process.env)),
    commandLine: [...argv],
  };
}

function bootId(): string | null {
  try {
    return readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
  } catch {
    return null;
  }
}
