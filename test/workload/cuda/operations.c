#include "operations.h"

int64_t copy_ns(size_t bytes, enum rate rate) {
  static const double bytes_per_ns[] = {[PINNED] = 25, [PAGEABLE] = 3, [ON_DEVICE] = 1000};
  return (int64_t)((double)bytes / bytes_per_ns[rate]);
}

static bool on_device(enum memory memory) {
  return memory & (DEVICE_MEMORY | MANAGED_MEMORY | IPC_MEMORY | RESERVED_MEMORY);
}

static bool misplaced(enum memory memory, enum place place) {
  if (place == DEVICE) return !on_device(memory);
  return place == HOST && memory != MANAGED_MEMORY && on_device(memory);
}

// Page-locked memory is copied by the device on its own, pageable memory through a staging buffer that
// the caller has to fill: slow, and the call blocks even where it is called asynchronous.
CUresult copy(struct object *stream, uint64_t dst, enum place dst_place, uint64_t src, enum place src_place,
              size_t bytes, enum completion completion) {
  if (!stream) return CUDA_ERROR_INVALID_HANDLE;
  if (!dst || !src) return CUDA_ERROR_INVALID_VALUE;
  enum memory from = memory_at(src, bytes), to = memory_at(dst, bytes);
  if (misplaced(to, dst_place) || misplaced(from, src_place)) return CUDA_ERROR_INVALID_VALUE;
  bool pageable = from == UNKNOWN_MEMORY || to == UNKNOWN_MEMORY;
  enum rate rate = pageable ? PAGEABLE : on_device(from) && on_device(to) ? ON_DEVICE : PINNED;
  int64_t done = stream_work(stream, copy_ns(bytes, rate));
  if (pageable || completion == WAIT) sleep_until(done);
  return CUDA_SUCCESS;
}

static CUresult check_array(CUmemorytype type, CUarray array) {
  bool wrong = type == CU_MEMORYTYPE_ARRAY && !object_get(array, ARRAY);
  return wrong ? CUDA_ERROR_INVALID_HANDLE : CUDA_SUCCESS;
}

// Copies of more than one dimension: the extent counts, and the address the copy begins at is checked.
// An array is device memory without an address, so that the other operand decides how long it takes.
static CUresult copy_extent(struct object *stream, CUmemorytype dst_type, uint64_t dst, CUmemorytype src_type,
                            uint64_t src, size_t bytes, enum completion completion) {
  if (!stream) return CUDA_ERROR_INVALID_HANDLE;
  enum memory to = dst_type == CU_MEMORYTYPE_ARRAY ? DEVICE_MEMORY : memory_at(dst, 1);
  enum memory from = src_type == CU_MEMORYTYPE_ARRAY ? DEVICE_MEMORY : memory_at(src, 1);
  if (misplaced(to, dst_type == CU_MEMORYTYPE_DEVICE ? DEVICE : EITHER)) return CUDA_ERROR_INVALID_VALUE;
  if (misplaced(from, src_type == CU_MEMORYTYPE_DEVICE ? DEVICE : EITHER)) return CUDA_ERROR_INVALID_VALUE;
  bool pageable = from == UNKNOWN_MEMORY || to == UNKNOWN_MEMORY;
  enum rate rate = pageable ? PAGEABLE : on_device(from) && on_device(to) ? ON_DEVICE : PINNED;
  int64_t done = stream_work(stream, copy_ns(bytes, rate));
  if (pageable || completion == WAIT) sleep_until(done);
  return CUDA_SUCCESS;
}

