// Allocations of every kind; most are freed, some after others were made, some never.
#include <stdlib.h>

#include "scenarios.h"

enum { WINDOW = 8 };

static const enum op kinds[] = {
    OP_cudaMalloc,       OP_cudaMallocAsync,   OP_cudaMallocFromPoolAsync, OP_cudaMallocPitch, OP_cudaMalloc3D,
    OP_cudaMallocManaged, OP_cudaMallocHost, OP_cudaHostAlloc,
};
enum { KINDS = sizeof kinds / sizeof *kinds };

struct block {
  enum op op;
  void *ptr;
  size_t bytes;
};

static cudaStream_t stream;
static cudaMemPool_t pool;

static cudaError_t allocate(struct block *block) {
  size_t pitch = 0, bytes = block->bytes;
  switch (block->op) {
  case OP_cudaMallocAsync:
    return MUST(cudaMallocAsync, bytes, (&block->ptr, bytes, stream));
  case OP_cudaMallocFromPoolAsync:
    return MUST(cudaMallocFromPoolAsync, bytes, (&block->ptr, bytes, pool, stream));
  case OP_cudaMallocPitch:
    return MUST(cudaMallocPitch, bytes, (&block->ptr, &pitch, bytes / 16, 16));
  case OP_cudaMalloc3D: {
    struct cudaPitchedPtr pitched = {0};
    cudaError_t result = MUST(cudaMalloc3D, bytes, (&pitched, (struct cudaExtent){bytes / 16, 8, 2}));
    block->ptr = pitched.ptr;
    return result;
  }
  case OP_cudaMallocManaged:
    return MUST(cudaMallocManaged, bytes, (&block->ptr, bytes, 1));
  case OP_cudaMallocHost:
    return MUST(cudaMallocHost, bytes, (&block->ptr, bytes));
  case OP_cudaHostAlloc:
    return MUST(cudaHostAlloc, bytes, (&block->ptr, bytes, 1));
  default:
    return MUST(cudaMalloc, bytes, (&block->ptr, bytes));
  }
}

static void release(const struct block *block) {
  if (!block->ptr) return;
  switch (block->op) {
  case OP_cudaMallocAsync:
  case OP_cudaMallocFromPoolAsync:
    MUST(cudaFreeAsync, 0, (block->ptr, stream));
    break;
  case OP_cudaMallocHost:
  case OP_cudaHostAlloc:
    MUST(cudaFreeHost, 0, (block->ptr));
    break;
  default:
    MUST(cudaFree, 0, (block->ptr));
  }
}

static void memory_info(size_t *free_bytes) {
  size_t total = 0;
  MUST(cudaMemGetInfo, 0, (free_bytes, &total));
}

void run_leak(FILE *out) {
  const long steps = count_or(200);
  uint64_t random = options.seed;
  size_t free_before = 0, free_after = 0;
  struct {
    uint64_t blocks, bytes;
  } leaked[KINDS] = {0}, all = {0}, device = {0};
  struct block window[WINDOW] = {0};
  MUST(cudaStreamCreateWithFlags, 0, (&stream, 1));
  struct cudaMemPoolProps props = {.allocType = cudaMemAllocationTypePinned,
                                   .location = {cudaMemLocationTypeDevice, 0}};
  MUST(cudaMemPoolCreate, 0, (&pool, &props));
  memory_info(&free_before);
  for (long step = 0; step < steps; step++) {
    int kind = (int)random_below(&random, KINDS);
    // Whole rows and slices, so that width x height x depth is the number of bytes.
    struct block block = {kinds[kind], NULL, 16 * (64 + random_below(&random, 4096))};
    allocate(&block);
    if (step % 10 == 9 && block.ptr) { // one in ten is forgotten
      leaked[kind].blocks++, leaked[kind].bytes += block.bytes;
      all.blocks++, all.bytes += block.bytes;
      bool on_host = block.op == OP_cudaMallocHost || block.op == OP_cudaHostAlloc;
      if (!on_host) device.blocks++, device.bytes += block.bytes;
    } else {
      release(&window[step % WINDOW]);
      window[step % WINDOW] = block;
    }
    if (step % 50 == 25) { // failures change nothing: an impossible size, and a pointer that never was
      void *untouched = NULL;
      size_t bytes = (size_t)1 << 50;
      expect(cudaErrorMemoryAllocation, CALL(cudaMalloc, bytes, (&untouched, bytes)), "cudaMalloc");
      expect(cudaErrorInvalidValue, CALL(cudaFree, 0, ((void *)0x1230000)), "cudaFree");
    }
    pause_us(options.pause_us);
  }
  for (int i = 0; i < WINDOW; i++) release(&window[i]);
  memory_info(&free_after);
  MUST(cudaStreamDestroy, 0, (stream));
  fprintf(out, ",\"leaked\":{\"blocks\":%lu,\"bytes\":%lu,\"device_blocks\":%lu,\"device_bytes\":%lu,\"by_op\":{",
          all.blocks, all.bytes, device.blocks, device.bytes);
  bool first = true;
  for (int i = 0; i < KINDS; i++) {
    if (!leaked[i].blocks) continue;
    fprintf(out, "%s\"%s\":{\"blocks\":%lu,\"bytes\":%lu}", first ? "" : ",", op_names[kinds[i]], leaked[i].blocks,
            leaked[i].bytes);
    first = false;
  }
  fprintf(out, "}},\"free_before\":%zu,\"free_after\":%zu", free_before, free_after);
}
