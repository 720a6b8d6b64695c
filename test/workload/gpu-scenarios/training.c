// A training job, and what goes wrong with one: copies from pageable memory, a leak, a stall.
#define _GNU_SOURCE
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "scenarios.h"

static void launch_some(long kernels, cudaStream_t stream, uint64_t *random) {
  // As <<<...>>> compiles it: the handle is looked up once, the launch goes through it.
  cudaKernel_t matmul = NULL;
  if (MUST(__cudaGetKernel, 0, (&matmul, (const void *)matmul_kernel)) != cudaSuccess)
    matmul = (cudaKernel_t)matmul_kernel;
  for (long i = 0; i < kernels; i++) {
    dim3 grid = {(unsigned int)(1 + random_below(random, 256)), 1 + (unsigned int)(i % 4), 1};
    dim3 block = {128, 1, 1};
    if (i % 5 == 4) {
      cudaLaunchConfig_t config = {.gridDim = grid, .blockDim = block, .dynamicSmemBytes = 1024, .stream = stream};
      MUST(cudaLaunchKernelExC, 0, (&config, (const void *)softmax_kernel, NULL));
    } else if (i % 10 == 3) {
      MUST(cudaLaunchCooperativeKernel, 0, ((const void *)allreduce_kernel, grid, block, NULL, 2048, stream));
    } else if (i % 2 == 0) {
      // A jump to cudaLaunchKernel, and counted as that.
      expect(cudaSuccess,
             tally(OP_cudaLaunchKernel, 0, __cudaLaunchKernel(matmul, grid, block, NULL, 4096, stream)),
             "__cudaLaunchKernel");
    } else {
      MUST(cudaLaunchKernel, 0, ((const void *)softmax_kernel, grid, block, NULL, 0, stream));
    }
  }
  MUST(cudaGetLastError, 0, ());
}

void run_steady(FILE *out) {
  const size_t room = 4 << 20, loss_bytes = 4096;
  const long steps = count_or(20), kernels = 10;
  uint64_t random = options.seed;
  void *weights = NULL, *batch = NULL, *loss = NULL, *host_batch = NULL, *host_loss = NULL;
  cudaStream_t compute = NULL, copies = NULL;
  cudaEvent_t copied = NULL, computed = NULL;
  int devices = 0;
  MUST(cudaGetDeviceCount, 0, (&devices));
  MUST(cudaSetDevice, 0, (0));
  MUST(cudaFree, 0, (NULL)); // the usual way to make a context
  MUST(cudaMalloc, room, (&weights, room));
  MUST(cudaMalloc, room, (&batch, room));
  MUST(cudaMalloc, loss_bytes, (&loss, loss_bytes));
  MUST(cudaHostAlloc, room, (&host_batch, room, 0));
  MUST(cudaMallocHost, loss_bytes, (&host_loss, loss_bytes));
  MUST(cudaStreamCreateWithFlags, 0, (&compute, 1));
  MUST(cudaStreamCreateWithPriority, 0, (&copies, 1, -1));
  MUST(cudaEventCreateWithFlags, 0, (&copied, 2));
  MUST(cudaEventCreateWithFlags, 0, (&computed, 2));
  for (long step = 0; step < steps; step++) {
    size_t bytes = (1 << 20) + 512 * random_below(&random, 2048);
    MUST(cudaMemcpyAsync, bytes, (batch, host_batch, bytes, cudaMemcpyHostToDevice, copies));
    MUST(cudaEventRecord, 0, (copied, copies));
    MUST(cudaStreamWaitEvent, 0, (compute, copied, 0));
    MUST(cudaMemsetAsync, loss_bytes, (loss, 0, loss_bytes, compute));
    launch_some(kernels, compute, &random);
    if (step % 4 == 3) MUST(cudaMemcpyAsync, bytes, (weights, batch, bytes, cudaMemcpyDeviceToDevice, compute));
    MUST(cudaEventRecord, 0, (computed, compute));
    MUST(cudaStreamWaitEvent, 0, (copies, computed, 0));
    MUST(cudaMemcpyAsync, loss_bytes, (host_loss, loss, loss_bytes, cudaMemcpyDeviceToHost, compute));
    MUST(cudaStreamSynchronize, 0, (compute));
    pause_us(options.pause_us);
  }
  MUST(cudaDeviceSynchronize, 0, ());
  MUST(cudaEventDestroy, 0, (copied));
  MUST(cudaEventDestroy, 0, (computed));
  MUST(cudaStreamDestroy, 0, (compute));
  MUST(cudaStreamDestroy, 0, (copies));
  MUST(cudaFreeHost, 0, (host_batch));
  MUST(cudaFreeHost, 0, (host_loss));
  MUST(cudaFree, 0, (weights));
  MUST(cudaFree, 0, (batch));
  MUST(cudaFree, 0, (loss));
  fprintf(out, ",\"steps\":%ld,\"kernels\":%ld,\"streams\":{\"compute\":%lu,\"copies\":%lu}", steps,
          steps * kernels, (uintptr_t)compute, (uintptr_t)copies);
}

