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
	u8 slot_count;
	u8 text_count;
	/* As in struct call_record. */
	u8 device;
	/* struct probe's at_return. */
	u8 at_return;
	u64 slots[MAX_SLOTS];
};

struct thread {
	u32 depth;
	/* Calls rejected at entry that have not returned: their returns find no frame. */
	u32 rejected;
	/* As in struct call_record. */
	u32 device;
	/* Of the call being entered: whether its stack arguments could not be read, and how many reads failed. */
	u32 no_stack;
	u32 read_faults;
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

/* Texts of the innermost calls of a thread that carry any; an outer call that lost its place has none. */
#define TEXT_CALLS 4

struct texts {
	u64 call_id;
	char bytes[MAX_TEXTS][TEXT_ROOM];
};

struct thread_texts {
	struct texts calls[TEXT_CALLS];
};

/* Only threads that make calls with texts have it. */
struct {
	__uint(type, BPF_MAP_TYPE_TASK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct thread_texts);
} texts SEC(".maps");

struct trace {
	u64 addresses[MAX_FRAMES];
};

/* Only threads whose stacks are recorded have it. */
struct {
	__uint(type, BPF_MAP_TYPE_TASK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct trace);
} traces SEC(".maps");

/* Hashes of the stacks that were sent. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, MAX_STACKS);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, u64);
	__type(value, u8);
} stacks SEC(".maps");

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

typedef struct {
	int counter;
} __attribute__((preserve_access_index)) atomic_t;

struct signal_struct {
	atomic_t live;
} __attribute__((preserve_access_index));

struct task_struct {
	int pid;
	int tgid;
	struct mm_struct *mm;
	struct signal_struct *signal;
	struct task_struct *group_leader;
	u64 start_time;
	u64 start_boottime;
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

static __always_inline void fill(struct call_record *record, struct frame *frame, u64 parent_id, u32 pid, u32 tid,
				 u8 status, u64 duration, u64 value)
{
	record->type = RECORD_CALL;
	record->status = status;
	record->probe = frame->probe;
	record->missing = frame->missing;
	record->slot_count = frame->slot_count;
	record->device = frame->device;
	record->pid = pid;
	record->tid = tid;
	record->start_ns = frame->start_ns;
	record->duration_ns = duration;
	record->call_id = frame->call_id;
	record->parent_id = parent_id;
	record->return_value = value;
}

#define TEXT_WORDS (TEXT_ROOM / 8)

/* The size of a reservation must be a constant, so records come in a few sizes. */
#define EMIT_SIZED(words, more)                                                                            \
	do {                                                                                               \
		struct call_record *record = bpf_ringbuf_reserve(ring, sizeof(*record) + (words) * 8, 0);  \
		if (!record)                                                                               \
			goto lost;                                                                         \
		fill(record, frame, parent_id, pid, tid, status, duration, value);                         \
		__builtin_memcpy(record->slots, frame->slots,                                              \
				 (words) < MAX_SLOTS ? (words) * 8 : MAX_SLOTS * 8);                       \
		more;                                                                                      \
		bpf_ringbuf_submit(record, BPF_RB_NO_WAKEUP);                                              \
	} while (0)

static __always_inline void copy_texts(struct call_record *record, struct texts *from, u32 count)
{
	u64 *to = &record->slots[MAX_SLOTS];
	for (u32 i = 0; i < count * TEXT_WORDS; i++)
		to[i] = ((u64 *)from->bytes)[i];
}

/* The texts of a call among those of its thread; null when they lost their place to a call made inside of it. */
static __always_inline struct texts *texts_in(struct thread_texts *all, struct frame *frame, u32 depth)
{
	if (!all)
		return 0;
	struct texts *of_call = &all->calls[depth & (TEXT_CALLS - 1)];
	return of_call->call_id == frame->call_id ? of_call : 0;
}

static __always_inline struct texts *texts_of(struct task_struct *task, struct frame *frame, u32 depth)
{
	return texts_in(bpf_task_storage_get(&texts, task, 0, 0), frame, depth);
}

/* Slots whose text cannot be had any more are missing. */
static __noinline int miss_texts(struct frame *frame)
{
	if (!frame)
		return 0;
	u32 id = frame->probe;
	struct probe *probe = bpf_map_lookup_elem(&probes, &id);
	if (!probe)
		return 0;
	for (u32 i = 0; i < MAX_SLOTS; i++)
		if (i < probe->slot_count && probe->slots[i].text)
			frame->missing |= 1 << i;
	return 0;
}

/* of_call: the texts of a call that has some. */
static __always_inline void emit(struct frame *frame, struct texts *of_call, u64 parent_id, u32 pid, u32 tid,
				 u8 status, u64 duration, u64 value)
{
	void *ring = current_ring();
	if (!ring)
		goto lost;
	if (frame->text_count) {
		if (!of_call) {
			miss_texts(frame);
			EMIT_SIZED(MAX_SLOTS, {});
		} else if (frame->text_count == 1) {
			EMIT_SIZED(MAX_SLOTS + TEXT_WORDS, copy_texts(record, of_call, 1));
		} else {
			EMIT_SIZED(MAX_SLOTS + MAX_TEXTS * TEXT_WORDS, copy_texts(record, of_call, MAX_TEXTS));
		}
	} else if (frame->slot_count <= 2) {
		EMIT_SIZED(2, {});
	} else if (frame->slot_count <= 4) {
		EMIT_SIZED(4, {});
	} else if (frame->slot_count <= 8) {
		EMIT_SIZED(8, {});
	} else {
		EMIT_SIZED(MAX_SLOTS, {});
	}
	return;
lost:;
	u32 id = frame->probe;
	struct counters *c = bpf_map_lookup_elem(&counters, &id);
	if (c)
		count(&c->lost_ring_full);
}

/*
 * Ends the innermost call of a thread that did not return. A global function: the verifier looks at it once, not at
 * each of the calls in loops over a stack (three times less work for all programs).
 */
__noinline int drop_frame(struct thread *thread, struct thread_texts *all, u32 pid, u32 tid, u8 status)
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
	struct frame *frame = &thread->frames[top];
	emit(frame, texts_in(all, frame, top), parent_id, pid, tid, status, 0, 0);
	thread->depth = top;
	return 1;
}

