/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * The one BPF object of ingero. It knows nothing of any library: what to gather at a probe is data in
 * the `probes` map, the attach cookie says which entry applies.
 *
 * Each thread keeps a stack of the calls it is in, in task-local storage, so nested and recursive calls
 * pair with their own return and know their caller. Counters are atomic: the programs can be preempted.
 */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include "event.h"
#include "registers.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

/* Set before loading; constants to the verifier, so branches not taken cost nothing. */
const volatile struct settings settings = {};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, MAX_PROBES);
	__type(key, u32);
	__type(value, struct probe);
} probes SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, MAX_PROBES);
	__type(key, u32);
	__type(value, struct counters);
} counters SEC(".maps");

/* Process ids to record when settings.filter_by_process is set. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 65536);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, u32);
	__type(value, u8);
} processes SEC(".maps");

struct ring {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096);
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, MAX_RINGS);
	__type(key, u32);
	__array(values, struct ring);
} rings SEC(".maps");

/* A call a thread is in. */
struct frame {
	u64 start_ns;
	u64 call_id;
	/* Stack pointer at entry: tells this call's return from any other. */
	u64 sp;
	/* Address of the probe. */
	u64 ip;
	u16 probe;
	u16 missing;
	u16 slot_count;
	/* struct probe's at_return and return_bits. */
	u8 at_return;
	u8 return_bits;
	u64 slots[MAX_SLOTS];
};

struct thread {
	u32 depth;
	/* Calls rejected at entry that have not returned: their returns find no frame. */
	u32 rejected;
	/* Argument registers and stack words of the call being entered. */
	u64 sources[MAX_SOURCES];
	struct frame frames[MAX_DEPTH];
};

struct {
	__uint(type, BPF_MAP_TYPE_TASK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct thread);
} threads SEC(".maps");

/* kernel/events/uprobes.c: the page whose first bytes return-probed functions return to. */
struct xol_area {
	unsigned long vaddr;
} __attribute__((preserve_access_index));

struct uprobes_state {
	struct xol_area *xol_area;
} __attribute__((preserve_access_index));

struct mm_struct {
	struct uprobes_state uprobes_state;
} __attribute__((preserve_access_index));

struct task_struct {
	int pid;
	int tgid;
	struct mm_struct *mm;
	char comm[COMM_LEN];
} __attribute__((preserve_access_index));

static __always_inline void count(u64 *counter)
{
	__sync_fetch_and_add(counter, 1);
}

static __always_inline void *current_ring(void)
{
	u32 index = bpf_get_smp_processor_id() & settings.ring_mask;
	return bpf_map_lookup_elem(&rings, &index);
}

static __always_inline void fill(struct call_record *record, struct frame *frame, u64 parent_id,
				 u64 pid_tgid, u8 status, u64 duration, u64 value)
{
	record->type = RECORD_CALL;
	record->status = status;
	record->probe = frame->probe;
	record->missing = frame->missing;
	record->slot_count = frame->slot_count;
	record->pid = pid_tgid >> 32;
	record->tid = (u32)pid_tgid;
	record->start_ns = frame->start_ns;
	record->duration_ns = duration;
	record->call_id = frame->call_id;
	record->parent_id = parent_id;
	record->return_value = value;
}

/* The size of a reservation must be a constant, so records come in a few sizes. */
#define EMIT_SIZED(n)                                                                                      \
	do {                                                                                               \
		struct call_record *record = bpf_ringbuf_reserve(ring, sizeof(*record) + (n) * 8, 0);     \
		if (!record)                                                                               \
			goto lost;                                                                         \
		fill(record, frame, parent_id, pid_tgid, status, duration, value);                         \
		__builtin_memcpy(record->slots, frame->slots, (n) * 8);                                    \
		bpf_ringbuf_submit(record, BPF_RB_NO_WAKEUP);                                              \
	} while (0)

