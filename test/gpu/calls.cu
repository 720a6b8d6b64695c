// A CUDA program that knows what it called. `calls count` makes a fixed set of calls of every kind and prints how
// many of each; `calls bench` prints what one call costs the caller, in nanoseconds. Needs a GPU.
#include <cuda_runtime.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <string>
#include <vector>

static std::map<std::string, long> made;

// CALL(cudaX, ...): makes the call, counts it, and ends the program when it fails.
#define CALL(op, ...)                                                                            \
  do {                                                                                           \
    made[#op]++;                                                                                 \
    cudaError_t result = op(__VA_ARGS__);                                                        \
    if (result != cudaSuccess) {                                                                 \
      std::fprintf(stderr, "line %d: %s: %s\n", __LINE__, #op, cudaGetErrorString(result));      \
      std::exit(1);                                                                              \
    }                                                                                            \
  } while (0)

__global__ void add(float *to, const float *from, int n) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i < n) to[i] += from[i];
}

static void launch(cudaStream_t stream, float *to, const float *from, int n) {
  made["cudaLaunchKernel"]++;
  add<<<(n + 255) / 256, 256, 0, stream>>>(to, from, n);
}

// Copies in every direction, launches on two streams, events, a graph, memory of every kind, and two failures.
static void count() {
  const size_t bytes = 4 << 20;
  const int floats = bytes / sizeof(float);
  float *a, *b, *managed, *pinned, *pooled;
  std::vector<float> pageable(floats, 1.0f);
  cudaStream_t streams[2];
  cudaEvent_t event;
  CALL(cudaSetDevice, 0);
  CALL(cudaMalloc, (void **)&a, bytes);
  CALL(cudaMalloc, (void **)&b, bytes);
  CALL(cudaMallocHost, (void **)&pinned, bytes);
  CALL(cudaMallocManaged, (void **)&managed, bytes);
  for (auto &stream : streams) CALL(cudaStreamCreate, &stream);
  CALL(cudaMallocAsync, (void **)&pooled, bytes, streams[0]);
  CALL(cudaEventCreate, &event);
  std::memset(pinned, 0, bytes);
  CALL(cudaMemset, a, 0, bytes);
  for (int i = 0; i < 10; i++) {
    CALL(cudaMemcpy, a, pageable.data(), bytes, cudaMemcpyHostToDevice);
    CALL(cudaMemcpyAsync, b, pinned, bytes, cudaMemcpyHostToDevice, streams[0]);
    CALL(cudaMemcpyAsync, pooled, b, bytes, cudaMemcpyDeviceToDevice, streams[0]);
    CALL(cudaMemcpyAsync, pinned, pooled, bytes / 2, cudaMemcpyDeviceToHost, streams[0]);
    CALL(cudaStreamSynchronize, streams[0]);
  }
  for (int i = 0; i < 1000; i++) launch(streams[i % 2], a, b, floats);
  CALL(cudaEventRecord, event, streams[1]);
  CALL(cudaStreamWaitEvent, streams[0], event, 0);
  CALL(cudaEventSynchronize, event);
  cudaGraph_t graph;
  cudaGraphExec_t instance;
  CALL(cudaStreamBeginCapture, streams[0], cudaStreamCaptureModeGlobal);
  for (int i = 0; i < 5; i++) launch(streams[0], a, b, floats);
  CALL(cudaStreamEndCapture, streams[0], &graph);
  CALL(cudaGraphInstantiate, &instance, graph, 0);
  for (int i = 0; i < 20; i++) CALL(cudaGraphLaunch, instance, streams[0]);
  CALL(cudaDeviceSynchronize);
  CALL(cudaMemcpy, pageable.data(), a, 4096, cudaMemcpyDeviceToHost);
  void *never;
  for (int i = 0; i < 2; i++) {
    made["cudaMalloc"]++;
    made["cudaMalloc failed"]++;
    if (cudaMalloc(&never, (size_t)1 << 50) != cudaErrorMemoryAllocation) std::exit(1);
    made["cudaGetLastError"]++;
    cudaGetLastError();
  }
  CALL(cudaGraphExecDestroy, instance);
  CALL(cudaGraphDestroy, graph);
  CALL(cudaEventDestroy, event);
  CALL(cudaFreeAsync, pooled, streams[0]);
  for (auto stream : streams) CALL(cudaStreamSynchronize, stream);
  for (auto stream : streams) CALL(cudaStreamDestroy, stream);
  CALL(cudaFree, managed);
  CALL(cudaFreeHost, pinned);
  CALL(cudaFree, b);
  CALL(cudaFree, a);
}

// Nanoseconds per call: the median of batches of `batch` calls, the GPU idle before each.
template <typename Call> static void bench(const char *name, int batch, Call call) {
  std::vector<double> costs;
  for (int round = 0; round < 60; round++) {
    cudaDeviceSynchronize();
    auto begin = std::chrono::steady_clock::now();
    for (int i = 0; i < batch; i++) call();
    std::chrono::duration<double, std::nano> took = std::chrono::steady_clock::now() - begin;
    costs.push_back(took.count() / batch);
  }
  std::sort(costs.begin(), costs.end());
  std::printf("%s\"%s\": %.0f", made.empty() ? "{" : ", ", name, costs[costs.size() / 2]);
  made[name]++;
}

static void benchAll() {
  float *a, *b, *host;
  cudaStream_t stream;
  if (cudaMalloc((void **)&a, 1 << 20) || cudaMalloc((void **)&b, 1 << 20) || cudaMallocHost((void **)&host, 1 << 20)) std::exit(1);
  cudaStreamCreate(&stream);
  bench("cudaLaunchKernel", 500, [&] { add<<<1, 32, 0, stream>>>(a, b, 0); });
  bench("cudaMemcpyAsync", 500, [&] { cudaMemcpyAsync(a, b, 1024, cudaMemcpyDeviceToDevice, stream); });
  bench("cudaMemcpy 64 KiB to the device", 100, [&] { cudaMemcpy(a, host, 65536, cudaMemcpyHostToDevice); });
  bench("cudaStreamSynchronize", 500, [&] { cudaStreamSynchronize(stream); });
  bench("cudaMalloc and cudaFree 1 MiB", 20, [&] {
    void *block;
    cudaMalloc(&block, 1 << 20);
    cudaFree(block);
  });
  std::puts("}");
}

int main(int argc, char **argv) {
  if (argc == 2 && !std::strcmp(argv[1], "bench")) {
    benchAll();
    return 0;
  }
  count();
  std::printf("{");
  const char *comma = "";
  for (auto &[op, times] : made) {
    std::printf("%s\"%s\": %ld", comma, op.c_str(), times);
    comma = ", ";
  }
  std::puts("}");
  return 0;
}
