#define _GNU_SOURCE
#include "runtime.h"

#include <dlfcn.h>
#include <pthread.h>

struct driver driver;
atomic_int driver_state;
_Thread_local cudaError_t last_error;
_Thread_local int current_device;
int device_count;

static pthread_mutex_t load_lock = PTHREAD_MUTEX_INITIALIZER;
static cudaError_t load_error;
static _Atomic(CUcontext) contexts[MAX_DEVICES];

static const struct {
  const char *name;
  size_t offset;
} driver_names[] = {
#define API(name, params) {#name, offsetof(struct driver, name)},
#define API_SZ(name, params) API(name, params) API(name##_ptsz, params)
#define API_DS(name, params) API(name, params) API(name##_ptds, params)
#include "cuda_api.def"
};

static cudaError_t load(void) {
  void *library = dlopen("libcuda.so.1", RTLD_NOW | RTLD_LOCAL);
  if (!library) return cudaErrorInsufficientDriver;
  for (size_t i = 0; i < sizeof driver_names / sizeof *driver_names; i++) {
    void *symbol = dlsym(library, driver_names[i].name);
    if (!symbol) return cudaErrorInsufficientDriver;
    *(void **)((char *)&driver + driver_names[i].offset) = symbol;
  }
  int version = 0;
  if (driver.cuDriverGetVersion(&version) || version < 13000) return cudaErrorInsufficientDriver;
  CUresult result = driver.cuInit(0);
  if (result == CUDA_SUCCESS) result = driver.cuDeviceGetCount(&device_count);
  return (cudaError_t)result;
}

cudaError_t load_driver(void) {
  pthread_mutex_lock(&load_lock);
  if (driver_state == 0) {
    load_error = load();
    atomic_store_explicit(&driver_state, load_error == cudaSuccess ? 1 : 2, memory_order_release);
  }
  pthread_mutex_unlock(&load_lock);
  return load_error;
}

CUcontext context_of(int device) {
  if (device < 0 || device >= device_count) return NULL;
  CUcontext context = contexts[device];
  if (!context && driver.cuDevicePrimaryCtxRetain(&context, device) == CUDA_SUCCESS) contexts[device] = context;
  return context;
}