static __always_inline void emit(struct frame *frame, u64 parent_id, u64 pid_tgid, u8 status, u64 duration,
				 u64 value)
{
	void *ring = current_ring();
	if (!ring)
		goto lost;
	if (frame->slot_count <= 2)
		EMIT_SIZED(2);
	else if (frame->slot_count <= 4)
		EMIT_SIZED(4);
	else if (frame->slot_count <= 8)
		EMIT_SIZED(8);
	else
		EMIT_SIZED(MAX_SLOTS);
	return;
lost:;
	u32 id = frame->probe;
	struct counters *c = bpf_map_lookup_elem(&counters, &id);
	if (c)
		count(&c->lost_ring_full);
}

/* Ends the innermost call of a thread that did not return. */
static __noinline int drop_frame(struct thread *thread, u64 pid_tgid, u8 status)
{
	if (!thread)
		return 0;
	u32 depth = thread->depth;
	if (depth == 0 || depth > MAX_DEPTH)
		return 0;
	u32 top = (depth - 1) & (MAX_DEPTH - 1);
	u64 parent_id = 0;
	if (top > 0)
		parent_id = thread->frames[(top - 1) & (MAX_DEPTH - 1)].call_id;
	emit(&thread->frames[top], parent_id, pid_tgid, status, 0, 0);
	thread->depth = top;
	return 1;
}

/* Frames this far below a live stack pointer may belong to another stack (RLIMIT_STACK's usual 8 MiB). */
#define STACK_SPAN (8ULL << 20)

/* Calls left by longjmp or an exception: their frames lie below the live stack pointer. */
static __always_inline void drop_unwound(struct thread *thread, u64 pid_tgid, u64 sp)
{
	for (int i = 0; i < MAX_DEPTH; i++) {
		u32 depth = thread->depth;
		if (depth == 0 || depth > MAX_DEPTH)
			return;
		u64 below = sp - thread->frames[(depth - 1) & (MAX_DEPTH - 1)].sp;
		if (below == 0 || below > STACK_SPAN)
			return;
		if (!drop_frame(thread, pid_tgid, STATUS_UNWOUND))
			return;
	}
}

/* Whether a function was jumped to by one that is probed at its return: it returns to the trampoline. */
static __always_inline int is_tail_call(struct pt_regs *ctx, struct task_struct *task)
{
	u64 address = 0;
	READ_RETURN_ADDRESS(&address, ctx);
	return address == task->mm->uprobes_state.xol_area->vaddr;
}

/*
 * Whether the innermost calls stem from this very hit: several probes can be on one function. Had the function
 * been entered anew, this probe's own earlier call would be among them.
 */
static __noinline int is_same_hit(struct thread *thread, u64 sp, u64 ip, u32 id)
{
	if (!thread)
		return 0;
	for (u32 i = 1; i <= MAX_DEPTH; i++) {
		u32 depth = thread->depth;
		if (depth < i || depth > MAX_DEPTH)
			return i > 1;
		struct frame *frame = &thread->frames[(depth - i) & (MAX_DEPTH - 1)];
		if (frame->sp != sp)
			return i > 1;
		if (frame->ip != ip || frame->probe == id)
			return 0;
	}
	return 0;
}

static __always_inline void announce_thread(u64 pid_tgid)
{
	void *ring = current_ring();
	if (!ring)
		return;
	struct thread_record *record = bpf_ringbuf_reserve(ring, sizeof(*record), 0);
	if (!record)
		return;
	record->type = RECORD_THREAD;
	record->pid = pid_tgid >> 32;
	record->tid = (u32)pid_tgid;
	record->seen_ns = bpf_ktime_get_ns();
	bpf_get_current_comm(record->comm, sizeof(record->comm));
	bpf_ringbuf_submit(record, BPF_RB_NO_WAKEUP);
}

static __always_inline u64 pid_tgid_of(struct task_struct *task)
{
	return (u64)task->tgid << 32 | (u32)task->pid;
}

static __always_inline int is_filtered(struct task_struct *task)
{
	u32 pid = task->tgid;
	return settings.filter_by_process && !bpf_map_lookup_elem(&processes, &pid);
}

/*
 * State of the current thread, made at its first recorded call. The filter is asked only then: processes join
 * the set and never leave it.
 */
