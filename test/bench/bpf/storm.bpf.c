/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * Produces call records as fast as it is asked to, without any probed program: a training-like mix from four
 * threads on four streams. 60 % launches of 200 kernels in two geometries each, 20 % copies between 8 host and
 * 64 device buffers, 10 % stream synchronisation, 10 % allocations at 2000 addresses; sizes and durations vary.
 */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include "../../../src/loader/bpf/event.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

struct ring {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096);
};

/* Replaced by the recorder's rings. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, MAX_RINGS);
	__type(key, u32);
	__array(values, struct ring);
} rings SEC(".maps");

struct storm {
	u64 count;
	u64 emitted;
	u64 lost;
	u64 next_id;
	u32 ring_mask;
	u32 seed;
};

enum { LAUNCH, COPY, SYNC, MALLOC };

static __always_inline u32 next_random(struct storm *storm)
{
	storm->seed = storm->seed * 1103515245 + 12345;
	return storm->seed >> 8;
}

static int emit_one(u32 index, struct storm *storm)
{
	u32 ring_index = bpf_get_smp_processor_id() & storm->ring_mask;
	void *ring = bpf_map_lookup_elem(&rings, &ring_index);
	if (!ring)
		return 1;
	struct call_record *record = bpf_ringbuf_reserve(ring, sizeof(*record) + 8 * 8, 0);
	if (!record) {
		storm->lost++;
		return 0;
	}
	u32 kind = next_random(storm) % 10;
	u32 thread = next_random(storm) & 3;
	u64 stream = 0x55aa1000 + thread * 0x1340;
	record->type = RECORD_CALL;
	record->status = STATUS_RETURNED;
	record->missing = 0;
	record->slot_count = 8;
	record->pid = 4242;
	record->tid = 4242 + thread;
	record->start_ns = bpf_ktime_get_ns();
	record->duration_ns = 1500 + next_random(storm) % 20000;
	record->call_id = storm->next_id++ << 2 | (ring_index & 3);
	record->parent_id = 0;
	record->return_value = 0;
	if (kind < 6) {
		record->probe = LAUNCH;
		u32 kernel = next_random(storm) % 200;
		record->slots[0] = 0x7f3300000000ULL + kernel * 0x140;
		record->slots[1] = (1 + (kernel * 7 + (next_random(storm) & 1)) % 32 * 64) | 1ULL << 32;
		record->slots[2] = 1;
		record->slots[3] = 128 << (kernel % 3) | 1ULL << 32;
		record->slots[4] = 1;
		record->slots[5] = kernel % 3 * 16384;
		record->slots[6] = stream;
	} else if (kind < 8) {
		record->probe = COPY;
		record->slots[0] = 0x7f4400000000ULL + (u64)(next_random(storm) % 64) * 2097152;
		record->slots[1] = 0x7f5500000000ULL + (u64)(next_random(storm) % 8) * 2097152;
		record->slots[2] = 4096 * (1 + next_random(storm) % 500);
		record->slots[3] = 1 + next_random(storm) % 2;
		record->slots[4] = stream;
	} else if (kind < 9) {
		record->probe = SYNC;
		record->slots[0] = stream;
	} else {
		record->probe = MALLOC;
		record->slots[0] = 4096 * (1 + next_random(storm) % 500);
		record->slots[1] = 0x7f5500000000ULL + (u64)(next_random(storm) % 2000) * 2097152;
	}
	bpf_ringbuf_submit(record, BPF_RB_NO_WAKEUP);
	storm->emitted++;
	return 0;
}

SEC("syscall")
int storm(struct storm *args)
{
	struct storm state = *args;
	bpf_loop(state.count, emit_one, &state, 0);
	args->emitted = state.emitted;
	args->lost = state.lost;
	args->next_id = state.next_id;
	args->seed = state.seed;
	return 0;
}
