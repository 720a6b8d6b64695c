// Devices, errors, versions, profiler.
#include "runtime.h"

cudaError_t cudaGetDeviceCount(int *count) {
  NEED_DRIVER();
  if (!count) return finish(cudaErrorInvalidValue);
  *count = device_count;
  return cudaSuccess;
}

cudaError_t cudaGetDevice(int *device) {
  NEED_DRIVER();
  if (!device) return finish(cudaErrorInvalidValue);
  *device = current_device;
  return cudaSuccess;
}

cudaError_t cudaSetDevice(int device) {
  NEED_DRIVER();
  CUcontext context = context_of(device);
  if (!context) return finish(cudaErrorInvalidDevice);
  current_device = device;
  return finish(driver.cuCtxSetCurrent(context));
}

cudaError_t cudaDeviceReset(void) {
  NEED_DRIVER();
  return finish(driver.cuDevicePrimaryCtxReset_v2(current_device));
}

cudaError_t cudaDeviceSynchronize(void) {
  NEED_DRIVER();
  return finish(driver.cuCtxSynchronize());
}

cudaError_t cudaDeviceEnablePeerAccess(int peer, unsigned int flags) {
  NEED_DRIVER();
  CUcontext context = context_of(peer);
  if (!context) return finish(cudaErrorInvalidDevice);
  return finish(driver.cuCtxEnablePeerAccess(context, flags));
}

cudaError_t cudaProfilerStart(void) {
  NEED_DRIVER();
  return finish(driver.cuProfilerStart());
}

cudaError_t cudaProfilerStop(void) {
  NEED_DRIVER();
  return finish(driver.cuProfilerStop());
}

cudaError_t cudaGetLastError(void) {
  KEEP_FRAME();
  cudaError_t error = last_error;
  last_error = cudaSuccess;
  return error;
}

cudaError_t cudaPeekAtLastError(void) {
  KEEP_FRAME();
  return last_error;
}

cudaError_t cudaRuntimeGetVersion(int *version) {
  KEEP_FRAME();
  *version = 13000;
  return cudaSuccess;
}

cudaError_t cudaDriverGetVersion(int *version) {
  *version = 0; // the documented answer where there is no driver
  return ready() == cudaSuccess ? finish(driver.cuDriverGetVersion(version)) : cudaSuccess;
}

static const struct {
  int code;
  const char *name;
} errors[] = {
    {cudaSuccess, "cudaSuccess"},
    {cudaErrorInvalidValue, "cudaErrorInvalidValue"},
    {cudaErrorMemoryAllocation, "cudaErrorMemoryAllocation"},
    {cudaErrorInvalidConfiguration, "cudaErrorInvalidConfiguration"},
    {cudaErrorInvalidPitchValue, "cudaErrorInvalidPitchValue"},
    {cudaErrorInvalidSymbol, "cudaErrorInvalidSymbol"},
    {cudaErrorInvalidMemcpyDirection, "cudaErrorInvalidMemcpyDirection"},
    {cudaErrorInsufficientDriver, "cudaErrorInsufficientDriver"},
    {cudaErrorInvalidDeviceFunction, "cudaErrorInvalidDeviceFunction"},
    {cudaErrorNoDevice, "cudaErrorNoDevice"},
    {cudaErrorInvalidDevice, "cudaErrorInvalidDevice"},
    {cudaErrorDeviceUninitialized, "cudaErrorDeviceUninitialized"},
    {cudaErrorInvalidResourceHandle, "cudaErrorInvalidResourceHandle"},
    {cudaErrorIllegalState, "cudaErrorIllegalState"},
    {cudaErrorNotReady, "cudaErrorNotReady"},
    {cudaErrorPeerAccessAlreadyEnabled, "cudaErrorPeerAccessAlreadyEnabled"},
    {cudaErrorHostMemoryAlreadyRegistered, "cudaErrorHostMemoryAlreadyRegistered"},
    {cudaErrorHostMemoryNotRegistered, "cudaErrorHostMemoryNotRegistered"},
    {cudaErrorStreamCaptureUnsupported, "cudaErrorStreamCaptureUnsupported"},
};

const char *cudaGetErrorName(cudaError_t error) {
  KEEP_FRAME();
  for (size_t i = 0; i < sizeof errors / sizeof *errors; i++)
    if (errors[i].code == (int)error) return errors[i].name;
  return "unrecognized error code";
}

const char *cudaGetErrorString(cudaError_t error) {
  KEEP_FRAME();
  return cudaGetErrorName(error);
}
