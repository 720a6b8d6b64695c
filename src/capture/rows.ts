// Generated from schema/ by `npm run schema`; a test keeps it fresh.

/** One row per run that says who recorded it, where, when, and how it ended. A file that was merged from several captures has several. */
export type CaptureRow = {
  /** Number of this run in the file: 1, unless the file was merged from several captures */
  run_id?: number;
  /** Random identity of this capture */
  capture_id: string;
  /** Version of this schema (schema/ in the ingero sources documents each) */
  schema_version: number;
  /** Version of ingero that wrote the file */
  ingero_version: string;
  /** Host name */
  hostname?: string | null;
  /** Identity of this boot of the host (/proc/sys/kernel/random/boot_id) */
  boot_id?: string | null;
  /** Kernel release (uname -r) */
  kernel?: string | null;
  /** Machine architecture: x64 or arm64 */
  arch?: string | null;
  /** CPUs online when the trace started [CPUs] */
  cpu_count?: number | null;
  /** When recording started (probes attached) [UTC] */
  started_at: bigint;
  /** When recording stopped; NULL when the recorder was cut off [UTC] */
  ended_at?: bigint | null;
  /** How recording ended; cut-off stands from the start until an orderly end replaces it; max-size, max-overhead: the limit on the size of the file, on what recording may cost; unknown: imported from a capture that does not say */
  end_reason: 'cut-off' | 'duration' | 'interrupted' | 'terminated' | 'target-exited' | 'disk-full' | 'failed' | 'unknown' | 'max-size' | 'max-overhead';
  /** More about the end (signal, exit status, error message) */
  end_detail?: string | null;
  /** Arguments ingero was started with */
  command_line?: readonly string[] | null;
  /** What was traced: all processes, pid N, comm NAME, or command ... */
  target: string;
  /** How probes were attached: one multi-uprobe link per file, or one perf link per probe */
  attach_method?: 'uprobe-multi' | 'perf-link' | null;
  /** SHA-256 of the BPF object that was loaded, hex */
  bpf_sha256?: string | null;
  /** Size of all kernel ring buffers together [bytes] */
  ring_bytes?: bigint | null;
  /** Whom the trace became and what privileges it kept once the probes were attached */
  privileges?: string | null;
  /** Whether returns of calls were probed: placed, or left out and why. Without them rows of calls have no duration, result or error */
  return_probes?: string | null;
  /** Policy of the host the trace was judged by; NULL when there was none */
  policy_path?: string | null;
  /** SHA-256 of its text, hex */
  policy_sha256?: string | null;
  /** What each of its rules said, as RULE: DETAIL; a trace that breaks one is not started */
  policy_verdict?: readonly string[] | null;
  /** True when hits = rows + filtered + sampled + lost for every probe; NULL when cut off */
  accounting_balanced?: boolean | null;
};

/** The probe packs of the run, whole. */
export type PacksRow = {
  /** Run the row belongs to: 1, unless the file was merged from several captures */
  run_id?: number;
  /** Pack name */
  pack: string;
  /** Pack version */
  version: string;
  /** Layer of the stack its calls belong to (runtime, driver ...); layers are never summed */
  layer: string;
  /** Event table its rows are in */
  event_table: string;
  /** File the pack was read from */
  path?: string | null;
  /** SHA-256 of the YAML text, hex */
  sha256?: string | null;
  /** The YAML text as it was used: that of the file, or with its overlays applied */
  yaml?: string | null;
  /** SHA-256 of the file, hex; differs from sha256 when overlays changed the pack */
  file_sha256?: string | null;
  /** Files that changed the pack, in the order they were applied */
  overlays: readonly string[];
  /** SHA-256 of each of these files, hex */
  overlay_sha256: readonly string[];
  /** Who signed the pack, as the trust store of the recording host names them; NULL when nobody did, or the signature was not good */
  signer?: string | null;
};

