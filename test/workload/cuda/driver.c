// Driver functions that have one symbol only.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "entry.h"
#include "operations.h"

int driver_state;

static _Atomic(struct object *) contexts[MAX_DEVICES];
static _Atomic(struct object *) pools[MAX_DEVICES];

// One object per device, made when first asked for.
static struct object *of_device(_Atomic(struct object *) *table, int device, enum kind kind) {
  struct object *object = table[device];
  if (object) return object;
  struct object *made = object_new(kind);
  if (!made) return NULL;
  made->device = device;
  if (atomic_compare_exchange_strong(&table[device], &object, made)) return made;
  object_delete(made);
  return object;
}

static bool no_device(int device) { return device < 0 || device >= config.devices; }

static CUresult delete_handle(const void *handle, enum kind kind, CUresult otherwise) {
  struct object *object = object_get(handle, kind);
  if (!object) return otherwise;
  object_delete(object);
  return CUDA_SUCCESS;
}

ENTRY(cuInit)(unsigned int flags) {
  if (flags != 0) return CUDA_ERROR_INVALID_VALUE;
  return config.devices == 0 ? CUDA_ERROR_NO_DEVICE : CUDA_SUCCESS;
}

ENTRY(cuDriverGetVersion)(int *version) {
  *version = 13000;
  return CUDA_SUCCESS;
}

// As in the real driver, what it hands out is the exported symbol.
ENTRY(cuGetProcAddress_v2)(const char *symbol, void **pfn, int version, uint64_t flags,
                           CUdriverProcAddressQueryResult *status) {
  (void)version;
  static const char *const suffixes[2][4] = {{"_v2", "", "", ""}, {"_v2_ptsz", "_ptsz", "_v2", ""}};
  void *self = dlopen("libcuda.so.1", RTLD_NOW | RTLD_NOLOAD);
  *pfn = NULL;
  for (int i = 0; self && i < 4 && !*pfn; i++) {
    char name[128];
    snprintf(name, sizeof name, "%s%s", symbol, suffixes[flags == 2][i]);
    *pfn = dlsym(self, name);
  }
  if (status) *status = *pfn ? CU_GET_PROC_ADDRESS_SUCCESS : CU_GET_PROC_ADDRESS_SYMBOL_NOT_FOUND;
  return *pfn ? CUDA_SUCCESS : CUDA_ERROR_NOT_FOUND;
}

ENTRY(cuDeviceGetCount)(int *count) {
  *count = config.devices;
  return CUDA_SUCCESS;
}

ENTRY(cuDevicePrimaryCtxRetain)(CUcontext *ctx, CUdevice dev) {
  if (no_device(dev)) return CUDA_ERROR_INVALID_DEVICE;
  *ctx = (CUcontext)of_device(contexts, dev, CONTEXT);
  return CUDA_SUCCESS;
}

ENTRY(cuDevicePrimaryCtxRelease_v2)(CUdevice dev) {
  return no_device(dev) ? CUDA_ERROR_INVALID_DEVICE : CUDA_SUCCESS;
}

ENTRY(cuDevicePrimaryCtxReset_v2)(CUdevice dev) {
  if (no_device(dev)) return CUDA_ERROR_INVALID_DEVICE;
  memory_reset(dev);
  return CUDA_SUCCESS;
}

static CUresult create_context(CUcontext *ctx, CUdevice dev) {
  if (!ctx) return CUDA_ERROR_INVALID_VALUE;
  if (no_device(dev)) return CUDA_ERROR_INVALID_DEVICE;
  struct object *made = object_new(CONTEXT);
  if (!made) return CUDA_ERROR_OUT_OF_MEMORY;
  made->device = dev;
  *ctx = (CUcontext)made;
  return CUDA_SUCCESS;
}

ENTRY(cuCtxCreate_v2)(CUcontext *ctx, unsigned int flags, CUdevice dev) {
  (void)flags;
  return create_context(ctx, dev);
}

ENTRY(cuCtxCreate_v3)(CUcontext *ctx, CUexecAffinityParam *params, int count, unsigned int flags, CUdevice dev) {
  (void)params, (void)count, (void)flags;
  return create_context(ctx, dev);
}

ENTRY(cuCtxCreate_v4)(CUcontext *ctx, CUctxCreateParams *params, unsigned int flags, CUdevice dev) {
  (void)params, (void)flags;
  return create_context(ctx, dev);
}

ENTRY(cuCtxDestroy_v2)(CUcontext ctx) { return delete_handle(ctx, CONTEXT, CUDA_ERROR_INVALID_CONTEXT); }

