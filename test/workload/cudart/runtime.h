// What the runtime stub's files share: the table of driver functions and the state of the runtime.
#ifndef WORKLOAD_CUDART_RUNTIME_H
#define WORKLOAD_CUDART_RUNTIME_H

#include <stdatomic.h>
#include <stdbool.h>

#include "cuda_api.h"
#include "cudart_api.h"

enum { MAX_DEVICES = 16 };

struct driver {
#define API(name, params) __typeof__(&name) name;
#define API_SZ(name, params) API(name, params) API(name##_ptsz, params)
#define API_DS(name, params) API(name, params) API(name##_ptds, params)
#include "cuda_api.def"
#undef API
#undef API_SZ
#undef API_DS
};
extern struct driver driver;

extern atomic_int driver_state; // 0: not loaded yet; 1: ready; 2: of no use
extern _Thread_local cudaError_t last_error;
extern _Thread_local int current_device;
extern int device_count;

// Loads the driver on first use, as the real runtime does: libcuda is not mapped before.
cudaError_t load_driver(void);

static inline cudaError_t ready(void) {
  return atomic_load_explicit(&driver_state, memory_order_acquire) == 1 ? cudaSuccess : load_driver();
}

// Remembers an error for cudaGetLastError; driver codes are runtime codes.
static inline cudaError_t finish(int result) {
  if (result != 0) last_error = (cudaError_t)result;
  return (cudaError_t)result;
}

// Keeps the frame in functions too small to need one: entries of the real library begin with a push, and
// what a probe on them costs depends on that.
#define KEEP_FRAME() __asm__ volatile("" : : "r"(__builtin_frame_address(0)))

// First line of every call that needs the driver.
#define NEED_DRIVER()                                                                                          \
  do {                                                                                                         \
    cudaError_t unusable = ready();                                                                            \
    if (unusable != cudaSuccess) return finish(unusable);                                                      \
  } while (0)

// The primary context of a device, NULL where there is no such device.
CUcontext context_of(int device);

// The driver's name for a kernel: a host stub address or a cudaKernel_t. NULL: not a kernel.
CUfunction function_of(const void *func);

#endif