/** Every library file that was found for a pack, and what was done with it. */
export type LibrariesRow = {
  /** Run the row belongs to: 1, unless the file was merged from several captures */
  run_id?: number;
  /** Identity in this capture */
  library_id: number;
  /** Path as the traced processes or this host know it */
  path: string;
  /** Device number of the file (st_dev) */
  dev: bigint;
  /** Inode number */
  inode: bigint;
  /** File size [bytes] */
  size_bytes: bigint;
  /** GNU build-id, hex; NULL when the file has none */
  build_id?: string | null;
  /** DT_SONAME */
  soname?: string | null;
  /** Version in the file name */
  version?: string | null;
  /** How it was found: maps:PID, ld.so.cache, directory, needed ... */
  found_by: string;
  /** Pack it was found for */
  pack: string;
  /** What was done with it */
  state: 'traced' | 'ignored' | 'failed';
  /** Why it was ignored or failed */
  reason?: string | null;
};

/** Every function of every pack, per library file - attached, skipped or failed, and why. */
export type ProbesRow = {
  /** Run the row belongs to: 1, unless the file was merged from several captures */
  run_id?: number;
  /** Identity in this capture; event rows and probe_accounting refer to it */
  probe_id: number;
  /** Pack name */
  pack: string;
  /** Operation name, as in the op column of event rows */
  op: string;
  /** Symbol attached to (or looked for) */
  symbol?: string | null;
  /** C declaration the arguments were decoded by */
  prototype?: string | null;
  /** libraries.library_id; NULL when no library was found */
  library_id?: number | null;
  /** What became of it; imported: it stands for what another program recorded, where is not known */
  state: 'attached' | 'skipped' | 'failed' | 'imported';
  /** Why it was skipped or failed */
  reason?: string | null;
  /** call: entry and return are probed; entry: only the entry */
  mode: 'call' | 'entry';
  /** Virtual address of the symbol in its file */
  address?: bigint | null;
  /** File offset the probe was put at [bytes] */
  file_offset?: bigint | null;
  /** Bytes of the prologue skipped to reach a cheaper instruction [bytes] */
  skip_bytes?: number | null;
  /** How the kernel executes the probed instruction; single-step is several times dearer */
  cost_class?: 'emulated' | 'single-step' | null;
};

/** What became of every hit of every attached probe: hits = rows + filtered + sampled + lost_*. */
export type ProbeAccountingRow = {
  /** Run the row belongs to: 1, unless the file was merged from several captures */
  run_id?: number;
  /** probes.probe_id */
  probe_id: number;
  /** Times the function was entered while attached (counted in the kernel) [calls] */
  hits: bigint;
  /** Rows in this file [calls] */
  rows: bigint;
  /** Rejected in the kernel, by the process filter or by conditions of the pack (where) [calls] */
  filtered: bigint;
  /** Left out by sampling [calls] */
  sampled: bigint;
  /** Lost because the ring buffer had no room [calls] */
  lost_ring_full: bigint;
  /** Lost because more calls were nested on the thread than are tracked [calls] */
  lost_too_deep: bigint;
  /** Lost because the kernel could not allocate per-thread state [calls] */
  lost_no_memory: bigint;
  /** Read from the ring but not written (disk full) [calls] */
  lost_not_written: bigint;
  /** Whether the identity holds for this probe */
  balanced: boolean;
  /** Returns of calls entered before the entry probe was attached (not hits) [calls] */
  orphan_returns: bigint;
  /** Reads of target memory that failed; the columns are NULL [reads] */
  read_faults: bigint;
  /** Rows without the stack their pack asks for: too many distinct ones, or no memory [rows] */
  lost_stacks: bigint;
};

