// The scenarios and what they share.
#ifndef WORKLOAD_SCENARIOS_H
#define WORKLOAD_SCENARIOS_H

#include "tally.h"

struct options {
  bool real;          // the real libcudart, perhaps without a GPU: calls may fail
  uint64_t seed;
  long count;         // steps, calls or processes, as the scenario says; 0: its default
  int threads;        // 0: the scenario's default
  long ms;            // length of the stall
  long pause_us;      // between steps
  const char *detail; // storm: which operation
};
extern struct options options;

// Every scenario makes its calls through CALL and prints what is particular to it: ,"name":value ...
void run_steady(FILE *out);
void run_pageable(FILE *out);
void run_leak(FILE *out);
void run_stall(FILE *out);
void run_errors(FILE *out);
void run_hang(FILE *out);
void run_threads(FILE *out);
void run_nested(FILE *out);
void run_fork(FILE *out);
void run_short(FILE *out);
void run_short_child(int fd, int slots, int slot);
void run_longjmp(FILE *out);
void run_threadexit(FILE *out);
void run_args(FILE *out);
void run_driver_args(FILE *out);
void run_storm(FILE *out);
void run_sync_loop(FILE *out);
void run_tiny(FILE *out);
void run_contend(FILE *out);

// Calls of whatever kind whose result was not the one the scenario is about; never with options.real.
extern _Atomic int surprises;
// Complains, except about the real library, when the result is another than that.
cudaError_t expect(cudaError_t wanted, cudaError_t result, const char *what);
#define MUST(op, bytes, args) expect(cudaSuccess, CALL(op, bytes, args), #op)

uint64_t random_below(uint64_t *state, uint64_t limit);
void pause_us(long us);
long count_or(long fallback);
int threads_or(int fallback);
// The name the kernel shows for this thread; also kept in its tally.
void name_thread(const char *format, int number);

// Host stubs of kernels, registered before main as nvcc's code does it.
void matmul_kernel(void);
void softmax_kernel(void);
void allreduce_kernel(void);
// Runs as long as its first parameter (uint64_t, microseconds) says.
void busy_wait_kernel(void);
// Looks like a kernel and was never registered.
void unregistered_kernel(void);

// A block of calls with known counts, for scenarios that are about who calls: 4 * n calls in all.
// (n launches, n copies of 4096 bytes, n event records, n stream synchronisations.)
void do_calls(long n, unsigned int salt);

#endif
