// Counts every CUDA call the workload makes, so that a capture can be compared with the truth.
#ifndef WORKLOAD_TALLY_H
#define WORKLOAD_TALLY_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "cudart_api.h"

// One number per operation; the _ptsz and _ptds twins are the same operation.
enum op {
#define API(name, params) OP_##name,
#define API_SZ(name, params) API(name, params)
#define API_DS(name, params) API(name, params)
#include "cudart_api.def"
#undef API
#undef API_SZ
#undef API_DS
  OP_COUNT
};
extern const char *const op_names[OP_COUNT];

enum { MAX_CODES = 8 };

struct op_tally {
  uint64_t calls, bytes, ok_bytes;
  struct {
    int code;
    uint64_t calls;
  } errors[MAX_CODES];
};

// One per thread or child process; they lie in memory that children share.
struct tally {
  int pid, tid;
  char name[16];
  struct op_tally ops[OP_COUNT];
};

// Makes room for that many (slot 0 is the main thread's). Returns a file descriptor which a program run
// by this one can pass to tally_join.
int tally_start(int slots);
void tally_join(int fd, int slots, int slot);
// From here on this thread counts into that slot.
void tally_use(int slot);
void tally_name(const char *name);
const struct tally *tally_slot(int slot);

cudaError_t tally(enum op op, uint64_t bytes, cudaError_t result);
// Many calls with the same result.
void tally_many(enum op op, cudaError_t result, uint64_t calls, uint64_t bytes);

// Calls a CUDA function and counts it: CALL(cudaMalloc, size, (&ptr, size)).
#define CALL(op, bytes, args) tally(OP_##op, bytes, op args)

// "ops":{...},"calls":N,"errors":N over all slots, or one slot's "ops":{...}.
void print_totals(FILE *out);
void print_ops(FILE *out, const struct tally *tally);

#endif
