import type { AgentRows, AgentSchema, Row } from './go-agent-file.js';

/** Start of the recorded run, ns since 1970. */
export const START = 1_790_000_000_000_000_000n;
export const at = (ms: number): bigint => START + BigInt(ms) * 1_000_000n;
const US = 1000;

/** Device memory as cudaMalloc returns it. */
export const DEVICE = 0x7f5c_0000_0000n;
/** Hash of a stack with native and Python frames; as a signed number it is negative. */
export const STACK = -9188268837848188190n;
/** Hash of a stack the agent forgot to write. */
export const LOST_STACK = 77n;

/** `10.0.0.7` and `10.0.0.9` as the kernel keeps them, `port << 16 | port`. */
const ADDRESSES = (0x0700_000an << 32n) | 0x0900_000an;

/** Every operation of the agent, once at least, with the arguments newer versions of it store. */
export function events(version: AgentSchema, node: string): Row[] {
  const rows: (readonly [source: number, op: number, more: Row])[] = [
    [3, 5, {}],
    [1, 1, { arg0: 4096, arg1: DEVICE, duration: 200 * US, stack_hash: STACK }],
    [4, 5, { arg0: 4096, duration: 150 * US }],
    [1, 1, { arg0: 1n << 40n, arg1: 0, duration: 90 * US, ret_code: 2 }],
    [1, 8, { arg0: 8192, arg1: DEVICE + 65536n, duration: 70 * US }],
    [4, 6, { arg0: 8192, duration: 60 * US }],
    [1, 4, { arg0: 4096, arg1: 1, duration: 30 * US }],
    [1, 7, { arg0: 1 << 20, arg1: 5, duration: 9 * US, stack_hash: LOST_STACK }],
    [1, 7, { arg0: 1 << 20, arg1: 2, duration: 9 * US }],
    [4, 2, { arg0: 4096, duration: 25 * US }],
    [4, 3, { arg0: 512, duration: 5 * US }],
    [1, 9, { arg0: 640, arg1: 0, duration: 12 * US }],
    [1, 10, { arg0: 640, arg1: 5, duration: 12 * US }],
    [1, 11, { arg0: 2048, arg1: 3, duration: 40 * US }],
    [1, 12, { arg0: 2048, arg1: 3, duration: 4 * US }],
    [1, 3, { arg0: 0x7f00_0000_1230n, arg1: 0x5555_0000_0010n, duration: 7 * US }],
    [4, 1, { arg0: 0x5600_0000_0040n, duration: 5 * US }],
    [1, 5, { arg0: 0x5555_0000_0010n, duration: 2000 * US }],
    [1, 6, { duration: 3000 * US }],
    [4, 4, { duration: 2900 * US }],
    [8, 1, { duration: 3 * US }],
    [8, 2, { duration: 4 * US, ret_code: 901 }],
    [8, 3, { duration: 300 * US }],
    [8, 4, { duration: 6 * US }],
    // A thread of process 500, which the agent names by its thread id alone.
    [3, 1, { pid: 501, tid: 501, arg1: 900, duration: 5000 * US }],
    [3, 6, { pid: 500, tid: 501 }],
    [3, 2, { pid: 0, tid: 0, arg1: 501 }],
    [3, 3, { arg0: 4096 }],
    [3, 4, { arg1: 700 }],
    [3, 7, { arg1: 502 }],
    [3, 10, { arg1: 500 }],
    [3, 11, { arg1: 500 }],
    [3, 12, { arg1: 500 }],
    [3, 20, { arg0: 12, arg1: 49152 }],
    [3, 21, { arg0: 9, arg1: 800_000 }],
    [5, 1, { arg0: 8, arg1: 123456, duration: 400 * US }],
    [5, 2, { arg0: 16, arg1: 123464, duration: 900 * US }],
    [5, 3, { arg0: 2048, arg1: 1 << 20, duration: 100 * US }],
    [6, 1, { arg0: ADDRESSES, arg1: (5001 << 16) | 443, gpu_id: 1 }],
    // IPv6: the agent stores no address.
    [6, 1, { arg0: 0, arg1: (5001 << 16) | 443, gpu_id: 4 }],
    [7, 1, { arg0: 12, arg1: 1500, duration: 20 * US }],
    [7, 2, { arg0: 12, arg1: -11, duration: 10 * US }],
    [9, 3, { arg0: 1024, arg1: 7, duration: 80 * US }],
    [2, 7, { arg0: 11, arg1: 22 }],
    [1, 2, { arg0: DEVICE, arg1: 4096, duration: 50 * US }],
    [1, 2, { arg0: DEVICE + 65536n, arg1: 0, duration: 50 * US }],
  ];
  return rows.map(([source, op, more], index) => ({
    ...(version === '0.8'
      ? { id: index + 1 }
      : { id: `${node}:${index + 1}`, node, rank: 3, local_rank: 1, world_size: 8 }),
    ...(version === '0.10' || version === '0.17' ? { comm: source === 3 ? 'worker' : 'python3' } : {}),
    timestamp: at(10 * (index + 1)),
    pid: 500,
    tid: 500,
    source,
    op,
    duration: 0,
    cgroup_id: 42,
    ...more,
  }));
}

const AGENT: Readonly<Record<AgentSchema, string>> = {
  '0.8': 'dev (commit: unknown, built: 2026-03-24T13:46:50Z)',
  '0.9': 'v0.9.2 (commit: 1234567, built: 2026-04-05T00:00:00Z)',
  '0.10': 'v0.10.0 (commit: 1234567, built: 2026-04-21T00:00:00Z)',
  '0.17': 'v0.17.1 (commit: 1234567, built: 2026-06-01T00:00:00Z)',
};

