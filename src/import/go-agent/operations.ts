import type { ColumnValue, EnumTable, Field } from '../../packs/model.js';

/** Sources of the old agent, by the number in `events.source`. */
export const SOURCE = { cuda: 1, host: 3, driver: 4, io: 5, tcp: 6, net: 7, graph: 8, nccl: 9 } as const;

/**
 * What `events.timestamp` is: the start of a call whose duration follows, the end of an interval whose duration
 * lies before it, or a moment without duration.
 */
type TimeMeaning = 'start' | 'end' | 'instant';

/**
 * Whether the value in `arg1` means what newer versions of the agent put there.
 * `device-pointer`: kept where the run shows that it is one (runs.ts); `nonzero`: 0 stands for unknown;
 * `since-0.16`: earlier versions left it 0; `not-negative`: a negative one is an error code.
 */
export type Arg1Rule = 'device-pointer' | 'nonzero' | 'since-0.16' | 'not-negative';

/** One kind of event of the old agent and where its values go. */
export interface Operation {
  /** Name in the `op` column, as ingero's own packs call it. */
  name: string;
  table: string;
  layer: string;
  time: TimeMeaning;
  columns: readonly ColumnValue[];
  /** Two IPv4 addresses as the kernel keeps them, the first octet in the lowest byte; 0 when they are none. */
  arg0?: 'ipv4-pair';
  arg1?: Arg1Rule;
}

/** Words of an event as slots of a record; fields of columns refer to them. */
export const SLOT = { arg0: 0, arg1: 1, gpuId: 2, stack: 3, process: 4, run: 5 } as const;

const wide = (slot: number): Field => ({ slot, offset: 0, size: 8, signed: false });
const narrow = (slot: number, offset: number, size: 2 | 4, signed = false): Field => ({
  slot,
  offset,
  size,
  signed,
});
const column = (name: string, field: Field, more: Partial<ColumnValue> = {}): ColumnValue => ({
  column: name,
  fields: [field],
  ...more,
});
const arg0 = (name: string): ColumnValue => column(name, wide(SLOT.arg0));
const arg1 = (name: string): ColumnValue => column(name, wide(SLOT.arg1));
const kind = column('kind', wide(SLOT.arg1), { enum: 'memcpy_kind' });

/** Enums the columns refer to. */
export const ENUMS: Readonly<Record<string, EnumTable>> = {
  // 5 is the old agent's own number for unknown: it has no name and becomes NULL.
  memcpy_kind: { 0: 'h2h', 1: 'h2d', 2: 'd2h', 3: 'd2d', 4: 'default' },
  // include/net/tcp_states.h of Linux
  tcp_state: {
    1: 'established',
    2: 'syn_sent',
    3: 'syn_recv',
    4: 'fin_wait1',
    5: 'fin_wait2',
    6: 'time_wait',
    7: 'close',
    8: 'close_wait',
    9: 'last_ack',
    10: 'listen',
    11: 'closing',
    12: 'new_syn_recv',
  },
};

const call = (table: string, layer: string, name: string, ...columns: ColumnValue[]): Operation => ({
  name,
  table,
  layer,
  time: 'start',
  columns,
});
const runtime = (name: string, ...columns: ColumnValue[]): Operation =>
  call('cuda_events', 'runtime', name, ...columns);
const driver = (name: string, ...columns: ColumnValue[]): Operation =>
  call('cuda_driver_events', 'driver', name, ...columns);
const nccl = (name: string): Operation => call('nccl_events', 'nccl', name);
const host = (name: string, time: TimeMeaning, ...columns: ColumnValue[]): Operation => ({
  name,
  table: 'host_events',
  layer: 'host',
  time,
  columns,
});

const otherTid = column('other_tid', narrow(SLOT.arg1, 0, 4, true));
const block = (name: string): Operation =>
  host(name, 'end', column('bytes', wide(SLOT.arg0), { times: 512 }), arg1('sector'));
const net = (name: string): Operation => ({
  ...host(name, 'end', column('fd', narrow(SLOT.arg0, 0, 4, true)), arg1('bytes')),
  arg1: 'not-negative',
});