/** Processes seen calling a probed function. */
export type ProcessesRow = {
  /** Run the row belongs to: 1, unless the file was merged from several captures */
  run_id?: number;
  /** Identity of one process in this capture: a process that got the pid of one that ended has another (in files recorded with schema version 1: the pid) */
  process_id: number;
  /** In a merged file: process_id of the first row about the same process, which several runs may have recorded; NULL in a file of one run */
  incarnation_id?: number | null;
  /** Process id in the host's pid namespace */
  pid: number;
  /** First call recorded from it [UTC] */
  first_seen: bigint;
  /** When the process started; NULL when it had ended before it could be read [UTC] */
  started_at?: bigint | null;
  /** Parent process id */
  ppid?: number | null;
  /** Real user id */
  uid?: number | null;
  /** Command name */
  comm?: string | null;
  /** Path of the executable */
  exe?: string | null;
  /** Arguments */
  command_line?: readonly string[] | null;
  /** Control group path */
  cgroup?: string | null;
  /** Container id found in the cgroup path */
  container_id?: string | null;
  /** Global rank from its environment (RANK, OMPI_COMM_WORLD_RANK, SLURM_PROCID, PMI_RANK) */
  rank?: number | null;
  /** Rank on this host from its environment */
  local_rank?: number | null;
  /** Number of ranks from its environment */
  world_size?: number | null;
  /** CUDA_VISIBLE_DEVICES of its environment */
  visible_devices?: string | null;
  /** Whether the system calls of its main thread were filtered when it was first looked at; NULL when that could not be read */
  seccomp?: 'none' | 'strict' | 'filter' | null;
};

/** Threads seen calling a probed function. */
export type ThreadsRow = {
  /** Run the row belongs to: 1, unless the file was merged from several captures */
  run_id?: number;
  /** Thread id in the host's pid namespace */
  tid: number;
  /** Its process */
  pid: number;
  /** Its process */
  process_id: number;
  /** Thread name at its first recorded call */
  name?: string | null;
  /** First call recorded from it [UTC] */
  first_seen: bigint;
};

/** Pairs of monotonic and wall-clock readings. Event times are monotonic plus the offset of the first anchor, so a clock stepped during the run shows here and not in the events. */
export type ClockAnchorsRow = {
  /** Run the row belongs to: 1, unless the file was merged from several captures */
  run_id?: number;
  /** CLOCK_MONOTONIC [ns] */
  monotonic_ns: bigint;
  /** CLOCK_REALTIME at that moment [UTC] */
  wall_time: bigint;
  /** Width of the window both clocks were read in [ns] */
  uncertainty_ns: bigint;
};

/** Distinct stacks calls were made from. */
export type StacksRow = {
  /** Run the row belongs to */
  run_id?: number;
  /** Identity in this file; event rows refer to it */
  stack_id: number;
  /** Frames it has [frames] */
  depth: number;
  /** Whether outer frames are missing; NULL when that is not known */
  truncated?: boolean | null;
  /** Hash the program it was imported from knew the stack by; NULL for stacks ingero recorded */
  imported_hash?: bigint | null;
};

/** Frames of the stacks. */
export type FramesRow = {
  /** Stack the frame belongs to */
  stack_id: number;
  /** Place in the stack: 0 is the innermost frame */
  position: number;
  /** native: machine code; python: a frame of the Python interpreter */
  kind: 'native' | 'python';
  /** Instruction address in the process; NULL for Python frames */
  address?: bigint | null;
  /** File the code is in */
  module?: string | null;
  /** GNU build-id of that file, hex */
  build_id?: string | null;
  /** Offset of the instruction in that file [bytes] */
  module_offset?: bigint | null;
  /** Function name; NULL when it is not resolved */
  function?: string | null;
  /** Offset of the instruction in the function [bytes] */
  function_offset?: bigint | null;
  /** Source file */
  source_file?: string | null;
  /** Line in the source file */
  line?: number | null;
};

/** The file a run was converted from. Runs ingero recorded have no row. */
export type ImportsRow = {
  /** Run that was converted */
  run_id?: number;
  /** When it was converted [UTC] */
  imported_at: bigint;
  /** ingero that converted it */
  ingero_version: string;
  /** What wrote the file: go-agent, the older ingero written in Go (SQLite) */
  format: 'go-agent';
  /** Schema version the file says it has (0.10 stands for 0.10 to 0.17) */
  format_version: string;
  /** Name of the file */
  source_file: string;
  /** Its size [bytes] */
  source_bytes: bigint;
  /** SHA-256 of it, hex */
  source_sha256: string;
  /** SHA-256 of the write-ahead log that lay beside it and was read with it, hex; NULL where there was none */
  wal_sha256?: string | null;
  /** Whether parts of the file could not be read (--salvage); import_salvage says which */
  is_partial: boolean;
  /** What to know of the file beyond the counts */
  notes: readonly string[];
};

