// Stand-ins for NCCL and PyTorch's libc10 with what planted.c calls of them: -DNCCL or -DC10 says which to build.
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#ifdef NCCL
typedef struct {
  char internal[128];
} ncclUniqueId;

// A communicator is where its state is: what ncclCommGetAsyncError reports.
int ncclCommInitRank(int **comm, int nranks, ncclUniqueId id, int rank) {
  (void)nranks, (void)id, (void)rank;
  *comm = calloc(1, sizeof **comm);
  return 0;
}
int ncclCommGetAsyncError(int *comm, int *state) {
  *state = *comm;
  return 0;
}
int ncclAllReduce(const void *send, void *recv, size_t count, int datatype, int op, int *comm, void *stream) {
  (void)send, (void)recv, (void)datatype, (void)op, (void)comm, (void)stream;
  return count == 0 ? 4 : 0;
}
int ncclAllGather(const void *send, void *recv, size_t count, int datatype, int *comm, void *stream) {
  (void)send, (void)recv, (void)datatype, (void)comm, (void)stream;
  return count == 0 ? 4 : 0;
}
int ncclCommDestroy(int *comm) {
  free(comm);
  return 0;
}
#endif

#ifdef C10
struct Device {
  int8_t type, index;
};
void _ZN3c1027reportMemoryUsageToProfilerEPvlmmNS_6DeviceE(void *ptr, int64_t size, size_t allocated, size_t reserved,
                                                           struct Device device) {
  (void)ptr, (void)size, (void)allocated, (void)reserved, (void)device;
}
void _ZN3c1027reportOutOfMemoryToProfilerElmmNS_6DeviceE(int64_t size, size_t allocated, size_t reserved,
                                                         struct Device device) {
  (void)size, (void)allocated, (void)reserved, (void)device;
}
#endif