/** Every operation the old agent can store, by source and number. Its own `ops` table lacks some and is not read. */
const OPERATIONS: Readonly<Record<number, Readonly<Record<number, Operation>>>> = {
  [SOURCE.cuda]: {
    1: { ...runtime('cudaMalloc', arg0('bytes'), arg1('ptr')), arg1: 'device-pointer' },
    2: { ...runtime('cudaFree', arg0('ptr'), arg1('bytes')), arg1: 'nonzero' },
    3: { ...runtime('cudaLaunchKernel', arg0('func'), arg1('stream')), arg1: 'since-0.16' },
    4: runtime('cudaMemcpy', arg0('bytes'), kind),
    5: runtime('cudaStreamSynchronize', arg0('stream')),
    6: runtime('cudaDeviceSynchronize'),
    7: runtime('cudaMemcpyAsync', arg0('bytes'), kind),
    8: { ...runtime('cudaMallocManaged', arg0('bytes'), arg1('ptr')), arg1: 'device-pointer' },
    // arg0 is the width of one row, which is no size; arg1 was 0 (a valid direction) in pre-release builds.
    9: runtime('cudaMemcpy2D'),
    10: runtime('cudaMemcpy2DAsync'),
    11: runtime('cudaMemcpyPeer', arg0('bytes'), kind),
    12: runtime('cudaMemcpyPeerAsync', arg0('bytes'), kind),
  },
  [SOURCE.host]: {
    // Only the thread is known here: pid repeats tid.
    1: host('sched_switch', 'end', otherTid),
    2: host('sched_wakeup', 'instant', otherTid),
    3: host('mm_page_alloc', 'instant', arg0('bytes')),
    4: host('oom_kill', 'instant', otherTid),
    5: host('process_exec', 'instant'),
    6: host('process_exit', 'instant'),
    7: host('process_fork', 'instant', otherTid),
    10: host('pod_restart', 'instant', otherTid),
    11: host('pod_eviction', 'instant', otherTid),
    12: host('pod_oom_kill', 'instant', otherTid),
    20: host('mm_page_alloc_summary', 'instant', arg0('count'), arg1('bytes')),
    21: host('sched_switch_summary', 'instant', arg0('count'), arg1('total_ns')),
  },
  [SOURCE.driver]: {
    1: driver('cuLaunchKernel', arg0('func')),
    2: driver('cuMemcpy', arg0('bytes')),
    3: driver('cuMemcpyAsync', arg0('bytes')),
    4: driver('cuCtxSynchronize'),
    5: driver('cuMemAlloc_v2', arg0('bytes')),
    6: driver('cuMemAllocManaged', arg0('bytes')),
  },
  [SOURCE.io]: { 1: block('block_read'), 2: block('block_write'), 3: block('block_discard') },
  [SOURCE.tcp]: {
    // IPv6 addresses were stored as 0.
    1: {
      ...host(
        'tcp_retransmit',
        'instant',
        column('src_ipv4', narrow(SLOT.arg0, 4, 4)),
        column('dst_ipv4', narrow(SLOT.arg0, 0, 4)),
        column('src_port', narrow(SLOT.arg1, 2, 2)),
        column('dst_port', narrow(SLOT.arg1, 0, 2)),
        column('tcp_state', wide(SLOT.gpuId), { enum: 'tcp_state' }),
      ),
      arg0: 'ipv4-pair',
    },
  },
  [SOURCE.net]: { 1: net('net_send'), 2: net('net_recv') },
  [SOURCE.graph]: {
    // No handle was stored.
    1: runtime('cudaStreamBeginCapture'),
    2: runtime('cudaStreamEndCapture'),
    3: runtime('cudaGraphInstantiate'),
    4: runtime('cudaGraphLaunch'),
  },
  // Arguments of NCCL calls were decoded wrongly on x86-64, so none is taken over.
  [SOURCE.nccl]: {
    1: nccl('ncclCommInitRank'),
    2: nccl('ncclCommDestroy'),
    3: nccl('ncclAllReduce'),
    4: nccl('ncclAllGather'),
    5: nccl('ncclReduceScatter'),
    6: nccl('ncclBcast'),
    7: nccl('ncclSend'),
    8: nccl('ncclRecv'),
    9: nccl('ncclCommInitAll'),
  },
};

/** The operation of an event; one that is not known keeps its numbers and its arguments, without a meaning. */
export function operationOf(source: number, op: number): Operation {
  return (
    OPERATIONS[source]?.[op] ?? {
      name: `source_${source}_op_${op}`,
      table: 'host_events',
      layer: 'unknown',
      time: 'instant',
      columns: [arg0('arg0'), arg1('arg1')],
    }
  );
}

/** Sources whose pid column holds the thread id. */
export function pidIsTid(source: number, op: number): boolean {
  return source === SOURCE.host && op === 1;
}

/** Sources whose `ret_code` is what the call returned. */
export function hasResult(source: number): boolean {
  return (
    source === SOURCE.cuda || source === SOURCE.driver || source === SOURCE.graph || source === SOURCE.nccl
  );
}