CUresult copy_2d(struct object *stream, const CUDA_MEMCPY2D *c, enum completion completion) {
  if (check_array(c->dstMemoryType, c->dstArray) || check_array(c->srcMemoryType, c->srcArray))
    return CUDA_ERROR_INVALID_HANDLE;
  uint64_t dst = c->dstMemoryType == CU_MEMORYTYPE_HOST ? (uintptr_t)c->dstHost : c->dstDevice;
  uint64_t src = c->srcMemoryType == CU_MEMORYTYPE_HOST ? (uintptr_t)c->srcHost : c->srcDevice;
  return copy_extent(stream, c->dstMemoryType, dst, c->srcMemoryType, src, c->WidthInBytes * c->Height, completion);
}

CUresult copy_3d(struct object *stream, const CUDA_MEMCPY3D *c, enum completion completion) {
  if (check_array(c->dstMemoryType, c->dstArray) || check_array(c->srcMemoryType, c->srcArray))
    return CUDA_ERROR_INVALID_HANDLE;
  uint64_t dst = c->dstMemoryType == CU_MEMORYTYPE_HOST ? (uintptr_t)c->dstHost : c->dstDevice;
  uint64_t src = c->srcMemoryType == CU_MEMORYTYPE_HOST ? (uintptr_t)c->srcHost : c->srcDevice;
  return copy_extent(stream, c->dstMemoryType, dst, c->srcMemoryType, src, c->WidthInBytes * c->Height * c->Depth,
                     completion);
}

CUresult fill(struct object *stream, uint64_t dst, size_t bytes) {
  if (!stream) return CUDA_ERROR_INVALID_HANDLE;
  if (!on_device(memory_at(dst, bytes))) return CUDA_ERROR_INVALID_VALUE;
  stream_work(stream, copy_ns(bytes, ON_DEVICE));
  return CUDA_SUCCESS;
}

CUresult launch(CUfunction f, dim3 grid, dim3 block, struct object *stream, void **params) {
  struct object *function = object_get(f, FUNCTION);
  if (!function) return CUDA_ERROR_INVALID_HANDLE;
  uint64_t threads = (uint64_t)block.x * block.y * block.z;
  if (!grid.x || !grid.y || !grid.z || threads == 0 || threads > 1024) return CUDA_ERROR_INVALID_VALUE;
  stream_work(stream, kernel_ns(function, params));
  return CUDA_SUCCESS;
}

CUresult device_allocate(CUdeviceptr *dptr, enum memory memory, size_t size) {
  if (!dptr || size == 0) return CUDA_ERROR_INVALID_VALUE;
  *dptr = memory_allocate(memory, size, current_device);
  return *dptr ? CUDA_SUCCESS : CUDA_ERROR_OUT_OF_MEMORY;
}

CUresult record(CUevent handle, struct object *stream) {
  struct object *event = object_get(handle, EVENT);
  if (!event) return CUDA_ERROR_INVALID_HANDLE;
  if (stream->capture) return CUDA_SUCCESS;
  int64_t now = config.fast ? 1 : now_ns();
  int64_t idle = config.fast ? 0 : stream_idle_at(stream);
  event->time = idle > now ? idle : now;
  return CUDA_SUCCESS;
}

CUresult begin_capture(struct object *stream, CUstream handle, struct object *graph, int mode) {
  if (mode < 0 || mode > 2) return CUDA_ERROR_INVALID_VALUE;
  if ((uintptr_t)handle <= 1) return CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
  if (stream->capture) return CUDA_ERROR_ILLEGAL_STATE;
  if (!graph) graph = object_new(GRAPH);
  if (!graph) return CUDA_ERROR_OUT_OF_MEMORY;
  stream->capture = graph;
  return CUDA_SUCCESS;
}

CUresult instantiate(CUgraphExec *exec, CUgraph handle) {
  struct object *graph = object_get(handle, GRAPH);
  if (!exec || !graph) return CUDA_ERROR_INVALID_VALUE;
  struct object *made = object_new(GRAPH_EXEC);
  if (!made) return CUDA_ERROR_OUT_OF_MEMORY;
  made->cost = graph->cost;
  *exec = (CUgraphExec)made;
  return CUDA_SUCCESS;
}
