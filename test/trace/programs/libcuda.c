// Calls of the real driver that are safe without a GPU: no handles that do not exist, no stream but the default one.
// Prints what each returned.
#include <stdint.h>
#include <stdio.h>
#include <string.h>

typedef uint64_t CUdeviceptr;
struct copy_2d {
  size_t srcXInBytes, srcY;
  int srcMemoryType;
  const void *srcHost;
  CUdeviceptr srcDevice;
  void *srcArray;
  size_t srcPitch, dstXInBytes, dstY;
  int dstMemoryType;
  void *dstHost;
  CUdeviceptr dstDevice;
  void *dstArray;
  size_t dstPitch, WidthInBytes, Height;
};

int cuInit(unsigned int);
int cuDevicePrimaryCtxRetain(void **, int);
int cuCtxSetCurrent(void *);
int cuCtxSynchronize(void);
int cuMemAlloc_v2(CUdeviceptr *, size_t);
int cuMemAllocAsync(CUdeviceptr *, size_t, void *);
int cuMemHostAlloc(void **, size_t, unsigned int);
int cuMemGetInfo_v2(size_t *, size_t *);
int cuMemFree_v2(CUdeviceptr);
int cuMemcpyHtoD_v2(CUdeviceptr, const void *, size_t);
int cuMemcpyDtoHAsync_v2(void *, CUdeviceptr, size_t, void *);
int cuMemcpy2D_v2(const struct copy_2d *);
int cuMemsetD32_v2(CUdeviceptr, unsigned int, size_t);
int cuMemsetD2D16_v2(CUdeviceptr, size_t, unsigned short, size_t, size_t);
int cuLaunchKernel(void *, unsigned int, unsigned int, unsigned int, unsigned int, unsigned int, unsigned int,
                   unsigned int, void *, void **, void **);
int cuModuleUnload(void *);
int cuStreamSynchronize(void *);
int cuStreamSynchronize_ptsz(void *);
int cuEventCreate(void **, unsigned int);

#define CALL(function, ...) printf("%s\t%d\n", #function, function(__VA_ARGS__))

int main(void) {
  static char host[4096];
  void *handle = NULL;
  CUdeviceptr address = 0;
  size_t available = 0, total = 0;
  struct copy_2d plane;
  memset(&plane, 0, sizeof plane);
  plane.srcMemoryType = 1, plane.srcHost = host, plane.srcPitch = 128;
  plane.dstMemoryType = 2, plane.dstDevice = 0x7000, plane.dstPitch = 128;
  plane.WidthInBytes = 100, plane.Height = 7;
  CALL(cuInit, 7);
  CALL(cuInit, 0);
  CALL(cuDevicePrimaryCtxRetain, &handle, 3);
  CALL(cuCtxSetCurrent, NULL);
  CALL(cuCtxSynchronize, );
  CALL(cuMemAlloc_v2, &address, 4099);
  CALL(cuMemAllocAsync, &address, 5003, NULL);
  CALL(cuMemHostAlloc, &handle, 6007, 5);
  CALL(cuMemGetInfo_v2, &available, &total);
  CALL(cuMemFree_v2, 0x7000);
  CALL(cuMemcpyHtoD_v2, 0x7000, host, 101);
  CALL(cuMemcpyDtoHAsync_v2, host, 0x7000, 103, NULL);
  CALL(cuMemcpy2D_v2, &plane);
  CALL(cuMemsetD32_v2, 0x7000, 9, 25);
  CALL(cuMemsetD2D16_v2, 0x7000, 128, 9, 11, 5);
  CALL(cuLaunchKernel, NULL, 11, 12, 13, 14, 15, 16, 17, NULL, NULL, NULL);
  CALL(cuModuleUnload, NULL);
  CALL(cuStreamSynchronize, NULL);
  CALL(cuStreamSynchronize_ptsz, NULL);
  CALL(cuEventCreate, &handle, 2);
  return 0;
}