void run_pageable(FILE *out) {
  const size_t bytes = 16 << 20, width = 4096, height = 1024;
  const long copies = count_or(8);
  char *pageable = malloc(bytes);
  if (!pageable) abort();
  void *device = NULL, *pinned = NULL;
  cudaStream_t stream = NULL;
  MUST(cudaMalloc, bytes, (&device, bytes));
  MUST(cudaMallocHost, bytes, (&pinned, bytes));
  MUST(cudaStreamCreate, 0, (&stream));
  for (long i = 0; i < copies; i++) {
    MUST(cudaMemcpyAsync, bytes, (device, pageable, bytes, cudaMemcpyHostToDevice, stream));
    MUST(cudaMemcpyAsync, bytes, (device, pinned, bytes, cudaMemcpyHostToDevice, stream));
    MUST(cudaMemcpy, bytes, (pageable, device, bytes, cudaMemcpyDeviceToHost));
    MUST(cudaMemcpy2D, width * height,
         (device, width, pageable, width, width, height, cudaMemcpyHostToDevice));
    MUST(cudaStreamSynchronize, 0, (stream));
    pause_us(options.pause_us);
  }
  MUST(cudaStreamDestroy, 0, (stream));
  MUST(cudaFreeHost, 0, (pinned));
  MUST(cudaFree, 0, (device));
  fprintf(out, ",\"pageable\":{\"ptr\":%lu,\"bytes\":%zu,\"async_copies\":%ld,\"sync_copies\":%ld},\"pinned_ptr\":%lu",
          (uintptr_t)pageable, bytes, copies, 2 * copies, (uintptr_t)pinned);
  free(pageable);
}

void run_stall(FILE *out) {
  const long steps = count_or(40);
  cudaStream_t stream = NULL;
  MUST(cudaStreamCreateWithFlags, 0, (&stream, 1));
  uint64_t length_us = (uint64_t)options.ms * 1000;
  void *params[] = {&length_us};
  struct timespec before = {0}, after = {0};
  for (long step = 0; step < steps; step++) {
    bool stalling = step == steps / 2;
    const void *kernel = (const void *)(stalling ? busy_wait_kernel : softmax_kernel);
    MUST(cudaLaunchKernel, 0, (kernel, (dim3){64, 1, 1}, (dim3){256, 1, 1}, stalling ? params : NULL, 0, stream));
    if (stalling) clock_gettime(CLOCK_MONOTONIC, &before);
    MUST(cudaStreamSynchronize, 0, (stream));
    if (stalling) clock_gettime(CLOCK_MONOTONIC, &after);
    pause_us(options.pause_us);
  }
  MUST(cudaStreamDestroy, 0, (stream));
  int64_t took = (after.tv_sec - before.tv_sec) * 1000000000L + after.tv_nsec - before.tv_nsec;
  fprintf(out, ",\"stall\":{\"op\":\"cudaStreamSynchronize\",\"stream\":%lu,\"index\":%ld,\"ms\":%ld,\"took_ns\":%ld}",
          (uintptr_t)stream, steps / 2, options.ms, took);
}

void run_hang(FILE *out) {
  cudaStream_t stream = NULL;
  MUST(cudaStreamCreateWithFlags, 0, (&stream, 1));
  uint64_t days = 10UL * 24 * 3600 * 1000000;
  void *params[] = {&days};
  MUST(cudaLaunchKernel, 0, ((const void *)busy_wait_kernel, (dim3){1, 1, 1}, (dim3){1, 1, 1}, params, 0, stream));
  // The truth is told before the call that does not return.
  print_totals(out);
  fprintf(out, ",\"in_flight\":{\"op\":\"cudaStreamSynchronize\",\"stream\":%lu,\"tid\":%d}}\n", (uintptr_t)stream,
          gettid());
  fflush(out);
  cudaError_t result = CALL(cudaStreamSynchronize, 0, (stream));
  fprintf(out, "{\"scenario\":\"hang\",\"returned\":%d}\n", (int)result);
  fflush(out);
  _exit(options.real ? 0 : 1);
}