ENTRY(cuCtxSetCurrent)(CUcontext ctx) {
  struct object *context = object_get(ctx, CONTEXT);
  if (!context) return CUDA_ERROR_INVALID_CONTEXT;
  current_device = context->device;
  return CUDA_SUCCESS;
}

ENTRY(cuCtxSynchronize)(void) {
  sleep_until(device_idle_at());
  return CUDA_SUCCESS;
}

ENTRY(cuCtxEnablePeerAccess)(CUcontext ctx, unsigned int flags) {
  static atomic_uint enabled[MAX_DEVICES];
  struct object *context = object_get(ctx, CONTEXT);
  if (!context) return CUDA_ERROR_INVALID_CONTEXT;
  if (flags != 0) return CUDA_ERROR_INVALID_VALUE;
  if (context->device == current_device) return CUDA_ERROR_INVALID_DEVICE;
  unsigned int bit = 1u << context->device;
  bool already = atomic_fetch_or(&enabled[current_device], bit) & bit;
  return already ? CUDA_ERROR_PEER_ACCESS_ALREADY_ENABLED : CUDA_SUCCESS;
}

ENTRY(cuMemAlloc_v2)(CUdeviceptr *dptr, size_t size) { return device_allocate(dptr, DEVICE_MEMORY, size); }

ENTRY(cuMemAllocPitch_v2)(CUdeviceptr *dptr, size_t *pitch, size_t width, size_t height, unsigned int element) {
  if (!pitch || (element != 4 && element != 8 && element != 16)) return CUDA_ERROR_INVALID_VALUE;
  size_t row = (width + 511) & ~(size_t)511;
  CUresult result = device_allocate(dptr, DEVICE_MEMORY, row * height);
  if (result == CUDA_SUCCESS) *pitch = row;
  return result;
}

ENTRY(cuMemAllocManaged)(CUdeviceptr *dptr, size_t size, unsigned int flags) {
  if (flags != 1 && flags != 2) return CUDA_ERROR_INVALID_VALUE;
  return device_allocate(dptr, MANAGED_MEMORY, size);
}

static CUresult host_allocate(void **ptr, size_t size) {
  if (!ptr || size == 0) return CUDA_ERROR_INVALID_VALUE;
  *ptr = (void *)(uintptr_t)memory_allocate(HOST_MEMORY, size, 0);
  return *ptr ? CUDA_SUCCESS : CUDA_ERROR_OUT_OF_MEMORY;
}

ENTRY(cuMemAllocHost_v2)(void **ptr, size_t size) { return host_allocate(ptr, size); }

ENTRY(cuMemHostAlloc)(void **ptr, size_t size, unsigned int flags) {
  return flags > 7 ? CUDA_ERROR_INVALID_VALUE : host_allocate(ptr, size);
}

ENTRY(cuMemHostRegister_v2)(void *ptr, size_t size, unsigned int flags) {
  if (!ptr || size == 0 || flags > 15) return CUDA_ERROR_INVALID_VALUE;
  return memory_register((uintptr_t)ptr, size) ? CUDA_SUCCESS : CUDA_ERROR_HOST_MEMORY_ALREADY_REGISTERED;
}

ENTRY(cuMemHostUnregister)(void *ptr) {
  return memory_release((uintptr_t)ptr, REGISTERED_MEMORY) ? CUDA_SUCCESS : CUDA_ERROR_HOST_MEMORY_NOT_REGISTERED;
}

