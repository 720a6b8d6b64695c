// A burst of calls that fail in known ways.
#include "scenarios.h"

static void fail(enum cudaError wanted, cudaError_t result, const char *what) { expect(wanted, result, what); }
#define FAILS(code, op, bytes, args) fail(code, CALL(op, bytes, args), #op)

static void same_errors(cudaStream_t stream, cudaEvent_t pending, void *device) {
  const size_t huge = (size_t)1 << 50;
  void *untouched = NULL;
  cudaGraph_t graph = NULL;
  // The real library trusts handles: only the stub is given a wrong one.
  cudaStream_t wrong = options.real ? NULL : (cudaStream_t)0xbad0;
  char host[64] = {0};
  FAILS(cudaErrorMemoryAllocation, cudaMalloc, huge, (&untouched, huge));
  FAILS(cudaErrorInvalidValue, cudaFree, 0, ((void *)0x1230000));
  FAILS(cudaErrorInvalidMemcpyDirection, cudaMemcpy, sizeof host,
        (device, host, sizeof host, (enum cudaMemcpyKind)7));
  FAILS(cudaErrorInvalidValue, cudaMemcpyAsync, sizeof host,
        ((void *)0x4560000, host, sizeof host, cudaMemcpyHostToDevice, stream));
  FAILS(cudaErrorInvalidResourceHandle, cudaStreamSynchronize, 0, (wrong));
  FAILS(cudaErrorInvalidDevice, cudaSetDevice, 0, (99));
  FAILS(cudaErrorInvalidDeviceFunction, cudaLaunchKernel, 0,
        ((const void *)unregistered_kernel, (dim3){1, 1, 1}, (dim3){1, 1, 1}, NULL, 0, stream));
  FAILS(cudaErrorInvalidConfiguration, cudaLaunchKernel, 0,
        ((const void *)softmax_kernel, (dim3){1, 1, 1}, (dim3){2048, 1, 1}, NULL, 0, stream));
  FAILS(cudaErrorHostMemoryNotRegistered, cudaHostUnregister, 0, (host));
  FAILS(cudaErrorIllegalState, cudaStreamEndCapture, 0, (stream, &graph));
  FAILS(cudaErrorNotReady, cudaEventQuery, 0, (pending));
}

void run_errors(FILE *out) {
  const long rounds = count_or(20);
  const size_t bytes = 65536;
  // Outlasts the burst, so that what is pending stays so.
  uint64_t length_us = 1000000 + 2 * (uint64_t)(rounds * options.pause_us);
  void *params[] = {&length_us};
  void *device = NULL;
  cudaStream_t stream = NULL, busy = NULL;
  cudaEvent_t pending = NULL;
  MUST(cudaMalloc, bytes, (&device, bytes));
  MUST(cudaStreamCreateWithFlags, 0, (&stream, 1));
  MUST(cudaStreamCreateWithFlags, 0, (&busy, 1));
  MUST(cudaEventCreateWithFlags, 0, (&pending, 2));
  MUST(cudaLaunchKernel, 0, ((const void *)busy_wait_kernel, (dim3){1, 1, 1}, (dim3){1, 1, 1}, params, 0, busy));
  MUST(cudaEventRecord, 0, (pending, busy));
  for (long i = 0; i < rounds; i++) {
    same_errors(stream, pending, device);
    pause_us(options.pause_us);
  }
  MUST(cudaStreamSynchronize, 0, (busy));
  MUST(cudaEventDestroy, 0, (pending));
  MUST(cudaStreamDestroy, 0, (busy));
  MUST(cudaStreamDestroy, 0, (stream));
  MUST(cudaFree, 0, (device));
  // The error is remembered until it is asked for; asking returns it, which is no failure of that call.
  CALL(cudaPeekAtLastError, 0, ());
  CALL(cudaGetLastError, 0, ());
  MUST(cudaGetLastError, 0, ());
  fprintf(out, ",\"rounds\":%ld", rounds);
}