/* Frames this far below a live stack pointer may belong to another stack (RLIMIT_STACK's usual 8 MiB). */
#define STACK_SPAN (8ULL << 20)

/* Calls left by longjmp or an exception: their frames lie below the live stack pointer. */
static __always_inline void drop_unwound(struct thread *thread, struct task_struct *task, u64 sp)
{
	for (int i = 0; i < MAX_DEPTH; i++) {
		u32 depth = thread->depth;
		if (depth == 0 || depth > MAX_DEPTH)
			return;
		u64 below = sp - thread->frames[(depth - 1) & (MAX_DEPTH - 1)].sp;
		if (below == 0 || below > STACK_SPAN)
			return;
		struct thread_texts *all = bpf_task_storage_get(&texts, task, 0, 0);
		if (!drop_frame(thread, all, task->tgid, task->pid, STATUS_UNWOUND))
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
__noinline int is_same_hit(struct thread *thread, u64 sp, u64 ip, u32 id)
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

static __always_inline void announce_thread(struct task_struct *task)
{
	void *ring = current_ring();
	if (!ring)
		return;
	struct thread_record *record = bpf_ringbuf_reserve(ring, sizeof(*record), 0);
	if (!record)
		return;
	record->type = RECORD_THREAD;
	record->pid = task->tgid;
	record->tid = task->pid;
	record->seen_ns = bpf_ktime_get_ns();
	record->process_start_ns = task->group_leader->start_time;
	record->process_boot_ns = task->group_leader->start_boottime;
	bpf_get_current_comm(record->comm, sizeof(record->comm));
	bpf_ringbuf_submit(record, BPF_RB_NO_WAKEUP);
}

static __always_inline int is_filtered(struct task_struct *task)
{
	u32 pid = task->tgid;
	return settings.filter_by_process && !bpf_map_lookup_elem(&processes, &pid);
}

/*
 * State of the current thread, made at its first recorded call. The filter is asked only then: a process that joined
 * the set leaves it with its last thread.
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
		announce_thread(task);
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

__noinline int holds(struct condition *condition, u64 word)
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

/* Whether the program of a command is one of those named; its bytes are compared as two numbers. */
__noinline int is_command(struct condition *condition)
{
	u64 name[2] = {};
	if (!condition || bpf_get_current_comm(name, sizeof(name)))
		return 0;
	int found = 0;
	for (u32 i = 0; i + 1 < MAX_VALUES; i += 2)
		if (i < condition->value_count && name[0] == condition->values[i] && name[1] == condition->values[i + 1])
			found = 1;
	return found != (condition->comparison == CMP_NE);
}

/* Whether a condition that is decided at entry holds. A value that cannot be read fulfils none. */
__noinline int holds_at_entry(struct condition *condition, struct frame *frame)
{
	if (!condition || !frame)
		return 0;
	u32 subject = condition->subject;
	switch (subject) {
	case SUBJECT_PID:
		return holds(condition, bpf_get_current_pid_tgid() >> 32);
	case SUBJECT_UID:
		return holds(condition, (u32)bpf_get_current_uid_gid());
	case SUBJECT_CGROUP:
		return holds(condition, bpf_get_current_cgroup_id());
	case SUBJECT_COMM:
		return is_command(condition);
	}
	if (subject >= MAX_SLOTS || frame->missing >> subject & 1)
		return 0;
	return holds(condition, frame->slots[subject]);
}

static __always_inline int is_read_at_return(struct slot *slot)
{
	return slot->deref == DEREF_RETURN || slot->source == SOURCE_RESULT || slot->text & TEXT_AT_RETURN;
}

/* Gathers the slots from..to-1, as far as they are known at entry. */
__noinline int gather(struct thread *thread, struct frame *frame, struct probe *probe, u32 from, u32 to)
{
	if (!thread || !frame || !probe)
		return 0;
	u16 missing = frame->missing;
	for (u32 i = 0; i < MAX_SLOTS; i++) {
		if (i < from)
			continue;
		if (i >= to)
			break;
		struct slot *slot = &probe->slots[i];
		u64 value = thread->sources[slot->source & (MAX_SOURCES - 1)];
		if (is_read_at_return(slot)) {
			missing |= 1 << i;
		} else if (thread->no_stack && slot->source >= SOURCE_STACK && slot->source < MAX_SOURCES) {
			missing |= 1 << i;
			thread->read_faults++;
		} else if (slot->deref == DEREF_ENTRY) {
			u64 address = value + slot->offset;
			if (read_sized(&value, slot->size, address)) {
				missing |= 1 << i;
				thread->read_faults++;
			}
		}
		frame->slots[i] = value;
	}
	frame->missing = missing;
	return 0;
}

/* Reads the stack arguments a probe asks for: one read for all, as each takes 180 ns. */
static __always_inline void load_stack(struct thread *thread, struct probe *probe, u64 sp)
{
	u32 words = probe->stack_words;
	thread->no_stack = 0;
	if (words && words <= MAX_STACK_WORDS)
		thread->no_stack = bpf_probe_read_user(&thread->sources[SOURCE_STACK], words * 8,
						       (void *)(sp + STACK_ARGUMENTS)) != 0;
}

/*
 * Reads a text of at most `size` bytes and zeroes the rest of its room. Returns its length, size + 1 when it is
 * longer, or -1. A page nobody has touched yet is faulted in where that is possible; a text has two at most.
 */
static __always_inline long read_text(char *room, u32 size, u64 address, const int can_sleep)
{
	for (u32 i = 0; i < TEXT_WORDS; i++)
		((u64 *)room)[i] = 0;
	if (size > MAX_TEXT)
		size = MAX_TEXT;
	char byte;
	if (can_sleep && bpf_copy_from_user(&byte, 1, (void *)address))
		return -1;
	long bytes = bpf_probe_read_user_str(room, size + 2, (void *)address);
	if (bytes < 0 && can_sleep && !bpf_copy_from_user(&byte, 1, (void *)((address | 4095) + 1)))
		bytes = bpf_probe_read_user_str(room, size + 2, (void *)address);
	return bytes - 1;
}

/* Reads the text a slot is the address of; there is none behind a null pointer. */
static __always_inline void load_text(struct texts *of_call, struct frame *frame, struct probe *probe,
				      struct counters *c, u32 i, const int can_sleep)
{
	struct slot *slot = &probe->slots[i & 15];
	u32 place = ((slot->text & ~TEXT_AT_RETURN) - 1) & (MAX_TEXTS - 1);
	u64 address = frame->slots[i];
	long length = -1;
	if (address) {
		if (slot->deref == DEREF_NONE)
			address += slot->offset;
		length = read_text(of_call->bytes[place], probe->text_sizes[place], address, can_sleep);
		if (length < 0)
			count(&c->read_faults);
	}
	if (length < 0) {
		frame->missing |= 1 << i;
		length = 0;
	} else {
		frame->missing &= ~(1 << i);
	}
	frame->slots[i] = length;
}

/* Reads the texts of a call that are known at entry. Returns 0 where there is no memory for them. */
static __always_inline int load_entry_texts(struct task_struct *task, struct frame *frame, struct probe *probe,
					    struct counters *c, u32 depth)
{
	struct thread_texts *all = bpf_task_storage_get(&texts, task, 0, BPF_LOCAL_STORAGE_GET_F_CREATE);
	if (!all)
		return 0;
	struct texts *of_call = &all->calls[depth & (TEXT_CALLS - 1)];
	of_call->call_id = frame->call_id;
	for (u32 i = 0; i < MAX_SLOTS; i++) {
		if (i >= probe->slot_count)
			break;
		struct slot *slot = &probe->slots[i];
		if (slot->text && !is_read_at_return(slot) && !(frame->missing >> i & 1))
			load_text(of_call, frame, probe, c, i, 1);
	}
	return 1;
}

/*
 * The hash that stands for the stack of the current thread; 0: none could be had. The stack itself is sent the first
 * time it is met, as build-ids and offsets, which is what takes long.
 */
static __noinline u64 trace_stack(struct pt_regs *ctx, struct task_struct *task)
{
	if (!ctx || !task)
		return 0;
	struct trace *trace = bpf_task_storage_get(&traces, task, 0, BPF_LOCAL_STORAGE_GET_F_CREATE);
	if (!trace)
		return 0;
	long bytes = bpf_get_stack(ctx, trace->addresses, sizeof(trace->addresses), BPF_F_USER_STACK);
	if (bytes <= 0)
		return 0;
	u64 caller = 0;
	READ_RETURN_ADDRESS(&caller, ctx);
	u64 hash = task->tgid + caller;
	for (u32 i = 0; i < MAX_FRAMES; i++)
		if (i * 8 < bytes)
			hash = (hash << 5 ^ hash >> 59 ^ trace->addresses[i]) * 0x9e3779b97f4a7c15;
	hash ^= hash >> 32;
	if (!hash)
		hash = 1;
	if (bpf_map_lookup_elem(&stacks, &hash))
		return hash;
	u8 one = 1;
	if (bpf_map_update_elem(&stacks, &hash, &one, BPF_NOEXIST))
		return bpf_map_lookup_elem(&stacks, &hash) ? hash : 0;
	void *ring = current_ring();
	struct stack_record *record = ring ? bpf_ringbuf_reserve(ring, sizeof(*record), 0) : 0;
	if (!record) {
		bpf_map_delete_elem(&stacks, &hash);
		return 0;
	}
	record->type = RECORD_STACK;
	record->pid = task->tgid;
	record->hash = hash;
	record->caller = caller;
	__builtin_memcpy(record->addresses, trace->addresses, sizeof(record->addresses));
	bytes = bpf_get_stack(ctx, record->frames, sizeof(record->frames), BPF_F_USER_STACK | BPF_F_USER_BUILD_ID);
	record->frame_count = bytes < 0 ? 0 : bytes / sizeof(struct stack_frame);
	bpf_ringbuf_submit(record, BPF_RB_NO_WAKEUP);
	return hash;
}

static __always_inline void load_trace(struct pt_regs *ctx, struct task_struct *task, struct frame *frame,
				       struct probe *probe, struct counters *c)
{
	u32 last = probe->slot_count - 1;
	if (last >= MAX_SLOTS || probe->slots[last].source != SOURCE_TRACE)
		return;
	int is_off = probe->flags & PROBE_TRACE_OFF;
	u64 hash = is_off ? 0 : trace_stack(ctx, task);
	frame->slots[last] = hash;
	if (!hash) {
		frame->missing |= 1 << last;
		if (!is_off)
			count(&c->lost_stacks);
	}
}

/* A call that is left out: its return will find no frame. */
static __always_inline int leave_out(struct thread *thread, struct probe *probe, u64 *counter)
{
	count(counter);
	if (!(probe->flags & PROBE_ENTRY_ONLY))
		thread->rejected++;
	return 0;
}

/*
 * Keeps a program on the stack of its task. Since 6.13 the kernel gives programs of type kprobe that use 64 bytes of
 * stack or more one per CPU (bpf_enable_priv_stack in kernel/bpf/verifier.c), made for programs that are not entered
 * twice on a CPU. Those of uprobes are: where the kernel is preemptible (CONFIG_PREEMPT, CONFIG_PREEMPT_LAZY) another
 * thread may begin one while this one waits, and they would overwrite each other's pointers. A program with a tail call
 * has no such stack. This one is never made; the verifier knows, and takes it out.
 */
static __always_inline void stay_on_stack_of_task(void)
{
	asm volatile("r0 = 0; if r0 == 0 goto +1; call %[tail_call]" : : [tail_call] "i"(BPF_FUNC_tail_call) : "r0");
}

static __always_inline int enter(struct pt_regs *ctx, const int can_sleep)
{
	stay_on_stack_of_task();
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
	if (probe->sample_below && bpf_get_prandom_u32() >= probe->sample_below)
		return leave_out(thread, probe, &c->sampled);
	u64 sp = REG_SP(ctx);
	if (thread->depth) {
		u64 below = sp - thread->frames[(thread->depth - 1) & (MAX_DEPTH - 1)].sp;
		/* A call with this stack pointer was left, unless it jumped here or is this one. */
		if (below <= STACK_SPAN) {
			int alive = is_tail_call(ctx, task) || is_same_hit(thread, sp, REG_IP(ctx), id);
			drop_unwound(thread, task, alive ? sp : sp + 1);
		}
	}
	u32 depth = thread->depth;
	if (depth >= MAX_DEPTH) {
		count(&c->lost_too_deep);
		return 0;
	}
	struct frame *frame = &thread->frames[depth & (MAX_DEPTH - 1)];
	LOAD_ARGUMENTS(thread->sources, ctx);
	load_stack(thread, probe, sp);
	frame->missing = 0;
	thread->read_faults = 0;
	if (probe->condition_slots)
		gather(thread, frame, probe, 0, probe->condition_slots);
	for (u32 i = 0; i < MAX_CONDITIONS; i++) {
		if (i >= probe->entry_conditions)
			break;
		if (!holds_at_entry(&probe->conditions[i], frame))
			return leave_out(thread, probe, &c->filtered);
	}
	gather(thread, frame, probe, probe->condition_slots, probe->slot_count);
	if (thread->read_faults)
		__sync_fetch_and_add(&c->read_faults, thread->read_faults);

	u64 now = bpf_ktime_get_ns();
	frame->start_ns = now;
	frame->sp = sp;
	frame->ip = REG_IP(ctx);
	frame->probe = id;
	frame->slot_count = probe->slot_count;
	frame->text_count = 0;
	frame->device = thread->device;
	frame->at_return = probe->at_return;
	/* Unique: programs do not migrate, and no CPU enters two calls in the same nanosecond. */
	frame->call_id = (now - settings.epoch_ns) << settings.cpu_bits | bpf_get_smp_processor_id();
	if (can_sleep) {
		frame->text_count = probe->text_count;
		if (!load_entry_texts(task, frame, probe, c, depth))
			count(&c->read_faults);
	}
	if (probe->flags & PROBE_TRACE)
		load_trace(ctx, task, frame, probe, c);

	if (probe->flags & PROBE_ENTRY_ONLY) {
		u64 parent_id = depth ? thread->frames[(depth - 1) & (MAX_DEPTH - 1)].call_id : 0;
		struct texts *of_call = frame->text_count ? texts_of(task, frame, depth) : 0;
		emit(frame, of_call, parent_id, task->tgid, task->pid, STATUS_ENTRY, 0, 0);
		return 0;
	}
	thread->depth = depth + 1;
	return 0;
}

SEC("uprobe")
int on_entry(struct pt_regs *ctx)
{
	return enter(ctx, 0);
}

/* For probes with texts. */
SEC("uprobe.s")
int on_entry_text(struct pt_regs *ctx)
{
	return enter(ctx, 1);
}

static __always_inline int is_success(struct probe *probe, u64 result)
{
	if (!probe->ok_count)
		return 1;
	if (probe->return_bits == 32)
		result = (u32)result;
	for (u32 i = 0; i < MAX_OK; i++)
		if (i < probe->ok_count && result == probe->ok[i])
			return 1;
	return 0;
}

/* Reads what a successful call returned or wrote through its arguments. */
static __always_inline void read_results(struct task_struct *task, struct frame *frame, struct probe *probe,
					 struct counters *c, u32 depth, u64 result, const int can_sleep)
{
	for (u32 i = 0; i < MAX_SLOTS; i++) {
		if (i >= probe->slot_count)
			break;
		struct slot *slot = &probe->slots[i];
		if (!is_read_at_return(slot))
			continue;
		u64 value = slot->source == SOURCE_RESULT ? result : frame->slots[i];
		if (slot->deref == DEREF_RETURN) {
			u64 address = value + slot->offset;
			if (read_sized(&value, slot->size, address)) {
				count(&c->read_faults);
				continue;
			}
		}
		frame->slots[i] = value;
		if (!slot->text) {
			frame->missing &= ~(1 << i);
			continue;
		}
		struct texts *of_call = texts_of(task, frame, depth);
		if (of_call)
			load_text(of_call, frame, probe, c, i, can_sleep);
	}
}

/*
 * What is left to do for a call that returned. Whether it fulfils its conditions; if not it is counted as filtered.
 * Those on results hold for a call that failed: it has none.
 */
static __always_inline int settle(struct thread *thread, struct frame *frame, u32 depth, u64 value, u64 duration,
				  const int can_sleep)
{
	u32 id = frame->probe;
	struct probe *probe = bpf_map_lookup_elem(&probes, &id);
	struct counters *c = bpf_map_lookup_elem(&counters, &id);
	if (!probe || !c)
		return 1;
	int succeeded = is_success(probe, value);
	if (succeeded && frame->at_return & AT_RETURN_READ) {
		struct task_struct *task = (void *)bpf_get_current_task_btf();
		read_results(task, frame, probe, c, depth, value, can_sleep);
	}
	/* Calls made inside of it may have changed contexts for a moment. */
	if (succeeded && frame->at_return & AT_RETURN_DEVICE && depth == 0) {
		u32 slot = probe->device_slot;
		u32 device = 0;
		if (probe->device_change == DEVICE_SET && slot < MAX_SLOTS && !(frame->missing >> slot & 1))
			device = (u32)(frame->slots[slot] >> (probe->device_shift & 63)) + 1;
		thread->device = device > 255 ? 0 : device;
	}
	if (!(frame->at_return & AT_RETURN_CHECK))
		return 1;
	for (u32 i = 0; i < MAX_CONDITIONS; i++) {
		if (i >= probe->condition_count)
			break;
		if (i < probe->entry_conditions)
			continue;
		struct condition *condition = &probe->conditions[i];
		u32 subject = condition->subject;
		u64 word = subject == SUBJECT_DURATION ? duration : value;
		if (subject < MAX_SLOTS) {
			if (!succeeded)
				continue;
			word = frame->slots[subject];
		}
		if (!holds(condition, word) || (subject < MAX_SLOTS && frame->missing >> subject & 1)) {
			count(&c->filtered);
			return 0;
		}
	}
	return 1;
}

__noinline int settle_fast(struct thread *thread, struct frame *frame, u32 depth, u64 value, u64 duration)
{
	return thread && frame ? settle(thread, frame, depth, value, duration, 0) : 1;
}

__noinline int settle_text(struct thread *thread, struct frame *frame, u32 depth, u64 value, u64 duration)
{
	return thread && frame ? settle(thread, frame, depth, value, duration, 1) : 1;
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
static __always_inline int leave(struct pt_regs *ctx, const int can_sleep)
{
	stay_on_stack_of_task();
	struct task_struct *task = (void *)bpf_get_current_task_btf();
	struct thread *thread = bpf_task_storage_get(&threads, task, 0, 0);
	if (!thread)
		return is_filtered(task) ? 0 : count_orphan(ctx);
	u32 depth = thread->depth;
	if (depth == 0 || depth > MAX_DEPTH)
		return no_frame(thread, ctx);
	u64 now = bpf_ktime_get_ns();
	u64 sp = REG_SP(ctx) - RETURN_POPS;
	struct frame *frame = &thread->frames[(depth - 1) & (MAX_DEPTH - 1)];
	if (frame->sp != sp) {
		drop_unwound(thread, task, sp);
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
	if (frame->at_return) {
		int wanted = can_sleep ? settle_text(thread, frame, depth - 1, value, duration)
				       : settle_fast(thread, frame, depth - 1, value, duration);
		if (!wanted) {
			thread->depth = depth - 1;
			return 0;
		}
	}
	u64 parent_id = depth > 1 ? thread->frames[(depth - 2) & (MAX_DEPTH - 1)].call_id : 0;
	thread->depth = depth - 1;
	struct texts *of_call = frame->text_count ? texts_of(task, frame, depth - 1) : 0;
	emit(frame, of_call, parent_id, task->tgid, task->pid, STATUS_RETURNED, duration, value);
	return 0;
}

SEC("uprobe")
int on_return(struct pt_regs *ctx)
{
	return leave(ctx, 0);
}

/* For probes whose texts are read when the call has returned. */
SEC("uprobe.s")
int on_return_text(struct pt_regs *ctx)
{
	return leave(ctx, 1);
}

static __always_inline void drop_all(struct task_struct *task, u8 status)
{
	struct thread *thread = bpf_task_storage_get(&threads, task, 0, 0);
	if (!thread)
		return;
	thread->device = 0;
	struct thread_texts *all = bpf_task_storage_get(&texts, task, 0, 0);
	for (int i = 0; i < MAX_DEPTH; i++)
		if (!drop_frame(thread, all, task->tgid, task->pid, status))
			return;
}

SEC("tp_btf/sched_process_exit")
int on_thread_exit(u64 *ctx)
{
	struct task_struct *task = (struct task_struct *)ctx[0];
	drop_all(task, STATUS_THREAD_EXITED);
	/* The last thread of a process (do_exit has counted it off): its pid may soon be another's. */
	if (settings.filter_by_process && !task->signal->live.counter) {
		u32 pid = task->tgid;
		bpf_map_delete_elem(&processes, &pid);
	}
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

/*
 * Pids whose list of libraries changed. A ring of its own: its reader is woken, that of the records never. Its size is
 * SMALLEST_RING_BYTES of src/ring/ring-reader.ts.
 */
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 65536);
} loads SEC(".maps");

/* When the ring is full the next look at all processes finds what was missed. */
static __always_inline int announce_load(struct task_struct *task)
{
	if (is_filtered(task))
		return 0;
	u64 pid = task->tgid;
	bpf_ringbuf_output(&loads, &pid, sizeof(pid), BPF_RB_FORCE_WAKEUP);
	return 0;
}

/* On the function a dynamic loader calls for debuggers whenever it changed its list of libraries. */
SEC("uprobe")
int on_load(struct pt_regs *ctx)
{
	return announce_load((void *)bpf_get_current_task_btf());
}

SEC("tp_btf/sched_process_exec")
int on_exec_load(u64 *ctx)
{
	return announce_load((struct task_struct *)ctx[0]);
}
