// Allocation. Out-parameters are written on success only, as the real runtime does.
#include "runtime.h"

#include <string.h>

cudaError_t cudaMalloc(void **dev_ptr, size_t size) {
  NEED_DRIVER();
  if (!dev_ptr) return finish(cudaErrorInvalidValue);
  CUdeviceptr address = 0;
  CUresult result = size ? driver.cuMemAlloc_v2(&address, size) : CUDA_SUCCESS;
  if (result == CUDA_SUCCESS) *dev_ptr = (void *)(uintptr_t)address;
  return finish(result);
}

cudaError_t cudaMallocManaged(void **dev_ptr, size_t size, unsigned int flags) {
  NEED_DRIVER();
  if (!dev_ptr) return finish(cudaErrorInvalidValue);
  CUdeviceptr address = 0;
  CUresult result = driver.cuMemAllocManaged(&address, size, flags);
  if (result == CUDA_SUCCESS) *dev_ptr = (void *)(uintptr_t)address;
  return finish(result);
}

cudaError_t cudaMallocPitch(void **dev_ptr, size_t *pitch, size_t width, size_t height) {
  NEED_DRIVER();
  if (!dev_ptr || !pitch) return finish(cudaErrorInvalidValue);
  CUdeviceptr address = 0;
  CUresult result = driver.cuMemAllocPitch_v2(&address, pitch, width, height, 4);
  if (result == CUDA_SUCCESS) *dev_ptr = (void *)(uintptr_t)address;
  return finish(result);
}

cudaError_t cudaMalloc3D(struct cudaPitchedPtr *pitched, struct cudaExtent extent) {
  NEED_DRIVER();
  if (!pitched) return finish(cudaErrorInvalidValue);
  CUdeviceptr address = 0;
  size_t pitch = 0;
  CUresult result = driver.cuMemAllocPitch_v2(&address, &pitch, extent.width, extent.height * extent.depth, 4);
  if (result == CUDA_SUCCESS)
    *pitched = (struct cudaPitchedPtr){(void *)(uintptr_t)address, pitch, extent.width, extent.height};
  return finish(result);
}

static cudaError_t create_array(cudaArray_t *array, const struct cudaChannelFormatDesc *desc,
                                struct cudaExtent extent, unsigned int flags) {
  if (!array || !desc) return cudaErrorInvalidValue;
  CUDA_ARRAY3D_DESCRIPTOR wanted = {
      .Width = extent.width,
      .Height = extent.height,
      .Depth = extent.depth,
      .Format = CU_AD_FORMAT_FLOAT,
      .NumChannels = 1,
      .Flags = flags,
  };
  CUarray made = NULL;
  CUresult result = driver.cuArray3DCreate_v2(&made, &wanted);
  if (result == CUDA_SUCCESS) *array = (cudaArray_t)made;
  return (cudaError_t)result;
}

cudaError_t cudaMallocArray(cudaArray_t *array, const struct cudaChannelFormatDesc *desc, size_t width,
                            size_t height, unsigned int flags) {
  NEED_DRIVER();
  return finish(create_array(array, desc, (struct cudaExtent){width, height, 0}, flags));
}

cudaError_t cudaMalloc3DArray(cudaArray_t *array, const struct cudaChannelFormatDesc *desc,
                              struct cudaExtent extent, unsigned int flags) {
  NEED_DRIVER();
  return finish(create_array(array, desc, extent, flags));
}

static cudaError_t host_allocate(void **ptr, size_t size, unsigned int flags) {
  if (!ptr) return cudaErrorInvalidValue;
  void *pages = NULL;
  CUresult result = driver.cuMemHostAlloc(&pages, size, flags);
  if (result == CUDA_SUCCESS) *ptr = pages;
  return (cudaError_t)result;
}

cudaError_t cudaMallocHost(void **ptr, size_t size) {
  NEED_DRIVER();
  return finish(host_allocate(ptr, size, 0));
}