/** What became of every row of the file this capture was converted from: source_rows = converted + the rows left out for reason. */
export type ImportAccountingRow = {
  /** imports.source_sha256: the file */
  source_sha256: string;
  /** Table of the old file */
  source_table: string;
  /** Operation, for rows of its events table */
  op?: string | null;
  /** Table of this file the rows went to; NULL when they were left out */
  into_table?: string | null;
  /** Rows that were read [rows] */
  source_rows: bigint;
  /** Of these, rows that are in this file [rows] */
  converted: bigint;
  /** Why rows were left out; NULL when none was */
  reason?: string | null;
};

/** What could not be read of a damaged file this capture was converted from (--salvage). */
export type ImportSalvageRow = {
  /** imports.source_sha256: the file */
  source_sha256: string;
  /** Table of the old file */
  source_table: string;
  /** Places that could not be read; each is a row, or a page of rows */
  damaged_places: bigint;
  /** Rows found on pages that had lost their connection with the table [rows] */
  recovered_rows: bigint;
  /** The first places and what is wrong there */
  damages: readonly string[];
};

/** What the older Go agent recorded of each of its runs and its host. */
export type ImportedSessionsRow = {
  /** Run it describes */
  run_id?: number;
  /** Id of the session in the old file */
  session_id: bigint;
  /** Version of the agent; decides what the arguments of its events mean */
  agent_version?: string | null;
  /** GPU of the host as nvidia-smi names it */
  gpu_model?: string | null;
  /** Version of its driver */
  gpu_driver?: string | null;
  /** CPU of the host */
  cpu_model?: string | null;
  /** Memory of the host [bytes] */
  memory_bytes?: bigint | null;
  /** Operating system */
  os_release?: string | null;
  /** CUDA version the driver supports */
  cuda_version?: string | null;
  /** Python of the host */
  python_version?: string | null;
  /** Processes the agent was told to trace; NULL when all */
  pid_filter?: string | null;
  /** Options the agent was started with */
  flags?: string | null;
  /** Global rank the agent was told */
  rank?: number | null;
  /** Rank on the host the agent was told */
  local_rank?: number | null;
  /** Number of ranks the agent was told */
  world_size?: number | null;
};

/** Counts of calls per time bucket of the older Go agent, which stored only some calls as events. Unreliable: it overwrote complete buckets with partial ones. Do not build totals on them; the events are what was seen. */
export type ImportedAggregatesRow = {
  /** Run the row belongs to; NULL when it could be several */
  run_id?: number | null;
  /** Beginning of the bucket [UTC] */
  bucket_start: bigint;
  /** Width of the bucket [ns] */
  bucket_ns: bigint;
  /** Operation */
  op: string;
  /** Layer of the operation */
  layer: string;
  /** Process; NULL where only the thread was known */
  pid?: number | null;
  /** Thread, for sched_switch */
  tid?: number | null;
  /** Calls the agent claims to have seen in the bucket [calls] */
  counted?: bigint | null;
  /** Calls it claims to have stored as events [calls] */
  stored?: bigint | null;
  /** Sum of their durations [ns] */
  total_ns?: bigint | null;
  /** Shortest [ns] */
  min_ns?: bigint | null;
  /** Longest [ns] */
  max_ns?: bigint | null;
  /** Sum of their sizes; NULL where the sum would be of pointers [bytes] */
  bytes?: bigint | null;
  /** Events of this file in the bucket [calls] */
  rows_here: bigint;
  /** contradicted: this file holds more events than the agent counted, so the bucket was overwritten; unreliable: it may have been */
  reliability: 'unreliable' | 'contradicted';
};

