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
#define MAX_RINGS 16
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

/* Where a slot's value comes from: 0..7 integer argument register, 8+n the nth word of stack arguments. */
#define SOURCE_STACK 8
#define MAX_STACK_WORDS 24
#define MAX_SOURCES (SOURCE_STACK + MAX_STACK_WORDS)

enum deref { DEREF_NONE, DEREF_ENTRY, DEREF_RETURN };

/* One value gathered per call. deref: read `size` bytes at value + offset, at entry or after success. */
struct slot {
	u8 source;
	u8 deref;
	u8 size;
	u8 reserved;
	u32 offset;
};

#define PROBE_ENTRY_ONLY 1

/* What is left to do when the call returns: read slots, check conditions. */
#define AT_RETURN_READ 1
#define AT_RETURN_CHECK 2

#define MAX_CONDITIONS 4
#define MAX_VALUES 8

/* What a condition looks at: a slot (0..MAX_SLOTS-1), or one of these, known at return. */
#define SUBJECT_RESULT 0x80
#define SUBJECT_DURATION 0x81

enum comparison { CMP_EQ, CMP_NE, CMP_LT, CMP_LE, CMP_GT, CMP_GE, CMP_IN, CMP_MASK };

/* Bits shift..shift+bits-1 of the subject, signed or not, compared with the values. */
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

struct probe {
	u8 flags;
	u8 slot_count;
	/* Width of the returned integer in bits; 0: returns nothing, every return is a success. */
	u8 return_bits;
	/* AT_RETURN_* */
	u8 at_return;
	/* Words of stack arguments to fetch. */
	u8 stack_words;
	/* Conditions checked at entry come first. */
	u8 entry_conditions;
	u8 condition_count;
	u8 reserved;
	struct slot slots[MAX_SLOTS];
	struct condition conditions[MAX_CONDITIONS];
};

/* Per CPU and probe. hits = records read + filtered + lost_*, once every call has ended or been dumped. */
struct counters {
	u64 hits;
	u64 filtered;
	u64 lost_ring_full;
	u64 lost_too_deep;
	u64 lost_no_memory;
	u64 orphan_returns;
	u64 read_faults;
};

enum record_type { RECORD_CALL = 1, RECORD_THREAD = 2 };

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
	u16 slot_count;
	u32 pid;
	u32 tid;
	u64 start_ns;
	u64 duration_ns;
	u64 call_id;
	/* 0: not made inside a recorded call. */
	u64 parent_id;
	u64 return_value;
	u64 slots[];
};

struct thread_record {
	u8 type;
	u8 reserved[7];
	u32 pid;
	u32 tid;
	u64 seen_ns;
	char comm[COMM_LEN];
};