cudaError_t cudaHostAlloc(void **ptr, size_t size, unsigned int flags) {
  NEED_DRIVER();
  return finish(host_allocate(ptr, size, flags));
}

cudaError_t cudaHostRegister(void *ptr, size_t size, unsigned int flags) {
  NEED_DRIVER();
  return finish(driver.cuMemHostRegister_v2(ptr, size, flags));
}

cudaError_t cudaHostUnregister(void *ptr) {
  NEED_DRIVER();
  return finish(driver.cuMemHostUnregister(ptr));
}

cudaError_t cudaFree(void *dev_ptr) {
  NEED_DRIVER();
  return dev_ptr ? finish(driver.cuMemFree_v2((uintptr_t)dev_ptr)) : cudaSuccess;
}

cudaError_t cudaFreeHost(void *ptr) {
  NEED_DRIVER();
  return ptr ? finish(driver.cuMemFreeHost(ptr)) : cudaSuccess;
}

cudaError_t cudaFreeArray(cudaArray_t array) {
  NEED_DRIVER();
  return array ? finish(driver.cuArrayDestroy((CUarray)array)) : cudaSuccess;
}

cudaError_t cudaMemGetInfo(size_t *free_bytes, size_t *total_bytes) {
  NEED_DRIVER();
  return finish(driver.cuMemGetInfo_v2(free_bytes, total_bytes));
}

cudaError_t cudaMemPoolCreate(cudaMemPool_t *pool, const struct cudaMemPoolProps *props) {
  NEED_DRIVER();
  if (!pool || !props) return finish(cudaErrorInvalidValue);
  // The two structs differ in name only (abi_check.c).
  return finish(driver.cuMemPoolCreate(pool, (const CUmemPoolProps *)props));
}

cudaError_t cudaMemPoolDestroy(cudaMemPool_t pool) {
  NEED_DRIVER();
  return finish(driver.cuMemPoolDestroy(pool));
}

cudaError_t cudaMemPoolTrimTo(cudaMemPool_t pool, size_t keep) {
  NEED_DRIVER();
  return finish(driver.cuMemPoolTrimTo(pool, keep));
}

cudaError_t cudaDeviceGetDefaultMemPool(cudaMemPool_t *pool, int device) {
  NEED_DRIVER();
  if (!pool) return finish(cudaErrorInvalidValue);
  return finish(driver.cuDeviceGetDefaultMemPool(pool, device));
}

cudaError_t cudaMemAdvise(const void *dev_ptr, size_t count, enum cudaMemoryAdvise advice,
                          struct cudaMemLocation location) {
  NEED_DRIVER();
  CUmemLocation where = {(CUmemLocationType)location.type, location.id};
  return finish(driver.cuMemAdvise_v2((uintptr_t)dev_ptr, count, (CUmem_advise)advice, where));
}

cudaError_t cudaIpcGetMemHandle(cudaIpcMemHandle_t *handle, void *dev_ptr) {
  NEED_DRIVER();
  return finish(driver.cuIpcGetMemHandle((CUipcMemHandle *)handle, (uintptr_t)dev_ptr));
}

cudaError_t cudaIpcOpenMemHandle(void **dev_ptr, cudaIpcMemHandle_t handle, unsigned int flags) {
  NEED_DRIVER();
  CUipcMemHandle passed;
  memcpy(&passed, &handle, sizeof passed);
  CUdeviceptr address = 0;
  CUresult result = driver.cuIpcOpenMemHandle_v2(&address, passed, flags);
  if (result == CUDA_SUCCESS) *dev_ptr = (void *)(uintptr_t)address;
  return finish(result);
}

cudaError_t cudaIpcCloseMemHandle(void *dev_ptr) {
  NEED_DRIVER();
  return finish(driver.cuIpcCloseMemHandle((uintptr_t)dev_ptr));
}
