/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * Layouts shared by the BPF program and user space (src/loader/layout.ts, src/ring/record.ts).
 * All fields are little-endian and naturally aligned.
 */
#pragma once

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef int s32;
typedef unsigned long long u64;

#define MAX_PROBES 4096
#define MAX_SLOTS 12
#define MAX_DEPTH 16
#define MAX_RINGS 4
#define COMM_LEN 16

struct settings {
	/* Monotonic time call ids count from. */
	u64 epoch_ns;
	/* Number of rings - 1. */
	u32 ring_mask;
	/* Bits of a call id that hold the CPU. */
	u32 cpu_bits;
	/* Record only the processes in the `processes` map. */
	u8 filter_by_process;
	/* A process forked by one in the map joins it. */
	u8 follow_children;
	/* A process that execs into this command name joins the map; empty: none. */
	char filter_comm[COMM_LEN];
};

/*
 * Where a slot's value comes from: 0..7 integer argument register, 8+n the nth word of stack arguments, what the
 * function returned, or the hash that stands for the stack of calls that led here.
 */
#define SOURCE_STACK 8
#define MAX_STACK_WORDS 24
#define MAX_SOURCES (SOURCE_STACK + MAX_STACK_WORDS)
#define SOURCE_RESULT 0x40
#define SOURCE_TRACE 0x41

enum deref { DEREF_NONE, DEREF_ENTRY, DEREF_RETURN };

/* Texts one call can carry, the most bytes of one, and the room for it: a NUL, and one byte more if it is longer. */
#define MAX_TEXTS 2
#define MAX_TEXT 512
#define TEXT_ROOM 520

/*
 * One value gathered per call. deref: read `size` bytes at value + offset, at entry or after success.
 * text: 0, or 1 + the place of the text the value (+ offset, where nothing was read there) is the address of; the
 * slot then holds the length of the text, which is size + 1 when it is longer than text_sizes allows.
 */
struct slot {
	u8 source;
	u8 deref;
	u8 size;
	u8 text;
	u32 offset;
};

#define TEXT_AT_RETURN 0x80

/* flags: the return is not probed; the last slot is the stack's hash; which is left out for now. */
#define PROBE_ENTRY_ONLY 1
#define PROBE_TRACE 2
#define PROBE_TRACE_OFF 4

/* What is left to do when the call returns: read slots, check conditions, see which device is current. */
#define AT_RETURN_READ 1
#define AT_RETURN_CHECK 2
#define AT_RETURN_DEVICE 4

#define MAX_CONDITIONS 4
#define MAX_VALUES 8
#define MAX_OK 4

/* What a condition looks at: a slot (0..MAX_SLOTS-1), or one of these; result and duration are known at return. */
#define SUBJECT_RESULT 0x80
#define SUBJECT_DURATION 0x81
#define SUBJECT_PID 0x82
#define SUBJECT_UID 0x83
#define SUBJECT_CGROUP 0x84
#define SUBJECT_COMM 0x85

enum comparison { CMP_EQ, CMP_NE, CMP_LT, CMP_LE, CMP_GT, CMP_GE, CMP_IN, CMP_MASK };

/* Bits shift..shift+bits-1 of the subject, signed or not, compared with the values. A command name is two values. */
struct condition {
	u8 subject;
	u8 comparison;
	u8 shift;
	u8 bits;
	u8 is_signed;
	u8 value_count;
	u8 reserved[2];
	u64 values[MAX_VALUES];
};

enum device_change { DEVICE_KEPT, DEVICE_SET, DEVICE_UNKNOWN };

struct probe {
	u8 flags;
	u8 slot_count;
	/* Width of the returned integer in bits; 0: returns nothing. */
	u8 return_bits;
	/* AT_RETURN_* */
	u8 at_return;
	/* Words of stack arguments to fetch. */
	u8 stack_words;
	/* Conditions checked at entry come first, and so do the slots they look at. */
	u8 entry_conditions;
	u8 condition_count;
	u8 condition_slots;
	/* Returned values that mean success; none: every return does. */
	u8 ok_count;
	u8 text_count;
	/* What a success does to the device current on the thread; the ordinal is 32 bits of a slot. */
	u8 device_change;
	u8 device_slot;
	u8 device_shift;
	u8 reserved;
	u16 text_sizes[MAX_TEXTS];
	u16 reserved2;
	/* A call is left out when a random number is not below; 0: none is. */
	u32 sample_below;
	u64 ok[MAX_OK];
	struct slot slots[MAX_SLOTS];
	struct condition conditions[MAX_CONDITIONS];
};

/* Per CPU and probe. hits = records read + filtered + sampled + lost_*, once every call has ended or been dumped. */
struct counters {
	u64 hits;
	u64 filtered;
	u64 sampled;
	u64 lost_ring_full;
	u64 lost_too_deep;
	u64 lost_no_memory;
	u64 orphan_returns;
	u64 read_faults;
	u64 lost_stacks;
};

enum record_type { RECORD_CALL = 1, RECORD_THREAD = 2, RECORD_STACK = 3 };

enum call_status {
	STATUS_RETURNED,
	STATUS_IN_FLIGHT,
	STATUS_THREAD_EXITED,
	STATUS_UNWOUND,
	STATUS_ENTRY,
};

struct call_record {
	u8 type;
	u8 status;
	u16 probe;
	/* Bit n set: slot n could not be read, or was not because the call failed. */
	u16 missing;
	u8 slot_count;
	/* 1 + the device current on the thread when the call was entered; 0: not known. */
	u8 device;
	u32 pid;
	u32 tid;
	u64 start_ns;
	u64 duration_ns;
	u64 call_id;
	/* 0: not made inside a recorded call. */
	u64 parent_id;
	u64 return_value;
	/* With texts: MAX_SLOTS of them, followed by the texts. */
	u64 slots[];
};

struct thread_record {
	u8 type;
	u8 reserved[7];
	u32 pid;
	u32 tid;
	u64 seen_ns;
	/* When its process started: CLOCK_MONOTONIC, and CLOCK_BOOTTIME as /proc/PID/stat shows it in ticks. With the
	 * pid they tell a process from one that had the pid before. An exec keeps both. */
	u64 process_start_ns;
	u64 process_boot_ns;
	char comm[COMM_LEN];
};

/* Frames of a stack that are recorded, and distinct stacks of a run. */
#define MAX_FRAMES 48
#define MAX_STACKS 16384

/* struct bpf_stack_build_id of linux/bpf.h. */
struct stack_frame {
	s32 status;
	u8 build_id[20];
	u64 offset_or_ip;
};

/* A stack that was not met before. */
struct stack_record {
	u8 type;
	u8 reserved[3];
	u32 pid;
	u64 hash;
	u32 frame_count;
	u32 reserved2;
	/* Where the function returns to. Following frame pointers misses it unless the function begins with a push. */
	u64 caller;
	u64 addresses[MAX_FRAMES];
	struct stack_frame frames[MAX_FRAMES];
};
