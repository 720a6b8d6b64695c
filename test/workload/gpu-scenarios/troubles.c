// Ways to lose time that a trace has to name: waiting after every launch, tiny kernels, a neighbour on the device.
#define _GNU_SOURCE
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "scenarios.h"

static void busy_launch(uint64_t us, cudaStream_t stream) {
  void *params[] = {&us};
  MUST(cudaLaunchKernel, 0, ((const void *)busy_wait_kernel, (dim3){64, 1, 1}, (dim3){256, 1, 1}, params, 0, stream));
}

void run_sync_loop(FILE *out) {
  const long steps = count_or(400);
  cudaStream_t stream = NULL;
  MUST(cudaStreamCreateWithFlags, 0, (&stream, 1));
  for (long step = 0; step < steps; step++) {
    busy_launch(500, stream);
    MUST(cudaDeviceSynchronize, 0, ());
    pause_us(options.pause_us);
  }
  MUST(cudaStreamDestroy, 0, (stream));
  fprintf(out, ",\"steps\":%ld", steps);
}

void run_tiny(FILE *out) {
  const long steps = count_or(100), kernels = 2000;
  cudaStream_t stream = NULL;
  MUST(cudaStreamCreateWithFlags, 0, (&stream, 1));
  for (long step = 0; step < steps; step++) {
    for (long i = 0; i < kernels; i++) busy_launch(1, stream);
    MUST(cudaStreamSynchronize, 0, (stream));
  }
  MUST(cudaStreamDestroy, 0, (stream));
  fprintf(out, ",\"launches\":%ld", steps * kernels);
}

// Two processes share a device: while the second one works, the steps of the first take three times as long.
void run_contend(FILE *out) {
  const long steps = count_or(200);
  atomic_int *phase = mmap(NULL, sizeof *phase, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (phase == MAP_FAILED) abort();
  tally_start(3);
  for (int child = 0; child < 2; child++) {
    pid_t pid = fork();
    if (pid < 0) abort();
    if (pid > 0) continue;
    cudaStream_t stream = NULL;
    tally_use(child + 1);
    name_thread(child == 0 ? "victim-%d" : "neighbour-%d", child);
    MUST(cudaSetDevice, 0, (0));
    MUST(cudaStreamCreateWithFlags, 0, (&stream, 1));
    if (child == 0) {
      for (long step = 0; step < steps; step++) {
        bool crowded = step >= steps / 2;
        if (step == steps / 2) atomic_store(phase, 1);
        for (int i = 0; i < 8; i++) busy_launch(crowded ? 750 : 250, stream);
        MUST(cudaStreamSynchronize, 0, (stream));
      }
      atomic_store(phase, 2);
    } else {
      while (atomic_load(phase) == 0) usleep(100);
      while (atomic_load(phase) == 1) {
        for (int i = 0; i < 8; i++) busy_launch(250, stream);
        MUST(cudaStreamSynchronize, 0, (stream));
      }
    }
    MUST(cudaStreamDestroy, 0, (stream));
    _exit(surprises ? 1 : 0);
  }
  int status = 0;
  while (wait(&status) > 0)
    if (status != 0) surprises++;
  fprintf(out, ",\"steps\":%ld,\"victim\":%d,\"neighbour\":%d", steps, tally_slot(1)->pid, tally_slot(2)->pid);
}
