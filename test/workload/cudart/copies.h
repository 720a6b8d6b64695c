// The runtime names one function and a direction; the driver has a function or an operand type for each.
#ifndef WORKLOAD_CUDART_COPIES_H
#define WORKLOAD_CUDART_COPIES_H

#include "runtime.h"

// One end of a copy of more than one dimension: linear memory or an array.
struct operand {
  const void *pointer;
  const void *array;
  size_t pitch, x, y;
};

static inline bool bad_kind(enum cudaMemcpyKind kind) { return (int)kind < 0 || (int)kind > cudaMemcpyDefault; }

static inline CUmemorytype memory_type(const struct operand *operand, bool on_host, enum cudaMemcpyKind kind) {
  if (operand->array) return CU_MEMORYTYPE_ARRAY;
  if (kind == cudaMemcpyDefault) return CU_MEMORYTYPE_UNIFIED;
  return on_host ? CU_MEMORYTYPE_HOST : CU_MEMORYTYPE_DEVICE;
}

static inline CUDA_MEMCPY2D copy_2d(struct operand dst, struct operand src, size_t width, size_t height,
                                    enum cudaMemcpyKind kind) {
  bool from_host = kind == cudaMemcpyHostToHost || kind == cudaMemcpyHostToDevice;
  bool to_host = kind == cudaMemcpyHostToHost || kind == cudaMemcpyDeviceToHost;
  return (CUDA_MEMCPY2D){
      .srcXInBytes = src.x,
      .srcY = src.y,
      .srcMemoryType = memory_type(&src, from_host, kind),
      .srcHost = src.pointer,
      .srcDevice = (uintptr_t)src.pointer,
      .srcArray = (CUarray)(uintptr_t)src.array,
      .srcPitch = src.pitch,
      .dstXInBytes = dst.x,
      .dstY = dst.y,
      .dstMemoryType = memory_type(&dst, to_host, kind),
      .dstHost = (void *)(uintptr_t)dst.pointer,
      .dstDevice = (uintptr_t)dst.pointer,
      .dstArray = (CUarray)(uintptr_t)dst.array,
      .dstPitch = dst.pitch,
      .WidthInBytes = width,
      .Height = height,
  };
}

static inline CUDA_MEMCPY3D copy_3d(const struct cudaMemcpy3DParms *p) {
  struct operand src = {p->srcPtr.ptr, p->srcArray, p->srcPtr.pitch, p->srcPos.x, p->srcPos.y};
  struct operand dst = {p->dstPtr.ptr, p->dstArray, p->dstPtr.pitch, p->dstPos.x, p->dstPos.y};
  CUDA_MEMCPY2D plane = copy_2d(dst, src, p->extent.width, p->extent.height, p->kind);
  return (CUDA_MEMCPY3D){
      .srcXInBytes = plane.srcXInBytes,
      .srcY = plane.srcY,
      .srcZ = p->srcPos.z,
      .srcMemoryType = plane.srcMemoryType,
      .srcHost = plane.srcHost,
      .srcDevice = plane.srcDevice,
      .srcArray = plane.srcArray,
      .srcPitch = plane.srcPitch,
      .srcHeight = p->srcPtr.ysize,
      .dstXInBytes = plane.dstXInBytes,
      .dstY = plane.dstY,
      .dstZ = p->dstPos.z,
      .dstMemoryType = plane.dstMemoryType,
      .dstHost = plane.dstHost,
      .dstDevice = plane.dstDevice,
      .dstArray = plane.dstArray,
      .dstPitch = plane.dstPitch,
      .dstHeight = p->dstPtr.ysize,
      .WidthInBytes = plane.WidthInBytes,
      .Height = plane.Height,
      .Depth = p->extent.depth,
  };
}

static inline CUDA_MEMCPY3D_PEER copy_3d_peer(const struct cudaMemcpy3DPeerParms *p) {
  return (CUDA_MEMCPY3D_PEER){
      .srcMemoryType = CU_MEMORYTYPE_DEVICE,
      .srcDevice = (uintptr_t)p->srcPtr.ptr,
      .srcContext = context_of(p->srcDevice),
      .srcPitch = p->srcPtr.pitch,
      .dstMemoryType = CU_MEMORYTYPE_DEVICE,
      .dstDevice = (uintptr_t)p->dstPtr.ptr,
      .dstContext = context_of(p->dstDevice),
      .dstPitch = p->dstPtr.pitch,
      .WidthInBytes = p->extent.width,
      .Height = p->extent.height,
      .Depth = p->extent.depth,
  };
}

#endif