static __always_inline struct thread *thread_of(struct task_struct *task, struct counters *c)
{
	struct thread *thread = bpf_task_storage_get(&threads, task, 0, 0);
	if (thread)
		return thread;
	if (is_filtered(task)) {
		count(&c->filtered);
		return 0;
	}
	thread = bpf_task_storage_get(&threads, task, 0, BPF_LOCAL_STORAGE_GET_F_CREATE);
	if (thread)
		announce_thread(pid_tgid_of(task));
	else
		count(&c->lost_no_memory);
	return thread;
}

/* Reads 1, 2, 4 or 8 bytes of the target; the upper bytes of the value are zero. */
static __always_inline long read_sized(u64 *value, u8 size, u64 address)
{
	*value = 0;
	switch (size) {
	case 1:
		return bpf_probe_read_user(value, 1, (void *)address);
	case 2:
		return bpf_probe_read_user(value, 2, (void *)address);
	case 4:
		return bpf_probe_read_user(value, 4, (void *)address);
	default:
		return bpf_probe_read_user(value, 8, (void *)address);
	}
}

static __noinline int holds(struct condition *condition, u64 word)
{
	if (!condition)
		return 0;
	u64 value = word >> (condition->shift & 63);
	u32 unused = (64 - condition->bits) & 63;
	value <<= unused;
	value = condition->is_signed ? (u64)((long long)value >> unused) : value >> unused;
	u64 other = condition->values[0];
	int less = condition->is_signed ? (long long)value < (long long)other : value < other;
	switch (condition->comparison) {
	case CMP_EQ:
		return value == other;
	case CMP_NE:
		return value != other;
	case CMP_LT:
		return less;
	case CMP_LE:
		return less || value == other;
	case CMP_GT:
		return !less && value != other;
	case CMP_GE:
		return !less;
	case CMP_MASK:
		return (value & other) != 0;
	case CMP_IN:
		for (u32 i = 0; i < MAX_VALUES; i++)
			if (i < condition->value_count && value == condition->values[i])
				return 1;
		return 0;
	}
	return 0;
}

SEC("uprobe")
int on_entry(struct pt_regs *ctx)
{
	u32 id = bpf_get_attach_cookie(ctx);
	struct probe *probe = bpf_map_lookup_elem(&probes, &id);
	struct counters *c = bpf_map_lookup_elem(&counters, &id);
	if (!probe || !c)
		return 0;
	count(&c->hits);

	struct task_struct *task = (void *)bpf_get_current_task_btf();
	struct thread *thread = thread_of(task, c);
	if (!thread)
		return 0;
	u64 pid_tgid = pid_tgid_of(task);
	u64 sp = REG_SP(ctx);
	if (thread->depth) {
		u64 below = sp - thread->frames[(thread->depth - 1) & (MAX_DEPTH - 1)].sp;
		/* A call with this stack pointer was left, unless it jumped here or is this one. */
		if (below <= STACK_SPAN) {
			int alive = is_tail_call(ctx, task) || is_same_hit(thread, sp, REG_IP(ctx), id);
			drop_unwound(thread, pid_tgid, alive ? sp : sp + 1);
		}
	}
	u32 depth = thread->depth;
	if (depth >= MAX_DEPTH) {
		count(&c->lost_too_deep);
		return 0;
	}
	struct frame *frame = &thread->frames[depth & (MAX_DEPTH - 1)];
	u64 *sources = thread->sources;
	LOAD_ARGUMENTS(sources, ctx);
	u16 missing = 0;
	u32 words = probe->stack_words;
	u32 no_stack = 0;
	if (words && words <= MAX_STACK_WORDS)
		no_stack = bpf_probe_read_user(&sources[SOURCE_STACK], words * 8, (void *)(sp + STACK_ARGUMENTS)) != 0;
	for (u32 i = 0; i < MAX_SLOTS; i++) {
		if (i >= probe->slot_count)
			break;
		struct slot *slot = &probe->slots[i];
		u64 value = sources[slot->source & (MAX_SOURCES - 1)];
		if (no_stack && slot->source >= SOURCE_STACK) {
			missing |= 1 << i;
			count(&c->read_faults);
		} else if (slot->deref == DEREF_ENTRY) {
			u64 address = value + slot->offset;
			if (read_sized(&value, slot->size, address)) {
				missing |= 1 << i;
				count(&c->read_faults);
			}
		}
		frame->slots[i] = value;
	}

	for (u32 i = 0; i < MAX_CONDITIONS; i++) {
		if (i >= probe->entry_conditions)
			break;
		struct condition *condition = &probe->conditions[i];
		u32 subject = condition->subject;
		if (subject >= MAX_SLOTS)
			break;
		/* A value that cannot be read fulfils no condition. */
		if (missing >> subject & 1 || !holds(condition, frame->slots[subject])) {
			count(&c->filtered);
			if (!(probe->flags & PROBE_ENTRY_ONLY))
				thread->rejected++;
			return 0;
		}
	}

	u64 now = bpf_ktime_get_ns();
	frame->start_ns = now;
	frame->sp = sp;
	frame->ip = REG_IP(ctx);
	frame->probe = id;
	frame->slot_count = probe->slot_count;
	frame->at_return = probe->at_return;
	frame->return_bits = probe->return_bits;
	/* Unique: programs do not migrate, and no CPU enters two calls in the same nanosecond. */
	frame->call_id = (now - settings.epoch_ns) << settings.cpu_bits | bpf_get_smp_processor_id();
	frame->missing = missing;

	if (probe->flags & PROBE_ENTRY_ONLY) {
		u64 parent_id = depth ? thread->frames[(depth - 1) & (MAX_DEPTH - 1)].call_id : 0;
		emit(frame, parent_id, pid_tgid, STATUS_ENTRY, 0, 0);
		return 0;
	}
	thread->depth = depth + 1;
	return 0;
}

