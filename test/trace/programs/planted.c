// Three ranks (so that most agree) that use NCCL, or an allocator that reports as PyTorch's does, with one planted trouble: planted ranks|tensors TROUBLE.
#define _GNU_SOURCE
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

typedef struct {
  char internal[128];
} ncclUniqueId;
struct Device {
  int8_t type, index;
};
int ncclCommInitRank(int **, int, ncclUniqueId, int);
int ncclCommGetAsyncError(int *, int *);
int ncclAllReduce(const void *, void *, size_t, int, int, int *, void *);
int ncclAllGather(const void *, void *, size_t, int, int *, void *);
int ncclCommDestroy(int *);
void _ZN3c1027reportMemoryUsageToProfilerEPvlmmNS_6DeviceE(void *, int64_t, size_t, size_t, struct Device);
void _ZN3c1027reportOutOfMemoryToProfilerElmmNS_6DeviceE(int64_t, size_t, size_t, struct Device);

enum { RANKS = 3, STEPS = 60, FLOAT = 7, SUM = 0 };
static const char *trouble;
static int is(const char *name) { return strcmp(trouble, name) == 0; }

static void rank_of_job(int rank, ncclUniqueId id, pthread_barrier_t *together) {
  int *comm = NULL, state = 0;
  ncclCommInitRank(&comm, RANKS, id, rank);
  pthread_barrier_wait(together);
  for (int step = 0; step < STEPS; step++) {
    usleep(2000);
    if (is("late-rank") && rank == 1) usleep(4000);
    if (is("rank-that-stays-away") && rank == 1 && step == STEPS / 2) {
      sleep(4);
      return;
    }
    // Buckets, or each of a hundred parameters by itself.
    for (int i = 0; i < (is("small-collectives") ? 100 : 1); i++) {
      size_t count = is("small-collectives") ? 1024 : 4 << 20;
      if (is("refused-collectives") && rank == 1 && step % 4 == 0) count = 0;
      if (is("other-collective") && rank == 1 && step >= STEPS / 2)
        ncclAllGather(NULL, NULL, count, FLOAT, comm, NULL);
      else
        ncclAllReduce(NULL, NULL, count, FLOAT, SUM, comm, NULL);
    }
    if (is("failed-communicator") && rank == 1 && step == STEPS / 2) *comm = 6; // ncclRemoteError
    if (step % 10 == 9) ncclCommGetAsyncError(comm, &state);
    // A collective ends when all ranks have come to it.
    if (is("rank-that-stays-away") && step == STEPS / 2) sleep(4), exit(0);
    pthread_barrier_wait(together);
  }
  ncclCommDestroy(comm);
}

static void job(void) {
  ncclUniqueId id = {"planted"};
  pthread_barrier_t *together =
      mmap(NULL, sizeof *together, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  pthread_barrierattr_t shared;
  pthread_barrierattr_init(&shared);
  pthread_barrierattr_setpshared(&shared, PTHREAD_PROCESS_SHARED);
  pthread_barrier_init(together, &shared, RANKS);
  for (int rank = 0; rank < RANKS; rank++) {
    if (fork() > 0) continue;
    rank_of_job(rank, id, together);
    exit(0);
  }
  while (wait(NULL) > 0) {
  }
}

static const int64_t MIB = 1 << 20;
static int64_t in_use, reserved;

// The allocator's books: a block of `mib`, negative for its free.
static void block(intptr_t ptr, int64_t mib) {
  in_use += mib;
  if (reserved < in_use) reserved = in_use;
  _ZN3c1027reportMemoryUsageToProfilerEPvlmmNS_6DeviceE((void *)ptr, mib * MIB, in_use * MIB, reserved * MIB,
                                                        (struct Device){1, 0});
}

static void tensors(void) {
  block(1, 4096); // parameters
  for (int step = 0; step < STEPS; step++) {
    usleep(2000);
    block(2, 2048); // activations
    usleep(1000);
    if (is("kept-tensors")) block(1000 + step, 64);
    block(2, -2048);
    if (is("emptied-cache")) reserved = in_use, block(4, 1), block(4, -1);
    // What was free is in pieces, so that more has to be reserved.
    if (is("fragments") && step % 10 == 9) reserved += 512, block(3, 512), block(3, -512);
  }
  if (is("out-of-memory"))
    _ZN3c1027reportOutOfMemoryToProfilerElmmNS_6DeviceE(4096 * MIB, in_use * MIB, reserved * MIB, (struct Device){1, 0});
  block(1, -4096);
}

int main(int argc, char **argv) {
  if (argc != 3) return 2;
  trouble = argv[2];
  if (strcmp(argv[1], "ranks") == 0) job();
  else tensors();
  return 0;
}
