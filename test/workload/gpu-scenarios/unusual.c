// Scenarios about calls within calls, and calls that are left without a return.
#define _GNU_SOURCE
#include <pthread.h>
#include <setjmp.h>
#include <stdlib.h>
#include <unistd.h>

#include "scenarios.h"

// The driver function inside each runtime call, as often as the runtime call is made.
void run_nested(FILE *out) {
  enum { BYTES = 8192 };
  const long n = count_or(10);
  void *device = NULL, *other = NULL, *host = NULL;
  cudaStream_t stream = NULL;
  cudaEvent_t event = NULL;
  char pageable[BYTES] = {0};
  MUST(cudaStreamCreateWithFlags, 0, (&stream, 1));
  MUST(cudaEventCreateWithFlags, 0, (&event, 2));
  for (long i = 0; i < n; i++) {
    MUST(cudaMalloc, BYTES, (&device, BYTES));
    MUST(cudaMallocAsync, BYTES, (&other, BYTES, stream));
    MUST(cudaMallocHost, BYTES, (&host, BYTES));
    MUST(cudaMemcpy, BYTES, (device, pageable, BYTES, cudaMemcpyHostToDevice));
    MUST(cudaMemcpyAsync, BYTES, (host, device, BYTES, cudaMemcpyDeviceToHost, stream));
    MUST(cudaMemset, BYTES, (device, 0, BYTES));
    MUST(cudaLaunchKernel, 0,
         ((const void *)matmul_kernel, (dim3){2, 3, 4}, (dim3){32, 2, 1}, NULL, 512, stream));
    MUST(cudaEventRecord, 0, (event, stream));
    MUST(cudaEventSynchronize, 0, (event));
    MUST(cudaStreamSynchronize, 0, (stream));
    MUST(cudaDeviceSynchronize, 0, ());
    MUST(cudaFreeAsync, 0, (other, stream));
    MUST(cudaFreeHost, 0, (host));
    MUST(cudaFree, 0, (device));
  }
  static const char *const pairs[][2] = {
      {"cudaMalloc", "cuMemAlloc_v2"},
      {"cudaMallocAsync", "cuMemAllocAsync"},
      {"cudaMallocHost", "cuMemHostAlloc"},
      {"cudaMemcpy", "cuMemcpyHtoD_v2"},
      {"cudaMemcpyAsync", "cuMemcpyDtoHAsync_v2"},
      {"cudaMemset", "cuMemsetD8_v2"},
      {"cudaLaunchKernel", "cuLaunchKernel"},
      {"cudaEventRecord", "cuEventRecord"},
      {"cudaEventSynchronize", "cuEventSynchronize"},
      {"cudaStreamSynchronize", "cuStreamSynchronize"},
      {"cudaDeviceSynchronize", "cuCtxSynchronize"},
      {"cudaFreeAsync", "cuMemFreeAsync"},
      {"cudaFreeHost", "cuMemFreeHost"},
      {"cudaFree", "cuMemFree_v2"},
  };
  fputs(",\"nested\":[", out);
  for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++)
    fprintf(out, "%s{\"parent\":\"%s\",\"child\":\"%s\",\"calls\":%ld}", i ? "," : "", pairs[i][0], pairs[i][1], n);
  // Besides: what loading the driver and the first launch of a kernel need.
  fputs("],\"once\":[{\"parent\":\"cudaStreamCreateWithFlags\",\"children\":[\"cuDriverGetVersion\",\"cuInit\","
        "\"cuDeviceGetCount\",\"cuStreamCreate\"]},{\"parent\":\"cudaEventCreateWithFlags\",\"children\":"
        "[\"cuEventCreate\"]},{\"parent\":\"cudaLaunchKernel\",\"children\":[\"cuModuleLoadData\","
        "\"cuModuleGetFunction\"]}]",
        out);
}

static _Thread_local jmp_buf way_out;

static void leave_by_longjmp(void *depth) {
  (void)depth;
  longjmp(way_out, 1);
}

// Its calls are counted apart: they were entered and never returned.
void run_longjmp(FILE *out) {
  const long n = count_or(10);
  cudaStream_t stream = NULL;
  volatile long unwound = 0;
  MUST(cudaStreamCreateWithFlags, 0, (&stream, 1));
  for (volatile long i = 0; i < n; i++) {
    if (setjmp(way_out) == 0)
      CALL(cudaLaunchHostFunc, 0, (stream, leave_by_longjmp, NULL));
    else
      unwound++;
    MUST(cudaStreamSynchronize, 0, (stream));
  }
  fprintf(out, ",\"unwound\":{\"cudaLaunchHostFunc\":%ld}", unwound);
}

static _Atomic long exited;

static void leave_by_exit(void *unused) {
  (void)unused;
  exited++;
  pthread_exit(NULL);
}

static void *exiting_thread(void *argument) {
  int index = (int)(intptr_t)argument;
  tally_use(index + 1);
  name_thread("leaver-%d", index);
  do_calls(2, (unsigned int)index);
  CALL(cudaLaunchHostFunc, 0, (NULL, leave_by_exit, NULL));
  return NULL;
}

void run_threadexit(FILE *out) {
  int count = threads_or(3);
  int tids[64];
  if (count > 64) count = 64;
  tally_start(count + 1);
  for (int i = 0; i < count; i++) {
    pthread_t thread;
    if (pthread_create(&thread, NULL, exiting_thread, (void *)(intptr_t)i) != 0) abort();
    pthread_join(thread, NULL);
    tids[i] = tally_slot(i + 1)->tid;
  }
  fprintf(out, ",\"thread_exited\":{\"cudaLaunchHostFunc\":%ld},\"tids\":[", exited);
  for (int i = 0; i < count; i++) fprintf(out, "%s%d", i ? "," : "", tids[i]);
  fputs("]", out);
}
