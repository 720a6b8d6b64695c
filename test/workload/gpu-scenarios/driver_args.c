// Every function of the CUDA driver pack once, and its _ptsz or _ptds twin, called the way Triton does it:
// without the runtime, through pointers looked up in libcuda. A line per call, as of args.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>

#include "cuda_api.h"
#include "rows.h"
#include "scenarios.h"

static struct {
#define API(name, params) __typeof__(&name) name;
#define API_SZ(name, params) API(name, params) API(name##_ptsz, params)
#define API_DS(name, params) API(name, params) API(name##_ptds, params)
#include "cuda_api.def"
#undef API
#undef API_SZ
#undef API_DS
} cu;

// False where a function is missing, as newer ones are from an older driver.
static bool load(void) {
  void *library = dlopen("libcuda.so.1", RTLD_NOW);
  if (!library) return false;
  bool complete = true;
#define API(name, params)                                                                                      \
  *(void **)&cu.name = dlsym(library, #name);                                                                  \
  complete = complete && cu.name;
#define API_SZ(name, params) API(name, params) API(name##_ptsz, params)
#define API_DS(name, params) API(name, params) API(name##_ptds, params)
#include "cuda_api.def"
#undef API
#undef API_SZ
#undef API_DS
  return complete;
}

static CUresult wanted, result;

static void check(const char *symbol) {
  if (result == wanted || options.real) return;
  surprises++;
  fprintf(stderr, "gpu-scenarios: %s returned %d, not %d\n", symbol, (int)result, (int)wanted);
}

#define ROW(op, symbol, args, ...)                                                                             \
  do {                                                                                                         \
    result = cu.symbol args;                                                                                   \
    check(#symbol);                                                                                            \
    row_begin("driver-args", #op, #symbol, (int)result);                                                       \
    __VA_ARGS__;                                                                                               \
    row_end();                                                                                                 \
  } while (0)
#define ONE(op, args, ...) ROW(op, op, args, __VA_ARGS__)
#define TWO(op, suffix, args, ...)                                                                             \
  ROW(op, op, args, __VA_ARGS__);                                                                              \
  ROW(op, op##suffix, args, __VA_ARGS__)

enum { ROOM = 1 << 20 };
static CUstream stream;
static CUevent event, later;
static CUcontext context, other_context;
static CUdeviceptr device, device2, managed;
static char *pinned;
static CUfunction function;

static void contexts(void) {
  int number = 0;
  void *pointer = NULL;
  CUdriverProcAddressQueryResult status;
  CUcontext made = NULL;
  ONE(cuInit, (0), in("flags", 0));
  ONE(cuDriverGetVersion, (&number), NONE);
  ONE(cuDeviceGetCount, (&number), NONE);
  ONE(cuGetProcAddress_v2, ("cuMemAlloc", &pointer, 13000, 0, &status), NONE);
  ONE(cuDevicePrimaryCtxRetain, (&other_context, 1), in("device", 1), out_ptr("context", other_context));
  ONE(cuDevicePrimaryCtxRetain, (&context, 0), in("device", 0), out_ptr("context", context));
  ONE(cuCtxSetCurrent, (context), in_ptr("context", context));
  ONE(cuCtxEnablePeerAccess, (other_context, 0), in_ptr("context", other_context), in("flags", 0));
  ONE(cuCtxCreate_v2, (&made, 1, 0), in("flags", 1), in("device", 0), out_ptr("context", made));
  ONE(cuCtxDestroy_v2, (made), in_ptr("context", made));
  ONE(cuCtxCreate_v3, (&made, NULL, 0, 2, 0), in("flags", 2), in("device", 0), out_ptr("context", made));
  ONE(cuCtxDestroy_v2, (made), in_ptr("context", made));
  ONE(cuCtxCreate_v4, (&made, NULL, 4, 0), in("flags", 4), in("device", 0), out_ptr("context", made));
  ONE(cuCtxDestroy_v2, (made), in_ptr("context", made));
  ONE(cuCtxSynchronize, (), NONE);
}

static void streams_and_events(void) {
  CUstream urgent = NULL;
  CUstreamCaptureStatus status;
  ONE(cuStreamCreate, (&stream, 1), in("flags", 1), out_ptr("stream", stream));
  ONE(cuStreamCreateWithPriority, (&urgent, 1, -2), in("flags", 1), in_signed("priority", -2),
      out_ptr("stream", urgent));
  ONE(cuStreamDestroy_v2, (urgent), in_ptr("stream", urgent));
  ONE(cuEventCreate, (&event, 0), in("flags", 0), out_ptr("event", event));
  ONE(cuEventCreate, (&later, 1), in("flags", 1), out_ptr("event", later));
  TWO(cuEventRecord, _ptsz, (event, stream), in_ptr("event", event), in_ptr("stream", stream));
  TWO(cuEventRecordWithFlags, _ptsz, (later, stream, 1), in_ptr("event", later), in_ptr("stream", stream),
      in("flags", 1));
  TWO(cuStreamWaitEvent, _ptsz, (stream, event, 1), in_ptr("stream", stream), in_ptr("event", event),
      in("flags", 1));
  TWO(cuStreamSynchronize, _ptsz, (stream), in_ptr("stream", stream));
  TWO(cuStreamQuery, _ptsz, (stream), in_ptr("stream", stream));
  TWO(cuStreamIsCapturing, _ptsz, (stream, &status), in_ptr("stream", stream));
  ONE(cuEventSynchronize, (later), in_ptr("event", later));
  ONE(cuEventQuery, (later), in_ptr("event", later));
  float ms = 0;
  ONE(cuEventElapsedTime_v2, (&ms, event, later), NONE);
}

static void allocations(void) {
  CUdeviceptr ptr = 0;
  void *host = NULL, *registered = malloc(ROOM);
  if (!registered) abort();
  ONE(cuMemAlloc_v2, (&device, ROOM), in("bytes", ROOM), out("ptr", device));
  ONE(cuMemAlloc_v2, (&device2, ROOM + 1), in("bytes", ROOM + 1), out("ptr", device2));
  ONE(cuMemAllocManaged, (&managed, ROOM + 2, 1), in("bytes", ROOM + 2), in("flags", 1), out("ptr", managed));
  ONE(cuMemHostAlloc, ((void **)&pinned, ROOM + 3, 5), in("bytes", ROOM + 3), in("flags", 5),
      out_ptr("ptr", pinned));
  ONE(cuMemAllocHost_v2, (&host, 40009), in("bytes", 40009), out_ptr("ptr", host));
  ONE(cuMemFreeHost, (host), in_ptr("ptr", host));
  ONE(cuMemHostRegister_v2, (registered, 40013, 1), in_ptr("ptr", registered), in("bytes", 40013), in("flags", 1));
  ONE(cuMemHostUnregister, (registered), in_ptr("ptr", registered));
  free(registered);
  size_t pitch = 0;
  ONE(cuMemAllocPitch_v2, (&ptr, &pitch, 1009, 11, 4), in("bytes", 1009 * 11), out("ptr", ptr));
  ONE(cuMemFree_v2, (ptr), in("ptr", ptr));

  ROW(cuMemAllocAsync, cuMemAllocAsync, (&ptr, 40031, stream), in("bytes", 40031), in_ptr("stream", stream),
      out("ptr", ptr));
  ROW(cuMemFreeAsync, cuMemFreeAsync, (ptr, stream), in("ptr", ptr), in_ptr("stream", stream));
  ROW(cuMemAllocAsync, cuMemAllocAsync_ptsz, (&ptr, 40037, stream), in("bytes", 40037), in_ptr("stream", stream),
      out("ptr", ptr));
  ROW(cuMemFreeAsync, cuMemFreeAsync_ptsz, (ptr, stream), in("ptr", ptr), in_ptr("stream", stream));
  CUmemPoolProps props = {.allocType = CU_MEM_ALLOCATION_TYPE_PINNED, .location = {CU_MEM_LOCATION_TYPE_DEVICE, 0}};
  CUmemoryPool pool = NULL, usual = NULL;
  ONE(cuMemPoolCreate, (&pool, &props), out_ptr("pool", pool));
  ONE(cuDeviceGetDefaultMemPool, (&usual, 0), in("device", 0), out_ptr("pool", usual));
  ROW(cuMemAllocFromPoolAsync, cuMemAllocFromPoolAsync, (&ptr, 40039, pool, stream), in("bytes", 40039),
      in_ptr("pool", pool), in_ptr("stream", stream), out("ptr", ptr));
  ROW(cuMemFreeAsync, cuMemFreeAsync, (ptr, stream), in("ptr", ptr), in_ptr("stream", stream));
  ROW(cuMemAllocFromPoolAsync, cuMemAllocFromPoolAsync_ptsz, (&ptr, 40063, pool, stream), in("bytes", 40063),
      in_ptr("pool", pool), in_ptr("stream", stream), out("ptr", ptr));
  ROW(cuMemFreeAsync, cuMemFreeAsync, (ptr, stream), in("ptr", ptr), in_ptr("stream", stream));
  ONE(cuMemPoolTrimTo, (pool, 40087), in_ptr("pool", pool));
  ONE(cuMemPoolDestroy, (pool), in_ptr("pool", pool));

  CUmemGenericAllocationHandle handle = 0;
  CUmemAllocationProp prop = {.type = CU_MEM_ALLOCATION_TYPE_PINNED, .location = {CU_MEM_LOCATION_TYPE_DEVICE, 1}};
  CUmemAccessDesc access = {{CU_MEM_LOCATION_TYPE_DEVICE, 0}, CU_MEM_ACCESS_FLAGS_PROT_READWRITE};
  ONE(cuMemCreate, (&handle, 2 << 20, &prop, 0), in("bytes", 2 << 20), in("device", 1), out("handle", handle));
  ONE(cuMemAddressReserve, (&ptr, 4 << 20, 0, 0, 0), in("bytes", 4 << 20), out("ptr", ptr));
  ONE(cuMemMap, (ptr, 1 << 20, 4096, handle, 0), in("ptr", ptr), in("bytes", 1 << 20), in("handle", handle));
  ONE(cuMemSetAccess, (ptr, 1 << 20, &access, 1), in("ptr", ptr), in("bytes", 1 << 20));
  ONE(cuMemUnmap, (ptr, 1 << 20), in("ptr", ptr), in("bytes", 1 << 20));
  ONE(cuMemAddressFree, (ptr, 4 << 20), in("ptr", ptr), in("bytes", 4 << 20));
  ONE(cuMemRelease, (handle), in("handle", handle));

  size_t free_bytes = 0, total_bytes = 0;
  ONE(cuMemGetInfo_v2, (&free_bytes, &total_bytes), out("free_bytes", free_bytes), out("total_bytes", total_bytes));
  CUmemLocation here = {CU_MEM_LOCATION_TYPE_DEVICE, 1};
  TWO(cuMemPrefetchAsync_v2, _ptsz, (managed, 40093, here, 0, stream), in("ptr", managed), in("bytes", 40093),
      in("device", 1), in_ptr("stream", stream));
  TWO(cuMemPrefetchAsync, _ptsz, (managed, 40099, 1, stream), in("ptr", managed), in("bytes", 40099),
      in("device", 1), in_ptr("stream", stream));
  ONE(cuMemAdvise_v2, (managed, 40111, CU_MEM_ADVISE_SET_READ_MOSTLY, here), in("ptr", managed),
      in("bytes", 40111), in("device", 1));
  CUipcMemHandle ipc = {{0}};
  ONE(cuIpcGetMemHandle, (&ipc, device), in("ptr", device));
  ONE(cuIpcOpenMemHandle_v2, (&ptr, ipc, 1), in("flags", 1), out("ptr", ptr));
  ONE(cuIpcCloseMemHandle, (ptr), in("ptr", ptr));
}

static void copies(void) {
  const CUdeviceptr host = (uintptr_t)pinned;
  TWO(cuMemcpy, _ptds, (device, device2, 50021), in_copy(device, device2, 50021));
  TWO(cuMemcpyAsync, _ptsz, (device, device2, 50023, stream), in_copy(device, device2, 50023),
      in_ptr("stream", stream));
  TWO(cuMemcpyHtoD_v2, _ptds, (device, pinned, 50033), in_copy(device, host, 50033));
  TWO(cuMemcpyHtoDAsync_v2, _ptsz, (device, pinned, 50047, stream), in_copy(device, host, 50047),
      in_ptr("stream", stream));
  TWO(cuMemcpyDtoH_v2, _ptds, (pinned, device, 50051), in_copy(host, device, 50051));
  TWO(cuMemcpyDtoHAsync_v2, _ptsz, (pinned, device, 50053, stream), in_copy(host, device, 50053),
      in_ptr("stream", stream));
  TWO(cuMemcpyDtoD_v2, _ptds, (device, device2, 50069), in_copy(device, device2, 50069));
  TWO(cuMemcpyDtoDAsync_v2, _ptsz, (device, device2, 50077, stream), in_copy(device, device2, 50077),
      in_ptr("stream", stream));
  TWO(cuMemcpyPeer, _ptds, (device, context, device2, other_context, 50087), in_copy(device, device2, 50087));
  TWO(cuMemcpyPeerAsync, _ptsz, (device, context, device2, other_context, 50093, stream),
      in_copy(device, device2, 50093), in_ptr("stream", stream));
  CUDA_MEMCPY2D plane = {.srcMemoryType = CU_MEMORYTYPE_HOST, .srcHost = pinned, .srcPitch = 2048,
                         .dstMemoryType = CU_MEMORYTYPE_DEVICE, .dstDevice = device, .dstPitch = 2048,
                         .WidthInBytes = 1013, .Height = 17};
  TWO(cuMemcpy2D_v2, _ptds, (&plane), in("bytes", 1013 * 17));
  TWO(cuMemcpy2DUnaligned_v2, _ptds, (&plane), in("bytes", 1013 * 17));
  TWO(cuMemcpy2DAsync_v2, _ptsz, (&plane, stream), in("bytes", 1013 * 17), in_ptr("stream", stream));
  CUDA_MEMCPY3D box = {.srcMemoryType = CU_MEMORYTYPE_HOST, .srcHost = pinned,
                       .dstMemoryType = CU_MEMORYTYPE_DEVICE, .dstDevice = device,
                       .WidthInBytes = 1019, .Height = 7, .Depth = 3};
  TWO(cuMemcpy3D_v2, _ptds, (&box), in("bytes", 1019 * 7 * 3));
  TWO(cuMemcpy3DAsync_v2, _ptsz, (&box, stream), in("bytes", 1019 * 7 * 3), in_ptr("stream", stream));
  CUDA_MEMCPY3D_PEER peers = {.srcDevice = device2, .srcContext = other_context, .dstDevice = device,
                              .dstContext = context, .WidthInBytes = 1021, .Height = 7, .Depth = 3};
  TWO(cuMemcpy3DPeer, _ptds, (&peers), in("bytes", 1021 * 7 * 3));
  TWO(cuMemcpy3DPeerAsync, _ptsz, (&peers, stream), in("bytes", 1021 * 7 * 3), in_ptr("stream", stream));
  CUdeviceptr dsts[] = {device, device + 4096}, srcs[] = {device2, device2 + 4096};
  size_t sizes[] = {1031, 1033}, indexes[] = {0};
  CUmemcpyAttributes attributes = {.srcAccessOrder = CU_MEMCPY_SRC_ACCESS_ORDER_STREAM};
  TWO(cuMemcpyBatchAsync_v2, _ptsz, (dsts, srcs, sizes, 2, &attributes, indexes, 1, stream),
      in_ptr("stream", stream));

  TWO(cuMemsetD8_v2, _ptds, (device, 0xa5, 50101), in("ptr", device), in("bytes", 50101));
  TWO(cuMemsetD8Async, _ptsz, (device, 0xa5, 50111, stream), in("ptr", device), in("bytes", 50111),
      in_ptr("stream", stream));
  TWO(cuMemsetD16_v2, _ptds, (device, 0xa5a5, 50119), in("ptr", device), in("bytes", 2 * 50119));
  TWO(cuMemsetD16Async, _ptsz, (device, 0xa5a5, 50123, stream), in("ptr", device), in("bytes", 2 * 50123),
      in_ptr("stream", stream));
  TWO(cuMemsetD32_v2, _ptds, (device, 0xa5a5a5a5, 50129), in("ptr", device), in("bytes", 4 * 50129));
  TWO(cuMemsetD32Async, _ptsz, (device, 0xa5a5a5a5, 50131, stream), in("ptr", device), in("bytes", 4 * 50131),
      in_ptr("stream", stream));
  TWO(cuMemsetD2D8_v2, _ptds, (device, 2048, 0xa5, 1039, 19), in("ptr", device), in("bytes", 1039 * 19));
  TWO(cuMemsetD2D8Async, _ptsz, (device, 2048, 0xa5, 1049, 19, stream), in("ptr", device),
      in("bytes", 1049 * 19), in_ptr("stream", stream));
  CUDA_ARRAY3D_DESCRIPTOR cube = {.Width = 64, .Height = 32, .Format = CU_AD_FORMAT_FLOAT, .NumChannels = 1};
  CUarray array = NULL;
  ONE(cuArray3DCreate_v2, (&array, &cube), out_ptr("array", array));
  ONE(cuArrayDestroy, (array), in_ptr("array", array));
}

static void do_nothing(void *unused) { (void)unused; }

static void launches(void) {
  static const char image[] = "image";
  CUmodule module = NULL;
  CUlibrary library = NULL;
  CUkernel kernel = NULL;
  CUfunction from_kernel = NULL;
  void *cubin = NULL;
  size_t size = 0;
  ONE(cuModuleLoad, (&module, "/nonexistent/kernels.cubin"), out_ptr("module", module));
  ONE(cuModuleUnload, (module), in_ptr("module", module));
  ONE(cuModuleLoadDataEx, (&module, image, 0, NULL, NULL), out_ptr("module", module));
  ONE(cuModuleUnload, (module), in_ptr("module", module));
  ONE(cuModuleLoadFatBinary, (&module, image), out_ptr("module", module));
  ONE(cuModuleUnload, (module), in_ptr("module", module));
  ONE(cuModuleLoadData, (&module, image), out_ptr("module", module));
  ONE(cuModuleGetFunction, (&function, module, "_Z13matmul_kernelPKfS0_Pfi"), in_ptr("module", module),
      in_text("kernel_name", "_Z13matmul_kernelPKfS0_Pfi"), out_ptr("func", function));
  ONE(cuLibraryLoadData, (&library, image, NULL, NULL, 0, NULL, NULL, 0), out_ptr("library", library));
  ONE(cuLibraryGetKernel, (&kernel, library, "triton_poi_fused_add_0"), in_ptr("library", library),
      in_text("kernel_name", "triton_poi_fused_add_0"), out_ptr("kernel", kernel));
  ONE(cuKernelGetFunction, (&from_kernel, kernel), in_ptr("kernel", kernel), out_ptr("func", from_kernel));
  wanted = CUDA_ERROR_INVALID_HANDLE; // the stub has no linker
  ONE(cuLinkComplete, (NULL, &cubin, &size), NONE);
  wanted = CUDA_SUCCESS;

  const dim3 grid = {131, 137, 139}, block = {4, 8, 3};
  TWO(cuLaunchKernel, _ptsz,
      (function, grid.x, grid.y, grid.z, block.x, block.y, block.z, 1103, stream, NULL, NULL),
      in_launch(function, grid, block, 1103, stream));
  CUlaunchConfig config = {.gridDimX = 149, .gridDimY = 151, .gridDimZ = 157, .blockDimX = 2, .blockDimY = 9,
                           .blockDimZ = 5, .sharedMemBytes = 1109, .hStream = stream};
  TWO(cuLaunchKernelEx, _ptsz, (&config, from_kernel, NULL, NULL),
      in_launch(from_kernel, (dim3){149, 151, 157}, (dim3){2, 9, 5}, 1109, stream));
  TWO(cuLaunchCooperativeKernel, _ptsz,
      (function, grid.x, grid.y, grid.z, block.x, block.y, block.z, 1117, stream, NULL),
      in_launch(function, grid, block, 1117, stream));
  TWO(cuLaunchHostFunc, _ptsz, (stream, do_nothing, NULL), in_ptr("stream", stream));
}

static void graphs(void) {
  CUgraph graph = NULL, empty = NULL, same = NULL;
  CUgraphExec exec = NULL, other = NULL;
  ROW(cuStreamBeginCapture_v2, cuStreamBeginCapture_v2_ptsz, (stream, CU_STREAM_CAPTURE_MODE_RELAXED),
      in_ptr("stream", stream), in_text("capture_mode", "relaxed"));
  ROW(cuStreamEndCapture, cuStreamEndCapture_ptsz, (stream, &graph), in_ptr("stream", stream),
      out_ptr("graph", graph));
  ONE(cuGraphDestroy, (graph), in_ptr("graph", graph));
  ONE(cuStreamBeginCapture_v2, (stream, CU_STREAM_CAPTURE_MODE_THREAD_LOCAL), in_ptr("stream", stream),
      in_text("capture_mode", "thread_local"));
  ONE(cuStreamEndCapture, (stream, &graph), in_ptr("stream", stream), out_ptr("graph", graph));
  ONE(cuGraphCreate, (&empty, 0), in("flags", 0), out_ptr("graph", empty));
  ROW(cuStreamBeginCaptureToGraph, cuStreamBeginCaptureToGraph,
      (stream, empty, NULL, NULL, 0, CU_STREAM_CAPTURE_MODE_GLOBAL), in_ptr("stream", stream),
      in_ptr("graph", empty), in_text("capture_mode", "global"));
  ONE(cuStreamEndCapture, (stream, &same), in_ptr("stream", stream), out_ptr("graph", same));
  ROW(cuStreamBeginCaptureToGraph, cuStreamBeginCaptureToGraph_ptsz,
      (stream, empty, NULL, NULL, 0, CU_STREAM_CAPTURE_MODE_RELAXED), in_ptr("stream", stream),
      in_ptr("graph", empty), in_text("capture_mode", "relaxed"));
  ONE(cuStreamEndCapture, (stream, &same), in_ptr("stream", stream), out_ptr("graph", same));
  ONE(cuGraphInstantiateWithFlags, (&exec, graph, 8), in_ptr("graph", graph), in("flags", 8),
      out_ptr("graph_exec", exec));
  CUDA_GRAPH_INSTANTIATE_PARAMS params = {.flags = 4};
  ROW(cuGraphInstantiateWithParams, cuGraphInstantiateWithParams, (&other, graph, &params), in_ptr("graph", graph),
      out_ptr("graph_exec", other));
  ONE(cuGraphExecDestroy, (other), in_ptr("graph_exec", other));
  ROW(cuGraphInstantiateWithParams, cuGraphInstantiateWithParams_ptsz, (&other, graph, &params),
      in_ptr("graph", graph), out_ptr("graph_exec", other));
  ONE(cuGraphExecDestroy, (other), in_ptr("graph_exec", other));
  TWO(cuGraphUpload, _ptsz, (exec, stream), in_ptr("graph_exec", exec), in_ptr("stream", stream));
  TWO(cuGraphLaunch, _ptsz, (exec, stream), in_ptr("graph_exec", exec), in_ptr("stream", stream));
  CUgraphExecUpdateResultInfo info;
  ONE(cuGraphExecUpdate_v2, (exec, graph, &info), in_ptr("graph_exec", exec), in_ptr("graph", graph));
  ONE(cuGraphExecDestroy, (exec), in_ptr("graph_exec", exec));
  ONE(cuGraphDestroy, (graph), in_ptr("graph", graph));
  ONE(cuGraphDestroy, (empty), in_ptr("graph", empty));
}

void run_driver_args(FILE *file) {
  // The real driver is not called like this: without a GPU it does not survive handles of ours.
  if (options.real || !load()) {
    fputs(",\"rows\":0", file);
    return;
  }
  contexts();
  streams_and_events();
  allocations();
  copies();
  launches();
  graphs();
  ONE(cuProfilerStart, (), NONE);
  ONE(cuProfilerStop, (), NONE);
  ONE(cuMemFreeHost, (pinned), in_ptr("ptr", pinned));
  ONE(cuMemFree_v2, (managed), in("ptr", managed));
  ONE(cuMemFree_v2, (device2), in("ptr", device2));
  ONE(cuMemFree_v2, (device), in("ptr", device));
  ONE(cuEventDestroy_v2, (event), in_ptr("event", event));
  ONE(cuEventDestroy_v2, (later), in_ptr("event", later));
  ONE(cuStreamDestroy_v2, (stream), in_ptr("stream", stream));
  ONE(cuDevicePrimaryCtxReset_v2, (1), in("device", 1));
  ONE(cuDevicePrimaryCtxRelease_v2, (1), in("device", 1));
  fprintf(file, ",\"rows\":%u", row_count());
}