/** Conclusions of the older Go agent (its causal chains), as it wrote them. Opaque: its causes are things that happened in the same time, and findings of more than two healthy minutes were deleted. */
export type ImportedFindingsRow = {
  /** Run the row belongs to */
  run_id?: number;
  /** Id in the old file: kind, severity and operation */
  finding: string;
  /** When the agent came to it [UTC] */
  detected_at: bigint;
  /** HIGH, MEDIUM or LOW */
  severity?: string | null;
  /** One line */
  summary: string;
  /** What the agent takes for the cause */
  root_cause?: string | null;
  /** Its reasoning */
  explanation?: string | null;
  /** Its advice */
  recommendations?: readonly string[] | null;
  /** Operation it is about */
  op?: string | null;
  /** Duration 99 % of the agent's sample did not exceed [us] */
  p99_us?: bigint | null;
  /** Duration half of it did not exceed [us] */
  p50_us?: bigint | null;
  /** p99 / p50 */
  tail_ratio?: number | null;
  /** Evidence as the agent stored it [JSON] */
  timeline?: string | null;
};

/** State of the host as the older Go agent sampled it, once a second. */
export type ImportedSystemSamplesRow = {
  /** Run the row belongs to; NULL when it could be several */
  run_id?: number | null;
  /** When [UTC] */
  sampled_at: bigint;
  /** CPU in use [%] */
  cpu_pct?: number | null;
  /** Memory in use [%] */
  memory_pct?: number | null;
  /** Memory available, in steps of 1 MiB [bytes] */
  memory_available_bytes?: bigint | null;
  /** Swap in use, in steps of 1 MiB [bytes] */
  swap_used_bytes?: bigint | null;
  /** Load average over a minute */
  load_1m?: number | null;
};

/** Control groups the older Go agent met. */
export type ImportedCgroupsRow = {
  /** Run the row belongs to; NULL when it could be several */
  run_id?: number | null;
  /** Id of the control group on its host */
  cgroup_id: bigint;
  /** Its path */
  path?: string | null;
  /** Container it belongs to */
  container_id?: string | null;
  /** Kubernetes pod */
  pod?: string | null;
  /** Kubernetes namespace */
  namespace?: string | null;
};

/** Time the threads of a control group were off the CPU, as the older Go agent measured it: waiting of their own will included. */
export type ImportedCgroupOffCpuRow = {
  /** Run the row belongs to; NULL when it could be several */
  run_id?: number | null;
  /** Control group */
  cgroup_id: bigint;
  /** Beginning of the window [UTC] */
  window_start?: bigint | null;
  /** End of the window [UTC] */
  window_end: bigint;
  /** Time off the CPU in the window (the agent stored running totals; this is their difference) [ns] */
  off_cpu_ns: bigint;
  /** Times a thread came back to the CPU in the window [events] */
  switches: bigint;
  /** Time off the CPU 99 % did not exceed, from the agent's start to window_end [ns] */
  p99_since_start_ns?: bigint | null;
};

/** Marks that programs sent to the older Go agent (from its version 0.17 on). */
export type ImportedAnnotationsRow = {
  /** Run the row belongs to; NULL when it could be several */
  run_id?: number | null;
  /** When the agent received it [UTC] */
  annotated_at: bigint;
  /** Labels as they were sent [JSON] */
  labels: string;
  /** Process it is about */
  pid?: number | null;
  /** Start of that process since boot [clock ticks] */
  process_start_ticks?: bigint | null;
  /** Beginning of the time it marks [UTC] */
  span_start?: bigint | null;
  /** End of the time it marks [UTC] */
  span_end?: bigint | null;
  /** User that sent it */
  peer_uid?: number | null;
  /** Group that sent it */
  peer_gid?: number | null;
  /** Process that sent it */
  peer_pid?: number | null;
};

