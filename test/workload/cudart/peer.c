// Copies between devices, which have no per-thread twin in the runtime.
#include "runtime.h"

cudaError_t cudaMemcpyPeer(void *dst, int dst_device, const void *src, int src_device, size_t count) {
  NEED_DRIVER();
  CUcontext to = context_of(dst_device), from = context_of(src_device);
  if (!to || !from) return finish(cudaErrorInvalidDevice);
  return finish(driver.cuMemcpyPeer((uintptr_t)dst, to, (uintptr_t)src, from, count));
}

cudaError_t cudaMemcpyPeerAsync(void *dst, int dst_device, const void *src, int src_device, size_t count,
                                cudaStream_t stream) {
  NEED_DRIVER();
  CUcontext to = context_of(dst_device), from = context_of(src_device);
  if (!to || !from) return finish(cudaErrorInvalidDevice);
  return finish(driver.cuMemcpyPeerAsync((uintptr_t)dst, to, (uintptr_t)src, from, count, stream));
}