/** A run of one node with rows in every table its version has. */
export function singleNode(version: AgentSchema, node = 'node-a'): AgentRows {
  const named = version === '0.8' ? {} : { node };
  return {
    sessions: [
      {
        started_at: START,
        stopped_at: at(2000),
        gpu_model: 'Tesla T4, 15360 MiB',
        gpu_driver: '580.126.09',
        cpu_model: 'Some CPU',
        cpu_cores: 4,
        mem_total: 15785,
        kernel: '6.17.0',
        os_release: 'Ubuntu 24.04.4 LTS',
        cuda_ver: '13.0',
        python_ver: '3.12.3',
        ingero_ver: AGENT[version],
        pid_filter: '500',
        flags: 'stack,record',
        ...named,
      },
    ],
    events: events(version, node),
    stack_traces: [
      {
        hash: STACK,
        ips: '',
        frames: JSON.stringify([
          { pf: '/app/train.py', pfn: 'step', pl: 12 },
          { pf: '/app/train.py', pfn: '<module>', pl: 40 },
          { s: 'cudaMalloc+0x1cb', f: 'libcudart.so.12' },
          { i: '0x7f5c19c1498c', f: 'libtorch_cuda.so' },
        ]),
      },
      { hash: 5, ips: '["0x10","0x20"]', frames: '' },
    ],
    causal_chains: [
      {
        id: version === '0.8' ? 'tail-high-cudaMalloc' : `${node}:tail-high-cudaMalloc`,
        detected_at: at(900),
        severity: 'HIGH',
        summary: "cudaMalloc p99=200us - it's slow",
        root_cause: '9 sched_switch events',
        explanation: 'one\ntwo',
        recommendations: '["Pin the process","Stop cron"]',
        cuda_op: 'cudaMalloc',
        cuda_p99_us: 200,
        cuda_p50_us: 50,
        tail_ratio: 4.0,
        timeline: '[{"layer":"HOST","op":"sched_switch","detail":"9","dur_us":1}]',
        ...named,
      },
    ],
    system_snapshots: [
      { timestamp: at(100), cpu_pct: 33.5, mem_pct: 10, mem_avail: 14107, swap_mb: 0, load_avg: 0.39 },
    ],
    process_names: [
      { pid: 500, name: 'python3', seen_at: at(1000) },
      { pid: 9999, name: 'unrelated', seen_at: at(1000) },
    ],
    event_aggregates: [
      // Overwritten: fewer than there are events of it.
      {
        bucket: (START / 60_000_000_000n) * 60_000_000_000n,
        source: 1,
        op: 1,
        pid: 500,
        count: 1,
        stored: 1,
        sum_dur: 5,
        min_dur: 5,
        max_dur: 5,
        sum_arg0: 4096,
      },
      {
        bucket: (START / 60_000_000_000n) * 60_000_000_000n,
        source: 1,
        op: 3,
        pid: 500,
        count: 900,
        stored: 1,
        sum_dur: 900,
        min_dur: 1,
        max_dur: 9,
        sum_arg0: 123456789,
      },
      {
        bucket: (START / 60_000_000_000n) * 60_000_000_000n,
        source: 3,
        op: 1,
        pid: 501,
        count: 1,
        stored: 1,
        sum_dur: 900,
        min_dur: 1,
        max_dur: 9,
      },
    ],
    cgroup_metadata: [
      {
        cgroup_id: 42,
        container_id: 'ab'.repeat(32),
        cgroup_path: '/kubepods/pod1',
        pod_name: 'trainer-0',
        namespace: 'ml',
      },
    ],
    cgroup_schedstat: [
      {
        cgroup_id: 42,
        p99_off_cpu: 7,
        total_off_cpu: 100,
        event_count: 4,
        window_start: START,
        window_end: at(1000),
      },
      {
        cgroup_id: 42,
        p99_off_cpu: 8,
        total_off_cpu: 150,
        event_count: 9,
        window_start: START,
        window_end: at(2000),
      },
    ],
    ...(version === '0.10' || version === '0.17'
      ? {
          event_aggregates_5s: [
            {
              bucket: (START / 5_000_000_000n) * 5_000_000_000n,
              source: 7,
              op: 1,
              pid: 500,
              count: 3,
              stored: 1,
              sum_dur: 60000,
              min_dur: 1,
              max_dur: 9,
            },
          ],
        }
      : {}),
    ...(version === '0.17'
      ? {
          annotations: [
            {
              timestamp: at(300),
              labels: '{"step":"7"}',
              pid: 500,
              start_time: 123,
              span_start: at(200),
              span_end: at(300),
              peer_uid: 1000,
              peer_gid: 1000,
              peer_pid: 500,
            },
          ],
        }
      : {}),
  };
}

/** A file of two nodes as the agent merges them: events, sessions and chains of both, without aggregates. */
export function merged(version: '0.9' | '0.10' | '0.17'): AgentRows {
  const nodes = [singleNode(version, 'node-a'), singleNode(version, 'node-b')];
  const both = (table: string): readonly Row[] => nodes.flatMap((rows) => rows[table] ?? []);
  const [first] = nodes as [AgentRows, AgentRows];
  return {
    ...first,
    sessions: both('sessions'),
    events: both('events'),
    causal_chains: both('causal_chains'),
    event_aggregates: [],
    event_aggregates_5s: [],
    cgroup_schedstat: [],
  };
}