// A free waits for the device, as the real one does.
ENTRY(cuMemFree_v2)(CUdeviceptr dptr) {
  if (!(memory_at(dptr, 1) & (DEVICE_MEMORY | MANAGED_MEMORY))) return CUDA_ERROR_INVALID_VALUE;
  sleep_until(device_idle_at());
  return memory_release(dptr, DEVICE_MEMORY | MANAGED_MEMORY) ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

ENTRY(cuMemFreeHost)(void *ptr) {
  return memory_release((uintptr_t)ptr, HOST_MEMORY) ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

// Physical memory and addresses apart. What is mapped where is not kept: a reservation counts as mapped.
static struct object *physical(CUmemGenericAllocationHandle handle) {
  return object_get((const void *)(uintptr_t)handle, PHYSICAL);
}

ENTRY(cuMemCreate)(CUmemGenericAllocationHandle *handle, size_t size, const CUmemAllocationProp *prop,
                   unsigned long long flags) {
  if (!handle || !prop || size == 0 || flags != 0) return CUDA_ERROR_INVALID_VALUE;
  struct object *made = object_new(PHYSICAL);
  if (!made) return CUDA_ERROR_OUT_OF_MEMORY;
  made->device = prop->location.id;
  made->bytes = size;
  *handle = (uintptr_t)made;
  return CUDA_SUCCESS;
}

ENTRY(cuMemRelease)(CUmemGenericAllocationHandle handle) {
  return delete_handle((const void *)(uintptr_t)handle, PHYSICAL, CUDA_ERROR_INVALID_VALUE);
}

ENTRY(cuMemAddressReserve)(CUdeviceptr *dptr, size_t size, size_t alignment, CUdeviceptr wanted,
                           unsigned long long flags) {
  (void)alignment, (void)wanted;
  if (!dptr || size == 0 || flags != 0) return CUDA_ERROR_INVALID_VALUE;
  *dptr = memory_allocate(RESERVED_MEMORY, size, current_device);
  return *dptr ? CUDA_SUCCESS : CUDA_ERROR_OUT_OF_MEMORY;
}

ENTRY(cuMemAddressFree)(CUdeviceptr dptr, size_t size) {
  bool reserved = memory_at(dptr, size) == RESERVED_MEMORY && memory_release(dptr, RESERVED_MEMORY);
  return reserved ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

ENTRY(cuMemMap)(CUdeviceptr dptr, size_t size, size_t offset, CUmemGenericAllocationHandle handle,
                unsigned long long flags) {
  struct object *memory = physical(handle);
  if (!memory || flags != 0 || offset > memory->bytes || size > memory->bytes - offset)
    return CUDA_ERROR_INVALID_VALUE;
  return memory_at(dptr, size) == RESERVED_MEMORY ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

ENTRY(cuMemUnmap)(CUdeviceptr dptr, size_t size) {
  return memory_at(dptr, size) == RESERVED_MEMORY ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

ENTRY(cuMemSetAccess)(CUdeviceptr dptr, size_t size, const CUmemAccessDesc *desc, size_t count) {
  if (!desc || count == 0) return CUDA_ERROR_INVALID_VALUE;
  return memory_at(dptr, size) == RESERVED_MEMORY ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

ENTRY(cuMemGetInfo_v2)(size_t *free_bytes, size_t *total_bytes) {
  uint64_t available, total;
  memory_info(current_device, &available, &total);
  if (free_bytes) *free_bytes = available;
  if (total_bytes) *total_bytes = total;
  return CUDA_SUCCESS;
}

ENTRY(cuArray3DCreate_v2)(CUarray *array, const CUDA_ARRAY3D_DESCRIPTOR *desc) {
  if (!array || !desc || desc->Width == 0) return CUDA_ERROR_INVALID_VALUE;
  struct object *made = object_new(ARRAY);
  if (!made) return CUDA_ERROR_OUT_OF_MEMORY;
  *array = (CUarray)made;
  return CUDA_SUCCESS;
}

ENTRY(cuArrayDestroy)(CUarray array) { return delete_handle(array, ARRAY, CUDA_ERROR_INVALID_HANDLE); }

ENTRY(cuMemPoolCreate)(CUmemoryPool *pool, const CUmemPoolProps *props) {
  if (!pool || !props || no_device(props->location.id)) return CUDA_ERROR_INVALID_VALUE;
  struct object *made = object_new(POOL);
  if (!made) return CUDA_ERROR_OUT_OF_MEMORY;
  made->device = props->location.id;
  *pool = (CUmemoryPool)made;
  return CUDA_SUCCESS;
}

ENTRY(cuMemPoolDestroy)(CUmemoryPool pool) { return delete_handle(pool, POOL, CUDA_ERROR_INVALID_VALUE); }

ENTRY(cuMemPoolTrimTo)(CUmemoryPool pool, size_t keep) {
  (void)keep;
  return object_get(pool, POOL) ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

ENTRY(cuDeviceGetDefaultMemPool)(CUmemoryPool *pool, CUdevice dev) {
  if (no_device(dev)) return CUDA_ERROR_INVALID_DEVICE;
  *pool = (CUmemoryPool)of_device(pools, dev, POOL);
  return CUDA_SUCCESS;
}

ENTRY(cuMemAdvise_v2)(CUdeviceptr dptr, size_t count, CUmem_advise advice, CUmemLocation location) {
  (void)location;
  bool known = (int)advice >= 1 && (int)advice <= 6;
  return known && memory_at(dptr, count) == MANAGED_MEMORY ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

static const char ipc_magic[] = "stub-ipc";

ENTRY(cuIpcGetMemHandle)(CUipcMemHandle *handle, CUdeviceptr dptr) {
  if (memory_at(dptr, 1) != DEVICE_MEMORY) return CUDA_ERROR_INVALID_VALUE;
  memset(handle, 0, sizeof *handle);
  memcpy(handle->reserved, ipc_magic, sizeof ipc_magic);
  return CUDA_SUCCESS;
}

ENTRY(cuIpcOpenMemHandle_v2)(CUdeviceptr *dptr, CUipcMemHandle handle, unsigned int flags) {
  if (flags != 1 || memcmp(handle.reserved, ipc_magic, sizeof ipc_magic) != 0) return CUDA_ERROR_INVALID_VALUE;
  *dptr = memory_allocate(IPC_MEMORY, 1 << 21, current_device);
  return *dptr ? CUDA_SUCCESS : CUDA_ERROR_OUT_OF_MEMORY;
}

ENTRY(cuIpcCloseMemHandle)(CUdeviceptr dptr) {
  return memory_release(dptr, IPC_MEMORY) ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

static CUresult load_module(CUmodule *module, const void *from) {
  if (!module || !from) return CUDA_ERROR_INVALID_VALUE;
  struct object *made = object_new(MODULE);
  if (!made) return CUDA_ERROR_OUT_OF_MEMORY;
  *module = (CUmodule)made;
  return CUDA_SUCCESS;
}

ENTRY(cuModuleLoad)(CUmodule *module, const char *file_name) { return load_module(module, file_name); }

ENTRY(cuModuleLoadData)(CUmodule *module, const void *image) { return load_module(module, image); }

ENTRY(cuModuleLoadDataEx)(CUmodule *module, const void *image, unsigned int count, CUjit_option *options,
                          void **values) {
  (void)count, (void)options, (void)values;
  return load_module(module, image);
}

ENTRY(cuModuleLoadFatBinary)(CUmodule *module, const void *fat_cubin) { return load_module(module, fat_cubin); }

ENTRY(cuModuleUnload)(CUmodule module) { return delete_handle(module, MODULE, CUDA_ERROR_INVALID_HANDLE); }

// A module or library has whatever function it is asked for.
static struct object *named(enum kind kind, const char *name) {
  struct object *made = object_new(kind);
  char *copied = strdup(name);
  if (made && copied) {
    made->name = copied;
    return made;
  }
  if (made) object_delete(made);
  free(copied);
  return NULL;
}

ENTRY(cuModuleGetFunction)(CUfunction *function, CUmodule module, const char *name) {
  if (!object_get(module, MODULE)) return CUDA_ERROR_INVALID_HANDLE;
  if (!function || !name) return CUDA_ERROR_INVALID_VALUE;
  *function = (CUfunction)named(FUNCTION, name);
  return *function ? CUDA_SUCCESS : CUDA_ERROR_OUT_OF_MEMORY;
}

ENTRY(cuLibraryLoadData)(CUlibrary *library, const void *code, CUjit_option *jit_options, void **jit_values,
                         unsigned int jit_count, CUlibraryOption *options, void **values, unsigned int count) {
  (void)jit_options, (void)jit_values, (void)jit_count, (void)options, (void)values, (void)count;
  if (!library || !code) return CUDA_ERROR_INVALID_VALUE;
  *library = (CUlibrary)object_new(LIBRARY);
  return *library ? CUDA_SUCCESS : CUDA_ERROR_OUT_OF_MEMORY;
}

ENTRY(cuLibraryGetKernel)(CUkernel *kernel, CUlibrary library, const char *name) {
  if (!object_get(library, LIBRARY)) return CUDA_ERROR_INVALID_HANDLE;
  if (!kernel || !name) return CUDA_ERROR_INVALID_VALUE;
  *kernel = (CUkernel)named(KERNEL, name);
  return *kernel ? CUDA_SUCCESS : CUDA_ERROR_OUT_OF_MEMORY;
}

ENTRY(cuKernelGetFunction)(CUfunction *function, CUkernel handle) {
  struct object *kernel = object_get(handle, KERNEL);
  if (!kernel) return CUDA_ERROR_INVALID_HANDLE;
  *function = (CUfunction)named(FUNCTION, kernel->name);
  return *function ? CUDA_SUCCESS : CUDA_ERROR_OUT_OF_MEMORY;
}

// Nothing can be linked here: there is no cuLinkCreate to get a state from.
ENTRY(cuLinkComplete)(CUlinkState state, void **cubin, size_t *size) {
  (void)state, (void)cubin, (void)size;
  return CUDA_ERROR_INVALID_HANDLE;
}

ENTRY(cuEventCreate)(CUevent *event, unsigned int flags) {
  if (!event || flags > 7) return CUDA_ERROR_INVALID_VALUE;
  struct object *made = object_new(EVENT);
  if (!made) return CUDA_ERROR_OUT_OF_MEMORY;
  made->flags = flags;
  *event = (CUevent)made;
  return CUDA_SUCCESS;
}

ENTRY(cuEventDestroy_v2)(CUevent event) { return delete_handle(event, EVENT, CUDA_ERROR_INVALID_HANDLE); }

ENTRY(cuEventSynchronize)(CUevent handle) {
  struct object *event = object_get(handle, EVENT);
  if (!event) return CUDA_ERROR_INVALID_HANDLE;
  sleep_until(event->time);
  return CUDA_SUCCESS;
}

ENTRY(cuEventQuery)(CUevent handle) {
  struct object *event = object_get(handle, EVENT);
  if (!event) return CUDA_ERROR_INVALID_HANDLE;
  return config.fast || event->time <= now_ns() ? CUDA_SUCCESS : CUDA_ERROR_NOT_READY;
}

ENTRY(cuEventElapsedTime_v2)(float *ms, CUevent start_handle, CUevent end_handle) {
  enum { DISABLE_TIMING = 2 };
  struct object *start = object_get(start_handle, EVENT), *end = object_get(end_handle, EVENT);
  if (!start || !end || ((start->flags | end->flags) & DISABLE_TIMING)) return CUDA_ERROR_INVALID_HANDLE;
  if (!start->time || !end->time) return CUDA_ERROR_INVALID_HANDLE;
  if (!config.fast && (start->time > now_ns() || end->time > now_ns())) return CUDA_ERROR_NOT_READY;
  *ms = (float)(end->time - start->time) / 1e6f;
  return CUDA_SUCCESS;
}

static CUresult create_stream(CUstream *stream, unsigned int flags) {
  if (!stream || flags > 1) return CUDA_ERROR_INVALID_VALUE;
  struct object *made = object_new(STREAM);
  if (!made) return CUDA_ERROR_OUT_OF_MEMORY;
  *stream = (CUstream)made;
  return CUDA_SUCCESS;
}

ENTRY(cuStreamCreate)(CUstream *stream, unsigned int flags) { return create_stream(stream, flags); }

ENTRY(cuStreamCreateWithPriority)(CUstream *stream, unsigned int flags, int priority) {
  (void)priority;
  return create_stream(stream, flags);
}

ENTRY(cuStreamDestroy_v2)(CUstream stream) { return delete_handle(stream, STREAM, CUDA_ERROR_INVALID_HANDLE); }

ENTRY(cuGraphCreate)(CUgraph *graph, unsigned int flags) {
  if (!graph || flags != 0) return CUDA_ERROR_INVALID_VALUE;
  struct object *made = object_new(GRAPH);
  if (!made) return CUDA_ERROR_OUT_OF_MEMORY;
  *graph = (CUgraph)made;
  return CUDA_SUCCESS;
}

ENTRY(cuGraphInstantiateWithFlags)(CUgraphExec *exec, CUgraph graph, unsigned long long flags) {
  if (flags > 15) return CUDA_ERROR_INVALID_VALUE;
  return instantiate(exec, graph);
}

ENTRY(cuGraphExecUpdate_v2)(CUgraphExec exec_handle, CUgraph graph_handle, CUgraphExecUpdateResultInfo *result) {
  struct object *exec = object_get(exec_handle, GRAPH_EXEC), *graph = object_get(graph_handle, GRAPH);
  if (!exec || !graph || !result) return CUDA_ERROR_INVALID_VALUE;
  exec->cost = graph->cost;
  memset(result, 0, sizeof *result);
  return CUDA_SUCCESS;
}

ENTRY(cuGraphExecDestroy)(CUgraphExec exec) { return delete_handle(exec, GRAPH_EXEC, CUDA_ERROR_INVALID_VALUE); }

ENTRY(cuGraphDestroy)(CUgraph graph) { return delete_handle(graph, GRAPH, CUDA_ERROR_INVALID_VALUE); }

ENTRY(cuProfilerStart)(void) { return CUDA_SUCCESS; }

ENTRY(cuProfilerStop)(void) { return CUDA_SUCCESS; }
