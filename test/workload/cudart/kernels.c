// Kernels: nvcc's generated code registers each host stub with its device name before main; the first
// launch looks the function up in the driver, so that cuModuleGetFunction is called once per kernel.
#include <pthread.h>

#include "runtime.h"

enum { MAX_KERNELS = 256 };
static struct kernel {
  const void *host_stub;
  const char *name;
  _Atomic(CUfunction) function;
} kernels[MAX_KERNELS];
static atomic_int kernel_count;
static CUmodule module;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

// Nothing is read from the fat binary: the workload's is empty.
void **__cudaRegisterFatBinary(void *fat_cubin) {
  KEEP_FRAME();
  static void *handles[64];
  static atomic_int used;
  int index = used++ % 64;
  handles[index] = fat_cubin;
  return &handles[index];
}

void __cudaRegisterFatBinaryEnd(void **handle) {
  KEEP_FRAME();
  (void)handle;
}

void __cudaUnregisterFatBinary(void **handle) {
  KEEP_FRAME();
  *handle = NULL;
}

void __cudaRegisterFunction(void **handle, const char *host_fun, char *device_fun, const char *device_name,
                            int thread_limit, uint3 *tid, uint3 *bid, dim3 *b_dim, dim3 *g_dim, int *w_size) {
  (void)handle, (void)device_fun, (void)thread_limit, (void)tid, (void)bid, (void)b_dim, (void)g_dim, (void)w_size;
  pthread_mutex_lock(&lock);
  if (kernel_count < MAX_KERNELS) {
    kernels[kernel_count].host_stub = host_fun;
    kernels[kernel_count].name = device_name;
    kernel_count++;
  }
  pthread_mutex_unlock(&lock);
}

void __cudaRegisterVar(void **handle, char *host_var, char *device_address, const char *device_name, int ext,
                       size_t size, int constant, int global) {
  KEEP_FRAME();
  (void)handle, (void)host_var, (void)device_address, (void)device_name, (void)ext, (void)size, (void)constant;
  (void)global;
}

// A cudaKernel_t is the address of the entry, a host stub is in the program: no mistaking them.
static struct kernel *find(const void *func) {
  uintptr_t offset = (uintptr_t)func - (uintptr_t)kernels;
  if (offset < sizeof kernels) return &kernels[offset / sizeof *kernels];
  int count = kernel_count;
  for (int i = 0; i < count; i++)
    if (kernels[i].host_stub == func) return &kernels[i];
  return NULL;
}

static CUfunction look_up(struct kernel *kernel) {
  static const char image[] = "stub image";
  pthread_mutex_lock(&lock);
  CUfunction function = kernel->function;
  bool loaded = module || driver.cuModuleLoadData(&module, image) == CUDA_SUCCESS;
  if (!function && loaded && driver.cuModuleGetFunction(&function, module, kernel->name) == CUDA_SUCCESS)
    kernel->function = function;
  pthread_mutex_unlock(&lock);
  return function;
}

CUfunction function_of(const void *func) {
  struct kernel *kernel = find(func);
  if (!kernel) return NULL;
  CUfunction function = kernel->function;
  return function ? function : look_up(kernel);
}

cudaError_t __cudaGetKernel(cudaKernel_t *out, const void *func) {
  NEED_DRIVER();
  struct kernel *kernel = find(func);
  if (!out || !kernel) return finish(cudaErrorInvalidDeviceFunction);
  *out = (cudaKernel_t)kernel;
  return cudaSuccess;
}

static _Thread_local struct {
  dim3 grid, block;
  size_t shared_mem;
  cudaStream_t stream;
} configuration;

unsigned int __cudaPushCallConfiguration(dim3 grid, dim3 block, size_t shared_mem, struct CUstream_st *stream) {
  KEEP_FRAME();
  configuration.grid = grid;
  configuration.block = block;
  configuration.shared_mem = shared_mem;
  configuration.stream = stream;
  return 0;
}

cudaError_t __cudaPopCallConfiguration(dim3 *grid, dim3 *block, size_t *shared_mem, void *stream) {
  KEEP_FRAME();
  *grid = configuration.grid;
  *block = configuration.block;
  *shared_mem = configuration.shared_mem;
  *(cudaStream_t *)stream = configuration.stream;
  return cudaSuccess;
}