/** What recording itself cost and how close to its limits it was, sampled while it ran. */
export type SelfObservationsRow = {
  /** Run the row belongs to */
  run_id?: number;
  /** When the sample was taken [UTC] */
  observed_at: bigint;
  /** CPU time ingero had used since it started [ns] */
  cpu_ns: bigint;
  /** Memory it had resident [bytes] */
  rss_bytes: bigint;
  /** Largest part of a ring buffer that was in use since the sample before, 0 to 1 [share] */
  ring_high_water: number;
  /** Longest time committing rows took since the sample before; NULL when nothing was committed [ns] */
  flush_max_ns?: bigint | null;
  /** Time spent in BPF programs since recording started; NULL when the kernel does not count it [ns] */
  bpf_run_ns?: bigint | null;
  /** Threads that called since the sample before [threads] */
  busy_threads: number;
  /** What recording took from the one that calls most, in percent of a core: its calls times what a call costs by its cost class (docs/overhead.md) [percent] */
  overhead_percent: number;
  /** The part of bpf_run_ns spent in the programs at entries of functions [ns] */
  bpf_entry_ns?: bigint | null;
  /** The part of bpf_run_ns spent in the programs at returns; the rest finds libraries that are loaded [ns] */
  bpf_return_ns?: bigint | null;
};

/** Every time recording stepped down, or back up, to keep within its bounds. */
export type GovernorStepsRow = {
  /** Run the row belongs to */
  run_id?: number;
  /** Number of the step, from 1 */
  step: number;
  /** When it took effect [UTC] */
  stepped_at: bigint;
  /** Level before */
  from_level: string;
  /** Level after */
  to_level: string;
  /** The measurement and the bound that caused it */
  reason: string;
};

/** How the times of each run of a merged file were put on one time line. A file of one run has no rows. */
export type ClockAlignmentRow = {
  /** Run the row is about */
  run_id?: number;
  /** Run whose clock offset was used */
  reference_run_id: number;
  /** same-boot: both runs read one monotonic clock; wall-clock: the typical offset of the run's own anchors; none: the run has no anchors */
  method: 'same-boot' | 'wall-clock' | 'none';
  /** Added to start_time of its events and to first_seen of its processes and threads [ns] */
  correction_ns: bigint;
  /** Largest error of the times that the anchors show, after correction; between hosts the error of their wall clocks comes on top, which no anchor shows [ns] */
  error_ns?: bigint | null;
};

/** Columns whose values were taken out of this file or replaced after it was recorded. */
export type RedactionsRow = {
  /** Table */
  table_name: string;
  /** Column */
  column_name: string;
  /** Class of data it belongs to: command-lines, paths, names, addresses or environment */
  class: string;
  /** drop: values are gone; hash: equal values got equal keyed hashes */
  method: 'drop' | 'hash';
  /** Values that were changed [values] */
  changed: bigint;
  /** First 16 digits of a keyed hash that only says which key was used; NULL for drop */
  key_id?: string | null;
  /** When [UTC] */
  applied_at: bigint;
  /** ingero that did it */
  ingero_version: string;
};

/** Schema versions this file has had. */
export type SchemaMigrationsRow = {
  /** Schema version */
  version: number;
  /** When the file reached it [UTC] */
  applied_at: bigint;
  /** ingero that brought it there */
  ingero_version: string;
};

/** The row of each table, by its name. */
export interface TableRows {
  capture: CaptureRow;
  packs: PacksRow;
  libraries: LibrariesRow;
  probes: ProbesRow;
  probe_accounting: ProbeAccountingRow;
  processes: ProcessesRow;
  threads: ThreadsRow;
  clock_anchors: ClockAnchorsRow;
  stacks: StacksRow;
  frames: FramesRow;
  imports: ImportsRow;
  import_accounting: ImportAccountingRow;
  import_salvage: ImportSalvageRow;
  imported_sessions: ImportedSessionsRow;
  imported_aggregates: ImportedAggregatesRow;
  imported_findings: ImportedFindingsRow;
  imported_system_samples: ImportedSystemSamplesRow;
  imported_cgroups: ImportedCgroupsRow;
  imported_cgroup_off_cpu: ImportedCgroupOffCpuRow;
  imported_annotations: ImportedAnnotationsRow;
  self_observations: SelfObservationsRow;
  governor_steps: GovernorStepsRow;
  clock_alignment: ClockAlignmentRow;
  redactions: RedactionsRow;
  schema_migrations: SchemaMigrationsRow;
}