/* Reads what the call wrote through its out-parameters; a failed call wrote nothing to rely on. */
static __noinline int read_results(struct frame *frame, int succeeded)
{
	if (!frame)
		return 0;
	u32 id = frame->probe;
	struct probe *probe = bpf_map_lookup_elem(&probes, &id);
	struct counters *c = bpf_map_lookup_elem(&counters, &id);
	if (!probe || !c)
		return 0;
	for (u32 i = 0; i < MAX_SLOTS; i++) {
		if (i >= probe->slot_count)
			break;
		struct slot *slot = &probe->slots[i];
		if (slot->deref != DEREF_RETURN)
			continue;
		u64 value = 0;
		if (!succeeded) {
			frame->missing |= 1 << i;
		} else if (read_sized(&value, slot->size, frame->slots[i] + slot->offset)) {
			frame->missing |= 1 << i;
			count(&c->read_faults);
		}
		frame->slots[i] = value;
	}
	return 0;
}

/* Whether a returned call fulfils the conditions on its result and duration; if not it is counted as filtered. */
static __noinline int is_wanted(struct frame *frame, u64 value, u64 duration)
{
	if (!frame)
		return 1;
	u32 id = frame->probe;
	struct probe *probe = bpf_map_lookup_elem(&probes, &id);
	struct counters *c = bpf_map_lookup_elem(&counters, &id);
	if (!probe || !c)
		return 1;
	for (u32 i = 0; i < MAX_CONDITIONS; i++) {
		if (i >= probe->condition_count)
			break;
		struct condition *condition = &probe->conditions[i];
		if (condition->subject < SUBJECT_RESULT)
			continue;
		if (!holds(condition, condition->subject == SUBJECT_DURATION ? duration : value)) {
			count(&c->filtered);
			return 0;
		}
	}
	return 1;
}

static __noinline int count_orphan(struct pt_regs *ctx)
{
	u32 id = bpf_get_attach_cookie(ctx);
	struct counters *c = bpf_map_lookup_elem(&counters, &id);
	if (c)
		count(&c->orphan_returns);
	return 0;
}

/* A return without a frame is that of a rejected call, or of one entered before its entry probe was attached. */
static __always_inline int no_frame(struct thread *thread, struct pt_regs *ctx)
{
	if (!thread->rejected)
		return count_orphan(ctx);
	thread->rejected--;
	return 0;
}

/*
 * The stack pointer alone says which call returns, so the common path needs neither the cookie nor the probe.
 * Calls with the same one are tail calls of each other; they return innermost first, as they were entered.
 */
