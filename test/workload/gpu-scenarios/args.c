// Every function of the CUDA runtime pack once, and its _ptsz or _ptds twin, with values that cannot be
// mistaken for each other. A line per call says what the columns of its row must be.
#include <stdlib.h>

#include "rows.h"
#include "scenarios.h"

// Absent from the real libcudart.so.13: called only where they exist.
#pragma weak cudaMemPrefetchAsync_v2
#pragma weak cudaMemPrefetchAsync_v2_ptsz

static cudaError_t result;

// ROW(operation, symbol, (arguments), columns...): calls the symbol and prints its line.
#define ROW(op, symbol, args, ...)                                                                             \
  do {                                                                                                         \
    result = expect(cudaSuccess, symbol args, #symbol);                                                        \
    row_begin("args", #op, #symbol, (int)result);                                                              \
    __VA_ARGS__;                                                                                               \
    row_end();                                                                                                 \
    tally(OP_##op, row_bytes(), result);                                                                       \
  } while (0)
#define ONE(op, args, ...) ROW(op, op, args, __VA_ARGS__)
#define TWO(op, suffix, args, ...)                                                                             \
  ROW(op, op, args, __VA_ARGS__);                                                                              \
  ROW(op, op##suffix, args, __VA_ARGS__)
#define IN_COPY(dst, src, bytes) in_copy((uintptr_t)(dst), (uintptr_t)(src), bytes)

enum { ROOM = 1 << 20 };
static cudaStream_t stream;
static cudaEvent_t event, later;
static void *device, *device2, *managed, *pinned;
static char *pageable;

static void streams_and_events(void) {
  ONE(cudaStreamCreateWithFlags, (&stream, 1), in("flags", 1), out_ptr("stream", stream));
  cudaStream_t urgent = NULL, plain = NULL;
  ONE(cudaStreamCreateWithPriority, (&urgent, 1, -3), in("flags", 1), in_signed("priority", -3),
      out_ptr("stream", urgent));
  ONE(cudaStreamCreate, (&plain), out_ptr("stream", plain));
  ONE(cudaStreamDestroy, (plain), in_ptr("stream", plain));
  ONE(cudaStreamDestroy, (urgent), in_ptr("stream", urgent));
  ONE(cudaEventCreateWithFlags, (&event, 0), in("flags", 0), out_ptr("event", event));
  ONE(cudaEventCreate, (&later), out_ptr("event", later));
  TWO(cudaEventRecord, _ptsz, (event, stream), in_ptr("event", event), in_ptr("stream", stream));
  TWO(cudaEventRecordWithFlags, _ptsz, (later, stream, 1), in_ptr("event", later), in_ptr("stream", stream),
      in("flags", 1));
  TWO(cudaStreamWaitEvent, _ptsz, (stream, event, 1), in_ptr("stream", stream), in_ptr("event", event),
      in("flags", 1));
  TWO(cudaStreamSynchronize, _ptsz, (stream), in_ptr("stream", stream));
  ONE(cudaEventSynchronize, (later), in_ptr("event", later));
  ONE(cudaEventQuery, (later), in_ptr("event", later));
  TWO(cudaStreamQuery, _ptsz, (stream), in_ptr("stream", stream));
  float ms = 0;
  ONE(cudaEventElapsedTime, (&ms, event, later), NONE);
  enum cudaStreamCaptureStatus status = cudaStreamCaptureStatusNone;
  TWO(cudaStreamIsCapturing, _ptsz, (stream, &status), in_ptr("stream", stream));
}

static void allocations(void) {
  void *ptr = NULL;
  ONE(cudaMalloc, (&device, ROOM), in("bytes", ROOM), out_ptr("ptr", device));
  ONE(cudaMalloc, (&device2, ROOM + 1), in("bytes", ROOM + 1), out_ptr("ptr", device2));
  ONE(cudaMallocManaged, (&managed, ROOM + 2, 2), in("bytes", ROOM + 2), in("flags", 2), out_ptr("ptr", managed));
  ONE(cudaHostAlloc, (&pinned, ROOM + 3, 5), in("bytes", ROOM + 3), in("flags", 5), out_ptr("ptr", pinned));
  ONE(cudaMallocHost, (&ptr, 10009), in("bytes", 10009), out_ptr("ptr", ptr));
  ONE(cudaFreeHost, (ptr), in_ptr("ptr", ptr));
  ONE(cudaHostRegister, (pageable, 10037, 1), in_ptr("ptr", pageable), in("bytes", 10037), in("flags", 1));
  ONE(cudaHostUnregister, (pageable), in_ptr("ptr", pageable));

  ROW(cudaMallocAsync, cudaMallocAsync, (&ptr, 10039, stream), in("bytes", 10039), in_ptr("stream", stream),
      out_ptr("ptr", ptr));
  ROW(cudaFreeAsync, cudaFreeAsync, (ptr, stream), in_ptr("ptr", ptr), in_ptr("stream", stream));
  ROW(cudaMallocAsync, cudaMallocAsync_ptsz, (&ptr, 10061, stream), in("bytes", 10061), in_ptr("stream", stream),
      out_ptr("ptr", ptr));
  ROW(cudaFreeAsync, cudaFreeAsync_ptsz, (ptr, stream), in_ptr("ptr", ptr), in_ptr("stream", stream));

  struct cudaMemPoolProps props = {.allocType = cudaMemAllocationTypePinned,
                                   .location = {cudaMemLocationTypeDevice, 1}};
  cudaMemPool_t pool = NULL, usual = NULL;
  ONE(cudaMemPoolCreate, (&pool, &props), out_ptr("pool", pool));
  ONE(cudaDeviceGetDefaultMemPool, (&usual, 1), in("device", 1), out_ptr("pool", usual));
  ROW(cudaMallocFromPoolAsync, cudaMallocFromPoolAsync, (&ptr, 10067, pool, stream), in("bytes", 10067),
      in_ptr("pool", pool), in_ptr("stream", stream), out_ptr("ptr", ptr));
  ROW(cudaFreeAsync, cudaFreeAsync, (ptr, stream), in_ptr("ptr", ptr), in_ptr("stream", stream));
  ROW(cudaMallocFromPoolAsync, cudaMallocFromPoolAsync_ptsz, (&ptr, 10069, pool, stream), in("bytes", 10069),
      in_ptr("pool", pool), in_ptr("stream", stream), out_ptr("ptr", ptr));
  ROW(cudaFreeAsync, cudaFreeAsync, (ptr, stream), in_ptr("ptr", ptr), in_ptr("stream", stream));
  ONE(cudaMemPoolTrimTo, (pool, 10079), in_ptr("pool", pool));
  ONE(cudaMemPoolDestroy, (pool), in_ptr("pool", pool));

  size_t pitch = 0;
  ONE(cudaMallocPitch, (&ptr, &pitch, 1001, 13), in("bytes", 1001 * 13), out_ptr("ptr", ptr));
  ONE(cudaFree, (ptr), in_ptr("ptr", ptr));
  struct cudaPitchedPtr pitched = {0};
  ONE(cudaMalloc3D, (&pitched, (struct cudaExtent){1003, 11, 7}), in("bytes", 1003 * 11 * 7),
      out_ptr("ptr", pitched.ptr));
  ONE(cudaFree, (pitched.ptr), in_ptr("ptr", pitched.ptr));

  size_t free_bytes = 0, total_bytes = 0;
  ONE(cudaMemGetInfo, (&free_bytes, &total_bytes), out("free_bytes", free_bytes), out("total_bytes", total_bytes));

  struct cudaMemLocation here = {cudaMemLocationTypeDevice, 0};
  TWO(cudaMemPrefetchAsync, _ptsz, (managed, 10091, here, 0, stream), in_ptr("ptr", managed), in("bytes", 10091),
      in("device", 0), in_ptr("stream", stream));
  if (cudaMemPrefetchAsync_v2 && cudaMemPrefetchAsync_v2_ptsz) {
    ROW(cudaMemPrefetchAsync, cudaMemPrefetchAsync_v2, (managed, 10093, here, 0, stream), in_ptr("ptr", managed),
        in("bytes", 10093), in("device", 0), in_ptr("stream", stream));
    ROW(cudaMemPrefetchAsync, cudaMemPrefetchAsync_v2_ptsz, (managed, 10099, here, 0, stream),
        in_ptr("ptr", managed), in("bytes", 10099), in("device", 0), in_ptr("stream", stream));
  }
  ONE(cudaMemAdvise, (managed, 10103, cudaMemAdviseSetPreferredLocation, here), in_ptr("ptr", managed),
      in("bytes", 10103), in("device", 0));

  cudaIpcMemHandle_t handle = {{0}};
  ONE(cudaIpcGetMemHandle, (&handle, device), in_ptr("ptr", device));
  ptr = NULL;
  ONE(cudaIpcOpenMemHandle, (&ptr, handle, 1), in("flags", 1), out_ptr("ptr", ptr));
  ONE(cudaIpcCloseMemHandle, (ptr), in_ptr("ptr", ptr));
}

static void copies(void) {
  char *at = device, *host = pinned;
  TWO(cudaMemcpy, _ptds, (at + 512, pageable, 20011, cudaMemcpyHostToDevice), IN_COPY(at + 512, pageable, 20011),
      in_text("kind", "h2d"));
  ONE(cudaMemcpy, (pageable, at + 1024, 20021, cudaMemcpyDeviceToHost), IN_COPY(pageable, at + 1024, 20021),
      in_text("kind", "d2h"));
  ONE(cudaMemcpy, (device2, at, 20023, cudaMemcpyDeviceToDevice), IN_COPY(device2, at, 20023),
      in_text("kind", "d2d"));
  ONE(cudaMemcpy, (host, pageable, 20029, cudaMemcpyHostToHost), IN_COPY(host, pageable, 20029),
      in_text("kind", "h2h"));
  ONE(cudaMemcpy, (host, device, 20047, cudaMemcpyDefault), IN_COPY(host, device, 20047),
      in_text("kind", "default"));
  TWO(cudaMemcpyAsync, _ptsz, (at, host, 20051, cudaMemcpyHostToDevice, stream), IN_COPY(at, host, 20051),
      in_text("kind", "h2d"), in_ptr("stream", stream));
  TWO(cudaMemcpy2D, _ptds, (at, 1024, host, 2048, 1007, 17, cudaMemcpyHostToDevice),
      IN_COPY(at, host, 1007 * 17), in_text("kind", "h2d"));
  TWO(cudaMemcpy2DAsync, _ptsz, (host, 1024, at, 2048, 1009, 19, cudaMemcpyDeviceToHost, stream),
      IN_COPY(host, at, 1009 * 19), in_text("kind", "d2h"), in_ptr("stream", stream));

  struct cudaChannelFormatDesc floats = {32, 0, 0, 0, cudaChannelFormatKindFloat};
  cudaArray_t array = NULL, cube = NULL;
  ONE(cudaMallocArray, (&array, &floats, 512, 64, 2), in("flags", 2), out_ptr("array", array));
  ONE(cudaMalloc3DArray, (&cube, &floats, (struct cudaExtent){64, 32, 16}, 4), in("flags", 4),
      out_ptr("array", cube));
  TWO(cudaMemcpy2DToArray, _ptds, (array, 4, 2, host, 2048, 1013, 23, cudaMemcpyHostToDevice),
      in("bytes", 1013 * 23), in_text("kind", "h2d"), in_ptr("array", array), in_ptr("src_ptr", host));
  TWO(cudaMemcpy2DFromArray, _ptds, (host, 2048, array, 4, 2, 1019, 29, cudaMemcpyDeviceToHost),
      in("bytes", 1019 * 29), in_text("kind", "d2h"), in_ptr("array", array), in_ptr("dst_ptr", host));
  TWO(cudaMemcpy2DToArrayAsync, _ptsz, (array, 4, 2, host, 2048, 1021, 31, cudaMemcpyHostToDevice, stream),
      in("bytes", 1021 * 31), in_text("kind", "h2d"), in_ptr("array", array), in_ptr("src_ptr", host),
      in_ptr("stream", stream));
  TWO(cudaMemcpy2DFromArrayAsync, _ptsz, (host, 2048, array, 4, 2, 1031, 37, cudaMemcpyDeviceToHost, stream),
      in("bytes", 1031 * 37), in_text("kind", "d2h"), in_ptr("array", array), in_ptr("dst_ptr", host),
      in_ptr("stream", stream));
  ONE(cudaFreeArray, (cube), in_ptr("array", cube));
  ONE(cudaFreeArray, (array), in_ptr("array", array));

  struct cudaMemcpy3DParms box = {.srcPtr = {host, 2048, 2048, 64},
                                  .dstPtr = {at, 2048, 2048, 64},
                                  .extent = {1033, 5, 3},
                                  .kind = cudaMemcpyHostToDevice};
  TWO(cudaMemcpy3D, _ptds, (&box), IN_COPY(at, host, 1033 * 5 * 3), in_text("kind", "h2d"));
  box.extent.width = 1039;
  TWO(cudaMemcpy3DAsync, _ptsz, (&box, stream), IN_COPY(at, host, 1039 * 5 * 3), in_text("kind", "h2d"),
      in_ptr("stream", stream));
  struct cudaMemcpy3DPeerParms peers = {.srcPtr = {device2, 2048, 2048, 64},
                                        .srcDevice = 1,
                                        .dstPtr = {at, 2048, 2048, 64},
                                        .dstDevice = 0,
                                        .extent = {1049, 5, 3}};
  TWO(cudaMemcpy3DPeer, _ptds, (&peers), in("bytes", 1049 * 5 * 3), in("dst_device", 0), in("src_device", 1),
      in_ptr("dst_ptr", at), in_ptr("src_ptr", device2));
  peers.extent.width = 1051;
  TWO(cudaMemcpy3DPeerAsync, _ptsz, (&peers, stream), in("bytes", 1051 * 5 * 3), in("dst_device", 0),
      in("src_device", 1), in_ptr("dst_ptr", at), in_ptr("src_ptr", device2), in_ptr("stream", stream));
  ONE(cudaMemcpyPeer, (at, 1, device2, 0, 20063), IN_COPY(at, device2, 20063), in("dst_device", 1),
      in("src_device", 0));
  ONE(cudaMemcpyPeerAsync, (at, 0, device2, 1, 20071, stream), IN_COPY(at, device2, 20071), in("dst_device", 0),
      in("src_device", 1), in_ptr("stream", stream));

  static char variable[ROOM];
  TWO(cudaMemcpyToSymbol, _ptds, (variable, host, 20089, 7, cudaMemcpyHostToDevice), in("bytes", 20089),
      in_text("kind", "h2d"), in_ptr("src_ptr", host));
  TWO(cudaMemcpyFromSymbol, _ptds, (host, variable, 20101, 7, cudaMemcpyDeviceToHost), in("bytes", 20101),
      in_text("kind", "d2h"), in_ptr("dst_ptr", host));
  TWO(cudaMemcpyToSymbolAsync, _ptsz, (variable, host, 20107, 7, cudaMemcpyHostToDevice, stream),
      in("bytes", 20107), in_text("kind", "h2d"), in_ptr("src_ptr", host), in_ptr("stream", stream));
  TWO(cudaMemcpyFromSymbolAsync, _ptsz, (host, variable, 20113, 7, cudaMemcpyDeviceToHost, stream),
      in("bytes", 20113), in_text("kind", "d2h"), in_ptr("dst_ptr", host), in_ptr("stream", stream));

  // How much a batch copies is in an array the pack does not sum up: its row has no bytes.
  void *dsts[] = {at, at + 4096};
  const void *srcs[] = {host, host + 4096};
  size_t sizes[] = {1061, 1063}, indexes[] = {0};
  struct cudaMemcpyAttributes attributes = {.srcAccessOrder = cudaMemcpySrcAccessOrderStream};
  TWO(cudaMemcpyBatchAsync, _ptsz, (dsts, srcs, sizes, 2, &attributes, indexes, 1, stream),
      in_ptr("stream", stream));
}

static void fills(void) {
  char *at = device;
  TWO(cudaMemset, _ptds, (at, 0xa5, 30011), in_ptr("ptr", at), in("bytes", 30011));
  TWO(cudaMemsetAsync, _ptsz, (at + 512, 0xa5, 30013, stream), in_ptr("ptr", at + 512), in("bytes", 30013),
      in_ptr("stream", stream));
  TWO(cudaMemset2D, _ptds, (at, 1024, 0xa5, 997, 41), in_ptr("ptr", at), in("bytes", 997 * 41));
  TWO(cudaMemset2DAsync, _ptsz, (at + 512, 1024, 0xa5, 991, 43, stream), in_ptr("ptr", at + 512),
      in("bytes", 991 * 43), in_ptr("stream", stream));
  struct cudaPitchedPtr pitched = {at, 1024, 1024, 64};
  TWO(cudaMemset3D, _ptds, (pitched, 0xa5, (struct cudaExtent){983, 5, 3}), in_ptr("ptr", at),
      in("bytes", 983 * 5 * 3));
  TWO(cudaMemset3DAsync, _ptsz, (pitched, 0xa5, (struct cudaExtent){977, 5, 3}, stream), in_ptr("ptr", at),
      in("bytes", 977 * 5 * 3), in_ptr("stream", stream));
}

static void do_nothing(void *unused) { (void)unused; }

static void launches(void) {
  const void *matmul = (const void *)matmul_kernel;
  const dim3 grid = {101, 103, 107}, block = {8, 4, 2};
  TWO(cudaLaunchKernel, _ptsz, (matmul, grid, block, NULL, 1087, stream),
      in_launch(matmul, grid, block, 1087, stream));
  cudaKernel_t kernel = NULL;
  ONE(__cudaGetKernel, (&kernel, matmul), in_ptr("func", matmul));
  if (result != cudaSuccess) kernel = (cudaKernel_t)matmul;
  // A jump to cudaLaunchKernel: a row of that.
  ROW(cudaLaunchKernel, __cudaLaunchKernel, (kernel, grid, block, NULL, 1091, stream),
      in_launch(kernel, grid, block, 1091, stream));
  ROW(cudaLaunchKernel, __cudaLaunchKernel_ptsz, (kernel, grid, block, NULL, 1093, stream),
      in_launch(kernel, grid, block, 1093, stream));
  cudaLaunchConfig_t config = {
      .gridDim = {109, 113, 127}, .blockDim = {16, 3, 5}, .dynamicSmemBytes = 1097, .stream = stream};
  TWO(cudaLaunchKernelExC, _ptsz, (&config, matmul, NULL),
      in_launch(matmul, config.gridDim, config.blockDim, 1097, stream));
  TWO(cudaLaunchCooperativeKernel, _ptsz, (matmul, grid, block, NULL, 1103, stream),
      in_launch(matmul, grid, block, 1103, stream));
  TWO(cudaLaunchHostFunc, _ptsz, (stream, do_nothing, NULL), in_ptr("stream", stream));
}

static void graphs(void) {
  cudaGraph_t graph = NULL, empty = NULL;
  cudaGraphExec_t exec = NULL, other = NULL;
  ONE(cudaStreamBeginCapture, (stream, cudaStreamCaptureModeThreadLocal), in_ptr("stream", stream),
      in_text("capture_mode", "thread_local"));
  ONE(cudaStreamEndCapture, (stream, &graph), in_ptr("stream", stream), out_ptr("graph", graph));
  ONE(cudaGraphDestroy, (graph), in_ptr("graph", graph));
  ROW(cudaStreamBeginCapture, cudaStreamBeginCapture_ptsz, (stream, cudaStreamCaptureModeRelaxed),
      in_ptr("stream", stream), in_text("capture_mode", "relaxed"));
  graph = NULL;
  ROW(cudaStreamEndCapture, cudaStreamEndCapture_ptsz, (stream, &graph), in_ptr("stream", stream),
      out_ptr("graph", graph));
  ONE(cudaGraphCreate, (&empty, 0), in("flags", 0), out_ptr("graph", empty));
  cudaGraph_t same = NULL;
  ONE(cudaStreamBeginCaptureToGraph, (stream, empty, NULL, NULL, 0, cudaStreamCaptureModeGlobal),
      in_ptr("stream", stream), in_ptr("graph", empty), in_text("capture_mode", "global"));
  ONE(cudaStreamEndCapture, (stream, &same), in_ptr("stream", stream), out_ptr("graph", same));
  ROW(cudaStreamBeginCaptureToGraph, cudaStreamBeginCaptureToGraph_ptsz,
      (stream, empty, NULL, NULL, 0, cudaStreamCaptureModeRelaxed), in_ptr("stream", stream),
      in_ptr("graph", empty), in_text("capture_mode", "relaxed"));
  ONE(cudaStreamEndCapture, (stream, &same), in_ptr("stream", stream), out_ptr("graph", same));

  ONE(cudaGraphInstantiate, (&exec, graph, 2), in_ptr("graph", graph), in("flags", 2), out_ptr("graph_exec", exec));
  ONE(cudaGraphInstantiateWithFlags, (&other, graph, 8), in_ptr("graph", graph), in("flags", 8),
      out_ptr("graph_exec", other));
  ONE(cudaGraphExecDestroy, (other), in_ptr("graph_exec", other));
  cudaGraphInstantiateParams params = {.flags = 4, .uploadStream = stream};
  other = NULL;
  ONE(cudaGraphInstantiateWithParams, (&other, graph, &params), in_ptr("graph", graph),
      out_ptr("graph_exec", other));
  ONE(cudaGraphExecDestroy, (other), in_ptr("graph_exec", other));
  other = NULL;
  ROW(cudaGraphInstantiateWithParams, cudaGraphInstantiateWithParams_ptsz, (&other, graph, &params),
      in_ptr("graph", graph), out_ptr("graph_exec", other));
  ONE(cudaGraphExecDestroy, (other), in_ptr("graph_exec", other));
  TWO(cudaGraphUpload, _ptsz, (exec, stream), in_ptr("graph_exec", exec), in_ptr("stream", stream));
  TWO(cudaGraphLaunch, _ptsz, (exec, stream), in_ptr("graph_exec", exec), in_ptr("stream", stream));
  cudaGraphExecUpdateResultInfo info;
  ONE(cudaGraphExecUpdate, (exec, graph, &info), in_ptr("graph_exec", exec), in_ptr("graph", graph));
  ONE(cudaGraphExecDestroy, (exec), in_ptr("graph_exec", exec));
  ONE(cudaGraphDestroy, (graph), in_ptr("graph", graph));
  ONE(cudaGraphDestroy, (empty), in_ptr("graph", empty));
}

static void devices(void) {
  int number = 0;
  ONE(cudaRuntimeGetVersion, (&number), NONE);
  ONE(cudaDriverGetVersion, (&number), NONE);
  ONE(cudaGetDeviceCount, (&number), NONE);
  ONE(cudaSetDevice, (1), in("device", 1));
  ONE(cudaSetDevice, (0), in("device", 0));
  ONE(cudaGetDevice, (&number), NONE);
  ONE(cudaDeviceEnablePeerAccess, (1, 0), in("device", 1), in("flags", 0));
  ONE(cudaProfilerStart, (), NONE);
  ONE(cudaProfilerStop, (), NONE);
  ONE(cudaDeviceSynchronize, (), NONE);
}

void run_args(FILE *file) {
  pageable = calloc(1, ROOM);
  if (!pageable) abort();
  devices();
  streams_and_events();
  allocations();
  copies();
  fills();
  launches();
  graphs();
  ONE(cudaFreeHost, (pinned), in_ptr("ptr", pinned));
  ONE(cudaFree, (managed), in_ptr("ptr", managed));
  ONE(cudaFree, (device2), in_ptr("ptr", device2));
  ONE(cudaFree, (device), in_ptr("ptr", device));
  ONE(cudaFree, (NULL), in("ptr", 0));
  ONE(cudaEventDestroy, (event), in_ptr("event", event));
  ONE(cudaEventDestroy, (later), in_ptr("event", later));
  ONE(cudaStreamDestroy, (stream), in_ptr("stream", stream));
  ONE(cudaPeekAtLastError, (), NONE);
  ONE(cudaGetLastError, (), NONE);
  ONE(cudaDeviceReset, (), NONE);
  free(pageable);
  fprintf(file, ",\"rows\":%u", row_count());
}
