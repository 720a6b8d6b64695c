#define _GNU_SOURCE
#include <stdlib.h>
#include <sys/prctl.h>
#include <time.h>

#include "scenarios.h"

_Atomic int surprises;

cudaError_t expect(cudaError_t wanted, cudaError_t result, const char *what) {
  if (result != wanted && !options.real) {
    surprises++;
    fprintf(stderr, "gpu-scenarios: %s returned %d, not %d\n", what, (int)result, (int)wanted);
  }
  return result;
}

// splitmix64: the same sequence everywhere.
uint64_t random_below(uint64_t *state, uint64_t limit) {
  uint64_t z = (*state += 0x9e3779b97f4a7c15);
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
  z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
  return (z ^ (z >> 31)) % limit;
}

void pause_us(long us) {
  if (us <= 0) return;
  struct timespec time = {.tv_sec = us / 1000000, .tv_nsec = us % 1000000 * 1000};
  nanosleep(&time, NULL);
}

long count_or(long fallback) { return options.count > 0 ? options.count : fallback; }

int threads_or(int fallback) { return options.threads > 0 ? options.threads : fallback; }

void name_thread(const char *format, int number) {
  char name[16];
  snprintf(name, sizeof name, format, number);
  prctl(PR_SET_NAME, name);
  tally_name(name);
}

void do_calls(long n, unsigned int salt) {
  enum { BYTES = 4096 };
  void *device = NULL, *host = NULL;
  cudaStream_t stream = NULL;
  cudaEvent_t event = NULL;
  MUST(cudaMalloc, BYTES, (&device, BYTES));
  MUST(cudaMallocHost, BYTES, (&host, BYTES));
  MUST(cudaStreamCreateWithFlags, 0, (&stream, 1));
  MUST(cudaEventCreateWithFlags, 0, (&event, 0));
  for (long i = 0; i < n; i++) {
    MUST(cudaMemcpyAsync, BYTES, (device, host, BYTES, cudaMemcpyHostToDevice, stream));
    MUST(cudaLaunchKernel, 0,
         ((const void *)softmax_kernel, (dim3){salt + 1, 1, 1}, (dim3){64, 1, 1}, NULL, 0, stream));
    MUST(cudaEventRecord, 0, (event, stream));
    MUST(cudaStreamSynchronize, 0, (stream));
    pause_us(options.pause_us);
  }
  MUST(cudaEventDestroy, 0, (event));
  MUST(cudaStreamDestroy, 0, (stream));
  MUST(cudaFreeHost, 0, (host));
  MUST(cudaFree, 0, (device));
}