SEC("uprobe")
int on_return(struct pt_regs *ctx)
{
	u64 now = bpf_ktime_get_ns();
	struct task_struct *task = (void *)bpf_get_current_task_btf();
	struct thread *thread = bpf_task_storage_get(&threads, task, 0, 0);
	if (!thread)
		return is_filtered(task) ? 0 : count_orphan(ctx);
	u64 pid_tgid = pid_tgid_of(task);
	u64 sp = REG_SP(ctx) - RETURN_POPS;
	u32 depth = thread->depth;
	if (depth == 0 || depth > MAX_DEPTH)
		return no_frame(thread, ctx);
	struct frame *frame = &thread->frames[(depth - 1) & (MAX_DEPTH - 1)];
	if (frame->sp != sp) {
		drop_unwound(thread, pid_tgid, sp);
		depth = thread->depth;
		if (depth == 0 || depth > MAX_DEPTH)
			return no_frame(thread, ctx);
		frame = &thread->frames[(depth - 1) & (MAX_DEPTH - 1)];
		if (frame->sp != sp) {
			/* Below the deepest call tracked: one that was counted as too deep. */
			int too_deep = depth == MAX_DEPTH && frame->sp - sp <= STACK_SPAN;
			return too_deep ? 0 : no_frame(thread, ctx);
		}
	}
	u64 value = REG_RESULT(ctx);
	u64 duration = now - frame->start_ns;
	if (frame->at_return & AT_RETURN_CHECK && !is_wanted(frame, value, duration)) {
		thread->depth = depth - 1;
		return 0;
	}
	if (frame->at_return & AT_RETURN_READ) {
		u64 result = frame->return_bits == 32 ? (u32)value : value;
		read_results(frame, frame->return_bits == 0 || result == 0);
	}
	u64 parent_id = depth > 1 ? thread->frames[(depth - 2) & (MAX_DEPTH - 1)].call_id : 0;
	thread->depth = depth - 1;
	emit(frame, parent_id, pid_tgid, STATUS_RETURNED, duration, value);
	return 0;
}

static __always_inline void drop_all(struct task_struct *task, u8 status)
{
	struct thread *thread = bpf_task_storage_get(&threads, task, 0, 0);
	if (!thread)
		return;
	u64 pid_tgid = pid_tgid_of(task);
	for (int i = 0; i < MAX_DEPTH; i++)
		if (!drop_frame(thread, pid_tgid, status))
			return;
}

SEC("tp_btf/sched_process_exit")
int on_thread_exit(u64 *ctx)
{
	drop_all((struct task_struct *)ctx[0], STATUS_THREAD_EXITED);
	return 0;
}

/* A new program image: whatever the thread was inside of is gone. */
SEC("tp_btf/sched_process_exec")
int on_exec(u64 *ctx)
{
	struct task_struct *task = (struct task_struct *)ctx[0];
	drop_all(task, STATUS_UNWOUND);
	if (!settings.filter_comm[0])
		return 0;
	for (int i = 0; i < COMM_LEN; i++) {
		if (task->comm[i] != settings.filter_comm[i])
			return 0;
		if (!settings.filter_comm[i])
			break;
	}
	u32 pid = task->tgid;
	u8 one = 1;
	bpf_map_update_elem(&processes, &pid, &one, BPF_ANY);
	return 0;
}

SEC("tp_btf/sched_process_fork")
int on_fork(u64 *ctx)
{
	if (!settings.follow_children)
		return 0;
	u32 parent = ((struct task_struct *)ctx[0])->tgid;
	u32 child = ((struct task_struct *)ctx[1])->tgid;
	if (parent == child || !bpf_map_lookup_elem(&processes, &parent))
		return 0;
	u8 one = 1;
	bpf_map_update_elem(&processes, &child, &one, BPF_ANY);
	return 0;
}

struct bpf_iter__task {
	void *meta;
	struct task_struct *task;
} __attribute__((preserve_access_index));

/* Run once the probes are gone: calls that never returned become records. */
SEC("iter/task")
int dump_in_flight(struct bpf_iter__task *ctx)
{
	struct task_struct *task = ctx->task;
	if (!task)
		return 0;
	/* One load only: the verifier proves the pointer it saw checked. */
	barrier_var(task);
	drop_all(task, STATUS_IN_FLIGHT);
	return 0;
}
