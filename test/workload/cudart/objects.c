// Streams, events and graphs: the calls without a per-thread twin.
#include "runtime.h"

cudaError_t cudaStreamCreate(cudaStream_t *stream) {
  NEED_DRIVER();
  return finish(driver.cuStreamCreate(stream, 0));
}

cudaError_t cudaStreamCreateWithFlags(cudaStream_t *stream, unsigned int flags) {
  NEED_DRIVER();
  return finish(driver.cuStreamCreate(stream, flags));
}

cudaError_t cudaStreamCreateWithPriority(cudaStream_t *stream, unsigned int flags, int priority) {
  NEED_DRIVER();
  return finish(driver.cuStreamCreateWithPriority(stream, flags, priority));
}

cudaError_t cudaStreamDestroy(cudaStream_t stream) {
  NEED_DRIVER();
  return finish(driver.cuStreamDestroy_v2(stream));
}

cudaError_t cudaEventCreate(cudaEvent_t *event) {
  NEED_DRIVER();
  return finish(driver.cuEventCreate(event, 0));
}

cudaError_t cudaEventCreateWithFlags(cudaEvent_t *event, unsigned int flags) {
  NEED_DRIVER();
  return finish(driver.cuEventCreate(event, flags));
}

cudaError_t cudaEventDestroy(cudaEvent_t event) {
  NEED_DRIVER();
  return finish(driver.cuEventDestroy_v2(event));
}

cudaError_t cudaEventSynchronize(cudaEvent_t event) {
  NEED_DRIVER();
  return finish(driver.cuEventSynchronize(event));
}

cudaError_t cudaEventQuery(cudaEvent_t event) {
  NEED_DRIVER();
  return finish(driver.cuEventQuery(event));
}

cudaError_t cudaEventElapsedTime(float *ms, cudaEvent_t start, cudaEvent_t end) {
  NEED_DRIVER();
  return finish(driver.cuEventElapsedTime_v2(ms, start, end));
}

cudaError_t cudaGraphCreate(cudaGraph_t *graph, unsigned int flags) {
  NEED_DRIVER();
  return finish(driver.cuGraphCreate(graph, flags));
}

cudaError_t cudaGraphInstantiate(cudaGraphExec_t *exec, cudaGraph_t graph, unsigned long long flags) {
  NEED_DRIVER();
  return finish(driver.cuGraphInstantiateWithFlags(exec, graph, flags));
}

cudaError_t cudaGraphInstantiateWithFlags(cudaGraphExec_t *exec, cudaGraph_t graph, unsigned long long flags) {
  NEED_DRIVER();
  return finish(driver.cuGraphInstantiateWithFlags(exec, graph, flags));
}

cudaError_t cudaGraphExecUpdate(cudaGraphExec_t exec, cudaGraph_t graph, cudaGraphExecUpdateResultInfo *info) {
  NEED_DRIVER();
  if (!info) return finish(cudaErrorInvalidValue);
  CUgraphExecUpdateResultInfo result;
  CUresult outcome = driver.cuGraphExecUpdate_v2(exec, graph, &result);
  if (outcome == CUDA_SUCCESS) *info = (cudaGraphExecUpdateResultInfo){.result = cudaGraphExecUpdateSuccess};
  return finish(outcome);
}

cudaError_t cudaGraphExecDestroy(cudaGraphExec_t exec) {
  NEED_DRIVER();
  return finish(driver.cuGraphExecDestroy(exec));
}

cudaError_t cudaGraphDestroy(cudaGraph_t graph) {
  NEED_DRIVER();
  return finish(driver.cuGraphDestroy(graph));
}
