// As many calls as fast as possible, for benchmarks; nothing but the calls is in the loop.
#define _GNU_SOURCE
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "scenarios.h"

enum { BYTES = 4096 };

// CPU time of the thread, probes included; what else runs on the machine does not count.
static int64_t now_ns(void) {
  struct timespec time;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return (int64_t)time.tv_sec * 1000000000 + time.tv_nsec;
}

struct storm {
  int slot;
  long count;
  int64_t ns;
};
static pthread_barrier_t start;

// Time of the loop alone; all threads begin it together.
static int64_t blow(long n, const char *what) {
  const dim3 grid = {128, 1, 1}, block = {256, 1, 1};
  void *device = NULL, *host = NULL, *other = NULL;
  cudaStream_t stream = NULL;
  MUST(cudaMalloc, BYTES, (&device, BYTES));
  MUST(cudaMallocHost, BYTES, (&host, BYTES));
  MUST(cudaStreamCreateWithFlags, 0, (&stream, 1));
  // In the loop the results are not looked at: they are taken to be this one's.
  cudaError_t usual = MUST(cudaLaunchKernel, 0, ((const void *)matmul_kernel, grid, block, NULL, 0, stream));
  pthread_barrier_wait(&start);
  int64_t before = now_ns();
  if (strcmp(what, "cudaMemcpyAsync") == 0) {
    for (long i = 0; i < n; i++) cudaMemcpyAsync(device, host, BYTES, cudaMemcpyHostToDevice, stream);
    tally_many(OP_cudaMemcpyAsync, usual, (uint64_t)n, (uint64_t)n * BYTES);
  } else if (strcmp(what, "cudaStreamSynchronize") == 0) {
    for (long i = 0; i < n; i++) cudaStreamSynchronize(stream);
    tally_many(OP_cudaStreamSynchronize, usual, (uint64_t)n, 0);
  } else if (strcmp(what, "cudaMalloc") == 0) { // and its free: two calls each
    for (long i = 0; i < n / 2; i++) {
      cudaMalloc(&other, BYTES);
      cudaFree(other);
    }
    tally_many(OP_cudaMalloc, usual, (uint64_t)(n / 2), (uint64_t)(n / 2) * BYTES);
    tally_many(OP_cudaFree, usual, (uint64_t)(n / 2), 0);
  } else if (strcmp(what, "mix") == 0) { // of every eight: six launches, a copy, a synchronisation
    for (long i = 0; i < n; i++) {
      if (i % 8 == 6)
        cudaMemcpyAsync(device, host, BYTES, cudaMemcpyHostToDevice, stream);
      else if (i % 8 == 7)
        cudaStreamSynchronize(stream);
      else
        cudaLaunchKernel((const void *)matmul_kernel, grid, block, NULL, 0, stream);
    }
    uint64_t copies = (uint64_t)((n + 1) / 8), syncs = (uint64_t)(n / 8);
    tally_many(OP_cudaMemcpyAsync, usual, copies, copies * BYTES);
    tally_many(OP_cudaStreamSynchronize, usual, syncs, 0);
    tally_many(OP_cudaLaunchKernel, usual, (uint64_t)n - copies - syncs, 0);
  } else {
    for (long i = 0; i < n; i++) cudaLaunchKernel((const void *)matmul_kernel, grid, block, NULL, 0, stream);
    tally_many(OP_cudaLaunchKernel, usual, (uint64_t)n, 0);
  }
  return now_ns() - before;
}

static void *storm_thread(void *argument) {
  struct storm *storm = argument;
  tally_use(storm->slot);
  name_thread("storm-%d", storm->slot - 1);
  storm->ns = blow(storm->count, options.detail);
  return NULL;
}

void run_storm(FILE *out) {
  int threads = threads_or(1);
  if (threads > 64) threads = 64;
  struct storm storms[64];
  pthread_t ids[64];
  tally_start(threads + 1);
  pthread_barrier_init(&start, NULL, (unsigned int)threads);
  for (int i = 0; i < threads; i++) {
    storms[i] = (struct storm){i + 1, count_or(100000), 0};
    if (pthread_create(&ids[i], NULL, storm_thread, &storms[i]) != 0) abort();
  }
  int64_t ns = 0;
  for (int i = 0; i < threads; i++) {
    pthread_join(ids[i], NULL);
    ns += storms[i].ns;
  }
  fprintf(out, ",\"op\":\"%s\",\"threads\":%d,\"per_thread\":%ld,\"ns_per_call\":%.1f", options.detail, threads,
          storms[0].count, (double)ns / threads / (double)storms[0].count);
}
